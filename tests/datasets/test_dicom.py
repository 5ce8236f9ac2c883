"""Studies from DICOM files: films, names, what is left out, and real scans. Series that are bent: test_torture.py."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from datasets.codes import RefusalCode, RepairCode
from datasets.image import Intensity
from datasets.io.dicom import read_studies
from tests.datasets import scene
from tests.datasets.ct_files import CT, decimals, enhanced, series, slice_dataset, without_pixels, write
from tests.datasets.dicom_reading import codes, only_series, refusal

SMALL = scene.Acquisition(offsets_mm=(0, 4, 8, 12), rows=10, columns=12, row_gap_mm=12, column_gap_mm=12)
REPORT = "1.2.840.10008.5.1.4.1.1.88.33"


def named(datasets: list[Dataset]) -> dict[str, Dataset | bytes]:
    return {f"{place}.dcm": ds for place, ds in enumerate(datasets)}


def test_no_files_give_no_study() -> None:
    findings = read_studies([], "nothing")
    assert (findings.studies, findings.not_dicom) == ((), ())


def test_a_series_crosses_to_another_process(tmp_path: Path) -> None:
    found = only_series(write(named(series(SMALL)), tmp_path))
    loaded = pickle.loads(pickle.dumps(found)).load()  # noqa: S301 - our own bytes
    assert np.array_equal(loaded.image.slices(), np.stack([SMALL.frame_hu(k) for k in range(4)]))
    assert loaded.image.array.dtype == np.int16
    assert loaded.image.intensity == Intensity.HOUNSFIELD
    assert loaded.image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    assert not loaded.image.array.flags.writeable


def test_planes_are_the_frames_in_the_order_of_the_volume(tmp_path: Path) -> None:
    source = only_series(write(named(series(SMALL)[::-1]), tmp_path)).load().source
    assert source is not None
    for k, plane in enumerate(source.planes):
        assert plane.position_mm == pytest.approx(SMALL.position_mm(k))
        assert source.datasets[plane.instance].InstanceNumber == k + 1
        assert (plane.frame, plane.size, plane.spacing_mm) == (1, (10, 12), (12.0, 12.0))
    assert all("PixelData" not in ds for ds in source.datasets)


def test_planes_of_a_tilted_series_are_those_before_resampling(tmp_path: Path) -> None:
    acquisition = scene.tilted(15.0, SMALL)
    source = only_series(write(named(series(acquisition)), tmp_path)).load().source
    assert source is not None
    assert np.stack([plane.position_mm for plane in source.planes]) == pytest.approx(
        np.stack([acquisition.position_mm(k) for k in range(4)])
    )


def test_planes_of_an_enhanced_series_name_their_frames(tmp_path: Path) -> None:
    source = only_series(write({"a.dcm": enhanced(SMALL, [2, 0, 3, 1])}, tmp_path)).load().source
    assert source is not None
    assert [plane.frame for plane in source.planes] == [2, 4, 1, 3]
    assert len(source.datasets) == 1


def test_slices_no_two_of_which_are_parallel_are_refused(tmp_path: Path) -> None:
    slices = [slice_dataset(scene.oblique(20.0 * k, 0), 0, replace(CT, first=k)) for k in range(5)]
    assert refusal(write(named(slices), tmp_path)) == RefusalCode.MIXED_ORIENTATIONS


def test_slices_beside_each_other_are_refused(tmp_path: Path) -> None:
    slices = series(SMALL)
    slices[1].ImagePositionPatient = decimals(SMALL.position_mm(1) + (40.0, 0.0, 0.0))
    assert refusal(write(named(slices), tmp_path)) == RefusalCode.INCONSISTENT_FRAMES


def test_descriptions_that_do_not_match_the_frames_are_refused(tmp_path: Path) -> None:
    ds = enhanced(SMALL)
    del ds.PerFrameFunctionalGroupsSequence[-1]
    assert refusal(write({"a.dcm": ds}, tmp_path)) == RefusalCode.INCONSISTENT_FRAMES


def test_an_image_of_one_value_is_refused(tmp_path: Path) -> None:
    slices = series(replace(SMALL, scene=lambda points: np.full(points.shape[:-1], 40)))
    assert refusal(write(named(slices), tmp_path)) == RefusalCode.EMPTY_IMAGE


def test_a_slope_that_is_no_number_is_refused(tmp_path: Path) -> None:
    slices = series(SMALL)
    slices[2].RescaleSlope = "2.718281"
    files = write(named(slices), tmp_path)
    for path in files:
        path.write_bytes(path.read_bytes().replace(b"2.718281", b"nan     "))
    assert refusal(files) == RefusalCode.NOT_FINITE


def test_colours_are_no_slices(tmp_path: Path) -> None:
    slices = series(SMALL)
    for ds in slices:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
        ds.PixelData = ds.PixelData * 3
    assert refusal(write(named(slices), tmp_path)) == RefusalCode.NOT_AN_IMAGE_OBJECT


def test_two_phases_in_one_series_are_two_volumes(tmp_path: Path) -> None:
    late = series(replace(SMALL, scene=lambda points: scene.organs_hu(points) + 30), replace(CT, first=11))
    for phase, slices in ((1, early := series(SMALL)), (2, late)):
        for ds in slices:
            ds.AcquisitionNumber = phase
    (study,) = read_studies(write(named([*early, *late]), tmp_path), "folder").studies
    first, second = (found.load().image for found in study.series)
    assert np.array_equal(second.array, first.array + 30)
    assert first.grid.matches(second.grid)
    assert all(RepairCode.SERIES_SPLIT in codes(found) for found in study.series)


def test_a_localizer_in_a_series_of_its_own_is_left_out(tmp_path: Path) -> None:
    scout = slice_dataset(scene.CORONAL, 0, replace(CT, series=2))
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    (study,) = read_studies(write(named([*series(SMALL), scout]), tmp_path), "folder").studies
    assert [found.images for found in study.series] == [4]
    assert [repair.code for repair in study.repairs] == [RepairCode.LOCALIZER_DROPPED]
    assert refusal(write({"scout.dcm": scout}, tmp_path)) == RefusalCode.SINGLE_SLICE


def test_one_series_that_is_refused_does_not_hide_another(tmp_path: Path) -> None:
    broken = series(SMALL, replace(CT, series=2))
    del broken[1].PixelData
    (study,) = read_studies(write(named([*series(SMALL), *broken]), tmp_path), "folder").studies
    usable, refused = study.series
    assert study.refusal is None
    assert usable.refusal is None
    assert refused.refusal is not None
    assert refused.refusal.code == RefusalCode.NO_PIXEL_DATA


def test_a_report_of_another_study_is_told_only_beside_images(tmp_path: Path) -> None:
    files = write({"a/1.dcm": slice_dataset(SMALL, 0), "a/2.dcm": slice_dataset(SMALL, 1)}, tmp_path)
    report = without_pixels(REPORT, "SR", replace(CT, study=2))
    (study,) = read_studies(files + write({"a/3.dcm": report}, tmp_path), "folder").studies
    assert [repair.code for repair in study.repairs] == [RepairCode.NON_IMAGE_OBJECTS_IGNORED]
    _, alone = read_studies(files + write({"b/3.dcm": report}, tmp_path), "folder").studies
    assert alone.refusal is not None
    assert alone.refusal.code == RefusalCode.NOT_AN_IMAGE_OBJECT


def blank(ds: Dataset) -> Dataset:
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(ds, keyword, "")
    for keyword in ("PatientName", "PatientID", "StudyDate"):
        del ds[keyword]
    return ds


def test_blank_identifiers_are_derived_from_the_content_alone(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        write(named([blank(ds) for ds in series(SMALL)]), tmp_path / folder)
    found = []
    for folder in ("first", "second"):
        (study,) = read_studies(sorted((tmp_path / folder).iterdir()), str(tmp_path / folder)).studies
        assert study.uid == folder
        source = study.series[0].load().source
        assert source is not None
        found.append([(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID) for ds in source.datasets])
        ds = source.datasets[0]
        assert ds.SOPClassUID == CTImageStorage
        assert all(uid.is_valid and uid.startswith("2.25.") for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID))
        assert ds.PatientName == ds.PatientID == ds.StudyDate == ds.AccessionNumber == ""
        assert codes(study.series[0]) == [RepairCode.IDENTIFIERS_DERIVED]
    assert found[0] == found[1]
    assert len({one[:2] for one in found[0]}) == 1
    assert [one[2] for one in found[0]] == [f"{series(SMALL)[0].SeriesInstanceUID}.{k + 1}" for k in range(4)]


def test_a_folder_named_as_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").mkdir()
    (study,) = read_studies([tmp_path / "a.dcm"], "folder").studies
    assert study.refusal is not None
    assert study.refusal.code == RefusalCode.UNREADABLE_FILE


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    (path,) = write({"a.dcm": slice_dataset(SMALL, 0)}, tmp_path)
    path.chmod(0)
    (study,) = read_studies([path], "folder").studies
    assert study.refusal is not None
    assert study.refusal.code == RefusalCode.UNREADABLE_FILE


def test_links_are_followed_and_dead_ones_refused(tmp_path: Path) -> None:
    files = write(named(series(SMALL)), tmp_path / "real")
    links = [tmp_path / path.name for path in files]
    for link, path in zip(links, files, strict=True):
        link.symlink_to(path)
    assert only_series(links).load().image.shape == (12, 10, 4)
    files[0].unlink()
    study, broken = read_studies(links, "folder").studies
    assert study.series[0].images == 3
    assert broken.refusal is not None
    assert broken.refusal.code == RefusalCode.UNREADABLE_FILE
    assert "\n" not in str(broken.refusal)


def test_files_of_other_kinds_are_left_to_others(tmp_path: Path) -> None:
    other = [tmp_path / name for name in ("LICENSE", "a.nii.gz", "empty")]
    for path, content in zip(other, (b"Permission is hereby granted" * 9, b"\x1f\x8b" + bytes(500), b""), strict=True):
        path.write_bytes(content)
    findings = read_studies([*other, *write(named(series(SMALL)), tmp_path)], "folder")
    assert findings.not_dicom == tuple(sorted(other))
    assert len(findings.studies) == 1
