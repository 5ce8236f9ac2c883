"""What made a result and what it was made from, for DICOM objects about it: the same as in those written with it."""

from dataclasses import dataclass

from app.services.source import opened_sources
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.labels import LabelSet
from datasets.study import Series
from pipelines.results import Result

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class ScoredBy:
    """A task as far as a result tells of it.

    Attributes:
        name: By which people ask for it.
        digest: Sha256 of its settings; "unknown" for results of before it was told.
        label_set: What its label maps hold.
    """

    name: str
    digest: str
    label_set: LabelSet

    @classmethod
    def of(cls, result: Result) -> "ScoredBy":
        """The task of a result."""
        return cls(result.task, result.config_digest or _UNKNOWN, result.labels_told)


def dicom_sources(result: Result) -> tuple[DicomSource, ...]:
    """The DICOM instances that a result rests on.

    Returns:
        None where the study failed, where it did not come as DICOM, and where its identifiers are such that no object
        can refer to it.

    Raises:
        InputRefused: It came as DICOM, and is gone or cannot be read any more.
    """
    if result.error is not None:
        return ()
    try:
        with opened_sources(result) as series:
            found = tuple(source for one in series for source in _sources(one))
    except InputRefused:
        # A report stands beside the result of what came as DICOM, and beside no other.
        if "report" in result.outputs:
            raise
        return ()
    return () if any(source.misnamed for source in found) else found


def _sources(series: Series) -> tuple[DicomSource, ...]:
    if series.slide is None:
        return series.load().sources
    with series.slide() as slide:
        return () if slide.dicom is None else (slide.dicom,)
