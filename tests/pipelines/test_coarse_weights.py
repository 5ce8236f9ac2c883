"""How the coarse network is trained, and what the weights that ship hold of livers nobody trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.liver_on_real_scans import nrrd_liver, organ_liver
from datasets.box import Box, bounding_box
from datasets.geometry import Grid
from datasets.io.discover import open_inputs
from datasets.phantoms import ct_phantom, default_grid
from datasets.resampling import Interpolation, resample
from networks.build import build
from pipelines.coarse_weights import Case, batches, localisation, recipe, varied_grid
from pipelines.examination import Compute
from pipelines.localise import Localiser
from pipelines.model_store import find_weights, read_card
from pipelines.phantom_training import Schedule

SCHEDULE = Schedule(steps=30, batch=4, crop_px=48)
LOWEST, HIGHEST = -248.0, 202.0


@pytest.fixture(scope="module")
def case() -> Case:
    """A block that is brighter than anything else, on the left of the field (low columns), in slices 4 to 9."""
    organ = np.zeros((14, 50, 52), np.uint8)
    organ[4:10, 15:35, 4:22] = 1
    return Case(np.where(organ > 0, HIGHEST, LOWEST).astype(np.float16), organ)


def test_crops_are_three_slices_and_the_organ_of_the_middle_one(case: Case) -> None:
    shown = set()
    for slices, organ in batches([case], SCHEDULE):
        assert slices.shape == (4, 3, 48, 48)
        assert slices.dtype == torch.float32
        assert (organ.shape, organ.dtype) == ((4, 1, 48, 48), torch.int64)
        assert float(slices.min()) >= LOWEST
        assert float(slices.max()) <= HIGHEST
        shown |= set(organ.unique().tolist())
    assert shown == {0, 1}


def test_the_organ_is_where_the_slice_shows_it(case: Case) -> None:
    for slices, organ in batches([case], SCHEDULE):
        bright = slices[:, 1:2] > (LOWEST + HIGHEST) / 2
        # Shading moves the edge by less than a pixel of 20-odd.
        assert (bright == (organ > 0)).float().mean() > 0.97


def test_left_and_right_are_never_swapped(case: Case) -> None:
    columns = torch.arange(48.0)
    for _, organ in batches([case], SCHEDULE):
        for crop in organ[:, 0]:
            if crop.sum() > 200:
                # The block's middle lies half way to the edge; no crop brings it past the crop's middle, 23.5.
                assert (crop.sum(0) * columns).sum() / crop.sum() < 28.0


def test_the_same_seed_shows_the_same(case: Case) -> None:
    first, second = ([slices for slices, _ in batches([case], Schedule(steps=2, batch=2, crop_px=32))] for _ in "ab")
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_training_scans_differ_in_spacing_and_turn() -> None:
    grids = [varied_grid(seed) for seed in range(40)]
    spacings = np.array([grid.spacing_mm for grid in grids])
    assert np.ptp(spacings[:, 2]) > 3.0
    assert len({grid.orientation for grid in grids}) == 1
    assert max(np.abs(grid.direction - np.round(grid.direction)).max() for grid in grids) > 0.15


def test_the_card_is_that_of_the_recipe() -> None:
    card = read_card(find_weights(localisation().settings.weights))
    assert card.model_copy(update={"held_out": {}}) == recipe().card
    assert card.held_out["liver_in_box_min"] == 1.0
    assert card.held_out["box_share_mean"] < 0.35


def _held(box: Box | None, organ: NDArray[np.bool_]) -> float:
    """The share of an organ in a box; no box holds everything, as nothing is cut."""
    return 1.0 if box is None else float(organ[box].sum() / organ.sum())


def _share(box: Box | None, grid: Grid) -> float:
    return 1.0 if box is None else float(np.prod(grid.cropped(box).shape) / np.prod(grid.shape))


@pytest.fixture(scope="module")
def shipped() -> Localiser:
    return Localiser.load(localisation(), Compute("cpu"))


def test_shipped_weights_hold_the_liver_of_a_phantom_nobody_trained_on(shipped: Localiser) -> None:
    grid, phantom = default_grid((3.0, 3.0, 5.0)), ct_phantom(60_100)
    box = shipped.box_of(phantom.image(grid), grid)
    assert box is not None
    assert _held(box, phantom.labels(grid).array[0] > 0) == 1.0
    assert _share(box, grid) < 0.4


def test_the_shipped_network_is_small() -> None:
    assert sum(p.numel() for p in build(localisation().settings.network, device="meta").parameters()) < 500_000


def unseen_grid(seed: int) -> Grid:
    """Any orientation and spacing, somewhat oblique; every third is a slab of few slices through the liver."""
    rng = np.random.default_rng([seed, 9])
    orientation = str(rng.choice(["LPS", "RAS", "LAS", "PIR", "LIP", "LPI"]))
    in_plane_mm, slices_mm = float(rng.uniform(0.9, 2.0)), float(rng.uniform(1.0, 7.0))
    turn = tuple(float(angle) for angle in rng.uniform(-12.0, 12.0, 3))
    grid = default_grid((in_plane_mm, in_plane_mm, slices_mm), orientation, turn)
    if seed % 3:
        return grid
    organ = bounding_box(ct_phantom(seed).labels(grid.with_spacing((4.0, 4.0, slices_mm))).array[0])[2]
    count = int(rng.integers(2, 12))
    start = int(rng.integers(organ.start, max(organ.start + 1, organ.stop - count)))
    i, j, k = grid.shape
    return grid.cropped((slice(0, i), slice(0, j), slice(start, min(start + count, k))))


@pytest.mark.slow
def test_shipped_weights_on_thirty_unseen_phantoms(shipped: Localiser) -> None:
    missed, shares = {}, []
    for seed in range(60_000, 60_030):
        grid, phantom = unseen_grid(seed), ct_phantom(seed)
        box = shipped.box_of(phantom.image(grid), grid)
        held = _held(box, phantom.labels(grid).array[0] > 0)
        missed |= {seed: held} if held < 1.0 else {}
        shares += [_share(box, grid)]
    assert missed == {}
    assert np.mean(shares) < 0.35


REAL = {
    "ct_abdomen/ct_3mm.nii.gz": lambda data: organ_liver(data / "ct_abdomen/organs_3mm.nii.gz"),
    "ct_abdomen/dicom_j2k": lambda data: organ_liver(data / "ct_abdomen/organs_dicom_j2k.nii.gz"),
    "ct_seg_pair/ct": lambda data: nrrd_liver(data / "ct_seg_pair/liver_seg.nrrd"),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_shipped_weights_hold_the_liver_of_real_scans(shipped: Localiser, shared_data: Path, name: str) -> None:
    with open_inputs([shared_data / name]) as inventory:
        image = inventory.studies[0].series[0].load().image
    organ = resample(REAL[name](shared_data), image.grid, Interpolation.NEAREST, 0).array[0] > 0
    box = shipped.box_of(image, image.grid)
    assert box is not None
    assert _held(box, organ) >= 0.995
    assert _share(box, image.grid) < 0.5
