"""Reading DICOM: files to studies. From the files' headers (`headers`, `frames`, `identifiers`) over what belongs
together (`studies`, `series`, `duplicates`, `films`) and where it lies (`geometry`) to pixels (`pixels`, `volume`).
"""

from datasets.io.dicom.studies import DicomFindings, read_studies

__all__ = ["DicomFindings", "read_studies"]
