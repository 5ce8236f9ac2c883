"""Patches into an index: each file once, whole, in parts of some thousands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.errors import InputRefused
from datasets.study import Study
from pipelines.patch_features import FeatureNetwork
from pipelines.patch_index import Features, IndexSettings, PatchIndex, Place, source_name
from pipelines.patch_labels import Labels
from pipelines.patch_sources import Cut, patches_of

# Written together. Pictures come one by one, and a part for each would be as many files as there are patches.
_PART = 4096
# The patches of PatchCamelyon, which the weights that ship are for.
USUAL_PX, USUAL_MPP = 96, 0.97


@dataclass(frozen=True)
class Added:
    """What became of a file.

    Attributes:
        source: The file.
        patches: How many were added.
        labelled: How many of them have a label.
        before: Whether its patches were there already, and nothing was done.
        refusal: Why it cannot be used, or None.
    """

    source: str
    patches: int = 0
    labelled: int = 0
    before: bool = False
    refusal: InputRefused | None = None

    @property
    def told(self) -> str:
        """Why it cannot be used, in one line; "" where it can."""
        return "" if self.refusal is None else f"{self.source}: refused ({self.refusal.code}): {self.refusal}"


def settings_for(network: FeatureNetwork, weights: str, mpp: float | None = None) -> IndexSettings:
    """The settings of a new index.

    Args:
        network: By which patches will be compared.
        weights: As the caller named them.
        mpp: Micrometres per pixel of patches that are cut out of slides; 0.97 when None.
    """
    path = Path(weights)
    return IndexSettings(
        weights=source_name(path) if path.suffix else weights,
        weights_sha256=network.model.weights_sha256 or "",
        width=network.width,
        patch_px=network.expected.size_px or USUAL_PX,
        mpp=mpp or USUAL_MPP,
        network=network.network.config.model_dump(mode="json"),
        version=network.model.version,
    )


def add_studies(
    index: PatchIndex, network: FeatureNetwork, studies: Sequence[Study], labels: Labels
) -> Iterator[Added]:
    """Add the patches of studies; files that an index knows are passed over.

    What was yielded is in the index when the next part is full, and in any case at the end; a run that was stopped can
    be repeated.

    Args:
        index: Grows.
        network: Of the index's weights.
        studies: Pictures, files of pictures, slides.
        labels: Who says what they show.

    Yields:
        What became of each study, in order.

    Raises:
        ConfigError: Labels do not fit, the index is damaged or cannot be written to.
    """
    cut = Cut(index.settings.patch_px, index.settings.mpp)
    known = set(index.sources)
    features: list[Features] = []
    places: list[Place] = []
    for study in studies:
        source = source_name(Path(study.source))
        if source in known:
            yield Added(source, before=True)
            continue
        try:
            seen, here = _seen(study, network, cut, labels)
        except InputRefused as refusal:
            yield Added(source, refusal=refusal)
            continue
        known.add(source)
        features.append(seen)
        places += here
        if len(places) >= _PART:
            index.add(np.concatenate(features), places)
            features, places = [], []
        yield Added(source, len(here), sum(bool(place.label) for place in here))
    if places:
        index.add(np.concatenate(features), places)


def _seen(study: Study, network: FeatureNetwork, cut: Cut, labels: Labels) -> tuple[Features, list[Place]]:
    for series in study.series:
        if series.stack is not None:
            labels.check(study.source, series.images)
    features: list[Features] = []
    places: list[Place] = []
    for found in patches_of(study, cut):
        features.append(network.features(found.pixels))
        places += [replace(place, label=labels.of(place)) for place in found.places]
    return np.concatenate(features), places
