"""Files that hold patches, and weights that tell colours apart."""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image as Picture

from datasets.picture_slide import PictureSlide
from datasets.study import Series, Study
from networks.build import build
from networks.configs import DenseNetConfig, NetworkConfig
from pipelines.model_store import Card, save_weights
from tests.networks.checkpoints.foreign_networks import lived_in

NARROW = DenseNetConfig(in_channels=3, out_channels=1, block_config=(2, 2), growth_rate=4, init_features=8)


def narrow_weights(folder: Path, name: str = "narrow", seed: int = 0, config: NetworkConfig = NARROW) -> Path:
    """Weights of a small network whose normalisations have seen something; another seed, other weights."""
    path = folder / f"{name}.safetensors"
    card = Card(name=name, task="", trained_on="nothing", limits="none", phantom=False)
    save_weights(lived_in(build(config, seed=seed), seed), config, card, path)
    return path


def patch(number: int, size: int = 48) -> np.ndarray:
    """A patch like no other."""
    rng = np.random.default_rng(number)
    colour = rng.integers(60, 200, 3)
    return np.clip(colour + rng.normal(0, 25, (size, size, 3)), 0, 255).astype(np.uint8)


def write_picture(path: Path, number: int, size: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.fromarray(patch(number, size)).save(path)
    return path


def write_stack(path: Path, count: int, labels: Path | None = None) -> Path:
    """As PatchCamelyon keeps its patches, x here and y there."""
    with h5py.File(path, "w") as file:
        file["x"] = np.stack([patch(number) for number in range(count)])
    if labels is not None:
        with h5py.File(labels, "w") as file:
            file["y"] = (np.arange(count) % 2).astype(np.uint8).reshape(-1, 1, 1, 1)
    return path


def purple_corner(size: int = 512) -> np.ndarray:
    """A picture of a slide: glass, and stained tissue in its upper left quarter."""
    pixels = np.full((size, size, 3), 243, np.uint8)
    rng = np.random.default_rng(3)
    tissue = np.array([150, 80, 160]) + rng.normal(0, 12, (size // 2, size // 2, 3))
    pixels[: size // 2, : size // 2] = np.clip(tissue, 0, 255)
    return pixels


def slide_study(pixels: np.ndarray, mpp: float | None = 0.97) -> Study:
    def refuse() -> None:
        raise AssertionError("a slide is never loaded whole")

    series = Series(
        "slide", "SM", "a slide", 1, None, (), None, refuse, slide=lambda: PictureSlide([pixels], mpp, "slide.svs")
    )
    return Study("slide", "slide.svs", (series,))
