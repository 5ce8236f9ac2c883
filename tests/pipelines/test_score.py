"""Scoring one study and many: one broken study never stops the others, and nothing finished is done twice."""

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Study
from pipelines.journal import JOURNAL
from pipelines.run import Pipeline
from pipelines.score import MANIFEST, TABLE, Scored, many, one, run_key
from tests.datasets import ct_files
from tests.datasets.ct_files import write
from tests.pipelines.liver_scene import (
    HEALTHY,
    NO_LIVER,
    OWN_GRID,
    Constant,
    Reading,
    field_of_view,
    pipeline,
    refused_study,
    scan,
    study,
)

GRID = field_of_view((4.0, 4.0, 5.0))
SICK, HEALTH, EMPTY = (Reading(image) for image in (scan(GRID), scan(GRID, HEALTHY), scan(GRID, NO_LIVER)))
REFUSAL = InputRefused(RefusalCode.MISSING_SLICE, "all slices", 'a gap, "wide"\nindeed', "send it again")


@pytest.fixture(scope="module")
def oracle() -> Pipeline:
    return pipeline(OWN_GRID)


def _mixed() -> list[Study]:
    return [
        refused_study(REFUSAL, "1.1"),
        study(SICK, "1.2"),
        study(Reading(error=REFUSAL), "1.3"),
        study(Reading(error=ZeroDivisionError("a bug")), "1.4"),
        study(HEALTH, "1.5"),
        study(EMPTY, "1.6"),
    ]


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / TABLE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _document(out: Path, folder: str) -> dict[str, Any]:
    return json.loads((out / folder / "result.json").read_text(encoding="utf-8"))


def _run(studies: Sequence[Study], oracle: Pipeline, out: Path, *, fresh: bool = False) -> list[Scored]:
    return list(many(studies, oracle, out, fresh=fresh))


def test_one_broken_study_does_not_stop_the_others(oracle: Pipeline, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.ERROR):
        scored = _run(_mixed(), oracle, tmp_path)
    ends = [(item.entry.study, item.entry.status, item.entry.code) for item in scored]
    assert ends == [
        ("1.1", "failed", "missing_slice"),
        ("1.2", "done", ""),
        ("1.3", "failed", "missing_slice"),
        ("1.4", "failed", "internal_error"),
        ("1.5", "done", ""),
        ("1.6", "done", ""),
    ]
    assert not any(item.resumed for item in scored)
    for item in scored:
        document = _document(tmp_path, item.entry.folder)
        assert document["result_digest"] == item.entry.digest
        assert ("error" in document) == (item.entry.status == "failed")
        assert document["study"]["uid"] == item.entry.study
    # The incident that the person reads is the one in the log, with the traceback.
    message = _document(tmp_path, "1.4")["error"]["message"]
    assert message.rpartition(" ")[2] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in message


