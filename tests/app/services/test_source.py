"""What was scored is found again where it was, in folders and archives, and nothing else is taken for it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from app.services.source import opened_source, opened_sources
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.discover import open_inputs
from datasets.io.nifti import write_nifti
from pipelines.results import ModelId, Result, StudyRecord, ViewRecord

GRID = Grid((6, 5, 4), np.diag([-2.0, -2.0, 3.0, 1.0]))


def scan(seed: int) -> Image:
    values = np.random.default_rng(seed).integers(-100, 100, GRID.shape[::-1]).astype(np.int16)
    return Image.from_slices(values, Intensity.HOUNSFIELD, GRID.affine)


def scored(path: Path, number: int = 0) -> Result:
    """What a result would say of a study found at a path."""
    with open_inputs([path]) as inventory:
        study = inventory.studies[number]
    series = study.series[0]
    return Result(
        study=StudyRecord(uid=study.uid, modality="CT", source=study.source, series_uid=series.uid),
        task="liver_ct",
        model=ModelId(name="m", weights_sha256=None, version="0", trained_on="phantoms"),
    )


def two_studies(folder: Path) -> Path:
    for number in (1, 2):
        write_ct_series(scan(number), folder / f"part{number}", CtSeriesOptions(study=str(number)))
    return folder


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("zipped", [False, True])
def test_the_series_that_was_scored_is_opened_again(tmp_path: Path, zipped: bool, number: int) -> None:
    path = two_studies(tmp_path / "in")
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "both"), "zip", path))
    result = scored(path, number)
    with opened_source(result) as series:
        loaded = series.load()
    # Studies are ordered by identifiers that are derived, so which is which is told by their pixels.
    with open_inputs([path]) as inventory:
        wanted = inventory.studies[number].series[0].load()
    np.testing.assert_array_equal(loaded.image.array, wanted.image.array)
    assert loaded.source is not None
    assert {str(header.SeriesInstanceUID) for header in loaded.source.datasets} == {result.study.series_uid}


def test_a_member_of_an_archive_goes_on_behind_the_archives_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        write_nifti(scan(number), tmp_path / "in" / f"ct{number}.nii.gz")
    path = Path(shutil.make_archive(str(tmp_path / "both"), "zip", tmp_path / "in"))
    result = scored(path, 1)
    assert result.study.source == f"{path}/ct2.nii.gz"
    with opened_source(result) as series:
        np.testing.assert_array_equal(series.load().image.array, scan(2).array)


def test_a_study_that_was_told_apart_from_others_is_found_by_its_path(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_nifti(scan(ord(name)), tmp_path / name / "ct.nii.gz")
    with open_inputs([tmp_path]) as inventory:
        uids = [study.uid for study in inventory.studies]
    assert uids == ["ct-a", "ct-b"]
    result = scored(tmp_path, 1)
    with opened_source(result) as series:
        np.testing.assert_array_equal(series.load().image.array, scan(ord("b")).array)


def test_every_film_that_was_used_is_opened_and_no_other(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_nifti(scan(len(name)), tmp_path / f"{name}.nii.gz")
    views = tuple(ViewRecord(source=name, projection="", used=name != "two") for name in ("three", "two", "one"))
    # Files that were put together have a name of their own behind their folder's.
    result = _elsewhere(scored(tmp_path), f"{tmp_path}/together").model_copy(update={"views": views})
    with opened_sources(result) as series:
        assert [one.uid for one in series] == ["three", "one"]
    together = ViewRecord(source="one two three", projection="", used=True)
    with opened_sources(result.model_copy(update={"views": (together,)})) as series:
        assert [one.uid for one in series] == ["one", "two", "three"]


def test_without_views_there_is_one_source(tmp_path: Path) -> None:
    write_nifti(scan(1), tmp_path / "ct.nii.gz")
    with opened_sources(scored(tmp_path / "ct.nii.gz")) as series:
        assert [one.uid for one in series] == ["ct"]


def test_what_is_gone_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "in" / "ct.nii.gz"
    path.parent.mkdir()
    write_nifti(scan(1), path)
    result = scored(path)
    path.rename(path.with_name("other.nii.gz"))
    for missing in (result, _elsewhere(result, "nowhere/ct.nii.gz"), _elsewhere(result, "/nowhere/at/all"),
                    _elsewhere(result, "")):  # fmt: skip
        with pytest.raises(InputRefused) as refused, opened_source(missing):
            pass
        assert refused.value.code is RefusalCode.UNREADABLE_FILE
        assert refused.value.advice


def test_two_series_of_one_name_are_not_chosen_between(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_nifti(scan(1), tmp_path / name / "ct.nii.gz")
    result = _elsewhere(scored(tmp_path), str(tmp_path))
    result = result.model_copy(update={"study": result.study.model_copy(update={"uid": "unknown"})})
    with pytest.raises(InputRefused, match="several"), opened_source(result):
        pass


def _elsewhere(result: Result, source: str) -> Result:
    return result.model_copy(update={"study": result.study.model_copy(update={"source": source})})
