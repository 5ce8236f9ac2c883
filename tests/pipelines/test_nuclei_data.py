"""Labelled micrographs from a folder, and which of them are kept."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from datasets.errors import InputRefused
from pipelines.nuclei_data import Labelled, fields, read_labelled, split
from tests.pipelines.discs import discs


def field(seed: int, shape: tuple[int, int] = (192, 192)) -> np.ndarray:
    """A field full of discs, each of its own brightness, as a microscope blurs it, with a little noise."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(20, 3, shape)
    for _ in range(270):
        inside = discs(shape, (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(3, 7)))
        pixels[inside] = rng.uniform(60, 200)
    seen = gaussian_filter(pixels, 1.5) + rng.normal(0, 1, shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def case(name: str, pixels: np.ndarray) -> Labelled:
    return Labelled(Path(name), np.repeat(pixels[np.newaxis], 3, 0), np.zeros(pixels.shape, np.uint16))


def quarters(seed: int) -> list[Labelled]:
    whole = field(seed)
    parts = [whole[:96, :96], whole[:96, 96:], whole[96:, :96], whole[96:, 96:]]
    return [case(f"{seed}-{number}.png", part) for number, part in enumerate(parts)]


def test_tiles_of_a_field_stay_together() -> None:
    cases = [one for seed in range(6) for one in quarters(seed)]
    order = np.random.default_rng(0).permutation(len(cases))
    groups = fields([cases[index] for index in order])
    assert sorted(sorted(one.name for one in group) for group in groups) == [
        [f"{seed}-{number}.png" for number in range(4)] for seed in range(6)
    ]


def test_blank_pictures_and_other_sizes_are_no_field() -> None:
    blank = [case(f"{name}.png", np.zeros((64, 64), np.uint8)) for name in "ab"]
    whole = field(3)
    cut = [case("c.png", whole[:, :96]), case("d.png", whole[:, 96:160])]
    assert len(fields([*blank, *cut])) == 4


def test_a_field_is_kept_by_the_hash_of_its_first_name() -> None:
    cases = [one for seed in range(12) for one in quarters(seed)]
    learnt, kept = split(cases)
    hashes = {seed: int(hashlib.sha256(f"{seed}-0.png".encode()).hexdigest(), 16) % 100 for seed in range(12)}
    expected = [seed for seed in range(12) if hashes[seed] < 18]
    assert 0 < len(expected) < 12
    names = sorted(f"{seed}-{number}.png" for seed in expected for number in range(4))
    assert sorted(one.name for one in kept) == names
    assert len(learnt) + len(kept) == 48
    assert [one.name for one in split(cases[::-1])[1]] == [one.name for one in kept]


def test_read(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    with pytest.raises(FileNotFoundError, match="labelled micrographs"):
        read_labelled(tmp_path)
    nuclei = np.zeros((20, 30), np.uint16)
    nuclei[2:6, 3:9], nuclei[10:15, 20:29] = 300, 7
    colour = np.zeros((20, 30, 4), np.uint8)
    colour[..., 0], colour[..., 3] = np.where(nuclei > 0, 100, 10), 255
    Pillow.fromarray(colour).save(tmp_path / "images" / "a.png")
    Pillow.fromarray(nuclei).save(tmp_path / "labels" / "a.png")
    (read,) = read_labelled(tmp_path)
    assert np.array_equal(read.nuclei, nuclei)
    assert read.pixels.shape == (3, 20, 30)
    assert np.array_equal(read.pixels[0], np.where(nuclei > 0, 255, 26))
    assert read.pixels[1].max() == 0
    assert (read.name, read.sort) == ("a.png", (20, 30, True))
    Pillow.fromarray(nuclei[:, :-1].copy()).save(tmp_path / "labels" / "a.png")
    with pytest.raises(ValueError, match="labels of the picture's size"):
        read_labelled(tmp_path)
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(InputRefused):
        read_labelled(tmp_path)
