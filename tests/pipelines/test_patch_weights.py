"""How the patch network is trained, and how the weights that ship do on slides nobody trained on."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from torch import nn

from datasets.phantoms import slide_patches
from datasets.phantoms.slide_patches import Patches
from pipelines.classifier_training import ClassifierSchedule
from pipelines.examination import Compute
from pipelines.loaded_network import LoadedNetwork, load_network
from pipelines.model_store import find_weights, read_card
from pipelines.patch_features import FeatureNetwork
from pipelines.patch_index import PatchIndex, Place
from pipelines.patch_indexing import settings_for
from pipelines.patch_search import nearest
from pipelines.patch_weights import (
    CALIBRATION_SEEDS,
    HELD_OUT_SEEDS,
    INPUT,
    LABEL,
    NAME,
    NETWORK,
    SLIDES,
    batches,
    card_of,
    log_odds,
)
from pipelines.phantom_patches import Blocks
from pipelines.task import load_task


@pytest.fixture(scope="module")
def coded() -> list[Blocks]:
    """Tumour is dark and everything else is light."""
    tumor = np.zeros((6, 288, 288), np.bool_)
    tumor[:3, 80:200, 60:220] = True
    tumor[3, :, :144] = True
    plain = np.where(tumor[..., np.newaxis], 60, 220).astype(np.uint8).repeat(3, axis=-1)
    return [Blocks(plain, plain, tumor)]


def test_batches_are_on_the_scale_of_the_card_and_carry_their_truth(coded: list[Blocks]) -> None:
    schedule = ClassifierSchedule(steps=4, batch=32)
    for inputs, truths in batches(coded, schedule):
        assert inputs.shape == (32, 3, 96, 96)
        assert (truths.shape, truths.dtype) == ((32, 1), torch.float32)
        assert truths.sum() == 16
        darkest = inputs[:, 1, 40:56, 40:56].amin(dim=(1, 2))
        # Turned and seen through lenses the middle stays where it is, give or take; stains change by a quarter.
        sure = (truths[:, 0] == 1) & (inputs[:, 1, 32:64, 32:64].amin(dim=(1, 2)) < 0)
        assert sure.sum() >= 14
        assert darkest.min() > (0 - 0.456) / 0.224


def test_the_same_seed_shows_the_same(coded: list[Blocks]) -> None:
    first, second = (list(batches(coded, ClassifierSchedule(steps=2, batch=4))) for _ in "ab")
    assert all(torch.equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True))


class Darkness(nn.Module):
    """Says how dark the middle of a patch is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x[:, :, 32:64, 32:64].mean(dim=1).amin(dim=(1, 2))[:, None] * 2


def test_the_card_tells_what_a_network_does(coded: list[Blocks]) -> None:
    card = card_of(Darkness().eval(), coded, coded)
    assert card.held_out["auroc_as_scanned"] == card.held_out["accuracy_normalised"] == 1.0
    assert card.held_out["patches"] == 50
    slope, intercept = card.calibration[LABEL]
    # The point lies between what is said of light and of dark patches, and calibration makes them sure.
    light, dark = (float(Darkness()(torch.full((1, 3, 96, 96), (v / 255 - 0.449) / 0.226))) for v in (220, 60))
    assert expit(light) < card.operating_points[LABEL] < expit(dark)
    assert expit(slope * light + intercept) < 0.1 < 0.9 < expit(slope * dark + intercept)


def test_slides_of_training_calibration_and_figures_are_different_ones() -> None:
    seeds = [set(range(SLIDES)), set(CALIBRATION_SEEDS), set(HELD_OUT_SEEDS)]
    assert sum(map(len, seeds)) == len(set.union(*seeds))
    assert min(HELD_OUT_SEEDS) >= 10_000


def test_the_task_has_the_network_that_was_trained() -> None:
    task = load_task("histopathology")
    assert task.network == NETWORK
    assert task.weights == NAME


def test_the_card_that_ships() -> None:
    card = read_card(find_weights(NAME))
    assert (card.name, card.labels, card.input, card.phantom) == (NAME, (LABEL,), INPUT, True)
    for name in ("as_scanned", "normalised"):
        assert card.held_out[f"auroc_{name}"] >= 0.99
        assert card.held_out[f"accuracy_{name}"] >= 0.95
    assert 0 < card.operating_points[LABEL] < 1
    assert find_weights(NAME).stat().st_size < 1_000_000


@pytest.fixture(scope="module")
def shipped() -> LoadedNetwork:
    return load_network(NETWORK, NAME, Compute())


@pytest.fixture(scope="module")
def unseen() -> Patches:
    """Patches with labels by somebody else's hand."""
    return slide_patches(80, seed=7_001)


def test_shipped_weights_know_tumour_on_slides_nobody_trained_on(shipped: LoadedNetwork, unseen: Patches) -> None:
    said = log_odds(shipped.network, unseen.pixels)
    assert roc_auc_score(unseen.labels, said) >= 0.99
    called = expit(said) >= read_card(find_weights(NAME)).operating_points[LABEL]
    assert (called == unseen.labels).mean() >= 0.93


def test_neighbours_of_tumour_are_tumour(unseen: Patches, tmp_path_factory: pytest.TempPathFactory) -> None:
    network = FeatureNetwork.load(NAME)
    index = PatchIndex.open_or_make(tmp_path_factory.mktemp("index"), settings_for(network, NAME))
    places = [Place(f"{n}", label=("normal", "tumor")[label]) for n, label in enumerate(unseen.labels)]
    index.add(network.features(unseen.pixels), places)
    others = slide_patches(24, seed=7_002)
    hits = nearest(index, network.features(others.pixels[others.labels == 1]), 5)
    assert np.mean([hit.place.label == "tumor" for near in hits for hit in near]) >= 0.9
