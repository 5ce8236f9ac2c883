"""A phantom's pixels agree with its formulas, on any grid."""

import itertools
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_erosion
from scipy.spatial.transform import Rotation

from datasets.errors import ConfigError
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.phantoms import FIELD_MM, CtPhantom, EllipsoidPhantom, ct_phantom, default_grid, tilted_planes
from datasets.phantoms.liver import Lobes
from datasets.phantoms.shapes import Capsule, Ellipsoid, HalfSpace, Hoops, Part, Slabs, Tube, sphere_points
from datasets.phantoms.solids import Solid
from datasets.resampling import reorient

SEEDS = range(6)
COARSE = default_grid((4.0, 4.0, 5.0))
TURN = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
# A liver of every bend at once, and a plain cut ball.
BENT = Lobes((5, 3, 2), TURN, (60, 45, 50), (-0.6, -0.48, -0.64), 0.3, (0.3, -0.2), (12, 5), (-10, 6, 8, 4), (4, 1))
# The cut lies between two layers of voxels of 1 mm.
CUT = Lobes((0, 0, 0), np.eye(3), (50, 50, 50), (0.0, 0.0, 1.0), 0.41)
CUT_ML = np.pi * 50**3 * (4 / 3 - 0.59**2 * 2.41 / 3) / 1000
EGG = Ellipsoid((1.0, -2.0, 3.0), (12.0, 20.0, 30.0), TURN)
TUBE = Tube((3.0, -2.0), (60.0, 40.0), 0.4)
PARTS: dict[str, Part] = {
    "ellipsoid": EGG,
    "half_space": HalfSpace((0.6, 0.0, 0.8), 5.0),
    "tube": TUBE,
    "slabs": Slabs(20.0, 4.0, 3.0, 0.5),
    "hoops": Hoops(TUBE, Slabs(20.0, 6.0, 3.0, 0.5), 4.0),
    "capsule": Capsule((-10.0, 0.0, 5.0), (20.0, 8.0, 1.0), 6.0),
    "lobes": BENT,
}


@cache
def phantom(seed: int) -> CtPhantom:
    return ct_phantom(seed)


def around(centre: tuple[float, float, float], half_mm: float, step_mm: float, turn: np.ndarray | None = None) -> Grid:
    count = int(np.ceil(2 * half_mm / step_mm)) + 1
    axes = np.eye(3) if turn is None else turn
    first = np.asarray(centre) - axes @ np.full(3, (count - 1) * step_mm / 2)
    return grid_from_axes((count, count, count), (step_mm,) * 3, axes, first)


def centroid_mm(mask: np.ndarray, grid: Grid) -> np.ndarray:
    return grid.points_mm(np.argwhere(mask).mean(axis=0))


# The field of hoops is a distance to first order, and so is its gradient.
@pytest.mark.parametrize("name", sorted(set(PARTS) - {"hoops"}))
def test_gradients_are_the_slopes_of_their_fields(name: str) -> None:
    part, step = PARTS[name], 1e-5
    points = np.random.default_rng(3).uniform(-40, 40, (300, 3))
    above = [part.fields(*(points + step * axis).T) for axis in np.eye(3)]
    below = [part.fields(*(points - step * axis).T) for axis in np.eye(3)]
    for number, (_, gradient) in enumerate(part.fields(*points.T)):
        for axis in range(3):
            slope = (above[axis][number][0] - below[axis][number][0]) / (2 * step)
            np.testing.assert_allclose(np.broadcast_to(gradient[axis], 300), np.broadcast_to(slope, 300), atol=1e-5)


