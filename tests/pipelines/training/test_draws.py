"""What a step sees depends on its number alone, and places and kinds are drawn as often as asked for."""

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets.errors import ConfigError
from pipelines.training.draws import Draws, Shape, check_sizes, look_patches
from pipelines.training.prepared import Case
from pipelines.training_settings import AugmentationSettings, PlaceSettings, TrainingSettings

STILL = AugmentationSettings(moved=0.0, each=0.0)


def case(name: str, size: tuple[int, int, int] = (1, 40, 40), kind: str = "", *, tumor: bool = False) -> Case:
    """Every voxel is numbered; the tumour is one voxel."""
    numbers = np.arange(np.prod(size)).reshape(1, *size)
    places = {"any": np.arange(50)}
    if tumor:
        places["tumor"] = np.array([int(np.ravel_multi_index([n // 2 for n in size], size))])
    return Case(name, numbers.astype(np.float32), numbers.astype(np.int32), places, kind)


def as_it_is(pixels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    return pixels, truth


def draws(cases: list[Case], shape: Shape, rank: int = 0, world: int = 1, **settings: object) -> Draws:
    training = TrainingSettings.model_validate({"augmentation": STILL, "places": (), **settings})
    return Draws(cases, shape, as_it_is, training, seed=5, rank=rank, world=world)


PATCH = Shape((1, 8, 8), flat=True)


def test_steps_are_seen_in_any_order_and_again() -> None:
    cases = [case(str(n)) for n in range(4)]
    wild = {"augmentation": AugmentationSettings(moved=1.0, each=1.0)}
    first, second = draws(cases, PATCH, **wild), draws(cases, PATCH, **wild)
    forwards = [first[step] for step in range(6)]
    backwards = [second[step] for step in reversed(range(6))][::-1]
    for (x, y), (u, v) in zip(forwards, backwards, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)
    assert len({x.numpy().tobytes() for x, _ in forwards}) == 6
    assert not torch.equal(Draws(cases, PATCH, as_it_is, first.settings, seed=6)[0][0], forwards[0][0])
    assert not torch.equal(Draws(cases, PATCH, as_it_is, first.settings, seed=5, stage=1)[0][0], forwards[0][0])


def test_two_processes_see_the_halves_of_what_one_would() -> None:
    cases = [case(str(n)) for n in range(4)]
    whole = draws(cases, PATCH, batch=6)[3][0]
    halves = [draws(cases, PATCH, rank, 2, batch=3)[3][0] for rank in (0, 1)]
    assert torch.equal(torch.cat(halves), whole)


def test_places_are_drawn_as_often_as_asked_for() -> None:
    cases = [case("with", tumor=True), *(case(f"without-{n}") for n in range(9))]
    places = (PlaceSettings(label="tumor", share=0.5),)
    some = draws(cases, PATCH, places=places, batch=400)
    tumor = int(cases[0].places["tumor"][0])
    _, truth = some[0]
    # A patch on the tumour holds it; elsewhere one in ten is of that case, and a patch covers 64 of 1600 places.
    share = float((truth == tumor).flatten(1).any(dim=1).float().mean())
    assert share == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize(("balance", "expected"), [(1.0, 0.1), (0.0, 0.5), (0.5, 0.25)])
def test_kinds_are_drawn_by_their_balance(balance: float, expected: float) -> None:
    # One of ten is rare: its weight is 1, that of the others 9 ^ (balance - 1) each.
    cases = [case("rare", kind="b"), *(case(str(n), kind="a") for n in range(9))]
    some = draws([*cases], PATCH, balance=balance)
    drawn = [some._case("", np.random.default_rng(n)).kind for n in range(2000)]
    assert drawn.count("b") / 2000 == pytest.approx(expected, abs=0.035)


def test_flat_networks_see_slices_with_their_neighbours() -> None:
    some = draws([case("a", (7, 12, 12))], Shape((1, 6, 6), flat=True, context=1), batch=50)
    x, y = some[0]
    assert x.shape == (50, 1, 3, 6, 6)
    step = x[:, 0, 1:] - x[:, 0, :-1]
    # A slice further is 144 numbers further; beyond the ends the last slice stands again.
    assert set(step.unique().tolist()) == {0.0, 144.0}
    assert torch.equal(x, y.float())
    middle = (x[:, 0, 1, 0, 0] // 144).unique().tolist()
    assert middle == list(range(7))


def test_whole_pictures_are_whole() -> None:
    some = draws([case("a")], Shape(None, flat=True), augmentation=AugmentationSettings(moved=0.0, each=0.0))
    x, _ = some[0]
    assert torch.equal(x[0], torch.from_numpy(case("a").inputs))
    with pytest.raises(ConfigError, match=r"training\.patch"):
        check_sizes([case("a"), case("b", (1, 4, 4))], Shape(None, flat=True), 2)
    check_sizes([case("a"), case("b", (1, 4, 4))], PATCH, 2)


def test_looks_are_the_same_every_time_and_unchanged() -> None:
    cases = [case(str(n), (5, 20, 20)) for n in range(3)]
    shape = Shape((3, 8, 8), flat=False)
    first, second = look_patches(cases, shape, 10, 1), look_patches(cases, shape, 10, 1)
    assert len(first) == 10
    for (x, y), (u, _) in zip(first, second, strict=True):
        assert torch.equal(x, u)
        # Plain blocks of the case: neighbours differ by one.
        assert torch.equal(x[..., 1:] - x[..., :-1], torch.ones(1, 3, 8, 7))
        assert torch.equal(x, y.float())
    assert len(look_patches(cases, Shape(None, flat=False), 10, 1)) == 3
