"""A file that is handed out."""

from dataclasses import dataclass

from app.services.record import CaseRecord
from pipelines.outputs import folder_name


@dataclass(frozen=True)
class Export:
    """A file as it is handed out.

    Attributes:
        name: Of the file, fit for every file system; never a patient's name.
        media_type: Of its content.
        content: All of it.
    """

    name: str
    media_type: str
    content: bytes


def file_name(record: CaseRecord, ending: str) -> str:
    """What an export of a case is called.

    Args:
        record: The case.
        ending: With its point, and with what tells it from other exports: "-review.pdf".
    """
    return f"{folder_name(record.case.study_uid)}-{folder_name(record.case.task)}{ending}"