@pytest.mark.parametrize(("lobes", "volume_ml"), [(CUT, CUT_ML), (BENT, None)])
def test_the_liver_has_the_volume_of_its_formula(lobes: Lobes, volume_ml: float | None) -> None:
    if volume_ml is not None:
        assert lobes.volume_ml == pytest.approx(volume_ml)
    grid = around(lobes.centre_mm, 85, 1.0)
    marks = np.zeros(grid.shape[::-1], np.uint8)
    Solid((lobes,)).mark(marks, grid, 1)
    assert marks.sum() * grid.voxel_volume_ml == pytest.approx(lobes.volume_ml, rel=2e-3)
    shares = np.zeros(grid.shape[::-1], np.float32)
    Solid((lobes,)).paint(shares, grid, 1.0)
    assert shares.sum(dtype=np.float64) * grid.voxel_volume_ml == pytest.approx(lobes.volume_ml, rel=2e-3)
    # The points that stand for the surface lie on it.
    inside = [max(f for f, _ in lobes.fields(*point)) for point in lobes.surface[::50]]
    assert np.abs(inside).max() < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_label_volumes_are_those_of_the_formulas(seed: int) -> None:
    body = phantom(seed)
    grid = default_grid((2.0, 2.0, 2.0))
    labels = body.labels(grid)
    assert labels.intensity is Intensity.LABEL
    assert (labels.array > 0).sum() * grid.voxel_volume_ml == pytest.approx(body.truth.liver_ml, rel=3e-3)
    # Wholly inside the field, with a voxel of room.
    assert not labels.array[0, [0, -1]].any()
    assert not labels.array[0, :, [0, -1]].any()
    assert not labels.array[0, :, :, [0, -1]].any()
    for tumor in body.truth.tumors:
        close = around(tumor.centre_mm, max(tumor.radii_mm) + 3, 0.75)
        mask = body.labels(close).array[0] == 2
        # Others begin farther away than this.
        away = np.linalg.norm(close.points_mm(np.argwhere(mask)) - tumor.centre_mm, axis=1)
        mask[tuple(np.argwhere(mask)[away > max(tumor.radii_mm) + 1].T)] = False
        np.testing.assert_allclose(centroid_mm(mask, close), tumor.centre_mm, atol=0.05)
        assert mask.sum() * close.voxel_volume_ml == pytest.approx(tumor.volume_ml, rel=0.01)
        assert tumor.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(tumor.radii_mm) / 1000)


@pytest.mark.parametrize("seed", SEEDS)
def test_tumours_lie_wholly_inside_the_liver_and_apart(seed: int) -> None:
    body = phantom(seed)
    liver = Solid((body.liver,))
    shells = [sphere_points(2000) * tumor.shape.radii_mm @ tumor.shape.axes.T for tumor in body.tumors]
    places = [shell + tumor.shape.centre_mm for shell, tumor in zip(shells, body.tumors, strict=True)]
    assert all(liver.contains(place).all() for place in places)
    for (first, _), (_, other) in itertools.permutations(zip(places, body.tumors, strict=True), 2):
        assert not Solid((other.shape,)).contains(first).any()
    assert all(tumor.hu <= body.liver_hu - 25 for tumor in body.tumors)


def test_ribs_have_the_thickness_and_height_asked_for() -> None:
    # The wall of a round tube of radius 50: along x at height 0, and along z on the wall's middle.
    ribs = Solid((Hoops(Tube((0.0, 0.0), (50.0, 50.0)), Slabs(25.0, 6.0), 4.0),))
    across = np.array([(x, 0.0, 0.0) for x in (45.7, 46.2, 50.0, 53.8, 54.3)])
    np.testing.assert_array_equal(ribs.contains(across), (False, True, True, True, False))
    along = np.array([(0.0, 50.0, z) for z in (-6.1, -5.9, 0.0, 5.9, 6.1, 18.9, 19.1, 25.0)])
    np.testing.assert_array_equal(ribs.contains(along), (False, True, True, True, False, False, True, True))


