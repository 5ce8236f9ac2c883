"""`result.json`: the keys that were promised, and a digest that changes when, and only when, what is said changes."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from pipelines.explain.card import ScoreCard
from pipelines.image_records import GridRecord
from pipelines.results import (
    ErrorRecord,
    Explanation,
    Finding,
    Location,
    ModelId,
    QualityFlag,
    Quantity,
    Result,
    StudyRecord,
    digest_of_labels,
)

CARD = ScoreCard(
    verdict="faithful",
    budget="quick",
    deletion_auc=0.2,
    deletion_auc_random=0.5,
    insertion_auc=0.8,
    insertion_auc_random=0.5,
    faithfulness=0.6,
    faithfulness_deviations=9.0,
)
GRID = grid_from_axes((4, 3, 2), (0.5, 0.75, 2.0), origin_mm=(1, 2, 3))
# As the interface promises them, copied by hand.
KEYS = {
    "schema": None,
    "study": {"uid", "modality", "source", "series_uid"},
    "task": None,
    "model": {"name", "weights_sha256", "version", "trained_on"},
    "grid": {"shape", "spacing_mm", "affine"},
    "findings": {"label", "probability", "threshold", "positive", "calibrated", "location", "quantities"},
    "quantities": {"name", "label", "value", "unit"},
    "quality": {"code", "severity", "message"},
    "explanations": {"label", "method", "file", "score_card"},
    "outputs": None,
    "seconds": None,
    "result_digest": None,
    "research_use_only": None,
}


def _result(**changes: Any) -> Result:
    volume = Quantity(name="volume", value=84.4, unit="ml")
    finding = Finding(
        label="liver_tumor",
        probability=0.93,
        threshold=0.5,
        positive=True,
        calibrated=False,
        location=Location(centroid_mm=(1.0, 2.0, 3.0), component=1),
        quantities=(volume,),
    )
    fields: dict[str, Any] = {
        "study": StudyRecord(uid="1.2", modality="CT", source="in/scan", series_uid="1.2.3"),
        "task": "liver_ct",
        "model": ModelId(name="m", weights_sha256="ab", version="1", trained_on="phantoms"),
        "grid": GridRecord.of(GRID),
        "findings": (finding,),
        "quantities": (Quantity(name="volume", label="liver", value=1489.0, unit="ml"),),
        "quality": (QualityFlag(code="touches_border", severity="warning", message="…"),),
        "explanations": (Explanation(label="liver", method="grad_cam", file="x.png", score_card=CARD),),
        "outputs": {"segmentation": "segmentation.nii.gz"},
        "segmentation_sha256": "cd",
        "seconds": {"load": 0.1},
    }
    return Result(**(fields | changes))


def _error() -> ErrorRecord:
    return ErrorRecord.of(InputRefused(RefusalCode.MISSING_SLICE, "all slices", "a gap", "send it again"))


def test_keys_are_those_that_were_promised() -> None:
    document = json.loads(json.dumps(_result().document()))
    # Adding a key is free; this one holds the digest to the mask.
    assert set(document) == {*KEYS, "segmentation_sha256"}
    for key, inner in KEYS.items():
        if inner is not None:
            for part in document[key] if isinstance(document[key], list) else [document[key]]:
                assert set(part) == inner, key
    # Inside a finding the label is the finding's.
    assert set(document["findings"][0]["quantities"][0]) == {"name", "value", "unit"}
    assert document["schema"] == 1
    assert document["research_use_only"] is True
    assert document["grid"]["shape"] == [4, 3, 2]
    assert document["grid"]["spacing_mm"] == [0.5, 0.75, 2.0]
    assert document["grid"]["affine"] == [[0.5, 0, 0, 1], [0, 0.75, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]]


def test_a_failed_study_has_a_reason_and_no_findings() -> None:
    document = _result(error=_error(), findings=(), grid=None).document()
    assert document["error"] == {
        "code": "missing_slice",
        "message": "expected all slices; got a gap",
        "advice": "send it again",
    }
    assert set(document) == {*KEYS, "segmentation_sha256", "error"}
    assert document["findings"] == []


def test_the_digest_can_be_recomputed_from_the_file() -> None:
    for result in (_result(), _result(error=_error(), findings=())):
        document = json.loads(json.dumps(result.document()))
        digest = document.pop("result_digest")
        del document["seconds"]
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(canonical.encode("ascii")).hexdigest() == digest == result.result_digest


def test_the_digest_ignores_times_device_and_arrays() -> None:
    expected = _result().result_digest
    labels = Image(np.ones((1, 4, 3, 2), np.uint8), Intensity.LABEL, GRID.affine)
    for changes in ({"seconds": {"load": 9.0, "write": 1.0}}, {"device": "cuda:1"}, {"labels": labels}):
        assert _result(**changes).result_digest == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"study": StudyRecord(uid="1.3", modality="CT", source="in/scan", series_uid="1.2.3")},
        {"task": "other"},
        {"model": ModelId(name="m", weights_sha256="ac", version="1", trained_on="phantoms")},
        {"model": ModelId(name="m", weights_sha256="ab", version="2", trained_on="phantoms")},
        {"grid": GridRecord.of(grid_from_axes((4, 3, 2), (0.5, 0.75, 2.0), origin_mm=(1, 2, 3.0001)))},
        {"findings": ()},
        {"quantities": (Quantity(name="volume", label="liver", value=1489.001, unit="ml"),)},
        {"quality": ()},
        {"explanations": ()},
        {"outputs": {}},
        {"segmentation_sha256": "ce"},
        {"error": _error()},
    ],
)
def test_the_digest_changes_with_anything_else(changes: dict[str, Any]) -> None:
    assert _result(**changes).result_digest != _result().result_digest


def test_labels_are_hashed_in_the_order_of_frames() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    expected = hashlib.sha256(bytes(range(24))).hexdigest()
    image = Image.from_slices(frames, Intensity.LABEL, GRID.affine)
    copied = Image(np.ascontiguousarray(image.array), Intensity.LABEL, GRID.affine)
    assert digest_of_labels(image) == digest_of_labels(copied) == expected


def test_repairs_become_warnings() -> None:
    flag = QualityFlag.of_repair(Repair(RepairCode.SERIES_CHOSEN, "two series"))
    assert flag.model_dump() == {"code": "series_chosen", "severity": "warning", "message": "two series"}


def test_documents_are_closed_and_immutable() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Quantity(name="volume", value=1.0, unit="ml", colour="red")
    with pytest.raises(ValidationError, match="frozen"):
        Quantity(name="volume", value=1.0, unit="ml").value = 2.0
    for changes in ({"research_use_only": False}, {"schema": "one"}):
        with pytest.raises(ValidationError):
            _result(**changes)


def test_numbers_that_json_does_not_know_are_a_bug() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValidationError, match="finite"):
            Quantity(name="volume", value=value, unit="ml")


def test_file_names_that_are_no_text_can_be_written() -> None:
    # How Python gives the Latin-1 byte of "é" in a file's name.
    study = StudyRecord(uid="caf\udce9", modality="CT", source="in/caf\udce9", series_uid="é")
    assert (study.uid, study.series_uid) == ("caf\\udce9", "é")
    json.dumps(_result(study=study).document(), ensure_ascii=False).encode("utf-8")
