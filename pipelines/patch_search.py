"""The patches of an index that look most like others: exact, by the cosine of what a network sees in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.errors import ConfigError
from pipelines.patch_index import Features, PatchIndex, Place

# Asked at once: with 8192 rows of the index they make a table of 8 MB.
_QUERIES = 256


@dataclass(frozen=True)
class Hit:
    """A patch of the index.

    Attributes:
        similarity: Cosine of its features and those of the patch asked about, from -1 to 1.
        place: Where it is from, and its label.
    """

    similarity: float
    place: Place


@dataclass(frozen=True)
class Vote:
    """What most neighbours are.

    Attributes:
        label: The label of most; the more similar ones decide between equals.
        share: Of the neighbours that have a label.
        labelled: How many have one.
    """

    label: str
    share: float
    labelled: int


def nearest(index: PatchIndex, features: Features, top: int) -> list[list[Hit]]:
    """The most similar patches of an index.

    Memory is bounded by pieces of the index and the number of patches asked about.

    Args:
        index: What is searched, all of it.
        features: (N, width), each of length 1, by the index's own weights.
        top: How many for each.

    Returns:
        For each of N, at most `top`, the most similar first; of equals those that were added first.

    Raises:
        ConfigError: The features are not of the index's width, or the index is damaged.
        ValueError: `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"expected at least one neighbour, got {top}")
    if features.shape[1:] != (index.settings.width,):
        raise ConfigError(f"features of {index.settings.width} numbers", f"{features.shape}", "use the index's weights")
    found: list[list[Hit]] = []
    for start in range(0, len(features), _QUERIES):
        found += _nearest(index, features[start : start + _QUERIES], top)
    return found


def vote(hits: Sequence[Hit]) -> Vote | None:
    """What most of some neighbours are; None where none has a label."""
    labelled = [hit for hit in hits if hit.place.label]
    if not labelled:
        return None
    said: dict[str, tuple[int, float]] = {}
    for hit in labelled:
        count, likeness = said.get(hit.place.label, (0, 0.0))
        said[hit.place.label] = count + 1, likeness + hit.similarity
    label = max(said, key=lambda name: said[name])
    return Vote(label, said[label][0] / len(labelled), len(labelled))


def _nearest(index: PatchIndex, features: Features, top: int) -> list[list[Hit]]:
    parts: list[Path] = []
    best = np.empty((len(features), 0), np.float32)
    where = np.empty((len(features), 0, 2), np.int64)  # Number of the part, row in it.
    for part, start, chunk in index.chunks():
        if not parts or parts[-1] != part:
            parts.append(part)
        rows = np.stack([np.full(len(chunk), len(parts) - 1), np.arange(start, start + len(chunk))], axis=1)
        best = np.concatenate([best, features @ chunk.T], axis=1)
        where = np.concatenate([where, np.broadcast_to(rows, (len(features), *rows.shape))], axis=1)
        kept = np.argsort(-best, axis=1, kind="stable")[:, :top]
        best = np.take_along_axis(best, kept, axis=1)
        where = np.take_along_axis(where, kept[..., np.newaxis], axis=1)
    places = [index.places(part) for part in parts]
    return [
        [Hit(float(likeness), places[part][row]) for likeness, (part, row) in zip(line, spots, strict=True)]
        for line, spots in zip(best, where.tolist(), strict=True)
    ]
