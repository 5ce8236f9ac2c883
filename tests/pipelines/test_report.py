"""Reports of scored studies: they say what `result.json` says, and refer to what was scored and written."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest

from datasets.dicom_source import DicomSource
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.discover import open_inputs
from datasets.io.report_concepts import measured_concept
from datasets.labels import CHEST_XRAY_14
from pipelines import outputs
from pipelines.outputs import write_result
from pipelines.report import report_of
from pipelines.results import Finding, FlagCode, Quantity, Result, StudyRecord, flag
from pipelines.run import Pipeline
from pipelines.task import Task, load_task
from tests.datasets import slide_files
from tests.datasets.report_reading import Read, comments, errors_of_dciodvfy, groups, values_by_dcmqi
from tests.pipelines import liver_scene, micrograph_scene, slide_scene
from tests.pipelines.liver_scene import BALL, BODY, HEALTHY, LIVER, NO_LIVER, OWN_GRID, PATIENT, Ellipsoid

GRID = liver_scene.field_of_view((4.0, 4.0, 5.0))
SCENES = {"two tumours": PATIENT, "one tumour": (BODY, LIVER, BALL), "none": HEALTHY, "no liver": NO_LIVER}


@dataclass(frozen=True)
class Scored:
    """A study that was scored and written."""

    result: Result
    folder: Path

    @property
    def report(self) -> Path:
        return self.folder / "report.dcm"

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "result.json").read_text()))


def score(path: Path, pipeline: Pipeline, out: Path) -> Scored:
    """Through the path every door takes."""
    with open_inputs([path]) as inventory:
        (study,) = inventory.studies
        result = pipeline.run(study)
    return Scored(write_result(result, pipeline.task, out), out)


def liver(parts: tuple[Ellipsoid, ...], folder: Path) -> Scored:
    write_ct_series(liver_scene.scan(GRID, parts), folder / "ct", CtSeriesOptions())
    return score(folder / "ct", liver_scene.pipeline(OWN_GRID), folder / "out")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scored]:
    return {name: liver(parts, tmp_path_factory.mktemp("scan")) for name, parts in SCENES.items()}


def expected(result: Result) -> dict[str, dict[str, tuple[float, str]]]:
    """Every number of a result, by statement and code."""
    told: dict[str, dict[str, tuple[float, str]]] = {}
    for finding in result.findings:
        number = "" if finding.location is None else f" {finding.location.component}"
        values = _values(finding.quantities)
        for code, value in (
            ("probability", finding.probability),
            ("raw_probability", finding.raw_probability),
            ("operating_point", finding.threshold),
        ):
            if value is not None:
                values[code] = (value, "1")
        told[f"{finding.label}{number}"] = values
    for name in {quantity.label for quantity in result.quantities}:
        own = tuple(quantity for quantity in result.quantities if quantity.label == name)
        told[f"{name or 'study'}, measured as a whole"] = _values(own)
    return told


def _values(quantities: tuple[Quantity, ...]) -> dict[str, tuple[float, str]]:
    return {measured_concept(q.name).concept.value: (q.value, q.unit) for q in quantities if q.value is not None}


def agree(scored: Scored) -> dict[str, Read]:
    """That the report says all that the result says, by two readers; and its groups."""
    read, told = groups(scored.report), expected(scored.result)
    assert {name: group.values for name, group in read.items()} == told
    theirs = values_by_dcmqi(scored.report)
    for name, values in told.items():
        for code, (value, unit) in values.items():
            assert theirs[name][code] == (pytest.approx(value, rel=1e-6, abs=1e-9), unit)
    assert scored.document["outputs"]["report"] == "report.dcm"
    for flagged in scored.result.quality:
        assert any(flagged.message in comment for comment in comments(scored.report))
    return read


@pytest.mark.parametrize("name", SCENES)
def test_a_liver_report_says_what_the_result_says(scans: dict[str, Scored], name: str) -> None:
    read = agree(scans[name])
    tumours = {finding: group for finding, group in read.items() if "whole" not in finding}
    assert len(tumours) == {"two tumours": 2}.get(name, 1)
    assert {group.finding for group in tumours.values()} == {("108369006", "SCT")}
    assert {group.sites[0] for group in tumours.values()} == {"10200004"}
    assert "The model was trained on: nothing" in comments(scans[name].report)


@pytest.mark.parametrize("name", SCENES)
def test_a_region_of_the_report_has_the_volume_that_is_told(scans: dict[str, Scored], name: str) -> None:
    """Counted in the segmentation that the report names: voxels of the segment times their size."""
    scored = scans[name]
    read = groups(scored.report)
    if name == "no liver":
        assert {group.segments for group in read.values()} == {()}
        return
    seg = hd.seg.segread(scored.folder / "segmentation.dcm")
    volume = seg.get_volume(combine_segments=True)
    voxel_ml = float(np.prod(volume.spacing)) / 1000.0
    counted = {number: float((volume.array == number).sum()) * voxel_ml for number in (1, 2)}
    for group in read.values():
        named = group.segments or tuple(group.sources.get(str(seg.SOPInstanceUID), ()))
        if group.segments:
            assert group.values["118565006"][0] == pytest.approx(sum(counted[n] for n in named), rel=1e-6)
    whole, burden = read["liver, measured as a whole"], read["liver_tumor, measured as a whole"]
    assert whole.values["118565006"][0] == pytest.approx(sum(counted.values()), rel=1e-6)
    if name == "none":
        assert (whole.segments, burden.segments, read["liver_tumor"].segments) == ((1,), (), ())
    else:
        assert (whole.segments, whole.sources) == ((), {str(seg.SOPInstanceUID): [1, 2]})
        assert burden.segments == (2,)
    if name == "one tumour":
        assert read["liver_tumor 1"].segments == (2,)
    if name == "two tumours":
        for number in (1, 2):
            assert read[f"liver_tumor {number}"].segments == ()
            assert read[f"liver_tumor {number}"].sources == {str(seg.SOPInstanceUID): [2]}


def test_the_centre_of_each_tumour_is_where_it_was_put(scans: dict[str, Scored]) -> None:
    centres = [
        point.GraphicData
        for group in groups(scans["two tumours"].report).values()
        for item in group.items
        for point in item.get("ContentSequence") or []
        if point.ValueType == "SCOORD3D"
    ]
    truth = [np.array(part.centre_mm) * (-1, -1, 1) for part in (liver_scene.OVAL, BALL)]
    np.testing.assert_allclose(centres, truth, atol=1.5)


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("name", SCENES)
def test_dciodvfy_finds_no_error(scans: dict[str, Scored], name: str) -> None:
    assert errors_of_dciodvfy(scans[name].report) == []


def test_the_same_study_gives_the_same_report_and_digest(scans: dict[str, Scored], tmp_path: Path) -> None:
    again, first = liver(PATIENT, tmp_path), scans["two tumours"]
    assert again.report.read_bytes() == first.report.read_bytes()
    # Where a study came from is told, and is part of the digest.
    at_home = again.result.model_copy(update={"study": first.result.study})
    assert at_home.result_digest == first.result.result_digest
    # The digest covers which files there are, as with the segmentation.
    without = first.result.model_copy(update={"outputs": {}})
    assert without.result_digest != first.result.result_digest


def _of(task: Task, source: DicomSource, **said: Any) -> Result:
    model = liver_scene.pipeline().model
    record = StudyRecord(uid="1", modality="CR", source="film", series_uid="1.1")
    return Result(study=record, task=task.name, model=model, sources=(source,), **said)


def test_a_film_with_findings_of_every_kind(scans: dict[str, Scored], tmp_path: Path) -> None:
    """Nothing of a picture is a region: what was seen is told of the image."""
    (series,) = scans["none"].result.sources
    header = series.datasets[0]
    findings = tuple(
        Finding(label=label, probability=p, raw_probability=p / 2, threshold=0.5, positive=p > 0.5, calibrated=True)
        for label, p in (("effusion", 0.75), ("hernia", 0.001), ("pneumonia", 1.0))
    )
    score = Quantity(name="severity", value=3.25, unit="1")
    task = load_task("chest_xray")
    told = flag(FlagCode.NOT_A_CHEST_FILM, "error", "unlike a chest film")
    result = _of(task, DicomSource((header,), ()), findings=findings, quantities=(score,), quality=(told,))
    scored = Scored(write_result(result, task, tmp_path), tmp_path)
    read = agree(scored)
    assert read["effusion"].sources == {str(header.SOPInstanceUID): []}
    assert read["effusion"].sites == ["816094009"]
    assert set(scored.document["outputs"]) == {"report"}


def test_a_study_of_several_films_names_those_it_rests_on(scans: dict[str, Scored], tmp_path: Path) -> None:
    (series,) = scans["none"].result.sources
    films = tuple(DicomSource((header,), ()) for header in series.datasets[:2])
    task = load_task("chest_xray")
    finding = Finding(label="mass", probability=0.5, threshold=0.5, positive=True, calibrated=False)
    result = _of(task, films[0], findings=(finding,)).model_copy(update={"sources": films})
    write_result(result, task, tmp_path)
    (group,) = groups(tmp_path / "report.dcm").values()
    assert set(group.sources) == {str(film.datasets[0].SOPInstanceUID) for film in films}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cr_monochrome2.dcm", "cr_monochrome1_same_pixels.dcm"])
def test_a_real_film_is_reported_with_all_fourteen_findings(shared_data: Path, name: str, tmp_path: Path) -> None:
    path = shared_data / "chest_dicom" / name
    scored = score(path, Pipeline.load(load_task("chest_xray"), "cpu"), tmp_path)
    read = agree(scored)
    assert set(read) == set(CHEST_XRAY_14)
    film = pydicom.dcmread(path, stop_before_pixels=True)
    uid = str(film.get("SOPInstanceUID") or film.file_meta.MediaStorageSOPInstanceUID)
    assert all(set(group.sources) == {uid} for group in read.values())
    assert errors_of_dciodvfy(scored.report) == []


def test_a_dicom_slide_has_a_report_that_names_it(tmp_path: Path) -> None:
    scene = slide_scene.SCENE
    mpp = 2.0
    x, y = ((np.arange(round(size / mpp)) + 0.5) * mpp for size in scene.size_um)
    slide_files.write_wsm(tmp_path / "wsm", [scene.render(x, y)], mpp=(mpp, mpp))
    task = load_task("histopathology", ["patch_mpp=2.0", "stain.method=none", "weights=null", "refiner=null"])
    model = liver_scene.pipeline()
    pipeline = replace(model, task=task, network=slide_scene.tumor_in_the_middle)
    scored = score(tmp_path / "wsm", pipeline, tmp_path / "out")
    read = agree(scored)
    (file,) = (tmp_path / "wsm").iterdir()
    assert read["tumor 1"].sources == {str(pydicom.dcmread(file).SOPInstanceUID): []}
    assert read["tumor 1"].finding == ("108369006", "SCT")
    assert errors_of_dciodvfy(scored.report) == []


def test_nuclei_on_a_dicom_slide_are_reported(tmp_path: Path) -> None:
    cells = micrograph_scene.four_discs().array[0, :, :, 0].T
    slide_files.write_wsm(tmp_path / "wsm", [np.repeat(cells[..., np.newaxis], 3, axis=2)], mpp=(0.5, 0.5))
    scored = score(tmp_path / "wsm", micrograph_scene.pipeline(), tmp_path / "out")
    read = agree(scored)
    assert read["nucleus, measured as a whole"].values["count"] == (4.0, "1")
    assert "dicom_seg" not in scored.result.outputs


def test_what_did_not_come_as_dicom_has_no_report_and_an_old_one_goes(scans: dict[str, Scored], tmp_path: Path) -> None:
    result, task = scans["one tumour"].result, load_task("liver_ct")
    write_result(result, task, tmp_path)
    assert (tmp_path / "report.dcm").exists()
    written = write_result(result.model_copy(update={"source": None, "sources": ()}), task, tmp_path)
    assert "report" not in written.outputs
    assert not (tmp_path / "report.dcm").exists()


def test_a_report_that_cannot_be_written_leaves_no_result(
    scans: dict[str, Scored], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(outputs, "write_dicom_sr", fail)
    with pytest.raises(OSError, match="no space"):
        write_result(scans["one tumour"].result, load_task("liver_ct"), tmp_path)
    assert not (tmp_path / "result.json").exists()


def test_without_a_segmentation_beside_it_nothing_is_a_region(scans: dict[str, Scored]) -> None:
    what = report_of(scans["one tumour"].result, load_task("liver_ct"), segmented=False)
    assert {statement.segments for statement in what.statements} == {()}
    with pytest.raises(ValueError, match="one study"):
        write_dicom_sr(what, (), Path("nowhere"))
