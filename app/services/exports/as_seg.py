"""A reader's mask as a file of its own: a DICOM Segmentation of the same source, or NIfTI where nothing was DICOM."""

import tempfile
from pathlib import Path

from app.services.exports.export import Export, file_name
from app.services.exports.making import ScoredBy, dicom_sources
from app.services.record import CaseRecord, Edit
from datasets.dicom_source import DicomSource
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.io.nifti import write_nifti
from pipelines.report import making_of

# The network's own is series 9001.
_SERIES_NUMBER = 9002


def as_seg(record: CaseRecord) -> Export | None:
    """The edited mask of the standing review; None where it has none.

    The same record gives the same bytes. A DICOM Segmentation references the instances that were scored and says of its
    segments that a person changed what an algorithm drew (SEMIAUTOMATIC); a NIfTI file has the affine of the source.

    Raises:
        InputRefused: `unreadable_file`: the source, which a DICOM Segmentation needs, is gone.
        OSError: No temporary file can be written.
    """
    if record.edit is None:
        return None
    sources = dicom_sources(record.result)
    if not sources:
        return Export(file_name(record, "-edited.nii.gz"), "application/gzip", _nifti(record.edit))
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        path = Path(folder) / "edited.dcm"
        write_edited_seg(record, record.edit, sources[0], path)
        return Export(file_name(record, "-edited.dcm"), "application/dicom", path.read_bytes())


def write_edited_seg(record: CaseRecord, edit: Edit, source: DicomSource, path: Path) -> None:
    """Write an edited mask as a DICOM Segmentation.

    Args:
        record: The case.
        edit: Of the standing review.
        source: What was scored.
        path: File to write.

    Raises:
        OSError: The file cannot be written.
    """
    scored_by = ScoredBy.of(record.result)
    made = making_of(record.result.model, scored_by)
    description = SegDescription(
        label_set=scored_by.label_set,
        algorithm=made.algorithm,
        version=made.version,
        weights_sha256=made.weights_sha256,
        config_digest=made.config_digest,
        series_description="Segmentation edited by a reader",
        series_number=_SERIES_NUMBER,
        algorithm_type="SEMIAUTOMATIC",
        identity=("edited", record.case.id),
    )
    write_dicom_seg(edit.labels, source, path, description)


def _nifti(edit: Edit) -> bytes:
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        path = Path(folder) / "edited.nii.gz"
        write_nifti(edit.labels, path)
        return path.read_bytes()
