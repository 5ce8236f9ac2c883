"""Every kind of export by its name, made from the case as it is now."""

from collections.abc import Callable, Mapping

import numpy as np

from app.services.exports.as_csv import as_csv
from app.services.exports.as_html import as_html
from app.services.exports.as_json import as_json
from app.services.exports.as_pdf import as_pdf
from app.services.exports.as_seg import as_seg
from app.services.exports.as_sr import as_sr
from app.services.exports.export import Export
from app.services.key_images import KeyImage, key_images
from app.services.record import CaseRecord, record_of
from app.services.slide_tiles import overview
from app.services.view_making import in_display_order
from app.services.viewing import Viewing
from app.store.audit_log import AuditLog
from app.store.database import Database
from datasets.errors import InputRefused

Made = Export | None
_PLAIN: Mapping[str, Callable[[CaseRecord], Made]] = {"csv": as_csv, "json": as_json, "sr": as_sr, "seg": as_seg}
_WITH_IMAGES: Mapping[str, Callable[[CaseRecord, tuple[KeyImage, ...]], Made]] = {"pdf": as_pdf, "html": as_html}
KINDS = (*_PLAIN, *_WITH_IMAGES)


def exported(database: Database, viewing: Viewing, case_id: str, kind: str, who: str) -> Made:
    """An export of a case; the log tells who took it.

    Args:
        database: Open.
        viewing: Of the installation, for key images and edited masks.
        case_id: Of the case.
        kind: One of `KINDS`.
        who: Takes it.

    Returns:
        None where the case has nothing of this kind: no DICOM for a report, no edited mask.

    Raises:
        NoSuchCase: There is none.
        InputRefused: The result or the edited mask are gone, or the scan that a DICOM object refers to.
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, got {kind!r}")
    record = record_of(database, case_id, viewing.masks)
    if kind in _PLAIN:
        made = _PLAIN[kind](record)
    else:
        made = _WITH_IMAGES[kind](record, _images(viewing, record))
    if made is not None:
        AuditLog(database).note(who, "export", f"case:{case_id}", {"kind": kind})
    return made


def _images(viewing: Viewing, record: CaseRecord) -> tuple[KeyImage, ...]:
    if record.result.error is not None:
        return ()
    try:
        prepared, edited = viewing.prepare(record.case), None
    except InputRefused:
        # The scan is gone: what was said of it is told all the same, and that there are no images.
        return ()
    if record.edit is not None:
        edited = np.asarray(in_display_order(record.edit.labels).slices())
    names = [row.name for row in record.rows if row.finding is not None]
    return key_images(prepared, names, edited, overview(record.case) if prepared.view.kind == "slide" else None)
