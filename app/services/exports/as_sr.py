"""The review record as a DICOM Structured Report (TID 1500): what the network said, with what a reader decided."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.services.exports.as_seg import write_edited_seg
from app.services.exports.export import Export, file_name
from app.services.exports.making import ScoredBy, dicom_sources
from app.services.reasons import sentence_of
from app.services.record import CaseRecord, Decided, Edit, network_mask
from app.services.wording import moment_text
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.report_content import Decision, Measure, ReportDescription, Statement
from datasets.labels import Label, LabelSet
from pipelines.report import report_of

_LONGEST_LABEL = 64  # of a CodeMeaning (DICOM PS3.5, table 6.2-1)
_EDITED = (
    "Volumes by a reader are counted in the edited segmentation, of each label alone; all else is measured in the "
    "network's."
)


def as_sr(record: CaseRecord) -> Export | None:
    """The record as a report; None where nothing came as DICOM or the study failed.

    The same record gives the same bytes. Where an edited mask stands the report refers to its segments, and tells their
    volumes beside the network's.

    Raises:
        InputRefused: `unreadable_file`: the source, to which every statement refers, is gone.
        OSError: No temporary file can be written.
    """
    sources = dicom_sources(record.result)
    if not sources:
        return None
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        path, segmentation = Path(folder) / "report.dcm", _network_segmentation(record)
        if record.edit is not None:
            segmentation = Path(folder) / "edited.dcm"
            write_edited_seg(record, record.edit, sources[0], segmentation)
        write_dicom_sr(description_of(record, segmented=segmentation is not None), sources, path, segmentation)
        return Export(file_name(record, "-review.dcm"), "application/dicom", path.read_bytes())


def description_of(record: CaseRecord, *, segmented: bool) -> ReportDescription:
    """What the report says.

    Args:
        record: The case.
        segmented: Whether a DICOM Segmentation stands beside it: the edited one where there is one.
    """
    edited, result = record.edit, record.result
    if edited is None and segmented:
        result = result.model_copy(update={"labels": network_mask(result, Path(record.case.folder))})
    # The network measured its own mask: segments of the edited one do not stand for what it said.
    said = report_of(result, ScoredBy.of(result), segmented=segmented and edited is None)
    rows = record.rows
    findings = tuple(
        replace(statement, decision=_decision(row.decided, row.label))
        for statement, row in zip(said.statements, (row for row in rows if row.kind == "finding"), strict=False)
    )
    wholes = said.statements[len(findings) :]
    volumes = () if edited is None else tuple(_volumes(edited, result.labels_told))
    standing = record.standing
    return replace(
        said,
        statements=(*findings, *_added(record), *wholes, *volumes),
        remarks=(*said.remarks, *_remarks(record)),
        complete=standing is not None and standing.complete,
    )


def _decision(decided: Decided | None, label: str) -> Decision | None:
    if decided is None:
        return None
    said = decided.decision
    changed = said.label if said.verdict == "modified" and said.label != label else ""
    reason = " ".join(part for part in (sentence_of(said.reason), said.text) if part)
    return Decision(said.verdict, decided.reader, decided.at, reason, said.reason, _fit(changed))


def _added(record: CaseRecord) -> Iterator[Statement]:
    counts: Counter[str] = Counter()
    for row in record.rows:
        if row.kind == "added":
            # Words that differ may be one when they are fitted, and statements have to be told apart.
            label = _fit(row.label) or "finding"
            counts[label] += 1
            yield Statement(label, number=counts[label], decision=_decision(row.decided, row.label), by_reader=True)


def _volumes(edit: Edit, label_set: LabelSet) -> Iterator[Statement]:
    for volume in edit.volumes:
        label: Label = label_set[volume.label]
        # A segment of which the mask has no voxel is no region.
        there = (label.index,) if volume.ml > 0 else ()
        measures = (Measure("volume", volume.ml, "ml"), Measure("volume_before_editing", volume.before_ml, "ml"))
        yield Statement(label, measures=measures, segments=there, alone=bool(there), by_reader=True)


def _remarks(record: CaseRecord) -> Iterator[str]:
    standing = record.standing
    if standing is None:
        yield "No reader has decided on this result."
    else:
        yield f"Review {standing.number} stands, by {standing.reader}, {moment_text(standing.at)}."
        if standing.comment:
            yield f"The reader's comment: {standing.comment}"
    if record.in_conflict:
        yield "Two readers decided without having seen each other's review; the other one is kept with the case."
    if record.edit is not None:
        yield _EDITED


def _network_segmentation(record: CaseRecord) -> Path | None:
    """The network's own segmentation object, where one was written and still is there."""
    name = record.result.outputs.get("dicom_seg")
    path = Path(record.case.folder) / Path(name or "").name
    return path if name and path.is_file() else None


def _fit(label: str) -> str:
    """A reader's word as a coded meaning can hold it: one line, without the sign that parts values."""
    return " ".join(label.replace("\\", "/").split())[:_LONGEST_LABEL]
