"""What `denselens score` finds lies where it is, whichever way the scan was acquired."""

from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest

from datasets.geometry import Grid, points_lps_from_ras
from datasets.phantoms import tilted_planes
from tests.app.small_scans import GRID, dicom, know_everything, result, score
from tests.pipelines.liver_scene import field_of_view, truth

ACQUISITIONS = {
    "axial": GRID,
    "sagittal": Grid(GRID.shape[1:] + GRID.shape[:1], GRID.affine[:, [1, 2, 0, 3]]),
    "coronal": Grid((GRID.shape[0], GRID.shape[2], GRID.shape[1]), GRID.affine[:, [0, 2, 1, 3]]),
    "oblique": field_of_view((4.0, 4.0, 5.0), turn_deg=(30.0, 20.0, 0.0)),
}


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_what_is_found_lies_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    know_everything(monkeypatch)
    grid, out = ACQUISITIONS[name], tmp_path / "out"
    assert score(dicom(tmp_path / "scan", grid=grid), out) == 0
    document = result(out)
    expected = truth(grid)
    found = nib.load(out / document["study"]["uid"] / "segmentation.nii.gz")
    placed = {
        tuple(np.rint(point).astype(int)) for point in _points_mm(found.affine, np.asanyarray(found.dataobj) == 2)
    }
    assert placed == {tuple(np.rint(point).astype(int)) for point in _points_mm(grid.affine, expected == 2)}
    (volume,) = [q["value"] for q in document["quantities"] if (q["label"], q["name"]) == ("liver", "volume")]
    assert volume == pytest.approx(np.count_nonzero(expected) * grid.voxel_volume_ml, rel=1e-6)
    assert [finding["positive"] for finding in document["findings"]] == [True, True]
    segmentation = hd.seg.segread(out / document["study"]["uid"] / "segmentation.dcm")
    for number, mask in ((1, expected == 1), (2, expected == 2)):
        centre = points_lps_from_ras(_points_mm(grid.affine, mask).mean(axis=0))
        np.testing.assert_allclose(_seg_centroid_mm(segmentation, number), centre, atol=1e-2)


def test_a_tilted_series_keeps_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    know_everything(monkeypatch)
    grid, out = tilted_planes(field_of_view((2.0, 2.0, 4.0)), 15.0), tmp_path / "out"
    source = dicom(tmp_path / "scan", grid=grid)
    assert score(source, out) == 0
    document = result(out)
    assert "gantry_tilt_resampled" in [flag["code"] for flag in document["quality"]]
    segmentation = hd.seg.segread(out / document["study"]["uid"] / "segmentation.dcm")
    frames = {_position(ds) for ds in map(pydicom.dcmread, source.iterdir())}
    told = {
        tuple(round(float(v), 2) for v in frame.PlanePositionSequence[0].ImagePositionPatient)
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    }
    assert told <= frames
    # Interpolation between leaning planes moves borders by less than a voxel, and the centre of them all by far less.
    liver = points_lps_from_ras(_points_mm(grid.affine, truth(grid) > 0).mean(axis=0))
    both = [_seg_points_mm(segmentation, number) for number in (1, 2)]
    np.testing.assert_allclose(np.concatenate(both).mean(axis=0), liver, atol=1.0)


def _points_mm(affine: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask) @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3]


def _position(dataset: pydicom.Dataset) -> tuple[float, ...]:
    return tuple(round(float(v), 2) for v in dataset.ImagePositionPatient)


def _seg_centroid_mm(segmentation: hd.seg.Segmentation, number: int) -> np.ndarray:
    volume = segmentation.get_volume(segment_numbers=[number], combine_segments=False, skip_overlap_checks=True)
    indices = np.argwhere(volume.array[..., 0] > 0)
    return np.asarray(volume.map_indices_to_reference(indices.astype(float)).mean(axis=0))


def _seg_points_mm(segmentation: hd.seg.Segmentation, number: int) -> np.ndarray:
    """Places (LPS) of a segment's pixels by each frame's own position, as DICOM PS3.3 C.7.6.2.1.1 says."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    cosines = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
    row_gap, column_gap = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    points = []
    for pixels, frame in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            rows, columns = np.nonzero(pixels)
            first = np.array([float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient])
            points.append(first + np.outer(columns * column_gap, cosines[:3]) + np.outer(rows * row_gap, cosines[3:]))
    return np.concatenate(points)
