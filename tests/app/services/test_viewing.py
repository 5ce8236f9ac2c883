"""Views of cases and edited masks, against the images that they are of."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from app.services.intake import new_case, read_result
from app.services.view import PreparedView
from app.services.viewing import MaskRefused, Viewing
from app.store.cases import Cases
from app.store.database import open_database
from app.store.records import Case
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Intensity
from datasets.io.nifti import read_nifti
from datasets.phantoms import ct_phantom, default_grid
from datasets.resampling import reorient
from tests.app.planted import plant_film, plant_liver

GRIDS = {
    "dicom": default_grid((6.0, 6.0, 8.0)),
    "oblique": default_grid((6.0, 6.0, 8.0), rotation_deg=(7.0, 4.0, 3.0)),
}
NIFTI_GRIDS = {
    "RAS": default_grid((6.0, 7.0, 8.0), orientation="RAS"),
    "ISA": default_grid((6.0, 7.0, 8.0), orientation="SAR"),
}


def taken_in(folder: Path, root: Path) -> Case:
    database = open_database(f"sqlite:///{root / 'store.sqlite'}")
    case = Cases(database).take_in(new_case(folder), "test")
    database.close()
    return case


@pytest.fixture(scope="module", params=[*GRIDS, *NIFTI_GRIDS])
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, PreparedView, Viewing]:
    root, dicom = tmp_path_factory.mktemp("planted"), request.param in GRIDS
    folder = plant_liver(root, grid=(GRIDS | NIFTI_GRIDS)[request.param], dicom=dicom)
    case, viewing = taken_in(folder, root), Viewing(root / "own")
    return case, viewing.prepare(case), viewing


def grid_of_view(prepared: PreparedView, case: Case) -> Grid:
    result, _ = read_result(Path(case.folder))
    assert result.grid is not None
    labels = read_nifti(Path(case.folder) / "segmentation.nii.gz", Intensity.LABEL).image
    return reorient(labels, "LPS").grid


def test_voxels_are_those_of_the_phantom_at_their_place(planted: tuple[Case, PreparedView, Viewing]) -> None:
    case, prepared, _ = planted
    grid, phantom = grid_of_view(prepared, case), ct_phantom(7)
    assert prepared.view.shape == grid.shape
    truth = phantom.image(grid).slices()
    # The noise of phantoms depends on the order of their axes.
    apart_hu = [np.abs(prepared.image().astype(float) - t).mean() for t in (truth, truth[:, :, ::-1], truth[::-1])]
    assert apart_hu[0] < 20.0 < 40.0 < min(apart_hu[1:])
    labels = prepared.labels()
    assert labels is not None
    # Voxels that a surface cuts may fall on either side where the same point is computed along another way.
    assert np.mean(labels != phantom.labels(grid).slices()) < 1e-3
    heat = prepared.heat(0)
    assert heat is not None
    np.testing.assert_array_equal(heat, np.where(labels == 2, 255, 0))
    assert prepared.view.heats[0].maximum == pytest.approx(0.5)
    assert prepared.view.heats[0].why == (
        "hiding and showing what the map calls important changes the probability hardly more than hiding and showing "
        "anything",
    )


def test_axes_grow_towards_left_back_and_head(planted: tuple[Case, PreparedView, Viewing]) -> None:
    _, prepared, _ = planted
    assert prepared.view.directions is not None
    directions = np.array(prepared.view.directions)
    assert (np.diag(directions) > 0.9).all()
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-5)
    # SimpleITK's own words for the same are origin and direction, both in LPS.
    case, prepared, _ = planted
    segmentation = sitk.ReadImage(str(Path(case.folder) / "segmentation.nii.gz"))
    voxel = sitk.DICOMOrient(segmentation, "LPS").TransformIndexToPhysicalPoint((0, 0, 0))
    np.testing.assert_allclose(prepared.view.origin_mm or (), voxel, atol=1e-3)


def test_a_finding_lies_in_its_tumour(planted: tuple[Case, PreparedView, Viewing]) -> None:
    _, prepared, _ = planted
    labels = prepared.labels()
    assert labels is not None
    k, j, i = np.argwhere(labels == 2).mean(axis=0)
    assert prepared.view.places[0].at == pytest.approx((i, j, k), abs=0.01)
    assert prepared.view.places[1].at is None


def test_an_edited_mask_lies_on_the_input_and_nothing_else_changes(planted: tuple[Case, PreparedView, Viewing]) -> None:
    case, prepared, viewing = planted
    network = prepared.labels()
    assert network is not None
    edited = np.array(network)
    edited[2, 3:6, 4] = 1
    edited[3, 5, 7:9] = 2
    saved = viewing.save_mask(case, gzip.compress(edited.tobytes()))
    assert saved.changed_voxels == 5
    before = read_nifti(Path(case.folder) / "segmentation.nii.gz", Intensity.LABEL).image
    after = read_nifti(viewing.masks / saved.mask, Intensity.LABEL).image
    np.testing.assert_array_equal(after.grid.affine, before.grid.affine)
    assert np.count_nonzero(after.array != before.array) == 5
    expected = reorient(after, "LPS")
    np.testing.assert_array_equal(expected.slices(), edited)
    assert saved.volumes_ml["liver"] == pytest.approx(np.count_nonzero(edited == 1) * before.grid.voxel_volume_ml)
    again = viewing.save_mask(case, gzip.compress(edited.tobytes(), 1))
    assert again == saved
    packed = gzip.decompress(viewing.mask_of(case, saved.mask).read_bytes())
    assert packed == edited.tobytes()


@pytest.fixture
def one(tmp_path: Path) -> tuple[Case, Viewing]:
    case, viewing = taken_in(plant_liver(tmp_path), tmp_path), Viewing(tmp_path / "own")
    viewing.prepare(case)
    return case, viewing


@pytest.mark.parametrize("kind", ["short", "long", "not packed", "cut", "unknown label", "bomb"])
def test_what_is_no_mask_of_the_case_is_refused(one: tuple[Case, Viewing], kind: str) -> None:
    case, viewing = one
    prepared = viewing.prepared(case)
    assert prepared is not None
    whole = np.array(prepared.labels())
    unknown = np.where(whole == 2, 3, whole).astype(np.uint8)
    sent = {
        "short": gzip.compress(whole.tobytes()[:-1]),
        "long": gzip.compress(whole.tobytes() + b"\0"),
        "not packed": whole.tobytes(),
        "cut": gzip.compress(whole.tobytes())[:40],
        "unknown label": gzip.compress(unknown.tobytes()),
        "bomb": gzip.compress(bytes(50_000_000)),
    }[kind]
    with pytest.raises(MaskRefused):
        viewing.save_mask(case, sent)
    assert not viewing.masks.exists()


@pytest.mark.parametrize("name", ["../../store.sqlite", "/etc/passwd", "", ".", "none.nii.gz"])
def test_masks_are_named_and_not_paths(one: tuple[Case, Viewing], name: str) -> None:
    with pytest.raises(MaskRefused):
        one[1].mask_of(one[0], name)


def test_a_film_is_shown_as_it_lies(tmp_path: Path) -> None:
    case, viewing = taken_in(plant_film(tmp_path), tmp_path), Viewing(tmp_path / "own")
    view = viewing.prepare(case)
    assert view.view.kind == "film"
    assert view.view.shape == (256, 246, 1)
    assert view.view.labels == ()
    assert not view.view.editable
    with pytest.raises(MaskRefused):
        viewing.save_mask(case, gzip.compress(b""))


def test_a_scan_that_is_gone_is_told(tmp_path: Path) -> None:
    case = taken_in(plant_liver(tmp_path, dicom=False), tmp_path)
    (tmp_path / "scans" / "phantom-7.nii.gz").unlink()
    with pytest.raises(InputRefused, match="put them back"):
        Viewing(tmp_path / "own").prepare(case)
