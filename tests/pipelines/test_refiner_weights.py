"""How the refiner is trained, and that the one that ships mends maps of slides nobody trained on."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from datasets.phantoms import slide_phantom
from pipelines.classifier_training import ClassifierSchedule
from pipelines.examination import Compute
from pipelines.loaded_network import LoadedNetwork, load_network
from pipelines.model_store import find_weights, read_card, untrained
from pipelines.refiner_weights import (
    CELL_UM,
    NAME,
    NETWORK,
    Asked,
    Cells,
    OverlapAndEntropy,
    batches,
    cells_of,
    check,
    figures,
    made_up,
)
from pipelines.task import load_task


@pytest.fixture(scope="module")
def slides() -> list[Cells]:
    return [cells_of(slide_phantom(seed, (3000.0, 2500.0))) for seed in range(40_000, 40_006)]


def test_shares_of_cells_add_up_to_areas_known_by_formula() -> None:
    for seed in (40_000, 40_001):
        slide = slide_phantom(seed, (3000.0, 2500.0))
        cells = cells_of(slide)
        assert cells.tumor.shape == cells.tissue.shape == (80, 96)
        assert cells.tumor.sum() * CELL_UM**2 / 1e6 == pytest.approx(slide.tumor_area_mm2, rel=0.01)
        assert cells.tissue.sum() * CELL_UM**2 / 1e6 == pytest.approx(slide.tissue_area_mm2, rel=0.02)
    # A cell's share is that of the square it stands for.
    row, column = np.argwhere((cells.tumor > 0.2) & (cells.tumor < 0.8))[0]
    at = (np.arange(50) + 0.5) / 50 * CELL_UM
    inside = slide.is_tumor(column * CELL_UM + at[np.newaxis, :], row * CELL_UM + at[:, np.newaxis])
    assert cells.tumor[row, column] == pytest.approx(inside.mean(), abs=0.04)


def test_cells_under_a_pen_are_not_looked_at() -> None:
    clean, marked = (slide_phantom(40_003, (3000.0, 2500.0), artifacts=marks) for marks in ((), ("pen",)))
    with_ink, without = cells_of(marked).tissue, cells_of(clean).tissue
    middles = (np.arange(96) + 0.5) * CELL_UM, (np.arange(80) + 0.5) * CELL_UM
    inked = marked.is_pen(middles[0][np.newaxis, :], middles[1][:, np.newaxis])
    assert (inked & without).sum() > 20
    assert not (with_ink & inked).any()
    assert (with_ink & ~without).sum() == 0 < (with_ink & without).sum()


def test_what_is_made_up_knows_tumour_errs_and_is_wider_than_it(slides: list[Cells]) -> None:
    rng = np.random.default_rng(0)
    aurocs, wider, errs = [], [], 0
    for cells in slides * 3:
        said = made_up(cells, rng)
        assert said.dtype == np.float32
        assert said[~cells.tissue].max() == 0
        truth = (cells.tumor >= 0.5)[cells.tissue]
        aurocs.append(roc_auc_score(truth, said[cells.tissue]))
        wider.append((said >= 0.5).sum() / truth.sum())
        errs += ((said[cells.tissue] >= 0.5) != (cells.tumor[cells.tissue] > 0.15)).sum()
    assert np.mean(aurocs) > 0.95
    assert np.median(wider) > 1.05
    assert errs > 100


def test_batches_are_maps_and_their_truth(slides: list[Cells]) -> None:
    shown = set()
    for maps, truths in batches(slides, ClassifierSchedule(steps=5, batch=8)):
        assert maps.shape == (8, 2, 64, 64)
        assert truths.shape == (8, 1, 64, 64)
        said, looked = maps[:, 0], maps[:, 1]
        assert set(looked.unique().tolist()) <= {0.0, 1.0}
        assert said[looked == 0].abs().max() == 0
        assert truths[:, 0][looked == 0].max() == 0
        shown |= set(truths.unique().tolist())
        # Where there is tumour the map says so, mostly: both were turned alike.
        assert said[truths[:, 0] == 1].median() > 0.5 > said[(truths[:, 0] == 0) & (looked == 1)].median()
    assert shown == {0.0, 1.0}


def test_loss_is_least_for_the_truth() -> None:
    truths = torch.zeros(1, 1, 16, 16)
    truths[..., 4:9, 5:11] = 1
    loss = OverlapAndEntropy()
    right, unsure, wrong = (loss(12 * factor * (2 * truths - 1), truths).item() for factor in (1, 0, -1))
    assert right < 0.01 < unsure < wrong


class FirstChannel(nn.Module):
    """Says what it was told."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logit(x[:, :1].clamp(1e-6, 1 - 1e-6))


def test_figures_are_dice_and_areas() -> None:
    tumor = np.zeros((8, 8), np.float32)
    tumor[2:4, 2:6] = 1.0
    said = np.zeros((8, 8), np.float32)
    said[2:4, 2:6] = 0.9
    said[4, 2:6] = 0.45
    asked = Asked(Cells(tumor, np.ones((8, 8), np.bool_)), said)
    told = figures(LoadedNetwork(FirstChannel(), untrained(), ()), [asked], 0.4)
    # 12 cells were said where 8 are; from 0.5 on it is the 8.
    assert told["dice_as_said"] == pytest.approx(2 * 8 / 20)
    assert told["area_ratio_as_said"] == 1.5
    assert told["dice_refined"] == told["area_ratio_refined"] == 1.0


def test_the_task_has_the_refiner_that_was_trained() -> None:
    refiner = load_task("histopathology").refiner
    assert (refiner.network, refiner.weights, refiner.stride_px) == (NETWORK, NAME, 32)


def test_the_card_that_ships() -> None:
    card = read_card(find_weights(NAME))
    assert (card.name, card.phantom) == (NAME, True)
    assert card.held_out["dice_refined"] > card.held_out["dice_as_said"]
    assert card.held_out["dice_refined_min"] > card.held_out["dice_as_said_min"]
    assert abs(card.held_out["area_ratio_refined"] - 1) < abs(card.held_out["area_ratio_as_said"] - 1) / 2


def test_the_shipped_refiner_mends_maps_with_errors(slides: list[Cells]) -> None:
    network = load_network(NETWORK, NAME, Compute())
    rng = np.random.default_rng(1)
    told = figures(network, [Asked(cells, made_up(cells, rng)) for cells in slides * 2], 0.5)
    assert told["dice_refined"] > max(told["dice_as_said"] + 0.05, 0.85)
    assert told["area_ratio_refined"] == pytest.approx(1.0, abs=0.12)


def test_the_shipped_refiner_leaves_a_blank_map_blank() -> None:
    network = load_network(NETWORK, NAME, Compute()).network
    with torch.inference_mode():
        for looked in (0.0, 1.0):
            maps = torch.stack([torch.zeros(50, 70), torch.full((50, 70), looked)])[None]
            assert torch.sigmoid(network(maps)).max() < 0.5


@pytest.mark.slow
def test_the_figures_of_the_card_come_out_again() -> None:
    told, path = read_card(find_weights(NAME)).held_out, find_weights(NAME)
    assert check(path) == pytest.approx(told, abs=0.01)
