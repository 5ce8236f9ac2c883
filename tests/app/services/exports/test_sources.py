"""Reports of films and slides refer to the images that were scored; and what has no image has no report."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from app.services.exports.as_sr import as_sr
from app.services.exports.making import dicom_sources
from app.store.records import Decision
from datasets.image import Image, Intensity
from datasets.io.dicom_film import FilmOptions, write_film
from datasets.io.discover import open_inputs
from pipelines.results import Finding, Result, StudyRecord, ViewRecord
from tests.app.planted import MODEL, write
from tests.app.services.exports.scene import Scene, taken_in
from tests.datasets import slide_files
from tests.datasets.report_reading import errors_of_dciodvfy, groups

FOUND = Finding(label="effusion", probability=0.81, threshold=0.5, positive=True, calibrated=True)
REJECTED = Decision(finding=0, label="effusion", verdict="rejected", reason="poor_image", text="tilted")


def said_of(path: Path) -> Result:
    with open_inputs([path]) as inventory:
        (study,) = inventory.studies
        series = study.series[0]
    record = StudyRecord(uid=study.uid, modality=series.modality, source=study.source, series_uid=series.uid)
    return Result(study=record, task="chest_xray", model=MODEL, config_digest="cd" * 32, findings=(FOUND,))


def planted(root: Path, result: Result) -> Scene:
    scene = taken_in(root, write(result, root / "results"))
    scene.review(REJECTED)
    return scene


def report_of(scene: Scene, folder: Path) -> Path:
    export = as_sr(scene.record())
    assert export is not None
    (folder / "report.dcm").write_bytes(export.content)
    return folder / "report.dcm"


def films(folder: Path) -> dict[str, str]:
    """Two films of one study: SOPInstanceUID by SeriesInstanceUID."""
    uids = {}
    for number in (1, 2):
        grey = np.random.default_rng(number).integers(0, 4096, (1, 31, 23, 1)).astype(np.uint16)
        image = Image(grey, Intensity.GREY, np.diag([0.2, 0.3, 1.0, 1.0]))
        path = write_film(image, folder / f"{number}.dcm", FilmOptions(study="1", series=str(number)))
        header = pydicom.dcmread(path, stop_before_pixels=True)
        uids[str(header.SeriesInstanceUID)] = str(header.SOPInstanceUID)
    assert len(uids) == 2
    return uids


@pytest.mark.needs("dciodvfy")
def test_a_report_of_films_names_those_that_were_used(tmp_path: Path) -> None:
    uids = films(tmp_path / "films")
    first, second = uids
    views = tuple(ViewRecord(source=uid, projection="", used=uid == second) for uid in (first, second))
    result = said_of(tmp_path / "films").model_copy(update={"views": views})
    path = report_of(planted(tmp_path, result), tmp_path)
    group = groups(path)["effusion"]
    assert group.sources == {uids[second]: []}
    assert (group.codes["verdict"], group.codes["reason_code"]) == ("rejected", "poor_image")
    assert group.texts["reason"] == "The image is not good enough to say. tilted"
    assert errors_of_dciodvfy(path) == []


def test_a_report_of_a_slide_names_its_levels(tmp_path: Path) -> None:
    cells = np.random.default_rng(1).integers(0, 255, (300, 260, 3)).astype(np.uint8)
    slide_files.write_wsm(tmp_path / "wsm", [cells], mpp=(0.5, 0.5))
    (file,) = (tmp_path / "wsm").iterdir()
    result = said_of(tmp_path / "wsm")
    path = report_of(planted(tmp_path, result), tmp_path)
    assert groups(path)["effusion"].sources == {str(pydicom.dcmread(file).SOPInstanceUID): []}


def test_what_cannot_be_referred_to_has_no_report(tmp_path: Path) -> None:
    films(tmp_path / "films")
    for file in (tmp_path / "films").iterdir():
        dataset = pydicom.dcmread(file)
        with pydicom.config.disable_value_validation():
            dataset.StudyInstanceUID = "not-a-uid"
            dataset.save_as(file, enforce_file_format=False)
    result = said_of(tmp_path / "films")
    assert as_sr(planted(tmp_path, result).record()) is None


def test_a_study_that_failed_rests_on_nothing(tmp_path: Path) -> None:
    result = Result(
        study=StudyRecord(uid="1", modality="CT", source=str(tmp_path), series_uid=""),
        task="liver_ct",
        model=MODEL,
        error={"code": "missing_slice", "message": "m", "advice": "a"},
    )
    assert dicom_sources(result) == ()
