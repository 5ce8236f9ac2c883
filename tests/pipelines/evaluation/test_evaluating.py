"""Whole evaluations of predictions in files: figures known by hand, failures told, runs that go on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.errors import ConfigError
from datasets.example import Dataset, Example
from pipelines.evaluation.cases import Case, Failure
from pipelines.evaluation.document import EvaluationDocument
from pipelines.evaluation.evaluating import JOURNAL, Evaluation, Output, evaluate
from pipelines.evaluation.predictors import FolderPredictor, TablePredictor, open_predictions
from pipelines.evaluation.report import report
from pipelines.evaluation.settings import EvaluationSettings
from pipelines.evaluation.tables import case_table
from pipelines.task import load_task
from tests.pipelines.evaluation.cases_made import (
    AFFINE,
    dataset,
    example,
    findings,
    label_map,
    mask_truth,
    one_of,
    study,
    write_labels,
)

LIVER, FILMS = load_task("liver_ct"), load_task("chest_xray")
QUICK = EvaluationSettings(replicates=200)
LENGTHS = (12, 13, 14, 12)


def _livers() -> Dataset:
    """Four studies of three patients; the last without a tumour."""
    truths = [label_map(12)] * 3 + [label_map(12, ())]
    patients = ("p1", "p1", "p2", "p3")
    return dataset(
        *(
            example(f"s{n}", mask_truth(t), p, site="AB"[n % 2])
            for n, (t, p) in enumerate(zip(truths, patients, strict=True))
        )
    )


def _write(folder: Path, lengths: tuple[int, ...] = LENGTHS) -> Path:
    for number, length in enumerate(lengths):
        write_labels(folder, f"s{number}", label_map(length))
    return folder


def _ignore(example: Example, case: Case | Failure, before: bool) -> None:
    """Nobody looks."""


def _run(
    data: Dataset,
    folder: Path,
    out: Path,
    other: Path | None = None,
    onlooker: Callable[[Example, Case | Failure, bool], None] = _ignore,
) -> EvaluationDocument:
    evaluation = Evaluation.of(data, LIVER, QUICK)
    second = None if other is None else FolderPredictor(other, LIVER.label_set)
    return evaluate(evaluation, FolderPredictor(folder, LIVER.label_set), second, Output(out), onlooker)


def _value(document: EvaluationDocument, metric: str, label: str) -> float | None:
    figure = document.figure(metric, label)
    assert figure is not None, metric
    return figure.value


def test_figures_by_hand(tmp_path: Path) -> None:
    document = _run(_livers(), _write(tmp_path / "said"), tmp_path / "out")
    dices = [2 * 12 / (12 + length) for length in LENGTHS]
    assert _value(document, "dice", "liver") == pytest.approx(np.mean(dices))
    assert _value(document, "dice_global", "liver") == pytest.approx(2 * 48 / (48 + sum(LENGTHS)))
    assert _value(document, "dice", "liver_tumor") == pytest.approx(3 / 4)
    assert _value(document, "dice_with_reference", "liver_tumor") == 1.0
    assert _value(document, "lesion_precision_overlap", "liver_tumor") == pytest.approx(3 / 4)
    assert _value(document, "lesion_recall_iou", "liver_tumor") == 1.0
    distances = document.figure("hd95_mm", "liver_tumor")
    assert distances is not None
    assert (distances.cases, distances.undefined, distances.value) == (3, 1, 0.0)
    assert document.data.patients == 3
    assert any("3 patients" in told for told in document.data.warnings)
    assert document.regions["liver"] == ("liver", "liver_tumor")
    assert [(group.value, group.cases, group.patients, group.few) for group in document.subgroups] == [
        ("A", 2, 2, True),
        ("B", 2, 2, True),
    ]


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    said = _write(tmp_path / "said")
    first, again = (_run(_livers(), said, tmp_path / out) for out in "ab")
    assert first.text() == again.text()
    assert report(first) == report(again)
    content = json.loads(first.text())
    assert content["schema"] == 1
    assert content["research_use_only"] is True
    assert str(tmp_path) not in first.text()


def test_what_cannot_be_compared_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    said = _write(tmp_path / "said")
    moved = AFFINE.copy()
    moved[1, 3] = 3.0
    write_labels(said, "s1", label_map(), moved)
    (said / "s2.nii.gz").write_bytes(b"no volume")
    (said / "s3.nii.gz").unlink()
    document = _run(_livers(), said, tmp_path / "out")
    assert [case.name for case in document.cases] == ["s0"]
    assert [(one.name, one.code) for one in document.failed] == [
        ("s1", "geometry_mismatch"),
        ("s2", "unreadable_labels"),
        ("s3", "labels_missing"),
    ]
    assert "geometry_mismatch" in report(document)
    assert "labels_missing" in case_table(document.cases, document.failed)
    with pytest.raises(ConfigError, match="at least one study"):
        _run(_livers(), tmp_path, tmp_path / "nothing")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    said, out = _write(tmp_path / "said"), tmp_path / "out"
    whole = _run(_livers(), said, out)
    journal = out / JOURNAL
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:3]) + "\n" + lines[3][:40])
    seen: list[bool] = []
    again = _run(_livers(), said, out, onlooker=lambda _example, _case, before: seen.append(before))
    assert seen == [True, True, False, False]
    assert again.text() == whole.text()
    evaluation = Evaluation.of(_livers(), LIVER, QUICK.model_copy(update={"tolerance": 5.0}))
    with pytest.raises(ConfigError, match="another model"):
        evaluate(evaluation, FolderPredictor(said, LIVER.label_set), None, Output(out), _ignore)


def test_truths_and_predictions_that_changed_are_compared_anew(tmp_path: Path) -> None:
    said, out = _write(tmp_path / "said"), tmp_path / "out"
    _run(_livers(), said, out)
    first, *others = _livers().examples
    changed = dataset(replace(first, truth=mask_truth(label_map(14))), *others)
    seen: list[bool] = []
    _run(changed, said, out, onlooker=lambda _example, _case, before: seen.append(before))
    assert seen == [False, True, True, True]
    write_labels(said, "s0", label_map(15))
    with pytest.raises(ConfigError, match="another model"):
        _run(changed, said, out)


def test_two_sets_of_predictions_are_compared_on_what_both_have(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "a"), _write(tmp_path / "b", (13, 14, 16, 13))
    (second / "s3.nii.gz").unlink()
    document = _run(_livers(), first, tmp_path / "out", other=second)
    comparison = document.comparison
    assert comparison is not None
    assert (comparison.cases, comparison.patients, len(comparison.failed)) == (3, 2, 1)
    dice = next(one for one in comparison.figures if (one.metric, one.label) == ("dice", "liver"))
    mine, theirs = (np.mean([24 / (12 + n) for n in lengths]) for lengths in ((12, 13, 14), (13, 14, 16)))
    assert dice.difference == pytest.approx(mine - theirs)
    assert (dice.first, dice.second) == (pytest.approx(mine), pytest.approx(theirs))
    assert dice.test == "wilcoxon"
    assert "Beside the other model" in report(document)


def test_what_score_wrote_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "said" / "s0"
    write_labels(folder, "segmentation", label_map())
    (folder / "result.json").write_text(json.dumps({"findings": [], "quantities": []}))
    failed = tmp_path / "said" / "s1"
    failed.mkdir()
    (failed / "result.json").write_text(json.dumps({"error": {"code": "no_spacing"}}))
    (tmp_path / "said" / "manifest.json").write_text(json.dumps({"model": {"name": "m", "weights_sha256": "abc"}}))
    document = _run(_livers(), tmp_path / "said", tmp_path / "out")
    assert _value(document, "dice", "liver") == 1.0
    assert document.predictor["model"]["weights_sha256"] == "abc"
    assert ("s1", "labels_missing") in [(one.name, one.code) for one in document.failed]
    (folder / "result.json").write_text('{"findings": [{"label": 3}]}')
    document = _run(
        dataset(*_livers().examples[:1], example("s9", mask_truth(label_map()))), _write(tmp_path / "x"), tmp_path / "y"
    )
    assert [one.code for one in document.failed] == ["labels_missing"]


def test_names_from_outside_stay_inside_the_folder(tmp_path: Path) -> None:
    write_labels(tmp_path, "secret", label_map())
    (tmp_path / "said").mkdir()
    one = example("a", mask_truth(label_map()))
    evil = replace(one, study=study("../secret"))
    with pytest.raises(ConfigError, match="at least one study"):
        _run(dataset(evil), tmp_path / "said", tmp_path / "out")


def _table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["study,label,probability", *rows]) + "\n")
    return path


def test_a_table_of_probabilities(tmp_path: Path) -> None:
    said = [0.9, 0.2, 0.7, 0.4, 0.6, 0.1]
    truths = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    data = dataset(*(example(f"f{n}", findings(effusion=truth)) for n, truth in enumerate(truths)))
    table = _table(tmp_path / "p.csv", [f"f{n},effusion,{p}" for n, p in enumerate(said)])
    document = evaluate(
        Evaluation.of(data, FILMS, QUICK), open_predictions(table, FILMS.label_set), None, Output(tmp_path), _ignore
    )
    assert document.kind == "findings"
    assert _value(document, "auroc", "effusion") == pytest.approx(8 / 9)
    assert _value(document, "accuracy", "effusion") == pytest.approx(4 / 6)
    assert _value(document, "sensitivity", "effusion") == pytest.approx(2 / 3)
    assert {curve.kind for curve in document.curves} == {"roc", "precision_recall", "reliability"}
    assert "ROC" in report(document)


def test_classes_have_a_confusion_matrix(tmp_path: Path) -> None:
    truths = (0, 1, 1, 0)
    data = dataset(*(example(f"f{n}", one_of(t, "normal", "pneumonia")) for n, t in enumerate(truths)))
    rows = [
        f"f{n},{label},{p}"
        for n, q in enumerate((0.2, 0.9, 0.4, 0.1))
        for label, p in (("pneumonia", q), ("normal", 1 - q))
    ]
    table = TablePredictor(_table(tmp_path / "p.csv", rows))
    document = evaluate(Evaluation.of(data, FILMS, QUICK), table, None, Output(tmp_path), _ignore)
    assert document.confusion == ((2, 0), (1, 1))
    assert _value(document, "accuracy", "") == 0.75
    assert _value(document, "kappa", "") == pytest.approx(0.5)
    assert _value(document, "auroc", "pneumonia") == 1.0
    assert "true Pneumonia, called Normal" in report(document)


@pytest.mark.parametrize(
    "rows", [["f0,effusion,1.5"], ["f0,effusion,x"], ["f0,effusion,0.5", "f0,effusion,0.6"], ["f0,effusion,nan"]]
)
def test_tables_that_are_none_are_refused(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(ConfigError, match="a table with the columns"):
        TablePredictor(_table(tmp_path / "p.csv", rows))


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing at"):
        open_predictions(tmp_path / "no", FILMS.label_set)
    (tmp_path / "p.csv").write_text("study,score\n")
    with pytest.raises(ConfigError, match="columns"):
        open_predictions(tmp_path / "p.csv", FILMS.label_set)


def test_the_test_split_is_taken_where_there_is_one() -> None:
    data = _livers()
    mixed = replace(data, examples=(replace(data.examples[0], split="train"), *data.examples[1:]))
    assert Evaluation.of(mixed, LIVER, QUICK).split == "test"
    assert len(Evaluation.of(mixed, LIVER, QUICK).examples) == 3
    everything = Evaluation.of(mixed, LIVER, QUICK, "all")
    assert any("training split" in told for told in everything.warnings())
    with pytest.raises(ConfigError, match="split validation"):
        Evaluation.of(mixed, LIVER, QUICK, "validation")


def test_labels_that_mean_nothing_to_the_task_are_told() -> None:
    data = dataset(example("a", mask_truth(label_map(), {1: "liver", 2: "cancer"})))
    assert any("cancer" in told for told in Evaluation.of(data, LIVER, QUICK).warnings())
    named = Evaluation.of(data, LIVER, QUICK.model_copy(update={"renamed": {"cancer": "liver_tumor"}}))
    assert named.warnings() == ()


def test_the_page_needs_nothing_but_itself_and_trusts_no_name(tmp_path: Path) -> None:
    data = _livers()
    evil = replace(data, name="</script><script>alert(1)</script>")
    page = report(_run(evil, _write(tmp_path / "said"), tmp_path / "out"))
    assert "<script>alert" not in page
    assert page.count("</script>") == 3
    assert "Research use only" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert "default-src 'none'" in page