def test_radii_asked_for_are_given() -> None:
    truth = ct_phantom(3, (6.0, 25.0, 12.0)).truth
    spheres = [np.cbrt(tumor.volume_ml * 1000 * 3 / 4 / np.pi) for tumor in truth.tumors]
    np.testing.assert_allclose(spheres, (6, 25, 12))
    assert ct_phantom(3, ()).truth.tumor_ml == 0
    # The patient is the same, whatever is asked for.
    assert truth.liver_ml == phantom(3).truth.liver_ml
    for radii in ((2.0,), (31.0,), (30.0,) * 12):
        with pytest.raises(ConfigError, match="tumour"):
            ct_phantom(3, radii)


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_keep_clear_of_the_liver_which_is_on_the_right(seed: int) -> None:
    body, liver = phantom(seed), phantom(seed).labels(COARSE).array > 0
    for name in ("spleen", "kidney", "stomach", "gallbladder", "pancreas", "aorta", "bowel", "heart", "spine", "rib"):
        assert not (liver & (body.structure(COARSE, name).array > 0)).any(), name
    right = centroid_mm(liver[0], COARSE)[0]
    assert right > 15 > -15 > centroid_mm(body.structure(COARSE, "spleen").array[0] > 0, COARSE)[0]
    # And it lies in the body, which lies on the table.
    assert (body.structure(COARSE, "skin").array[liver] > 0).all()
    back = centroid_mm(body.structure(COARSE, "table").array[0] > 0, COARSE)[1]
    assert back < centroid_mm(body.structure(COARSE, "spine").array[0] > 0, COARSE)[1]


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(ConfigError, match="gallbladder"):
        phantom(1).structure(COARSE, "gall")


@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_those_of_the_tissues(seed: int) -> None:
    body = phantom(seed)
    grid = default_grid((2.0, 2.0, 3.0))
    image = body.image(grid, noise=False)
    assert (image.intensity, image.array.dtype) == (Intensity.HOUNSFIELD, np.int16)
    assert image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    tumors = body.labels(grid).array[0] == 2
    away = tumors | (body.structure(grid, "liver_vessel").array[0] > 0)
    inside = binary_erosion((body.labels(grid).array[0] > 0) & ~away, iterations=3)
    assert np.abs(image.array[0][inside] - body.liver_hu).max() <= 0.5 + 1e-3
    for tumor, truth in zip(body.tumors, body.truth.tumors, strict=True):
        fine = around(truth.centre_mm, max(truth.radii_mm), 1.0)
        # Four steps along the axes are farther than the blur reaches.
        core = binary_erosion(body.labels(fine).array[0] == 2, iterations=4)
        low, high = sorted((tumor.core_hu, tumor.hu))
        values = body.image(fine, noise=False).array[0][core]
        assert low - 0.51 <= values.min() <= values.max() <= high + 0.51
    noisy = body.image(grid).array[0][inside] - body.liver_hu
    assert noisy.std() == pytest.approx(body.noise_hu, rel=0.15)
    assert abs(noisy.mean()) < 1.0


def test_a_partial_volume_is_the_share_of_the_voxel() -> None:
    # Slices 6 mm thick against the mean over the fine voxels that fill them.
    fine = grid_from_axes((80, 80, 96), (1, 1, 1), TURN, around((1, -2, 3), 47.5, 1.0, TURN).origin_mm)
    affine = fine.affine @ np.diag((1.0, 1.0, 6.0, 1.0))
    affine[:3, 3] = fine.points_mm((0, 0, 2.5))
    shares, marks = np.zeros((16, 80, 80), np.float32), np.zeros((96, 80, 80), np.float32)
    Solid((EGG,)).paint(shares, Grid((80, 80, 16), affine), 1.0)
    Solid((EGG,)).paint(marks, fine, 1.0)
    wanted = marks.reshape(16, 6, 80, 80).mean(axis=1)
    assert np.abs(shares - wanted).mean() < 2e-3
    # To first order: the slices are half as thick as the smallest radius.
    assert shares.sum(dtype=float) == pytest.approx(wanted.sum(dtype=float), rel=0.01)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "LIP", "ASL"])
def test_the_same_place_has_the_same_label_on_every_grid(orientation: str) -> None:
    body, spacing = phantom(1), {"L": 3.2, "R": 3.2, "A": 3.2, "P": 3.2, "S": 5.0, "I": 5.0}
    grid = default_grid(tuple(spacing[letter] for letter in orientation), orientation)  # type: ignore[arg-type]
    assert grid.orientation == orientation
    home = reorient(body.labels(grid), "LPS")
    plain = default_grid((3.2, 3.2, 5.0))
    assert home.grid.matches(plain)
    np.testing.assert_array_equal(home.array, body.labels(plain).array)
    image = reorient(body.image(grid, noise=False), "LPS").array.astype(float)
    if grid.orientation[2] in "SI":
        # The blur, as the scanner's, is within slices.
        np.testing.assert_allclose(image, body.image(plain, noise=False).array, atol=1)


