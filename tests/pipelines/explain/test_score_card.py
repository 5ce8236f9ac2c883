"""Which maps the score card believes: those of the network that is explained, and no others."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.explain.card import FULL, MEANING, QUICK, Doubt, ScoreCard, Thresholds
from pipelines.explain.randomisation import layers_from_the_head, randomised
from pipelines.explain.registry import method
from pipelines.explain.score_card import Judge
from pipelines.explain.targets import ClassLogit
from tests.pipelines.explain import scenes

TARGETS = [ClassLogit(scenes.BRIGHT, "bright"), ClassLogit(scenes.DARK, "dark")]
IMAGES = 20
# Phantoms of 48 pixels need no fifty steps.
SETTINGS: dict[str, dict[str, Any]] = {"integrated_gradients": {"steps": 12, "most_steps": 48}}
JUDGED = ("grad_cam", "integrated_gradients")


@pytest.fixture(scope="module")
def seen() -> scenes.Pictures:
    return scenes.pictures(IMAGES, seed=41, both=True)


@pytest.fixture(scope="module")
def judge(classifier: nn.Module, seen: scenes.Pictures) -> Judge:
    return Judge(classifier, seen.pixels, TARGETS)


def explain(name: str, network: nn.Module, seen: scenes.Pictures) -> Tensor:
    return method(name, **SETTINGS.get(name, {})).explain(network, seen.pixels, TARGETS)


def verdicts(judge: Judge, shown: Tensor, name: str) -> list[ScoreCard]:
    cards = judge.cards(shown, method(name, **SETTINGS.get(name, {})))
    return [card for row in cards for card in row]


def share_of(cards: list[ScoreCard], verdict: str) -> float:
    return sum(card.verdict == verdict for card in cards) / len(cards)


def randomised_copy(network: nn.Module, seen: scenes.Pictures, name: str) -> Tensor:
    """Each image explained by a copy of its own."""
    layers = layers_from_the_head(network, seen.pixels)
    explained = []
    for number in range(IMAGES):
        one = slice(number, number + 1)
        copied = randomised(network, layers, seed=900 + number)
        explained.append(explain(name, copied, scenes.Pictures(seen.pixels[one], seen.there[one], seen.where[one])))
    return torch.cat(explained)


def shuffled(network: nn.Module, seen: scenes.Pictures, name: str) -> Tensor:
    maps = explain(name, network, seen)
    generator = torch.Generator().manual_seed(5)
    order = torch.stack([torch.randperm(maps[0, 0].numel(), generator=generator) for _ in range(2 * IMAGES)])
    return torch.gather(maps.flatten(2), 2, order.reshape(IMAGES, 2, -1)).reshape(maps.shape)


def inverted(network: nn.Module, seen: scenes.Pictures, name: str) -> Tensor:
    return -explain(name, network, seen)


def edges(network: nn.Module, seen: scenes.Pictures, name: str) -> Tensor:
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    both = functional.conv2d(seen.pixels, torch.stack([kernel, kernel.T])[:, None], padding=1)
    return both.square().sum(1, keepdim=True).sqrt().expand(-1, 2, -1, -1)


WRONG: dict[str, Callable[[nn.Module, scenes.Pictures, str], Tensor]] = {
    "weights in another order": randomised_copy,
    "shuffled": shuffled,
    "inverted": inverted,
    "edges": edges,
}


@pytest.mark.parametrize("name", JUDGED)
def test_maps_of_the_network_are_believed(
    name: str, classifier: nn.Module, seen: scenes.Pictures, judge: Judge
) -> None:
    assert share_of(verdicts(judge, explain(name, classifier, seen), name), "faithful") >= 0.9


@pytest.mark.parametrize("name", JUDGED)
@pytest.mark.parametrize("wrong", WRONG)
def test_maps_of_something_else_are_not(
    wrong: str, name: str, classifier: nn.Module, seen: scenes.Pictures, judge: Judge
) -> None:
    shown = WRONG[wrong](classifier, seen, name)
    assert share_of(verdicts(judge, shown, name), "not_faithful") >= 0.95


@pytest.mark.parametrize("name", JUDGED)
def test_order_alone_tells_what_is_upside_down_or_shuffled(
    name: str, classifier: nn.Module, seen: scenes.Pictures, judge: Judge
) -> None:
    """Without asking the method: taking away and putting back is enough."""

    def believed(maps: Tensor) -> float:
        return share_of([card for row in judge.cards(maps) for card in row], "faithful")

    assert believed(explain(name, classifier, seen)) >= 0.95
    assert believed(inverted(classifier, seen, name)) == 0.0
    assert believed(shuffled(classifier, seen, name)) <= 0.1


def test_guided_backpropagation_fails_the_randomisation(
    classifier: nn.Module, seen: scenes.Pictures, judge: Judge
) -> None:
    cards = verdicts(judge, explain("guided_backpropagation", classifier, seen), "guided_backpropagation")
    assert share_of(cards, "not_faithful") >= 0.95
    assert sum(Doubt.INSENSITIVE_TO_WEIGHTS in card.reasons for card in cards) >= 0.95 * len(cards)


@pytest.mark.parametrize("name", JUDGED)
def test_where_they_point(name: str, classifier: nn.Module, seen: scenes.Pictures, judge: Judge) -> None:
    """A map of each label finds its own disc; one that is upside down does not."""
    maps = explain(name, classifier, seen)
    for shown, mostly in ((maps, True), (-maps, False), (maps.flip(1), False)):
        cards = [card for row in judge.cards(shown, masks=seen.where) for card in row]
        hits = sum(bool(card.pointing_game) for card in cards) / len(cards)
        assert (hits >= 0.9) if mostly else (hits <= 0.5)
        ranks = torch.tensor([card.rank_accuracy or 0.0 for card in cards])
        assert (float(ranks.mean()) > 0.5) is mostly


def test_a_map_of_nothing_is_not_believed(judge: Judge) -> None:
    cards = judge.cards(torch.zeros(IMAGES, 2, scenes.SIDE, scenes.SIDE))
    assert {card.reasons for row in cards for card in row} == {(Doubt.EMPTY_MAP,)}


def test_a_probability_that_never_moves_is_told(classifier: nn.Module, seen: scenes.Pictures) -> None:
    class Stubborn(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 6.0 + 1e-3 * x.flatten(1).sum(1, keepdim=True)

    judge = Judge(Stubborn().eval(), seen.pixels[:2], [ClassLogit(0)])
    (first,), (second,) = judge.cards(seen.pixels[:2])
    assert first.reasons == second.reasons == (Doubt.NOTHING_TO_LOSE,)


def test_what_does_not_add_up_is_told(classifier: nn.Module, seen: scenes.Pictures) -> None:
    judge = Judge(classifier, seen.pixels[:2], TARGETS)
    name = "integrated_gradients"
    maps = explain(name, classifier, scenes.Pictures(seen.pixels[:2], seen.there[:2], seen.where[:2]))
    whole, part = verdicts(judge, maps, name), verdicts(judge, 0.9 * maps, name)
    assert max(card.completeness_error or 0.0 for card in whole) <= 0.01
    assert [round(card.completeness_error or 0.0, 1) for card in part] == [0.1] * 4
    assert all(card.reasons == (Doubt.INCOMPLETE,) for card in part)


def test_thresholds_decide(classifier: nn.Module, seen: scenes.Pictures) -> None:
    maps = explain("grad_cam", classifier, seen)[:1]
    strict = Judge(classifier, seen.pixels[:1], TARGETS, thresholds=Thresholds(faithfulness=3.0))
    assert {card.reasons for card in strict.cards(maps)[0]} == {(Doubt.NO_BETTER_THAN_CHANCE,)}


def test_one_image_alone_is_judged_by_its_mirror_images(classifier: nn.Module, seen: scenes.Pictures) -> None:
    judge = Judge(classifier, seen.pixels[:1], TARGETS)
    maps = explain("grad_cam", classifier, seen)[:1]
    for card in judge.cards(maps, method("grad_cam"))[0]:
        assert card.randomisation_unrelated is not None
        assert card.verdict == "faithful"


def test_the_same_again_and_as_a_document(classifier: nn.Module, seen: scenes.Pictures) -> None:
    maps = explain("grad_cam", classifier, seen)[:1]
    first, second = (
        Judge(classifier, seen.pixels[:1], TARGETS).cards(maps, method("grad_cam"))[0][0] for _ in range(2)
    )
    assert first == second
    told = first.model_dump(mode="json")
    assert ScoreCard.model_validate(told) == first
    assert "pointing_game" not in told
    assert {"verdict", "reasons", "budget", "deletion_auc", "stability"} <= set(told)


def test_maps_of_another_shape_are_refused(judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"expected maps \(20, 2, 48, 48\), got \(20, 1, 48, 48\)"):
        judge.cards(torch.zeros(IMAGES, 1, scenes.SIDE, scenes.SIDE))


def test_every_doubt_is_explained_and_more_is_spent_on_full() -> None:
    assert set(MEANING) == set(Doubt)
    for more in ("cells", "steps", "random_orders", "draws", "noisy_copies"):
        assert getattr(FULL, more) > getattr(QUICK, more)
