"""What is left in a study's folder: whole files, `result.json` last, and names that stay inside."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.dicom_source import DicomSource
from datasets.image import Image, Intensity
from pipelines import outputs
from pipelines.outputs import folder_name, write_result
from pipelines.results import Result
from pipelines.task import load_task
from tests.pipelines.liver_scene import OWN_GRID, Reading, field_of_view, pipeline, scan, study

GRID = field_of_view((4.0, 4.0, 5.0), turn_deg=(10, 20, 5))
TASK = load_task("liver_ct")


@pytest.fixture(scope="module")
def result() -> Result:
    return pipeline(OWN_GRID, "output.probability=true").run(study(Reading(scan(GRID))))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_everything_is_written_and_named(result: Result, tmp_path: Path) -> None:
    written = write_result(result, TASK, tmp_path / "study")
    assert _names(tmp_path / "study") == ["probability.nii.gz", "result.json", "segmentation.nii.gz"]
    document = json.loads((tmp_path / "study" / "result.json").read_text())
    assert document == json.loads(json.dumps(written.document()))
    assert document["outputs"] == {"segmentation": "segmentation.nii.gz", "probability": "probability.nii.gz"}
    assert set(document["seconds"]) == {"load", "preprocess", "network", "postprocess", "write"}


def test_another_reader_finds_the_labels_in_place(result: Result, tmp_path: Path) -> None:
    write_result(result, TASK, tmp_path)
    read = nib.load(tmp_path / "segmentation.nii.gz")
    np.testing.assert_allclose(read.affine, GRID.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(read.dataobj), result.labels.array[0])
    probability = nib.load(tmp_path / "probability.nii.gz")
    assert probability.shape == (*GRID.shape, 2)
    np.testing.assert_allclose(probability.get_fdata()[..., 1], result.probabilities.array[1] / 255.0, atol=1e-6)


def test_the_same_result_gives_the_same_files(result: Result, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_result(result, TASK, tmp_path / name)
    for name in ("segmentation.nii.gz", "probability.nii.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("broken", ["write_nifti", "write_dicom_seg", "write_text"])
def test_a_writer_that_fails_leaves_no_result(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    write_result(result, TASK, tmp_path)
    monkeypatch.setattr(outputs, broken, fail)
    source = DicomSource((), ()) if broken == "write_dicom_seg" else None
    with pytest.raises(OSError, match="no space"):
        write_result(result.model_copy(update={"source": source}), TASK, tmp_path)
    assert "result.json" not in _names(tmp_path)
    assert [name for name in _names(tmp_path) if name.endswith(".tmp")] == []


def test_a_file_that_breaks_off_never_gets_its_name(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(stream, header: bytes, body: np.ndarray) -> None:
        stream.write(header)
        raise OSError("no space left on device")

    monkeypatch.setattr("datasets.io.nifti._write", fail)
    with pytest.raises(OSError, match="no space"):
        write_result(result, TASK, tmp_path)
    assert _names(tmp_path) == []


def test_what_an_earlier_run_left_does_not_stay(result: Result, tmp_path: Path) -> None:
    write_result(result, TASK, tmp_path)
    write_result(result.model_copy(update={"probabilities": None}), TASK, tmp_path)
    assert _names(tmp_path) == ["result.json", "segmentation.nii.gz"]
    write_result(result.model_copy(update={"probabilities": None, "labels": None}), TASK, tmp_path)
    assert _names(tmp_path) == ["result.json"]


def test_probabilities_without_a_spacing_are_no_nifti(result: Result, tmp_path: Path) -> None:
    picture = Image(np.zeros((1, 4, 4, 1), dtype=np.uint8), Intensity.PROBABILITY)
    written = write_result(result.model_copy(update={"labels": None, "probabilities": picture}), TASK, tmp_path)
    assert written.outputs == {}
    assert _names(tmp_path) == ["result.json"]


def test_labels_without_a_spacing_are_no_nifti(result: Result, tmp_path: Path) -> None:
    flat = Image(np.zeros((1, 4, 4, 1), np.uint8), Intensity.LABEL)
    changes = {"labels": flat, "probabilities": None}
    assert write_result(result.model_copy(update=changes), TASK, tmp_path).outputs == {}


@pytest.mark.parametrize("uid", ["1.2.840.113619.2.55", "ct_3mm", "A-b_c.9", "x" * 128])
def test_a_plain_uid_is_its_folder(uid: str) -> None:
    assert folder_name(uid) == uid


HOSTILE = [
    *("../../x", "..", ".", "", "a/b", "a\\b", "a_b/", "/etc/passwd", "C:\\x", "a\0b", "a\nb", ".hidden", "a.", " "),
    *("é", "è", "患者", "caf\udce9", "x" * 5000, "x" * 129, "x" * 130, "~", "$HOME", "-rf *", "study"),
    *("results.csv", "Manifest.json", "journal.jsonl"),
]


def test_hostile_uids_stay_inside_and_apart(tmp_path: Path) -> None:
    names = [folder_name(uid) for uid in HOSTILE]
    assert len({name.lower() for name in names}) == len(HOSTILE)
    for name in names:
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
        assert len(name) < 200
        assert name.lower() not in {"manifest.json", "results.csv", "journal.jsonl"}
        (tmp_path / name).mkdir()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8, alphabet="aA._/-é \\"), st.text(max_size=8, alphabet="aA._/-é \\"))
def test_different_uids_have_different_folders(first: str, second: str) -> None:
    assert (folder_name(first) == folder_name(second)) == (first == second)
