"""How the weights of nuclei are made, from discs whose outlines are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from networks.build import parameter_count
from networks.configs import UNetPlusPlusConfig
from pipelines import nuclei_weights
from pipelines.classifier_training import ClassifierSchedule, train_classifier
from pipelines.metrics.iou import iou
from pipelines.model_store import Card, read_card, save_weights
from pipelines.nuclei_augmentation import Crops, batches
from pipelines.nuclei_data import read_labelled, split
from pipelines.nuclei_weights import loss_of, main, network_of
from pipelines.task import load_task
from tests.pipelines.labelled_discs import cells

SMALL = UNetPlusPlusConfig(in_channels=3, out_channels=3, features=(6, 12, 24), normalisation="batch")


def test_loss_by_hand() -> None:
    classes = torch.ones((2, 4, 5), dtype=torch.int64)
    unsure = torch.zeros((2, 3, 4, 5))
    # A third for each class: ln 3, and two crops of 20 pixels each, of which two thirds are called nuclei.
    expected = np.log(3) + 1 - (2 * 20 * 2 / 3 + 10) / (20 * 2 / 3 + 20 + 10)
    assert float(loss_of(unsure, classes)) == pytest.approx(expected)
    sure = torch.tensor([-50.0, 50.0, -50.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    assert float(loss_of(sure, classes)) == pytest.approx(0.0, abs=1e-6)
    assert float(loss_of([unsure, sure, sure], classes)) == pytest.approx(expected / 3)
    # Dice asks for nuclei, whether it is their interior or their border.
    assert float(loss_of(sure, classes + 1)) == pytest.approx(100.0)
    # A crop without nuclei has nothing to overlap; beside it the other one counts as it does alone.
    assert float(loss_of(sure, classes * 0)) == pytest.approx(100.0)
    one = torch.cat([classes[:1], classes[:1] * 0])
    assert float(loss_of(unsure, one)) == pytest.approx(expected)


def test_the_plain_network_is_as_wide() -> None:
    own, plain = network_of("unet_plus_plus"), network_of("unet")
    assert own == load_task("nuclei").network
    assert (plain.name, plain.features, plain.normalisation) == ("unet", own.features, own.normalisation)
    assert (plain.in_channels, plain.out_channels) == (own.in_channels, own.out_channels)
    assert parameter_count(plain) < parameter_count(own)


def test_discs_are_learnt() -> None:
    schedule = ClassifierSchedule(steps=60, batch=4, peak_rate=1e-2, averaged_steps=10)
    crops = Crops(schedule.steps, schedule.batch, 48, inverted=0.0)
    network = train_classifier(SMALL, batches([cells(seed) for seed in range(4)], crops), loss_of, schedule)
    unseen = cells(99)
    with torch.inference_mode():
        shares = network(torch.from_numpy(unseen.pixels)[None].float() / 255.0).softmax(dim=1)[0]
    assert iou((shares[0] < 0.5).numpy(), unseen.nuclei > 0) > 0.9
    assert iou((shares[1] > 0.5).numpy(), unseen.nuclei > 0) < iou((shares[0] < 0.5).numpy(), unseen.nuclei > 0)


def test_from_a_folder_to_weights_with_their_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for seed in range(8):
        case = cells(seed)
        Pillow.fromarray(case.pixels.transpose(1, 2, 0).copy()).save(tmp_path / "images" / case.name)
        Pillow.fromarray(case.nuclei).save(tmp_path / "labels" / case.name)
    learnt, kept = split(read_labelled(tmp_path))
    assert learnt
    assert kept
    short = ClassifierSchedule(batch=2, averaged_steps=1)
    rounds = (nuclei_weights.Round(short), nuclei_weights.Round(replace(short, seed=1), size_px=96))
    monkeypatch.setattr(nuclei_weights, "ROUNDS", rounds)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "1", "--network", "unet"]) == 0
    card = read_card(tmp_path / "out" / "nuclei_unet.safetensors")
    assert card is not None
    assert (card.task, card.phantom) == ("nuclei", False)
    assert card.trained_on.startswith(f"{len(learnt)} micrographs")
    assert card.held_out["micrographs"] == len(kept)
    assert 0.0 <= card.held_out["two_class_iou"] <= 1.0
    # The second round alone goes on from weights of the first: another step, other weights.
    first = tmp_path / "out" / "nuclei_unet.safetensors"
    again = ["--data", str(tmp_path), "--out", str(tmp_path / "more"), "--steps", "1", "--network", "unet"]
    assert main([*again, "--after", str(first), "--done", "1"]) == 0
    assert (tmp_path / "more" / first.name).read_bytes() != first.read_bytes()


def test_the_second_round_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    learnt = [cells(seed) for seed in range(3)]
    short = ClassifierSchedule(steps=2, batch=2, averaged_steps=1)
    rounds = (nuclei_weights.Round(short), nuclei_weights.Round(replace(short, seed=1), size_px=96))
    whole = nuclei_weights.learn(SMALL, learnt, rounds)
    first = train_classifier(SMALL, batches(learnt, Crops(2, 2, seed=0)), loss_of, short)
    card = Card(name="first", task="nuclei", trained_on="", limits="", phantom=True)
    save_weights(first, SMALL, card, tmp_path / "first.safetensors")
    parts = nuclei_weights.learn(SMALL, learnt, rounds[1:], tmp_path / "first.safetensors")
    for one, other in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True):
        assert torch.equal(one, other)
