"""Findings and classes beside the truth, whoever says them."""

import pytest

from pipelines.evaluation.classes import ClassRules, compare_classes, compare_findings
from pipelines.evaluation.said import CaseRefused, Said
from pipelines.results import Finding, Quantity
from tests.pipelines.evaluation.cases_made import example, findings, one_of

RULES = ClassRules({})


def _finding(label: str, probability: float, raw: float | None = None, *, positive: bool | None = None) -> Finding:
    called = probability >= 0.5 if positive is None else positive
    return Finding(
        label=label, probability=probability, raw_probability=raw, threshold=0.5, positive=called, calibrated=False
    )


def test_labels_that_are_unknown_count_neither_way() -> None:
    truth = findings(Effusion=1.0, mass=0.0)
    said = Said(findings=(_finding("effusion", 0.8, 0.7), _finding("mass", 0.2), _finding("nodule", 0.9)))
    case = compare_findings(example("a", truth), truth, said, RULES)
    assert [(one.label, one.truth, one.probability, one.raw) for one in case.findings] == [
        ("effusion", 1.0, 0.8, 0.7),
        ("mass", 0.0, 0.2, None),
    ]


def test_scores_are_compared_with_quantities() -> None:
    truth = findings(severity=3.5)
    said = Said(quantities=(Quantity(name="severity", value=3.0, unit="1"),))
    case = compare_findings(example("a", truth), truth, said, ClassRules({}, frozenset({"severity"})))
    assert [(one.label, one.truth, one.said) for one in case.scores] == [("severity", 3.5, 3.0)]


def test_nothing_in_common_is_refused() -> None:
    truth = findings(hernia=1.0)
    with pytest.raises(CaseRefused, match="hernia"):
        compare_findings(example("a", truth), truth, Said(findings=(_finding("mass", 0.2),)), RULES)
    classes = one_of(0, "cat", "dog")
    with pytest.raises(CaseRefused, match="dog"):
        compare_classes(example("a", classes), classes, Said(findings=(_finding("mass", 0.2),)), RULES)


def test_the_class_of_which_nothing_is_said_has_the_rest() -> None:
    truth = one_of(0, "normal", "pneumonia")
    said = Said(findings=(_finding("pneumonia", 0.3, 0.4),))
    record = compare_classes(example("a", truth), truth, said, RULES).classes
    assert record is not None
    assert (record.truth, record.called) == (0, 0)
    assert record.probabilities == pytest.approx((0.7, 0.3))
    assert record.raw == pytest.approx((0.6, 0.4))


def test_classes_without_names_are_the_tasks_in_order() -> None:
    truth = one_of(1, "0", "1")
    rules = ClassRules({}, classes=("normal", "pneumonia"))
    assert rules.names(truth.classes) == ("normal", "pneumonia")
    said = Said(findings=(_finding("pneumonia", 0.3, positive=True),))
    record = compare_classes(example("a", truth), truth, said, rules).classes
    assert record is not None
    assert (record.truth, record.called, record.raw) == (1, 1, None)
    assert ClassRules({"0": "b", "1": "a"}, classes=("a", "b")).names(("0", "1")) == ("b", "a")


def test_of_several_classes_the_one_that_was_called_counts() -> None:
    truth = one_of(2, "a", "b", "c")
    said = Said(findings=tuple(_finding(name, p) for name, p in (("a", 0.2), ("b", 0.45), ("c", 0.35))))
    record = compare_classes(example("a", truth), truth, said, RULES).classes
    assert record is not None
    assert record.called == 1  # None reached its threshold: the most probable.
    called = Said(findings=(_finding("a", 0.2), _finding("b", 0.45), _finding("c", 0.35, positive=True)))
    record = compare_classes(example("a", truth), truth, called, RULES).classes
    assert record is not None
    assert record.called == 2
