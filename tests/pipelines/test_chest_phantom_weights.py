"""The weights of the chest film task that ship, and what they were made of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets.labels import CHEST_XRAY_14
from networks.build import build
from pipelines.chest_phantom_weights import (
    HELD_OUT_SEEDS,
    INPUT,
    NAME,
    NETWORK,
    SIZE_PX,
    TASK,
    Films,
    batches,
    calibrated,
    card_without_figures,
    draw_film,
    drawn_film,
    figures,
    main,
    scaled,
)
from pipelines.classifier_training import ClassifierSchedule, logits_of
from pipelines.metrics.auroc import findings_auroc
from pipelines.model_store import find_weights, load_weights, read_card
from pipelines.task import load_task
from pipelines.tensors import as_tensor

SCHEDULE = ClassifierSchedule(steps=6, batch=4)
SHOWN_PX = 300


def films(seeds: range, size_px: int = SIZE_PX) -> Films:
    drawn = [draw_film(seed, size_px) for seed in seeds]
    return Films(np.stack([grey for grey, _ in drawn]), np.stack([truths for _, truths in drawn]))


@pytest.fixture(scope="module")
def few() -> Films:
    return films(range(12))


class TellsTheTruth(nn.Module):
    """Knows the films by heart: log odds of 3 and -3, turned over for one finding of one film."""

    def __init__(self, known: Films) -> None:
        super().__init__()
        said = np.where(known.truths, 3.0, -3.0)
        said[0, 2] *= -1
        self._said, self._at = torch.from_numpy(said), 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        start, self._at = self._at, (self._at + len(inputs)) % len(self._said)
        return self._said[start : start + len(inputs)]


def both(truths: np.ndarray) -> np.ndarray:
    """Truths in which every finding is there and is not."""
    return np.stack([np.roll(np.arange(len(truths)) % 3 == 0, shift) for shift in range(truths.shape[1])], axis=1)


def test_films_are_prepared_as_the_task_prepares_them() -> None:
    task = load_task(TASK).suited_to(card_without_figures())
    for seed in (1, 2):
        there = as_tensor(task.preprocess(drawn_film(seed).image(SHOWN_PX)))[:, 0]
        grey, truths = draw_film(seed, SHOWN_PX)
        here = scaled(Films(grey[None], truths[None]).inputs())[0]
        assert here.shape == (1, SIZE_PX, SIZE_PX)
        # Kept in eight bits.
        np.testing.assert_allclose(here, there, atol=0.51 / 255 / INPUT.std[0])
        assert {name for name, there in zip(CHEST_XRAY_14, truths, strict=True) if there} == drawn_film(seed).labels


def test_batches_show_films_a_little_differently(few: Films) -> None:
    shown = list(batches(few, SCHEDULE))
    assert len(shown) == SCHEDULE.steps
    for inputs, targets in shown:
        assert inputs.shape == (4, 1, SIZE_PX, SIZE_PX)
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        assert (targets.shape, targets.dtype) == ((4, len(CHEST_XRAY_14)), torch.float32)
        assert float(inputs.min()) >= (0 - INPUT.mean[0]) / INPUT.std[0] - 1e-5
        assert float(inputs.max()) <= (1 - INPUT.mean[0]) / INPUT.std[0] + 1e-5
    # Every film once before any is seen again, with what was planted in it.
    seen = torch.cat([targets for _, targets in shown[:3]]).numpy()
    assert sorted(map(tuple, seen)) == sorted(map(tuple, few.truths.astype(np.float32)))
    again = list(batches(few, SCHEDULE))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(shown, again, strict=True))


def test_left_and_right_are_never_swapped() -> None:
    grey = np.zeros((4, SIZE_PX, SIZE_PX), np.uint8)
    grey[:, :, : SIZE_PX // 2] = 200
    for inputs, _ in batches(Films(grey, np.zeros((4, len(CHEST_XRAY_14)), np.bool_)), SCHEDULE):
        left, right = inputs[..., : SIZE_PX // 2], inputs[..., SIZE_PX // 2 :]
        assert (left.mean(dim=(1, 2, 3)) > right.mean(dim=(1, 2, 3)) + 0.5).all()


def test_operating_points_and_lines_are_those_of_the_log_odds(few: Films) -> None:
    known = Films(few.grey, both(few.truths))
    told = calibrated(TellsTheTruth(known), known)
    assert list(told["operating_points"]) == list(told["calibration"]) == list(CHEST_XRAY_14)
    # Between log odds of -3 and 3.
    assert told["operating_points"]["mass"] == pytest.approx(0.5)
    slope, intercept = told["calibration"]["mass"]
    # Platt's targets: 5/6 of the four that have it, 1/10 of the eight that have not.
    assert 3 * slope + intercept == pytest.approx(np.log(5), abs=1e-3)
    assert -3 * slope + intercept == pytest.approx(np.log(1 / 9), abs=1e-3)


def test_figures_are_those_of_the_log_odds(few: Films) -> None:
    known = Films(few.grey, both(few.truths))
    lines = {"calibration": dict.fromkeys(CHEST_XRAY_14, (1.0, 0.0))}
    card = card_without_figures().model_copy(update=lines | {"operating_points": dict.fromkeys(CHEST_XRAY_14, 0.5)})
    told = figures(TellsTheTruth(known), known, card)
    assert told["films"] == 12
    assert told["auroc_mass"] == 1.0
    # Of 4 x 8 pairs, the turned film loses all its own but for ties.
    wrong = known.truths[0, 2]
    lost = (8 - 0.5 * 8) / 32 if wrong else (4 - 0.5 * 4) / 32
    assert told["auroc_effusion"] == pytest.approx(1 - lost)
    assert told["auroc_min"] == told["auroc_effusion"]
    assert told["auroc_mean"] == pytest.approx((13 + told["auroc_effusion"]) / 14)
    others = (1 - 1 / 4, 1.0) if wrong else (1.0, 1 - 1 / 8)
    assert told["sensitivity_mean"] == pytest.approx((13 + others[0]) / 14)
    assert told["specificity_mean"] == pytest.approx((13 + others[1]) / 14)


def test_weights_are_made_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: Films) -> None:
    asked = []

    def drawn(seeds: range, size_px: int = SIZE_PX) -> Films:
        asked.append((seeds[0], size_px))
        return Films(few.grey, both(few.truths))

    monkeypatch.setattr("pipelines.chest_phantom_weights.draw_films", drawn)
    assert main(["--out", str(tmp_path / "new"), "--steps", "1", "--films", "12"]) == 0
    made = tmp_path / "new" / f"{NAME}.safetensors"
    load_weights(build(NETWORK), NETWORK, made)
    card = read_card(made)
    assert card is not None
    assert card.model_copy(update={"held_out": {}, "operating_points": {}, "calibration": {}}) == card_without_figures()
    assert set(card.calibration) == set(card.operating_points) == set(CHEST_XRAY_14)
    # Trained, calibrated and tried on films of different seeds, the latter two as fine as films are.
    assert [first for first, _ in asked] == [0, 15_000, 10_000]
    assert asked[1][1] == asked[2][1] > SIZE_PX


def test_the_task_takes_the_network_that_ships() -> None:
    assert load_task(TASK).network == NETWORK
    card = read_card(find_weights(NAME))
    assert card is not None
    assert card.model_copy(update={"held_out": {}, "operating_points": {}, "calibration": {}}) == card_without_figures()
    assert json.loads(find_weights(NAME).with_suffix(".json").read_text())["phantom"] is True
    assert card.trained_on.startswith("computer-made phantom")


def test_shipped_weights_tell_findings_on_films_they_have_not_seen() -> None:
    network = build(NETWORK)
    load_weights(network, NETWORK, find_weights(NAME))
    card = read_card(find_weights(NAME))
    assert card is not None
    # Others than the card's own figures were taken on.
    unseen = films(range(HELD_OUT_SEEDS.stop + 500, HELD_OUT_SEEDS.stop + 580), 200)
    odds = logits_of(network.eval(), scaled(unseen.inputs()), batch=20)
    areas = findings_auroc(odds, unseen.truths, CHEST_XRAY_14)
    assert areas.mean is not None
    # Eighty films: a few of each finding, so a few hundredths of room.
    assert areas.mean > card.held_out["auroc_mean"] - 0.04
    for name in ("effusion", "pneumothorax", "cardiomegaly"):
        area = areas.by_finding[name]
        assert area is None or area > 0.95, name
