"""A case with its reviews as PDF, HTML, CSV, JSON, DICOM SR and DICOM SEG."""
