"""Real scans from end to end: every promised file, on the scan's own grid, read back by other people's software."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import dcmqi
import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from app.cli import main
from tests.app.small_scans import files, find_nothing, result
from tests.datasets.report_reading import errors_of_dciodvfy, groups, values_by_dcmqi

pytestmark = pytest.mark.real_data

SEGIMAGE2ITKIMAGE = str(Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage")
DICOM = ("ct_abdomen/dicom_j2k", "ct_seg_pair/ct")
NIFTI = "ct_abdomen/ct_3mm.nii.gz"
RUN_FILES = {"manifest.json", "results.csv", "journal.jsonl"}
Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """A real scan and what was written about it."""

    source: Path
    out: Path

    @property
    def folder(self) -> Path:
        return self.out / result(self.out)["study"]["uid"]

    @property
    def labels(self) -> NDArray[np.uint8]:
        return np.asanyarray(nib.load(self.folder / "segmentation.nii.gz").dataobj)

    @property
    def affine(self) -> Affine:
        """Index to RAS mm."""
        return np.asarray(nib.load(self.folder / "segmentation.nii.gz").affine)


def _score(source: Path, out: Path) -> Scored:
    assert main(["score", str(source), "--task", "liver_ct", "--out", str(out)]) == 0
    return Scored(source, out)


@pytest.fixture(scope="module")
def scored(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scored]:
    return {name: _score(shared_data / name, tmp_path_factory.mktemp("out")) for name in (*DICOM, NIFTI)}


def _geometry(folder: Path) -> tuple[tuple[int, ...], Affine]:
    """Shape and affine (index to RAS mm) of a folder of slices, by hand from positions and orientations."""
    slices = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]
    row, column = np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(row, column)
    slices.sort(key=lambda ds: float(normal @ np.array(ds.ImagePositionPatient, dtype=float)))
    positions = np.array([ds.ImagePositionPatient for ds in slices], dtype=float)
    between_rows, between_columns = (float(v) for v in slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * between_columns, column * between_rows
    affine[:3, 2] = (positions[-1] - positions[0]) / (len(slices) - 1)
    affine[:3, 3] = positions[0]
    return (slices[0].Columns, slices[0].Rows, len(slices)), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _placed(shape: tuple[int, ...], affine: Affine, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A mask of the voxels whose centres are given (RAS mm)."""
    indices = (points_mm - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    voxels = np.rint(indices).astype(int)
    assert np.abs(indices - voxels).max(initial=0.0) < 0.01
    mask = np.zeros(shape, bool)
    mask[tuple(voxels.T)] = True
    return mask


@pytest.mark.parametrize("name", [*DICOM, NIFTI])
def test_every_promised_file_is_there(scored: dict[str, Scored], name: str) -> None:
    scan = scored[name]
    expected = {"result.json", "segmentation.nii.gz", *(["segmentation.dcm", "report.dcm"] if name in DICOM else [])}
    assert files(scan.out) == RUN_FILES | {f"{scan.folder.name}/{file}" for file in expected}
    document = result(scan.out)
    assert "error" not in document
    assert {f"{file}" for file in document["outputs"].values()} == expected - {"result.json"}


@pytest.mark.parametrize("name", DICOM)
def test_labels_lie_on_the_grid_of_a_dicom_series(scored: dict[str, Scored], name: str) -> None:
    scan = scored[name]
    shape, affine = _geometry(scan.source)
    assert scan.labels.shape == shape
    np.testing.assert_allclose(scan.affine, affine, atol=1e-3)
    np.testing.assert_allclose(result(scan.out)["grid"]["affine"], affine, atol=1e-3)


def test_labels_lie_on_the_grid_of_a_nifti_file(scored: dict[str, Scored]) -> None:
    scan, given = scored[NIFTI], nib.load(scored[NIFTI].source)
    assert scan.labels.shape == given.shape
    np.testing.assert_allclose(scan.affine, given.affine, atol=1e-5)


def test_spacing_comes_from_positions_and_not_from_a_wrong_slice_thickness(scored: dict[str, Scored]) -> None:
    scan = scored["ct_abdomen/dicom_j2k"]
    segmentation = hd.seg.segread(scan.folder / "segmentation.dcm")
    volume = segmentation.get_volume(combine_segments=True, skip_overlap_checks=True)
    assert sorted(volume.spacing)[-1] == pytest.approx(2.0, abs=1e-3)
    assert "spacing_from_positions" in [flag["code"] for flag in result(scan.out)["quality"]]


@pytest.mark.parametrize("name", DICOM)
def test_dicom_and_nifti_agree_voxel_by_voxel_for_highdicom(scored: dict[str, Scored], name: str) -> None:
    scan = scored[name]
    segmentation = hd.seg.segread(scan.folder / "segmentation.dcm")
    for number in segmentation.segment_numbers:
        volume = segmentation.get_volume(segment_numbers=[number], combine_segments=False)
        points = volume.map_indices_to_reference(np.argwhere(volume.array[..., 0] > 0).astype(float))
        found = _placed(scan.labels.shape, scan.affine, np.asarray(points) * (-1.0, -1.0, 1.0))
        np.testing.assert_array_equal(found, scan.labels == number)
    assert (scan.labels == 1).any()


@pytest.mark.parametrize("name", DICOM)
def test_dicom_and_nifti_agree_voxel_by_voxel_for_dcmqi(scored: dict[str, Scored], name: str, tmp_path: Path) -> None:
    scan = scored[name]
    source = str(scan.folder / "segmentation.dcm")
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", source, "--outputDirectory", str(tmp_path), "--outputType", "nrrd"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = np.zeros(scan.labels.shape, np.uint8)
    for file in tmp_path.glob("*.nrrd"):
        volume = sitk.ReadImage(file)
        step = np.array(volume.GetDirection()).reshape(3, 3) * volume.GetSpacing()
        points = np.argwhere(sitk.GetArrayFromImage(volume))[:, ::-1] @ step.T + volume.GetOrigin()
        found[_placed(scan.labels.shape, scan.affine, points * (-1.0, -1.0, 1.0))] = int(file.stem)
    np.testing.assert_array_equal(found, scan.labels)


@pytest.mark.parametrize("name", DICOM)
def test_the_segmentation_references_the_scan(scored: dict[str, Scored], name: str) -> None:
    scan = scored[name]
    segmentation = pydicom.dcmread(scan.folder / "segmentation.dcm")
    # In one of the series the datasets leave their UIDs blank, and only the files' own headers tell them.
    metas = [pydicom.dcmread(path, stop_before_pixels=True).file_meta for path in scan.source.iterdir()]
    given = {str(meta.MediaStorageSOPInstanceUID) for meta in metas}
    (series,) = segmentation.ReferencedSeriesSequence
    assert {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedInstanceSequence} == given


@pytest.mark.parametrize("name", DICOM)
def test_the_report_says_what_the_result_says(scored: dict[str, Scored], name: str) -> None:
    scan = scored[name]
    document, read = result(scan.out), groups(scan.folder / "report.dcm")
    for finding in document["findings"]:
        number = f" {finding['location']['component']}" if finding["location"] else ""
        values = read[f"{finding['label']}{number}"].values
        assert values["probability"] == (finding["probability"], "1")
        measured = {(quantity["value"], quantity["unit"]) for quantity in finding["quantities"]}
        assert measured <= set(values.values())
    for quantity in document["quantities"]:
        told = set(read[f"{quantity['label']}, measured as a whole"].values.values())
        assert quantity["value"] is None or (quantity["value"], quantity["unit"]) in told
    theirs = values_by_dcmqi(scan.folder / "report.dcm")
    assert {key: set(values) for key, values in theirs.items()} == {key: set(one.values) for key, one in read.items()}
    for key, values in theirs.items():
        for code, (value, unit) in values.items():
            assert (pytest.approx(value, rel=1e-6, abs=1e-9), unit) == read[key].values[code]


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("name", DICOM)
def test_dciodvfy_finds_no_error_in_the_report(scored: dict[str, Scored], name: str) -> None:
    assert errors_of_dciodvfy(scored[name].folder / "report.dcm") == []


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("name", DICOM)
def test_dciodvfy_finds_no_error(scored: dict[str, Scored], name: str) -> None:
    command = ["dciodvfy", "-new", str(scored[name].folder / "segmentation.dcm")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    assert "Segmentation" in report  # the tool knew what it was looking at
    assert [line for line in report.splitlines() if line.startswith("Error")] == []


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("name", DICOM)
def test_an_empty_result_still_has_a_segmentation_with_every_frame(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    find_nothing(monkeypatch)
    scan = _score(shared_data / name, tmp_path / "out")
    assert not scan.labels.any()
    assert "empty_result" in [flag["code"] for flag in result(scan.out)["quality"]]
    segmentation = pydicom.dcmread(scan.folder / "segmentation.dcm")
    assert segmentation.NumberOfFrames == scan.labels.shape[2] * len(segmentation.SegmentSequence)
    assert not segmentation.pixel_array.any()
    command = ["dciodvfy", "-new", str(scan.folder / "segmentation.dcm")]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert [line for line in report.splitlines() if line.startswith("Error")] == []
