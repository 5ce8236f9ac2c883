"""Where what decides is known, maps point there: discs of a classifier, one of three lesions of a U-Net."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.explain.names import METHODS
from pipelines.explain.registry import method, method_class
from pipelines.explain.targets import ClassLogit, PixelLogits, Point
from tests.pipelines.explain import scenes

IMAGES = 25
NEAR_PX = 2
SETTINGS: dict[str, dict[str, Any]] = {
    "smooth_grad": {"samples": 10, "noise": 0.05},
    "integrated_gradients": {"steps": 16, "tolerance": None},
    "occlusion": {"window": 8},
    "rise": {"masks": 200},
}
# Follows the edges of the gratings, which are the sharpest.
SEES_EDGES = "guided_backpropagation"


def hits(maps: Tensor, where: Tensor) -> float:
    """Share of maps (N, T, *size) whose largest value lies in their mask."""
    largest = maps.flatten(2).argmax(2, keepdim=True)
    return float(torch.gather(where.flatten(2), 2, largest).double().mean())


@pytest.fixture(scope="module")
def seen() -> scenes.Pictures:
    return scenes.pictures(IMAGES, seed=61, both=True)


@pytest.mark.parametrize("name", [name for name in METHODS if name != SEES_EDGES])
def test_each_label_finds_its_own_disc(name: str, classifier: nn.Module, seen: scenes.Pictures) -> None:
    targets = [ClassLogit(scenes.BRIGHT), ClassLogit(scenes.DARK)]
    maps = method(name, **SETTINGS.get(name, {})).explain(classifier, seen.pixels, targets)
    assert hits(maps, seen.where) >= 0.9
    # The same fails upside down, and for the other label.
    assert hits(-maps, seen.where) <= 0.5
    assert hits(maps.flip(1), seen.where) <= 0.1


def test_the_classifier_has_learnt_it(classifier: nn.Module) -> None:
    unseen = scenes.pictures(100, seed=62)
    with torch.no_grad():
        told = classifier(unseen.pixels) > 0
    assert float((told == unseen.there).float().mean()) >= 0.98


@pytest.fixture(scope="module")
def lesions() -> scenes.Lesions:
    return scenes.lesions(IMAGES // 2, seed=63)


def test_the_segmenter_has_learnt_it(lesions: scenes.Lesions) -> None:
    network = scenes.trained_segmenter()
    with torch.no_grad():
        found = network(lesions.pixels).argmax(1) == 1
    wanted = lesions.where.any(dim=1)
    assert float(2 * (found & wanted).sum() / (found.sum() + wanted.sum())) >= 0.9


SINGLES_OUT = [name for name in METHODS if name != "cam" and method_class(name).singles_out]
SHOWS_ALL = [name for name in METHODS if name != "cam" and not method_class(name).singles_out]


def one_of_three(name: str, lesions: scenes.Lesions) -> tuple[float, float]:
    """How often the lesion that is meant is found, and how often any of the three is."""
    network = scenes.trained_segmenter()
    targets = [PixelLogits(1, lesions.where[:, number]) for number in range(3)]
    maps = method(name, **SETTINGS.get(name, {})).explain(network, lesions.pixels, targets)
    # The border of a lesion decides most, so a gradient may be largest just outside of it.
    near = functional.max_pool2d(lesions.where.float(), 2 * NEAR_PX + 1, 1, NEAR_PX) > 0
    return hits(maps, near), hits(maps, near.any(dim=1, keepdim=True).expand_as(near))


@pytest.mark.parametrize("name", SINGLES_OUT)
def test_one_lesion_of_three_is_told(name: str, lesions: scenes.Lesions) -> None:
    assert one_of_three(name, lesions)[0] >= 0.9


@pytest.mark.parametrize("name", SHOWS_ALL)
def test_methods_that_weigh_maps_show_a_lesion_but_not_which(name: str, lesions: scenes.Lesions) -> None:
    meant, any_lesion = one_of_three(name, lesions)
    assert any_lesion >= 0.75
    assert meant <= 0.6


def test_those_that_cannot_are_named() -> None:
    assert SHOWS_ALL == ["grad_cam", "grad_cam_plus_plus"]


@pytest.mark.parametrize("name", ["saliency", "hires_cam", "integrated_gradients"])
def test_a_point_is_explained_where_it_is(name: str, lesions: scenes.Lesions) -> None:
    network = scenes.trained_segmenter()
    at = lesions.where[0, 0].nonzero().float().mean(0).round().long()
    target = Point(1, (int(at[0]), int(at[1])))
    heat = method(name, **SETTINGS.get(name, {})).explain(network, lesions.pixels[:1], [target])[0, 0]
    found = torch.stack(torch.unravel_index(heat.argmax(), heat.shape))
    assert float((found - at).float().norm()) <= scenes.RADIUS + 2
