"""A result as a measurement report: its findings and quantities as statements about segments of its segmentation."""

from collections.abc import Iterator
from math import isclose
from typing import Protocol

import numpy as np

from datasets.image import Image
from datasets.io.report_concepts import CHEST, LIVER
from datasets.io.report_content import Assessment, Measure, ReportDescription, Statement
from datasets.io.seg_object import Making
from datasets.labels import CHEST_XRAY_14, CodedConcept, Label, LabelSet
from pipelines.results import Finding, Location, ModelId, Quantity, Result

# Where a finding lies in the body is known from its label where that names an organ, or from the labels' own data set.
_SITES: dict[str, CodedConcept] = {"liver_tumor": LIVER, **dict.fromkeys(CHEST_XRAY_14, CHEST)}
# Quantities that tell how large all of a label is, in ml.
_WHOLE_ML = ("volume", "burden")


class Scorer(Protocol):
    """What a report has to know of the task that made a result; every `Task` is one."""

    @property
    def name(self) -> str:
        """By which people ask for it."""

    @property
    def digest(self) -> str:
        """Sha256 of its settings."""

    @property
    def label_set(self) -> LabelSet:
        """What its label maps hold."""


def making_of(model: ModelId, task: Scorer) -> Making:
    """What made a result or an explanation, as DICOM objects name it."""
    return Making(
        algorithm=f"DenseLens {task.name} ({model.name})",
        version=model.version,
        # DICOM wants a serial number of what made an object; untrained weights have no hash.
        weights_sha256=model.weights_sha256 or model.name,
        config_digest=task.digest,
    )


def report_of(result: Result, task: Scorer, *, segmented: bool) -> ReportDescription:
    """What a report says of a result: every finding, every quantity, every flag.

    Args:
        result: With its labels.
        task: The task that made it.
        segmented: Whether a DICOM Segmentation of the labels stands beside the report.
    """
    segments = _Segments(task.label_set, result.labels if segmented else None)
    return ReportDescription(
        task=task.name,
        making=making_of(result.model, task),
        statements=(*_findings(result, segments), *_wholes(result, segments)),
        remarks=(
            f"The model was trained on: {result.model.trained_on}",
            *(f"{flag.severity}, {flag.code}: {flag.message}" for flag in result.quality),
        ),
    )


class _Segments:
    """The segments of a label map, and which of them a volume is the volume of."""

    def __init__(self, label_set: LabelSet, labels: Image | None) -> None:
        self._labels = {label.name: label for label in label_set.labels}
        self._volume_ml: dict[int, float] = {}
        if labels is not None:
            counts = np.bincount(labels.array.ravel(), minlength=label_set.classes)
            self._volume_ml = {
                label.index: float(counts[label.index]) * labels.grid.voxel_volume_ml for label in label_set.labels
            }

    def label(self, name: str) -> Label | str:
        """The label of that name, where the task segments it."""
        return self._labels.get(name, name)

    def of(self, name: str | None, volume_ml: float | None) -> tuple[tuple[int, ...], bool]:
        """The segments that a statement was measured from, and whether one stands for it.

        A segment stands for a statement where its volume is the one that is told, or none is. An organ is told with
        the lesions in it, which are segments of their own: then it is all of them together.
        """
        label = self._labels.get(name or "")
        if label is None or not self._volume_ml.get(label.index):
            return (), False
        own_ml, every_ml = self._volume_ml[label.index], sum(self._volume_ml.values())
        if volume_ml is None or isclose(volume_ml, own_ml, rel_tol=1e-6):
            return (label.index,), True
        if isclose(volume_ml, every_ml, rel_tol=1e-6):
            return tuple(index for index, ml in self._volume_ml.items() if ml), False
        return (label.index,), False


def _findings(result: Result, segments: _Segments) -> Iterator[Statement]:
    several = [finding.label for finding in result.findings if finding.positive]
    for finding in result.findings:
        # What is not called was measured nowhere.
        name = finding.label if finding.positive else None
        named, alone = segments.of(name, _volume_ml(finding.quantities))
        location = finding.location
        yield Statement(
            label=segments.label(finding.label),
            number=None if location is None else location.component,
            measures=_measures(finding.quantities),
            assessment=_assessment(finding),
            segments=named,
            alone=alone and several.count(finding.label) == 1,
            centre_mm=location.centroid_mm if isinstance(location, Location) else None,
            site=_SITES.get(finding.label),
        )


def _wholes(result: Result, segments: _Segments) -> Iterator[Statement]:
    """Quantities of the study, those of one label together."""
    for name in dict.fromkeys(quantity.label for quantity in result.quantities):
        own = tuple(quantity for quantity in result.quantities if quantity.label == name)
        named, alone = segments.of(name, _volume_ml(own))
        yield Statement(
            label=None if name is None else segments.label(name),
            measures=_measures(own),
            segments=named,
            alone=alone,
            site=_SITES.get(name or ""),
        )


def _assessment(finding: Finding) -> Assessment:
    return Assessment(
        probability=finding.probability,
        threshold=finding.threshold,
        positive=finding.positive,
        calibrated=finding.calibrated,
        raw_probability=finding.raw_probability,
    )


def _measures(quantities: tuple[Quantity, ...]) -> tuple[Measure, ...]:
    return tuple(Measure(quantity.name, quantity.value, quantity.unit) for quantity in quantities)


def _volume_ml(quantities: tuple[Quantity, ...]) -> float | None:
    return next((q.value for q in quantities if q.name in _WHOLE_ML and q.unit == "ml"), None)