def test_the_manifest_counts(oracle: Pipeline, tmp_path: Path) -> None:
    _run(_mixed(), oracle, tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["counts"] == {
        "studies": 6,
        "done": 3,
        "failed": 3,
        "by_code": {"internal_error": 1, "missing_slice": 2},
    }
    assert manifest["inputs"] == [f"scans/1.{n}" for n in range(1, 7)]
    promised = {"version", "task", "config", "weights_sha256", "device", "inputs", "counts", "started", "finished"}
    assert promised <= set(manifest)
    assert manifest["started"] <= manifest["finished"]
    assert manifest["config"]["min_tumor_ml"] == 0.1
    assert (manifest["task"], manifest["device"]) == ("liver_ct", "cpu")


def test_the_table_holds_what_the_results_hold(oracle: Pipeline, tmp_path: Path) -> None:
    _run(_mixed(), oracle, tmp_path)
    rows = _rows(tmp_path)
    assert [row["study"] for row in rows] == [f"1.{n}" for n in range(1, 7)]
    assert list(rows[0])[:5] == ["study", "status", "code", "message", "seconds"]
    assert rows[0]["message"] == 'expected all slices; got a gap, "wide"\nindeed'
    assert rows[0]["liver_volume_ml"] == ""
    sick, healthy, empty = rows[1], rows[4], rows[5]
    document = _document(tmp_path, "1.2")
    quantities = {(q["label"], q["name"]): q["value"] for q in document["quantities"]}
    first = {q["name"]: q["value"] for q in document["findings"][0]["quantities"]}
    assert float(sick["liver_volume_ml"]) == quantities["liver", "volume"]
    assert float(sick["liver_tumor_burden_ml"]) == quantities["liver_tumor", "burden"]
    assert float(sick["liver_tumor_count"]) == 2.0
    assert float(sick["liver_tumor_1_volume_ml"]) == first["volume"]
    assert float(sick["liver_tumor_1_longest_axial_diameter_mm"]) == first["longest_axial_diameter"]
    assert float(sick["liver_tumor_1_mean_attenuation_hu"]) == 180.0
    assert sick["liver_tumor_2_positive"] == "True"
    assert (healthy["liver_tumor_positive"], healthy["liver_tumor_1_positive"]) == ("False", "")
    assert (float(empty["liver_volume_ml"]), empty["liver_mean_attenuation_hu"]) == (0.0, "")


def _without_seconds(out: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in _rows(out)]


def test_an_interrupted_run_goes_on_where_it_stopped(oracle: Pipeline, tmp_path: Path) -> None:
    studies = [study(SICK, "1.2"), study(HEALTH, "1.5"), study(EMPTY, "1.6")]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    _run(studies, oracle, whole)
    running = many(studies, oracle, stopped)
    next(running)
    next(running)
    running.close()
    assert not (stopped / MANIFEST).exists()
    assert not (stopped / TABLE).exists()
    times = {path: path.stat().st_mtime_ns for path in stopped.rglob("*.nii.gz")}
    # What was finished is not even read again.
    unread = [study(Reading(error=AssertionError("read again")), uid) for uid in ("1.2", "1.5")]
    scored = _run([*unread, studies[2]], oracle, stopped)
    assert [item.resumed for item in scored] == [True, True, False]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert _without_seconds(stopped) == _without_seconds(whole)
    again = (stopped / TABLE).read_bytes()
    assert all(item.resumed for item in _run(studies, oracle, stopped))
    assert (stopped / TABLE).read_bytes() == again


def test_what_failed_is_finished_until_it_is_asked_for_again(oracle: Pipeline, tmp_path: Path) -> None:
    _run([study(Reading(error=REFUSAL), "1.1"), study(HEALTH, "1.2")], oracle, tmp_path)
    mended = [study(SICK, "1.1"), study(HEALTH, "1.2")]
    scored = _run(mended, oracle, tmp_path)
    assert [(item.entry.status, item.resumed) for item in scored] == [("failed", True), ("done", True)]
    scored = list(many(mended, oracle, tmp_path, retry_failed=True))
    assert [(item.entry.status, item.resumed) for item in scored] == [("done", False), ("done", True)]


def test_another_input_of_the_same_name_is_another_study(oracle: Pipeline, tmp_path: Path) -> None:
    _run([study(SICK, "ct", source="a/ct.nii.gz")], oracle, tmp_path)
    (scored,) = _run([study(EMPTY, "ct", source="b/ct.nii.gz")], oracle, tmp_path)
    assert not scored.resumed
    assert _document(tmp_path, "ct")["study"]["source"] == "b/ct.nii.gz"


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_a_result_that_was_lost_or_damaged_is_made_again(oracle: Pipeline, tmp_path: Path, content: str | None) -> None:
    _run([study(SICK, "1.2")], oracle, tmp_path)
    path = tmp_path / "1.2" / "result.json"
    whole = json.loads(path.read_text())
    path.unlink() if content is None else path.write_text(content)
    (scored,) = _run([study(SICK, "1.2")], oracle, tmp_path)
    assert not scored.resumed
    assert json.loads(path.read_text())["result_digest"] == whole["result_digest"]


def test_other_settings_need_another_folder_or_fresh(oracle: Pipeline, tmp_path: Path) -> None:
    _run([study(SICK, "1.2")], oracle, tmp_path)
    other = pipeline(OWN_GRID, "tumor_threshold=0.6")
    assert run_key(other) != run_key(oracle)
    with pytest.raises(ConfigError, match="--fresh"):
        next(many([study(SICK, "1.2")], other, tmp_path))
    (scored,) = _run([study(SICK, "1.2")], other, tmp_path, fresh=True)
    assert not scored.resumed


def test_other_weights_need_another_folder(oracle: Pipeline) -> None:
    model = oracle.model.model_copy(update={"weights_sha256": "ab"})
    assert run_key(Pipeline(oracle.task, oracle.network, model, oracle.compute)) != run_key(oracle)


def test_hostile_uids_stay_inside_and_apart(oracle: Pipeline, tmp_path: Path) -> None:
    uids = ["../../x", "", "..", "a/b", "a_b", "y" * 3000, "y" * 3001, "患者", "results.csv", "caf\udce9"]
    out = tmp_path / "deep" / "out"
    scored = _run([study(EMPTY, uid) for uid in uids], oracle, out)
    assert [item.entry.status for item in scored] == ["done"] * len(uids)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert sorted(path.name for path in folders) == sorted({item.entry.folder for item in scored})
    assert len(folders) == len(uids)
    assert {path.name for path in out.iterdir() if path.is_file()} == {MANIFEST, TABLE, JOURNAL}
    told = [uid.encode("utf-8", "backslashreplace").decode() for uid in uids]
    assert [row["study"] for row in _rows(out)] == told
    assert json.loads((out / MANIFEST).read_text(encoding="utf-8"))["inputs"][:2] == ["scans/../../x", "scans/"]
    assert all(item.resumed for item in _run([study(EMPTY, uid) for uid in uids], oracle, out))


def test_one_uid_twice_is_a_bug_of_the_caller(oracle: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different uids"):
        next(many([study(SICK, "1"), study(HEALTH, "1")], oracle, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_nothing_to_score_gives_a_header_and_a_manifest(oracle: Pipeline, tmp_path: Path) -> None:
    assert _run([], oracle, tmp_path) == []
    assert (tmp_path / TABLE).read_text() == "study,status,code,message,seconds\n"
    assert json.loads((tmp_path / MANIFEST).read_text())["counts"]["studies"] == 0


def test_a_network_that_gives_no_numbers_fails_the_study_in_its_own_words(tmp_path: Path) -> None:
    nan = pipeline(OWN_GRID, network=Constant(float("nan"), 0.5, 0.5))
    (scored,) = _run([study(SICK, "1.2")], nan, tmp_path)
    assert (scored.entry.status, scored.entry.code) == ("failed", "weights_error")
    assert "NaN" in scored.entry.message


def test_a_failure_leaves_no_files_of_a_result(oracle: Pipeline, tmp_path: Path, monkeypatch) -> None:
    _run([study(SICK, "1.2")], oracle, tmp_path)
    _run([study(Reading(error=REFUSAL), "1.2")], oracle, tmp_path, fresh=True)
    assert [path.name for path in (tmp_path / "1.2").iterdir()] == ["result.json"]


def test_a_dicom_series_gets_a_segmentation_that_references_it(oracle: Pipeline, tmp_path: Path) -> None:
    # Organs of 110 and 160 HU are liver and tumour to the oracle; the other one finds neither.
    series = ct_files.series()
    write({f"{number}.dcm": dataset for number, dataset in enumerate(series)}, tmp_path / "in")
    blind = pipeline(OWN_GRID, network=Constant(0.98, 0.01, 0.01))
    for name, scorer in (("found", oracle), ("nothing", blind)):
        out = tmp_path / name
        with open_inputs([tmp_path / "in"]) as inventory:
            (scored,) = _run(inventory.studies, scorer, out)
        assert scored.entry.folder == series[0].StudyInstanceUID
        document = _document(out, scored.entry.folder)
        assert document["outputs"] == {
            "segmentation": "segmentation.nii.gz",
            "dicom_seg": "segmentation.dcm",
            "report": "report.dcm",
        }
        segmentation = pydicom.dcmread(out / scored.entry.folder / "segmentation.dcm")
        (referenced,) = segmentation.ReferencedSeriesSequence
        assert referenced.SeriesInstanceUID == series[0].SeriesInstanceUID == document["study"]["series_uid"]
        assert segmentation.StudyInstanceUID == scored.entry.study
        codes = [item.SegmentedPropertyTypeCodeSequence[0].CodeValue for item in segmentation.SegmentSequence]
        assert codes == ["10200004", "108369006"]
        (algorithm,) = segmentation.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
        assert "liver_ct" in algorithm.AlgorithmName
        found = nib.load(out / scored.entry.folder / "segmentation.nii.gz")
        assert (np.asarray(found.dataobj).sum() > 0) == (name == "found") == ("empty_result" not in _flags(document))


def _flags(document: dict[str, Any]) -> list[str]:
    return [flag["code"] for flag in document["quality"]]


def test_one_turns_a_refusal_into_a_result(oracle: Pipeline) -> None:
    result = one(refused_study(REFUSAL), oracle)
    assert (result.error.code, result.findings, result.labels) == ("missing_slice", (), None)
    with pytest.raises(ZeroDivisionError):
        one(study(Reading(error=ZeroDivisionError())), oracle)
