"""Answers to the question which patches of an index look like a given one, and how they are told."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datasets.errors import ConfigError, DenseLensError, InputRefused, WeightsError
from datasets.study import Study
from pipelines.document import writable
from pipelines.histology.light import Pixels
from pipelines.patch_features import FeatureNetwork
from pipelines.patch_index import PatchIndex, Place
from pipelines.patch_search import Hit, Vote, nearest, vote
from pipelines.patch_sources import Cut, Found, is_slide, patch_at, patches_of
from pipelines.results import FailureCode

SCHEMA = 1
_DIGITS = 6


@dataclass(frozen=True)
class Question:
    """What is asked about a study.

    Attributes:
        cut: How patches are cut out of slides.
        at_um: Of a slide: the middle (x, y) of the patch; None for pictures.
        top: Neighbours for each patch.
    """

    cut: Cut
    at_um: tuple[float, float] | None
    top: int


@dataclass(frozen=True, eq=False)
class Answer:
    """A patch and its neighbours.

    Attributes:
        place: Where it is from.
        pixels: (H, W, 3) uint8.
        hits: The most similar first; the patch itself among them where it is in the index.
    """

    place: Place
    pixels: Pixels
    hits: tuple[Hit, ...]

    @property
    def vote(self) -> Vote | None:
        """What most of the others are."""
        return vote([hit for hit in self.hits if not hit.place.is_same(self.place)])

    def document(self) -> dict[str, Any]:
        """As plain values."""
        neighbours = [
            {"rank": rank, "similarity": round(hit.similarity, _DIGITS)}
            | _where(hit.place)
            | {"label": writable(hit.place.label) or None, "itself": hit.place.is_same(self.place)}
            for rank, hit in enumerate(self.hits, start=1)
        ]
        said = self.vote
        told = None if said is None else {"label": writable(said.label), "share": said.share, "labelled": said.labelled}
        return _where(self.place) | {"neighbours": neighbours, "vote": told}


def answers_about(study: Study, index: PatchIndex, network: FeatureNetwork, question: Question) -> Iterator[Answer]:
    """An answer for each patch of a study.

    Raises:
        InputRefused: The study cannot be read, or shows no patches.
        ConfigError: It is a slide and nobody said where on it, or a picture and somebody did; the index is damaged.
    """
    for found in _asked_about(study, question):
        hits = nearest(index, network.features(found.pixels), question.top)
        for place, pixels, near in zip(found.places, found.pixels, hits, strict=True):
            yield Answer(place, pixels, tuple(near))


def heading(index: PatchIndex) -> dict[str, Any]:
    """What every document about an index begins with."""
    settings = index.settings
    return {
        "schema": SCHEMA,
        "index": writable(str(index.folder)),
        "patches": len(index),
        "weights": writable(settings.weights),
        "weights_sha256": settings.weights_sha256,
        "research_use_only": True,
    }


def error_document(error: DenseLensError) -> dict[str, str]:
    """Why something was refused, as plain values."""
    code = FailureCode.WEIGHTS_ERROR if isinstance(error, WeightsError) else FailureCode.CONFIG_ERROR
    told = error.code.value if isinstance(error, InputRefused) else code.value
    return {"code": told, "message": writable(error.message), "advice": writable(error.advice)}


def _asked_about(study: Study, question: Question) -> Iterator[Found]:
    if question.at_um is not None:
        yield patch_at(study, *question.at_um, question.cut)
    elif is_slide(study):
        raise ConfigError("--at X,Y with a slide", f"{study.source} alone", "say which place on it, in um")
    else:
        yield from patches_of(study, question.cut)


def _where(place: Place) -> dict[str, Any]:
    return {"source": writable(place.source), "index": place.index, "x_um": place.x_um, "y_um": place.y_um}