@pytest.mark.parametrize("grid", [default_grid((5, 5, 5), rotation_deg=(30, 20, 10)), tilted_planes(COARSE, 15)])
def test_oblique_and_sheared_grids_sample_the_same_body(grid: Grid) -> None:
    body = phantom(2)
    labels = body.labels(grid)
    assert (labels.array > 0).sum() * grid.voxel_volume_ml == pytest.approx(body.truth.liver_ml, rel=0.02)
    # Each voxel says what a single voxel at its place says.
    rng = np.random.default_rng(0)
    image = body.image(grid, noise=False)
    for index in rng.integers(0, grid.shape, (40, 3)):
        affine = np.array(grid.affine)
        affine[:3, 3] = grid.points_mm(index)
        assert body.labels(Grid((1, 1, 1), affine)).array.item() == labels.array[(0, *index)]
    assert image.shape == grid.shape


def test_a_tilt_leans_the_slices_and_keeps_the_steps() -> None:
    tilted = tilted_planes(COARSE, 15)
    np.testing.assert_allclose(tilted.affine[:3, 2], COARSE.affine[:3, 2])
    np.testing.assert_allclose(tilted.spacing_mm, COARSE.spacing_mm)
    np.testing.assert_allclose(tilted.direction[:, 0], (-1, 0, 0), atol=1e-12)
    # j, towards the back, leans by 15 degrees towards k, the head.
    np.testing.assert_allclose(tilted.direction[:, 1], (0, -np.cos(np.pi / 12), np.sin(np.pi / 12)), atol=1e-12)
    middle = (np.asarray(COARSE.shape) - 1) / 2
    np.testing.assert_allclose(tilted.points_mm(middle), COARSE.points_mm(middle))
    assert not tilted.is_orthogonal


def test_the_default_grid_covers_the_field() -> None:
    grid = default_grid()
    assert grid.shape == (512, 512, 84)
    np.testing.assert_allclose(np.multiply(grid.shape, grid.spacing_mm), FIELD_MM)
    for letters in ("LPP", "LP", "XYZ", "LPSR"):
        with pytest.raises(ConfigError, match="axis"):
            default_grid(orientation=letters)


def test_the_same_seed_gives_the_same_torso_and_others_differ() -> None:
    grid = default_grid((8.0, 8.0, 12.0))
    first, again = ct_phantom(5).image(grid), ct_phantom(5).image(grid)
    np.testing.assert_array_equal(first.array, again.array)
    assert (ct_phantom(5).image(grid, seed=1).array != first.array).mean() > 0.9
    liver = [phantom(seed).truth.liver_ml for seed in SEEDS]
    assert np.ptp(liver) > 150
    assert len({len(phantom(seed).tumors) for seed in SEEDS}) > 1
    masks = [phantom(seed).labels(COARSE).array > 0 for seed in SEEDS]
    dice = [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in itertools.combinations(masks, 2)]
    assert max(dice) < 0.93


@pytest.mark.parametrize("turn", [None, TURN])
def test_plain_ellipsoids_have_the_volume_and_axes_of_their_formula(turn: np.ndarray | None) -> None:
    shape = Ellipsoid((4.0, 5.0, 6.0), (10.0, 15.0, 25.0), turn)
    grid = grid_from_axes((90, 80, 50), (0.8, 0.9, 1.5), None, (-30.0, -30.0, -30.0))
    labels: Image = EllipsoidPhantom((shape, Ellipsoid((4.0, 5.0, 6.0), (2.0, 2.0, 2.0)))).labels(grid)
    mask = labels.array[0] > 0
    assert mask.sum() * grid.voxel_volume_ml == pytest.approx(shape.volume_ml, rel=0.01)
    assert (labels.array == 2).sum() * grid.voxel_volume_ml == pytest.approx(4 / 3 * np.pi * 0.008, rel=0.1)
    # The second moments of an ellipsoid along its axes are r^2 / 5.
    points = grid.points_mm(np.argwhere(mask)) - shape.centre_mm
    np.testing.assert_allclose(np.sqrt(5 * (points @ shape.axes).var(axis=0)), shape.radii_mm, rtol=0.01)
