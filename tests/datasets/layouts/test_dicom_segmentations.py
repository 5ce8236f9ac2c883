"""Trees of DICOM series with SEG objects and structure sets."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from datasets.defects import DefectCode
from datasets.errors import InputRefused
from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.layouts import open_dataset
from datasets.layouts.dicom_segmentations import read, recognises
from datasets.phantoms import tilted_planes
from tests.datasets.layouts.dicom_sets import APART, BOX, GRID, INNER, boxes, ct, headers, label_set, seg, told, truth
from tests.datasets.rtstruct_files import ellipsoid, write_rtstruct


def test_an_object_finds_its_series_wherever_it_lies(tmp_path: Path) -> None:
    folder = ct(tmp_path / "a" / "images")
    ct(tmp_path / "b", study="other")
    labels = boxes((1, BOX), (2, INNER))
    seg(folder, tmp_path / "z" / "deep" / "labels without ending", labels)
    found = open_dataset(tmp_path)
    assert (found.layout, found.labels, len(found.examples)) == ("dicom_segmentations", ("liver", "liver_tumor"), 1)
    assert told(found) == [(DefectCode.LABELS_MISSING, "warning")]
    example = pickle.loads(pickle.dumps(found.examples[0]))  # noqa: S301 - what a worker process is handed
    header = headers(folder)[0]
    assert example.name == header.StudyInstanceUID
    assert example.study.series[0].uid == header.SeriesInstanceUID
    assert example.patient == hashlib.sha256(b"P-7").hexdigest()[:16]
    assert example.truth.names == {1: "liver", 2: "liver_tumor"}
    label_map = example.truth.read()
    assert label_map.grid.matches(example.study.series[0].load().image.grid)
    np.testing.assert_array_equal(label_map.array, labels.array)


def test_a_segmentation_of_a_tilted_series_lies_on_the_rectified_grid(tmp_path: Path) -> None:
    upright = grid_from_axes((64, 64, 24), (2.0, 2.0, 3.0), np.diag([-1.0, -1.0, 1.0]), (60.0, 60.0, -30.0))
    leaning = tilted_planes(upright, 15.0)
    folder = ct(tmp_path / "ct", grid=leaning)
    centre = leaning.points_mm((31.0, 33.0, 11.0))
    i, j, k = np.indices(leaning.shape)
    inside = np.linalg.norm(leaning.points_mm(np.stack([i, j, k], -1)) - centre, axis=-1) < 25.0
    seg(folder, tmp_path / "seg.dcm", Image(inside[np.newaxis].astype(np.uint8), Intensity.LABEL, leaning.affine))
    (example,) = read(tmp_path).examples
    label_map = truth(example).read()
    assert label_map.grid.matches(example.study.series[0].load().image.grid)
    i, j, k = np.indices(label_map.shape)
    points = label_map.grid.points_mm(np.stack([i, j, k], -1))
    wrong = label_map.array[0].astype(bool) != (np.linalg.norm(points - centre, axis=-1) < 25.0)
    # Sampled twice: within less than a voxel's diagonal of the sphere.
    assert (np.abs(np.linalg.norm(points[wrong] - centre, axis=-1) - 25.0) < 2.5).all()
    assert label_map.array.sum() * label_map.grid.voxel_volume_ml == pytest.approx(
        4 / 3 * np.pi * 25**3 / 1e3, rel=0.02
    )


def test_objects_of_one_series_are_merged_where_they_lie_apart(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    seg(folder, tmp_path / "a.dcm", boxes((1, BOX)), label_set("liver"))
    seg(folder, tmp_path / "b.dcm", boxes((2, APART), (1, (slice(0, 2),) * 3)), label_set("spleen", "kidney"))
    (example,) = read(tmp_path).examples
    assert truth(example).names == {1: "liver", 2: "spleen", 3: "kidney"}
    expected = boxes((1, BOX), (3, APART), (2, (slice(0, 2),) * 3))
    np.testing.assert_array_equal(truth(example).read().array, expected.array)


def test_objects_that_overlap_are_a_defect(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    seg(folder, tmp_path / "a.dcm", boxes((1, BOX)), label_set("liver"))
    seg(folder, tmp_path / "b.dcm", boxes((1, INNER)), label_set("tumor"))
    found = read(tmp_path)
    assert (found.examples, told(found)) == ((), [(DefectCode.UNREADABLE_LABELS, "error")])
    assert "18 voxels" in found.defects[0].found


def overlapping(folder: Path, path: Path, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> None:
    """One object with two segments (K, J, I) that share voxels."""
    images = headers(folder)
    images.sort(key=lambda header: float(header.ImagePositionPatient[2]))
    names = ("inner", "outer")
    first = LIVER_AND_TUMOR.labels[0]
    segments = [
        hd.seg.SegmentDescription(
            number,
            name,
            hd.sr.CodedConcept(first.category.value, "SCT", first.category.meaning),
            hd.sr.CodedConcept(first.concept.value, "SCT", first.concept.meaning),
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, start=1)
    ]
    stacked = np.stack([one, other], axis=-1).astype(np.uint8)
    made = hd.seg.Segmentation(images, stacked, "BINARY", segments, "1.2.5", 1, "1.2.6", 1, "T", "M", "1", "0")
    made.save_as(path)


def test_a_segment_inside_another_is_drawn_over_it_whatever_their_order(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    inner, outer = boxes((1, INNER)).slices() > 0, boxes((1, BOX)).slices() > 0
    overlapping(folder, tmp_path / "seg.dcm", inner, outer)
    (example,) = read(tmp_path).examples
    assert truth(example).names == {1: "inner", 2: "outer"}
    np.testing.assert_array_equal(truth(example).read().array, boxes((2, BOX), (1, INNER)).array)


def test_segments_that_overlap_in_part_are_refused(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    beside = boxes((1, (slice(9, 18), slice(5, 14), slice(2, 6)))).slices() > 0
    overlapping(folder, tmp_path / "seg.dcm", beside, boxes((1, BOX)).slices() > 0)
    (example,) = read(tmp_path).examples
    with pytest.raises(InputRefused, match="38 %"):
        truth(example).read()


def test_an_object_without_its_series_is_told(tmp_path: Path) -> None:
    folder = ct(tmp_path / "elsewhere")
    seg(folder, tmp_path / "set" / "seg.dcm", boxes((1, BOX)))
    write_rtstruct(tmp_path / "set" / "rs.dcm", {"a": ellipsoid(GRID, (9, 9, 4), (8, 8, 6))}, headers(folder))
    found = read(tmp_path / "set")
    assert told(found) == [(DefectCode.IMAGE_MISSING, "error")] * 2
    assert {defect.where for defect in found.defects} == {"seg.dcm", "rs.dcm"}


def test_names_come_from_types_where_labels_only_count(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    path = seg(folder, tmp_path / "seg.dcm", boxes((1, BOX), (2, INNER)))
    dataset = pydicom.dcmread(path)
    dataset.SegmentSequence[0].SegmentLabel = "Segment_1"
    dataset.SegmentSequence[1].SegmentLabel = ""
    dataset.save_as(path)
    assert truth(read(tmp_path).examples[0]).names == {1: "Liver", 2: "Neoplasm"}


def test_damaged_and_fractional_objects_are_defects(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    path = seg(folder, tmp_path / "seg.dcm", boxes((1, BOX)))
    fractional = pydicom.dcmread(path)
    fractional.SegmentationType = "FRACTIONAL"
    fractional.save_as(tmp_path / "fractional.dcm")
    (tmp_path / "damaged.dcm").write_bytes(path.read_bytes()[:200] + b"\xff" * 64)
    found = read(tmp_path)
    assert len(found.examples) == 1
    codes = {defect.where: defect.code for defect in found.defects}
    assert codes == {
        "fractional.dcm": DefectCode.UNREADABLE_LABELS,
        "damaged.dcm": DefectCode.UNREADABLE_LABELS,
    }


def test_a_series_that_lacks_a_slice_is_a_defect(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    seg(folder, tmp_path / "seg.dcm", boxes((1, BOX)))
    sorted(folder.iterdir())[4].unlink()
    found = read(tmp_path)
    assert told(found) == [(DefectCode.UNREADABLE_IMAGE, "error")]
    assert "missing_slice" in found.defects[0].found


def test_two_series_of_one_study_are_named_after_themselves_and_share_a_patient(tmp_path: Path) -> None:
    for series in ("1", "2"):
        folder = ct(tmp_path / series, series=series)
        seg(folder, tmp_path / f"seg{series}.dcm", boxes((1, BOX)))
    found = read(tmp_path)
    uids = sorted(str(headers(tmp_path / series)[0].SeriesInstanceUID) for series in ("1", "2"))
    assert [example.name for example in found.examples] == uids
    assert len({example.patient for example in found.examples}) == 1


def test_without_a_patient_id_the_study_stands_for_the_patient(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct", patient="")
    seg(folder, tmp_path / "seg.dcm", boxes((1, BOX)))
    (example,) = read(tmp_path).examples
    assert example.patient == headers(folder)[0].StudyInstanceUID


def test_two_volumes_in_one_series_are_told_apart_by_the_images_referred_to(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct")
    later = replace(GRID, affine=GRID.affine + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 300.0], [0, 0, 0, 0]]))
    labels = boxes((1, BOX))
    path = seg(folder, tmp_path / "seg.dcm", labels)
    uid = headers(folder)[0].SeriesInstanceUID
    for file in sorted(ct(tmp_path / "later", series="2", grid=later).iterdir()):
        dataset = pydicom.dcmread(file)
        dataset.SeriesInstanceUID = uid
        dataset.PixelSpacing = [1.0, 1.0]
        dataset.save_as(file)
    assert path.exists()
    (example,) = read(tmp_path).examples
    assert example.study.series[0].load().image.grid.matches(GRID)
    np.testing.assert_array_equal(truth(example).read().array, labels.array)


def test_folders_without_objects_are_not_recognised(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    folder = ct(tmp_path / "ct")
    assert not recognises(tmp_path)
    seg(folder, tmp_path / "seg", boxes((1, BOX)))
    assert recognises(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    assert not recognises(tmp_path)


def test_no_patients_name_or_number_is_in_what_is_told(tmp_path: Path) -> None:
    folder = ct(tmp_path / "ct", patient="Secret-1")
    seg(folder, tmp_path / "seg.dcm", boxes((1, BOX)))
    ct(tmp_path / "other", study="b", patient="Secret-1")
    found = read(tmp_path)
    assert found.defects
    text = repr(found.defects) + repr([(e.name, e.patient, dict(e.groups), e.study.source) for e in found.examples])
    assert "Secret" not in text
    assert "Phantom" not in text


@pytest.mark.real_data
def test_a_segmentation_of_dcmqi_has_the_voxels_of_its_mask(shared_data: Path) -> None:
    found = open_dataset(shared_data / "ct_seg_pair")
    (example,) = found.examples
    assert (truth(example).names, found.defects) == ({1: "Liver"}, ())
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(shared_data / "ct_seg_pair" / "liver_seg.nrrd"))) > 0
    mine = truth(example).read()
    assert mine.array.sum() == reference.sum() == 107_098
    # Liver, and nothing shifted to air or bone.
    assert example.study.series[0].load().image.array[mine.array > 0].mean() == pytest.approx(37.3, abs=0.1)
