"""Makes the mean films of the guard: `python -m pipelines.film_guard_template --films DIR --stack FILE.npz`.

The mean frontal film is half the mean of adults' films, half that of children's, every film without its own mean and
contrast. The mean lateral film comes from phantoms, because no lateral films are at hand whose licence allows it.
"""

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from datasets.io.picture import SUFFIXES, read_picture
from datasets.phantoms import film_phantom
from pipelines.film_guard import FRONTAL, LATERAL, likeness, shrunk

_LOG = logging.getLogger(__name__)

_EDGE_PX = 64
# Black and white of the picture lie this many standard deviations from its mean.
_REACH = 3.0
# A film that fits the mean of all this badly is a negative or no chest film, and no part of the mean.
_LEAST = 0.3
_LATERAL_PHANTOMS = 40


def mean_film(films: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """The mean of films (rows, columns), each shrunk, without its mean and in units of its own contrast."""
    total, count = np.zeros((_EDGE_PX, _EDGE_PX)), 0
    for film in films:
        small = shrunk(film.astype(np.float32), _EDGE_PX).astype(np.float64)
        total += (small - small.mean()) / max(float(small.std()), 1e-6)
        count += 1
    if not count:
        raise ValueError("expected films to take the mean of; got none; check the paths")
    return total / count


def adults(folder: Path, *, every_second: bool = True) -> list[NDArray[Any]]:
    """Frontal films of a folder of pictures, every second by name: the others are left to check the guard on."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    films = [read_picture(path).image.array[..., 0].mean(axis=0).T for path in files[:: 2 if every_second else 1]]
    # Such collections hold negatives; the mean of all is good enough to find them.
    rough = mean_film(films).ravel()
    shares = [float(np.corrcoef(shrunk(film, _EDGE_PX).ravel(), rough)[0, 1]) for film in films]
    return [film for film, share in zip(films, shares, strict=True) if share >= _LEAST]


def children(stack: Path) -> list[NDArray[Any]]:
    """The films PneumoniaMNIST trains on, 28 x 28."""
    with np.load(stack, allow_pickle=False) as arrays:
        return list(arrays["train_images"])


def laterals() -> list[NDArray[Any]]:
    """Lateral phantoms, all facing one way."""
    return [film_phantom(seed, view="LL").image(128).array[0, :, :, 0].T for seed in range(_LATERAL_PHANTOMS)]


def save(mean: NDArray[np.float64], path: Path) -> None:
    """Write a mean film as a PNG of eight bits."""
    grey = np.clip((mean / mean.std() / _REACH + 1.0) * 127.5, 0.0, 255.0)
    Picture.fromarray(grey.round().astype(np.uint8)).save(path, format="PNG", optimize=True)


def main(arguments: list[str] | None = None) -> int:
    """Make both pictures, and tell how the films fit that had no part in them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="folder of frontal films of adults, PNG or JPEG")
    parser.add_argument("--stack", type=Path, required=True, help="pneumoniamnist.npz, or one with its train_images")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    grown, young = adults(options.films), children(options.stack)
    save((mean_film(grown) + mean_film(young)) / 2.0, FRONTAL)
    save(mean_film(laterals()), LATERAL)
    _LOG.info("%d films of adults, %d of children", len(grown), len(young))
    fits = sorted(likeness(film).frontal for film in young)
    _LOG.info("children: lowest %.2f, median %.2f", fits[0], fits[len(fits) // 2])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
