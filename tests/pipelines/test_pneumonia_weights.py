"""How the weights of pneumonia are made, from films by formula, and what the shipped ones do on real ones."""

import io
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from networks.build import build
from networks.configs import DenseNetConfig
from pipelines import pneumonia_weights
from pipelines.classifier_training import ClassifierSchedule
from pipelines.metrics.auroc import auroc
from pipelines.model_store import find_weights, load_weights, read_card
from pipelines.pneumonia_weights import (
    INPUT,
    Films,
    batches,
    figures,
    held_back,
    highest_point,
    inputs_of,
    log_odds_of,
    main,
    network_config,
    read_films,
    settled,
)
from pipelines.task import load_task
from pipelines.tensors import as_tensor

SMALL = DenseNetConfig(in_channels=1, out_channels=2, block_config=(2, 2), growth_rate=8, init_features=8)


def films(count: int, seed: int = 0) -> Films:
    """Dark lungs on a bright body; with pneumonia one of them is bright."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    left, right = ((rows - 14) ** 2 / 90 + (columns - middle) ** 2 / 16 < 1 for middle in (8, 20))
    pneumonia = np.arange(count) % 4 != 0
    pixels = np.full((count, 28, 28), 170.0)
    pixels[:, left | right] = 70.0
    for at in np.flatnonzero(pneumonia):
        pixels[at][left if rng.random() < 0.5 else right] = 150.0
    return Films(np.clip(pixels + rng.normal(0.0, 5.0, pixels.shape), 0, 255).astype(np.uint8), pneumonia)


def written(path: Path, **changed: np.ndarray | None) -> Path:
    """A file as MedMNIST has them, with some arrays changed or left out."""
    given, held = films(40), films(12, seed=1)
    arrays: dict[str, np.ndarray | None] = {
        "train_images": given.pixels,
        "train_labels": given.pneumonia[:, None].astype(np.uint8),
        "val_images": held.pixels,
        "val_labels": held.pneumonia[:, None].astype(np.uint8),
        "test_images": np.zeros((3, 28, 28), np.uint8),
    }
    kept = {name: array for name, array in (arrays | changed).items() if array is not None}
    np.savez(path, **kept)
    return path


def test_films_are_read_with_their_labels(tmp_path: Path) -> None:
    train, validation = read_films(written(tmp_path / "films.npz"))
    np.testing.assert_array_equal(train.pixels, films(40).pixels)
    np.testing.assert_array_equal(train.pneumonia, films(40).pneumonia)
    assert validation.pneumonia.tolist() == films(12).pneumonia.tolist()
    assert read_films(written(tmp_path / "flat.npz", train_labels=films(40).pneumonia.astype(np.int64)))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"val_labels": None}, "no val_labels"),
        ({"train_images": None, "train_labels": None}, "no train_images and no train_labels"),
        ({"train_images": np.zeros((40, 28, 28, 3), np.uint8)}, "train_images (40, 28, 28, 3) uint8"),
        ({"train_images": np.zeros((40, 28, 28), np.float32)}, "train_images (40, 28, 28) float32"),
        ({"train_labels": np.ones((39, 1), np.uint8)}, "train_labels (39, 1) uint8 for 40 films"),
        ({"train_labels": np.ones((40, 1), np.float32)}, "train_labels (40, 1) float32 for 40 films"),
        ({"train_labels": np.arange(40) % 3}, "train_labels with the values [0, 1, 2]"),
        ({"val_labels": np.ones((12, 1), np.uint8)}, "val_labels with the values [1]"),
        ({"train_labels": np.array([{}] * 40, dtype=object)}, "allow_pickle"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changed: dict[str, np.ndarray | None], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_films(written(tmp_path / "odd.npz", **changed))
    assert told in refused.value.got
    assert refused.value.got.startswith("odd.npz: ")
    assert "0 and 1" in refused.value.expected
    assert refused.value.advice


def single_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [b"", b"no films", b"PK\x03\x04 torn", pickle.dumps({"train_images": 1}), single_array()]
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_films(path)


def test_a_missing_file_is_told_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--data", str(tmp_path / "nothing.npz"), "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "nothing.npz" in capsys.readouterr().err


def test_a_tenth_of_either_class_is_held_back() -> None:
    given = films(400)
    learnt, aside = held_back(given, seed=0)
    assert (int(aside.pneumonia.sum()), int((~aside.pneumonia).sum())) == (30, 10)
    assert learnt.pneumonia.size == 360
    together = np.concatenate([learnt.pixels, aside.pixels]).reshape(400, -1)
    assert len(np.unique(together, axis=0)) == 400
    assert not np.array_equal(aside.pixels, held_back(given, seed=1)[1].pixels)


def test_films_are_prepared_as_every_door_does() -> None:
    pixels = np.zeros((2, 28, 28), np.uint8)
    pixels[:, 14:], pixels[1, :, :5] = 51, 255
    task = load_task("chest_pneumonia", ["weights=null"]).model_copy(update={"input": INPUT})
    for film, tensor in zip(pixels, inputs_of(Films(pixels, np.array([True, False]))), strict=True):
        told = task.preprocess(Image(film.T[None, :, :, None], Intensity.GREY))
        assert torch.equal(tensor, as_tensor(told)[:, 0])
        assert tensor[0, 50, 50].item() == pytest.approx((0.2 - 0.572) / 0.168)
        assert tensor[0, 5, 50].item() == pytest.approx((0.0 - 0.572) / 0.168)
    assert tensor[0, 50, 2].item() == pytest.approx((1.0 - 0.572) / 0.168)


def test_batches_show_every_film_before_any_comes_again() -> None:
    given = films(48)
    seen = [classes for _, classes in batches(given, ClassifierSchedule(steps=6, batch=16))]
    for half in (seen[:3], seen[3:]):
        assert int(torch.cat(half).sum()) == int(given.pneumonia.sum())
    inputs, classes = next(batches(given, ClassifierSchedule(steps=1, batch=64)))
    assert (inputs.shape, inputs.dtype, classes.dtype) == ((64, 1, 56, 56), torch.float32, torch.int64)
    assert float(inputs.min()) >= (0.0 - INPUT.mean[0]) / INPUT.std[0] - 1e-5


def test_the_point_is_the_highest_that_finds_so_many() -> None:
    scores = np.r_[np.arange(100.0), np.full(50, -5.0)]
    truths = np.r_[np.ones(100, bool), np.zeros(50, bool)]
    point = highest_point(scores, truths, 0.95)
    assert (scores[truths] >= point).mean() == 0.95
    assert highest_point(scores, truths, 1.0) == 0.0


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pneumonia_weights, "network_config", lambda: SMALL)
    monkeypatch.setattr(
        pneumonia_weights,
        "SCHEDULE",
        ClassifierSchedule(steps=30, batch=16, peak_rate=1e-2, averaged_steps=8),
    )


@pytest.mark.usefixtures("shrunk")
def test_weights_come_with_a_card_that_says_how_they_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given, held = films(200), films(80, seed=1)
    data = written(
        tmp_path / "films.npz",
        train_images=given.pixels,
        train_labels=given.pneumonia.astype(np.uint8),
        val_images=held.pixels,
        val_labels=held.pneumonia.astype(np.uint8),
    )
    with caplog.at_level(logging.INFO):
        assert main(["--data", str(data), "--out", str(tmp_path / "new")]) == 0
    path = tmp_path / "new" / "chest_pneumonia.safetensors"
    card = read_card(path)
    assert card is not None
    assert card.labels == ("normal", "pneumonia")
    assert card.input == INPUT
    assert not card.phantom
    network = build(SMALL).eval()
    load_weights(network, SMALL, path)
    odds = log_odds_of(network, held)
    assert card.held_out["auroc"] == auroc(odds, held.pneumonia)
    assert card.held_out["auroc"] > 0.9
    called = odds >= logit(card.operating_points["pneumonia"]) - 1e-9
    assert card.held_out["sensitivity"] == pytest.approx(called[held.pneumonia].mean())
    assert card.held_out["specificity"] == pytest.approx(1.0 - called[~held.pneumonia].mean())
    assert card.held_out["films"] == 80
    assert "auroc" in caplog.text


def test_point_and_calibration_are_of_the_films_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    true_odds = rng.normal(0.0, 2.0, 4000)
    truths = rng.random(4000) < expit(true_odds)
    odds = (true_odds - 0.5) / 0.4
    monkeypatch.setattr(pneumonia_weights, "log_odds_of", lambda network, given: odds)
    given = Films(np.zeros((4000, 28, 28), np.uint8), truths)
    card = settled(torch.nn.Identity(), given)
    assert card.calibration["pneumonia"] == pytest.approx((0.4, 0.5), abs=0.1)
    told = figures(torch.nn.Identity(), card, given)
    assert told["sensitivity"] == pytest.approx(0.97, abs=1e-3)
    assert told["calibration_error"] < 0.03 < told["calibration_error_raw"]


@pytest.mark.real_data
def test_shipped_weights_do_on_the_validation_films_what_their_card_says(shared_data: Path) -> None:
    path = find_weights("chest_pneumonia")
    card = read_card(path)
    assert card is not None
    network = build(network_config()).eval()
    load_weights(network, network_config(), path)
    _, validation = read_films(shared_data / "chest_pneumonia_28px" / "pneumonia_train_val.npz")
    told = figures(network, card, validation)
    assert told == pytest.approx(card.held_out, abs=2e-3)
    assert told["auroc"] >= 0.985
    assert told["accuracy"] >= 0.95
