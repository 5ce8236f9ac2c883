"""Whether a picture looks like a frontal chest film, upright, whole and with bone bright: the guard before the network.

A network that knows fourteen findings has an answer for a foot, a lateral view or a negative, too. The guard compares
the film with the mean of thousands of frontal films: the correlation of the two, both shrunk to 32 x 32 pixels, is 0.5
to 0.9 for frontal films of adults and children, of the sick and the sound, and below 0.4 for nearly everything else.
Turned, inverted and cropped films are those that fit a turned, inverted or cropped mean film better. It is a rule that
anybody can check by looking at `shipped/frontal_film.png`; `pipelines.film_guard_template` makes that picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from pipelines.model_store import SHIPPED_FOLDER
from pipelines.results import FlagCode, QualityFlag

FRONTAL, LATERAL = SHIPPED_FOLDER / "frontal_film.png", SHIPPED_FOLDER / "lateral_film.png"
EDGE_PX = 32

# Chosen on the films of the template's card, half of which made no template; docs/model-cards/film_guard.md has the
# distributions. Between "chest" and "sure" a film is taken for what it should be, and so is told nothing.
_CHEST, _INVERTED, _TURNED, _CROPPED = 0.4, 0.35, 0.5, 0.65
_BETTER = 0.3
# Both mean films are bright below and dark beside the body, so they are alike to a degree.
_MORE_LATERAL = 0.2
# Shares of the mean film's width and height that a cropped film may show, and how many places are tried for each.
_SHARES, _PLACES = (0.4, 0.5, 0.6, 0.7, 0.8, 1.0), 4
_LARGEST_CROP = 0.75
# Detectors are square, or 35 x 43 cm either way.
_OBLONG = 1.6

Grey = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Likeness:
    """How well a film fits the mean frontal film as it is, and altered; correlations from -1 to 1.

    Attributes:
        frontal: As it is; below zero it fits the negative better.
        turned: The best of a quarter, half and three quarter turn and of upside down, black and white as they are or
            exchanged.
        part: The best of its parts.
        lateral: The mean lateral film, facing either way.
    """

    frontal: float
    turned: float
    part: float
    lateral: float


def look(grey: Grey) -> tuple[QualityFlag, ...]:
    """What a reader should know before trusting what is said about a film as a frontal chest film.

    Args:
        grey: (rows, columns), more is brighter; any size and scale.

    Returns:
        At most one flag: `looks_inverted`, `looks_turned`, `lateral_view`, `looks_cropped` or `not_a_chest_film`. A
        picture of one value is `not_a_chest_film`.
    """
    fits = likeness(grey)
    best = max(fits.frontal, fits.lateral, 0.0)
    if -fits.frontal >= max(_INVERTED, fits.turned, fits.lateral):
        return _flag(FlagCode.LOOKS_INVERTED, "lungs are bright and bones dark: black and white look exchanged", fits)
    if fits.turned >= _TURNED and fits.turned - best >= _BETTER:
        return _flag(FlagCode.LOOKS_TURNED, "the film seems to lie on its side or upside down", fits)
    if fits.lateral >= _TURNED and fits.lateral - fits.frontal >= _MORE_LATERAL:
        return _flag(FlagCode.LATERAL_VIEW, "looks like a lateral view where a frontal one is expected", fits)
    oblong = max(grey.shape) > _OBLONG * min(grey.shape) and max(fits.frontal, fits.part) >= _CHEST
    if oblong or (fits.part >= _CROPPED and fits.part - fits.frontal >= _BETTER):
        return _flag(FlagCode.LOOKS_CROPPED, "only a part of the chest seems to be on the film", fits)
    if fits.frontal < _CHEST:
        message = "does not look like a frontal chest film: another part of the body, another view, or no film at all"
        return _flag(FlagCode.NOT_A_CHEST_FILM, message, fits)
    return ()


def likeness(grey: Grey) -> Likeness:
    """Compare a film with the mean films.

    Args:
        grey: (rows, columns), more is brighter; any size and scale. One value everywhere fits nothing: all 0.
    """
    film = _unit(shrunk(np.asarray(grey, dtype=np.float32), EDGE_PX))
    frontal = _unit(shrunk(_template(FRONTAL), EDGE_PX))
    lateral = shrunk(_template(LATERAL), EDGE_PX)
    turned = [np.rot90(frontal.reshape(EDGE_PX, EDGE_PX), turns).ravel() for turns in (1, 2, 3)]
    turned.append(frontal.reshape(EDGE_PX, EDGE_PX)[::-1].ravel())
    return Likeness(
        frontal=float(film @ frontal),
        turned=float(np.abs(np.stack(turned) @ film).max()),
        part=float((_parts() @ film).max()),
        lateral=max(float(film @ _unit(facing)) for facing in (lateral, lateral[:, ::-1])),
    )


def shrunk(grey: Grey, edge_px: int) -> NDArray[np.float32]:
    """A picture (rows, columns) pulled to (edge_px, edge_px), its pixels averaged."""
    picture = Picture.fromarray(np.ascontiguousarray(grey, dtype=np.float32))
    smaller = min(picture.size) >= edge_px
    resample = Picture.Resampling.BOX if smaller else Picture.Resampling.BILINEAR
    return np.asarray(picture.resize((edge_px, edge_px), resample))


def _flag(code: FlagCode, message: str, fits: Likeness) -> tuple[QualityFlag, ...]:
    told = f"{message} (likeness to the mean frontal film {fits.frontal:.2f}, of frontal films at least {_CHEST:g})"
    return (QualityFlag(code=code, severity="error", message=told),)


def _unit(grey: Grey) -> NDArray[np.float32]:
    """A picture without its mean, as a vector of length 1, so that the product of two is their correlation."""
    vector = grey.astype(np.float32).ravel()
    vector -= vector.mean()
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 1e-6 * vector.size else np.zeros_like(vector)


@cache
def _template(path: Path) -> NDArray[np.float32]:
    with Picture.open(path, formats=("PNG",)) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float32)


@cache
def _parts() -> NDArray[np.float32]:
    """Parts of the mean frontal film, each pulled to the full size, as unit vectors: (parts, pixels)."""
    whole = Picture.fromarray(_template(FRONTAL))
    columns, rows = whole.size
    parts = []
    for left, top, width, height in _boxes():
        box = (left * columns, top * rows, (left + width) * columns, (top + height) * rows)
        parts.append(_unit(np.asarray(whole.resize((EDGE_PX, EDGE_PX), Picture.Resampling.BILINEAR, box=box))))
    return np.stack(parts)


def _boxes() -> Iterator[tuple[float, float, float, float]]:
    """Left, top, width and height as shares of the film."""
    for width, height in product(_SHARES, _SHARES):
        if width * height <= _LARGEST_CROP:
            yield from ((left, top, width, height) for left, top in product(_starts(width), _starts(height)))


def _starts(share: float) -> list[float]:
    return [0.0] if share == 1.0 else [float(start) for start in np.linspace(0.0, 1.0 - share, _PLACES)]
