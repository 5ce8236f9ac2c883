"""Whole slides in: TIFF pyramids, the formats of scanners' makers, and DICOM."""
