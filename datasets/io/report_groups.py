"""Statements as content of a DICOM Structured Report: one measurement group each (TID 1501, TID 1411)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset

from datasets.geometry import points_lps_from_ras
from datasets.io import report_concepts as concepts
from datasets.io.dicom_uid import derive_uid
from datasets.io.report_content import Assessment, Decision, Statement
from datasets.io.seg_object import Making, code_of

_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS

Group = hd.sr.MeasurementsAndQualitativeEvaluations | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, eq=False)
class Setting:
    """What the groups of a report share.

    Attributes:
        study_uid: StudyInstanceUID.
        task: Name of the task.
        making: What made the statements.
        series_uid: SeriesInstanceUID of the series the segmentation was made from.
        images: Source images that a group names itself; a series of slices is named by the image library alone.
        segmentation: SOP class and instance of the segmentation beside the report; None without one.
        frame_uid: Frame of reference in which places are told; "" where there is none.
    """

    study_uid: str
    task: str
    making: Making
    series_uid: str
    images: tuple[Dataset, ...]
    segmentation: Dataset | None
    frame_uid: str


def group_of(statement: Statement, setting: Setting) -> Group:
    """One statement as a measurement group.

    A segment stands for a statement where it holds nothing else; the group is then a volumetric region of interest.
    Otherwise the segment is named as the source of the measurements, and the place by its centre: a group that referred
    to a segment of three lesions would show all three for each.
    """
    identifier = hd.sr.TrackingIdentifier(
        uid=derive_uid("tracking", setting.study_uid, setting.task, statement.name, _which(statement)),
        identifier=statement.tracking,
    )
    shared: dict[str, Any] = {
        "tracking_identifier": identifier,
        "finding_type": None if statement.label is None else code_of(concepts.finding_concept(statement.label)),
        # What a reader says was made by no algorithm.
        "algorithm_id": None if statement.by_reader else algorithm_of(setting.making),
        "finding_sites": None if statement.site is None else [hd.sr.FindingSite(code_of(statement.site))],
        "measurements": list(_measurements(statement, setting)),
        "qualitative_evaluations": list(_evaluations(statement)),
    }
    group: Group
    if setting.segmentation is not None and statement.alone:
        group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=hd.sr.ReferencedSegment(
                setting.segmentation.SOPClassUID,
                setting.segmentation.SOPInstanceUID,
                statement.segments[0],
                source_series=hd.sr.SourceSeriesForSegmentation(setting.series_uid),
            ),
            **shared,
        )
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(**shared)
        group[0].ContentSequence.extend(_sources(setting, statement.segments))
    group[0].ContentSequence.extend(_decision_texts(statement.decision))
    return group


def empty_group(setting: Setting) -> Group:
    """What stands for a study of which nothing is said; a report must have a group."""
    nothing = hd.sr.QualitativeEvaluation(code_of(concepts.NOTHING_SAID), code_of(concepts.YES))
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=derive_uid("tracking", setting.study_uid, setting.task, "study", "nothing"), identifier="study"
        ),
        algorithm_id=algorithm_of(setting.making),
        qualitative_evaluations=[nothing],
    )
    group[0].ContentSequence.extend(_sources(setting, ()))
    return group


def algorithm_of(making: Making) -> hd.sr.AlgorithmIdentification:
    """What made the statements, with the hashes of weights and settings."""
    return hd.sr.AlgorithmIdentification(
        name=making.algorithm,
        version=making.version,
        parameters=[f"weights_sha256={making.weights_sha256}", f"config={making.config_digest}"],
    )


def text_item(name: hd.sr.CodedConcept, text: str) -> hd.sr.TextContentItem:
    """A sentence in a container."""
    return hd.sr.TextContentItem(name=name, value=text, relationship_type=_CONTAINS)


def _which(statement: Statement) -> str:
    """Which of the statements about a label."""
    number = str(statement.number or "")
    if statement.by_reader:
        return f"reader {number}"
    return "measured" if statement.assessment is None else number


def _measurements(statement: Statement, setting: Setting) -> Iterator[hd.sr.Measurement]:
    centre = list(_centre(statement, setting))
    for measure in statement.measures:
        if measure.value is None:
            continue
        measured = concepts.measured_concept(measure.name)
        yield hd.sr.Measurement(
            name=code_of(measured.concept),
            value=float(measure.value),
            unit=code_of(concepts.unit_concept(measure.unit)),
            derivation=None if measured.derivation is None else code_of(measured.derivation),
            # The place is told once, with the first value.
            referenced_coordinates=centre or None,
        )
        centre = []
    if statement.assessment is not None:
        yield from _probabilities(statement.assessment)


def _probabilities(said: Assessment) -> Iterator[hd.sr.Measurement]:
    unit = code_of(concepts.unit_concept("1"))
    for name, value in (
        (concepts.PROBABILITY, said.probability),
        (concepts.RAW_PROBABILITY, said.raw_probability),
        (concepts.OPERATING_POINT, said.threshold),
    ):
        if value is not None:
            yield hd.sr.Measurement(name=code_of(name), value=float(value), unit=unit)


def _centre(statement: Statement, setting: Setting) -> Iterator[hd.sr.CoordinatesForMeasurement3D]:
    """Where it lies, of a statement whose region no segment tells."""
    if statement.centre_mm is None or not setting.frame_uid or (statement.alone and setting.segmentation is not None):
        return
    yield hd.sr.CoordinatesForMeasurement3D(
        graphic_type=hd.sr.GraphicTypeValues3D.POINT,
        graphic_data=np.asarray([points_lps_from_ras(statement.centre_mm)]),
        frame_of_reference_uid=setting.frame_uid,
        purpose=code_of(concepts.CENTRE),
    )


def _evaluations(statement: Statement) -> Iterator[hd.sr.QualitativeEvaluation]:
    said, decision = statement.assessment, statement.decision
    if said is not None:
        called = concepts.POSITIVE if said.positive else concepts.NEGATIVE
        yield hd.sr.QualitativeEvaluation(code_of(concepts.CALLED), code_of(called))
        calibrated = concepts.YES if said.calibrated else concepts.NO
        yield hd.sr.QualitativeEvaluation(code_of(concepts.CALIBRATED), code_of(calibrated))
    if decision is not None:
        verdict = concepts.VERDICTS[decision.verdict]
        yield hd.sr.QualitativeEvaluation(code_of(concepts.VERDICT), code_of(verdict))
        if decision.code:
            yield hd.sr.QualitativeEvaluation(code_of(concepts.REASON_CODE), code_of(concepts.own(decision.code)))
        if decision.said_to_be:
            called = concepts.finding_concept(decision.said_to_be)
            yield hd.sr.QualitativeEvaluation(code_of(concepts.SAID_TO_BE), code_of(called))


def _decision_texts(decision: Decision | None) -> Iterable[ContentItem]:
    """Who decided, when and why. The template has room for codes and texts here, not for names and times."""
    if decision is None:
        return
    yield text_item(code_of(concepts.READER), decision.reader)
    yield text_item(code_of(concepts.DECIDED_AT), decision.at.isoformat(timespec="seconds"))
    if decision.reason:
        yield text_item(code_of(concepts.REASON), decision.reason)


def _sources(setting: Setting, segments: tuple[int, ...]) -> Sequence[ContentItem]:
    if setting.segmentation is not None and segments:
        item = hd.sr.ImageContentItem(
            name=code_of(concepts.SOURCE_OF_MEASUREMENT),
            referenced_sop_class_uid=setting.segmentation.SOPClassUID,
            referenced_sop_instance_uid=setting.segmentation.SOPInstanceUID,
            referenced_segment_numbers=list(segments),
            relationship_type=_CONTAINS,
        )
        return [item]
    return [hd.sr.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID) for image in setting.images]
