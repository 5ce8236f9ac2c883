"""From logits to findings: by hand, by formula, and what must never disagree."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.calibration import Platt
from pipelines.classification import Answers, ClassesHead, FindingsHead, Judge, ScoreHead, mean_of

FINDINGS = FindingsHead(labels=("effusion", "", "nodule"))
SEVERITY = (ClassesHead(labels=("mild", "moderate", "severe")), ScoreHead(name="severity", unit="{score}", high=8.0))
PNEUMONIA = ClassesHead(labels=("normal", "pneumonia"), negative="normal")
PROBABILITIES = st.floats(0.001, 0.999)


def test_sigmoids_by_hand_and_outputs_nobody_trained_are_not_told() -> None:
    answers = Judge((FINDINGS,)).answers(np.array([0.0, 5.0, math.log(3.0)]))
    assert answers.probabilities == pytest.approx({"effusion": 0.5, "nodule": 0.75})
    assert [finding.label for finding in Judge((FINDINGS,)).findings(answers)] == ["effusion", "nodule"]


def test_softmax_and_score_by_hand() -> None:
    judge = Judge(SEVERITY)
    answers = judge.answers(np.log([1.0, 2.0, 5.0, math.e**3]))
    assert answers.probabilities == pytest.approx({"mild": 0.125, "moderate": 0.25, "severe": 0.625})
    findings = judge.findings(answers)
    assert [(f.label, f.positive) for f in findings] == [("mild", False), ("moderate", False), ("severe", True)]
    (score,) = judge.quantities(answers)
    assert (score.name, score.value, score.unit) == ("severity", pytest.approx(3.0), "{score}")


@pytest.mark.parametrize(("said", "told"), [(-2.0, 0.0), (4.5, 4.5), (11.0, 8.0)])
def test_scores_stay_on_their_scale(said: float, told: float) -> None:
    answers = Judge(SEVERITY).answers(np.array([0.0, 0.0, 0.0, said]))
    assert answers.scores == {"severity": told}


def test_the_negative_class_is_nobodys_finding() -> None:
    judge = Judge((PNEUMONIA,))
    (finding,) = judge.findings(judge.answers(np.array([0.0, math.log(4.0)])))
    assert (finding.label, finding.positive) == ("pneumonia", True)
    assert finding.probability == finding.raw_probability == pytest.approx(0.8)


@pytest.mark.parametrize(("point", "positive"), [(0.3, True), (0.75, True), (0.7501, False)])
def test_a_finding_is_called_where_its_operating_point_is_reached(point: float, positive: bool) -> None:
    judge = Judge((FINDINGS,), operating_points={"nodule": point})
    finding = judge.findings(Answers({"effusion": 0.2, "nodule": 0.75}))[1]
    assert (finding.positive, finding.threshold, finding.calibrated) == (positive, point, False)
    # The other one has none of its own.
    assert judge.findings(Answers({"effusion": 0.5, "nodule": 0.1}))[0].positive


def test_calibration_by_formula_and_the_threshold_with_it() -> None:
    judge = Judge((PNEUMONIA,), {"pneumonia": 0.6}, {"pneumonia": Platt(2.0, -1.0)})
    (finding,) = judge.findings(Answers({"normal": 0.3, "pneumonia": 0.7}))
    odds = 2.0 * math.log(0.7 / 0.3) - 1.0
    assert finding.probability == pytest.approx(1.0 / (1.0 + math.exp(-odds)), abs=1e-6)
    assert finding.raw_probability == pytest.approx(0.7)
    point = 2.0 * math.log(0.6 / 0.4) - 1.0
    assert finding.threshold == pytest.approx(1.0 / (1.0 + math.exp(-point)), abs=1e-6)
    assert finding.calibrated


@given(PROBABILITIES, PROBABILITIES, st.floats(0.05, 20.0), st.floats(-5.0, 5.0))
def test_probability_and_threshold_never_disagree_with_the_call(
    raw: float, point: float, slope: float, intercept: float
) -> None:
    judge = Judge((FindingsHead(labels=("a",)),), {"a": point}, {"a": Platt(slope, intercept)})
    (finding,) = judge.findings(Answers({"a": raw}))
    assert finding.positive == (raw >= point)
    assert ((finding.probability or 0.0) >= finding.threshold) == finding.positive
    assert finding.probability == pytest.approx(float(Platt(slope, intercept)(raw)), abs=2e-6)


@pytest.mark.parametrize(
    ("raw", "point"), [(0.3, 0.3), (0.3 - 1e-9, 0.3), (0.3, 0.3 + 1e-9), (1e-8, 2e-8), (2e-8, 1e-8)]
)
def test_rounding_belies_no_call(raw: float, point: float) -> None:
    (finding,) = Judge((FindingsHead(labels=("a",)),), {"a": point}).findings(Answers({"a": raw}))
    assert finding.positive == (raw >= point) == ((finding.probability or 0.0) >= finding.threshold)


@given(st.lists(st.floats(-4.0, 4.0), min_size=3, max_size=3), st.floats(0.2, 5.0), st.floats(-3.0, 3.0))
def test_of_several_classes_the_most_probable_as_told_is_called(logits: list[float], slope: float, more: float) -> None:
    judge = Judge(SEVERITY[:1], calibration={"moderate": Platt(slope, more)})
    findings = judge.findings(judge.answers(np.array(logits)))
    assert sum(finding.positive for finding in findings) == 1
    for finding in findings:
        assert ((finding.probability or 0.0) >= finding.threshold) == finding.positive
    called = next(finding for finding in findings if finding.positive)
    assert called.probability == max(finding.probability or 0.0 for finding in findings)


def test_of_several_classes_the_negative_one_may_hold() -> None:
    head = ClassesHead(labels=("normal", "bacterial", "viral"), negative="normal")
    findings = Judge((head,)).findings(Answers({"normal": 0.5, "bacterial": 0.3, "viral": 0.2}))
    assert [(f.label, f.positive, f.threshold) for f in findings] == [("bacterial", False, 0.5), ("viral", False, 0.5)]


@pytest.mark.parametrize(
    ("points", "lines"),
    [
        ({"right": 0.6}, {"right": Platt(2.0, -1.0)}),
        # Said of the other of two, the same.
        ({"left": 0.4}, {"left": Platt(2.0, 1.0)}),
    ],
)
@pytest.mark.parametrize("raw", [0.55, 0.6, 0.65])
def test_two_classes_are_one_question(points: dict[str, float], lines: dict[str, Platt], raw: float) -> None:
    judge = Judge((ClassesHead(labels=("left", "right")),), points, lines)
    left, right = judge.findings(Answers({"left": 1.0 - raw, "right": raw}))
    (alone,) = Judge((PNEUMONIA,), {"pneumonia": 0.6}, {"pneumonia": Platt(2.0, -1.0)}).findings(
        Answers({"normal": 1.0 - raw, "pneumonia": raw})
    )
    assert (left.label, right.label) == ("left", "right")
    assert right.model_copy(update={"label": "pneumonia"}) == alone
    assert left.positive is not right.positive
    assert (left.probability or 0.0) + (right.probability or 0.0) == pytest.approx(1.0, abs=2e-6)
    for finding in (left, right):
        assert ((finding.probability or 0.0) >= finding.threshold) == finding.positive


def test_calibrated_classes_add_up_to_one() -> None:
    judge = Judge(SEVERITY[:1], calibration={"severe": Platt(0.5, 0.3), "mild": Platt(2.0, 0.0)})
    findings = judge.findings(Answers({"mild": 0.2, "moderate": 0.3, "severe": 0.5}))
    assert sum(finding.probability or 0.0 for finding in findings) == pytest.approx(1.0, abs=2e-6)
    assert [finding.positive for finding in findings] == [False, False, True]
    assert all(finding.calibrated for finding in findings)


def test_views_are_averaged_before_anything_is_called() -> None:
    views = [Answers({"a": 0.9}, {"s": 2.0}), Answers({"a": 0.2}, {"s": 5.0}), Answers({"a": 0.1}, {"s": 8.0})]
    together = mean_of(views)
    assert together.probabilities["a"] == pytest.approx(0.4)
    assert together.scores["s"] == pytest.approx(5.0)
    # Two of three views alone would not be called, and nor is the study: MURA's rule counts no votes.
    (finding,) = Judge((FindingsHead(labels=("a",)),), {"a": 0.3}).findings(together)
    assert finding.positive
    with pytest.raises(ValueError, match="at least one view"):
        mean_of([])


def test_calibration_of_a_platt_line_keeps_order_and_ends() -> None:
    p = np.linspace(0.0, 1.0, 101)
    calibrated = Platt(3.0, 1.5)(p)
    assert (np.diff(calibrated) >= 0).all()
    assert 0.0 <= calibrated[0] < 1e-9
    assert 1.0 - 1e-9 < calibrated[-1] <= 1.0
    np.testing.assert_allclose(Platt()(p[1:-1]), p[1:-1], rtol=1e-12)
    assert np.isnan(Platt()(np.nan))
    with pytest.raises(ValueError, match="slope above 0"):
        Platt(-1.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ClassesHead(labels=("a", "b"), negative="c"),
        lambda: ClassesHead(labels=("a",)),
        lambda: ClassesHead(labels=("a", "")),
        lambda: FindingsHead(labels=()),
        lambda: ScoreHead(name="s", low=8.0, high=0.0),
    ],
)
def test_heads_that_make_no_sense(wrong: object) -> None:
    with pytest.raises(ValidationError):
        wrong()  # type: ignore[operator]


def test_logits_of_another_network() -> None:
    with pytest.raises(ValueError, match=r"logits \(3,\); got shape \(4,\)"):
        Judge((FINDINGS,)).answers(np.zeros(4))
