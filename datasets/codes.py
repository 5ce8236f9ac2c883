"""The codes under which input is refused or repaired, each with its meaning.

Codes are a promise to people who script: `docs/codes.md` lists them, a test keeps the two equal, and every code is
raised by a test.
"""

from dataclasses import dataclass
from enum import StrEnum


class RefusalCode(StrEnum):
    """Why an input cannot be used."""

    UNREADABLE_FILE = "unreadable_file"
    TRUNCATED_FILE = "truncated_file"
    NO_PIXEL_DATA = "no_pixel_data"
    NOT_AN_IMAGE_OBJECT = "not_an_image_object"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    UNSUPPORTED_DIMENSIONS = "unsupported_dimensions"
    UNSAFE_ARCHIVE = "unsafe_archive"
    EMPTY_INPUT = "empty_input"
    EMPTY_IMAGE = "empty_image"
    NOT_FINITE = "not_finite"
    WRONG_MODALITY = "wrong_modality"
    MISSING_ORIENTATION = "missing_orientation"
    MIXED_ORIENTATIONS = "mixed_orientations"
    MISSING_SLICE = "missing_slice"
    SINGLE_SLICE = "single_slice"
    CONFLICTING_DUPLICATE = "conflicting_duplicate"
    NO_SPACING = "no_spacing"
    INCONSISTENT_FRAMES = "inconsistent_frames"
    UNREADABLE_TILE = "unreadable_tile"
    BLANK_IMAGE = "blank_image"
    NO_TISSUE = "no_tissue"
    DIFFERENT_GRIDS = "different_grids"
    MISSING_SEQUENCE = "missing_sequence"
    RESOLUTION_TOO_COARSE = "resolution_too_coarse"
    UNKNOWN_LABEL = "unknown_label"


class RepairCode(StrEnum):
    """What was put right on the way in, or chosen, and is told with the result."""

    SPACING_FROM_POSITIONS = "spacing_from_positions"
    SLICES_REORDERED = "slices_reordered"
    DUPLICATE_SLICE_DROPPED = "duplicate_slice_dropped"
    LOCALIZER_DROPPED = "localizer_dropped"
    SERIES_SPLIT = "series_split"
    SERIES_CHOSEN = "series_chosen"
    STUDIES_SPLIT = "studies_split"
    GANTRY_TILT_RESAMPLED = "gantry_tilt_resampled"
    UNEVEN_SPACING_RESAMPLED = "uneven_spacing_resampled"
    MONOCHROME1_INVERTED = "monochrome1_inverted"
    MONOCHROME1_DISPLAY_ONLY = "monochrome1_display_only"
    PADDING_REPLACED = "padding_replaced"
    RESCALE_PER_SLICE = "rescale_per_slice"
    RESCALE_ASSUMED = "rescale_assumed"
    IDENTIFIERS_DERIVED = "identifiers_derived"
    NON_IMAGE_OBJECTS_IGNORED = "non_image_objects_ignored"
    COLOUR_CONVERTED = "colour_converted"
    ORIENTATION_APPLIED = "orientation_applied"
    UNITS_CONVERTED = "units_converted"
    GEOMETRY_CHOSEN = "geometry_chosen"
    SHEARED_GRID_KEPT = "sheared_grid_kept"
    VIEW_LEFT_OUT = "view_left_out"
    DISPLAY_RANGE_ASSUMED = "display_range_assumed"
    MPP_STATED = "mpp_stated"


@dataclass(frozen=True)
class Repair:
    """One thing that was put right while reading, told with the result.

    Attributes:
        code: The stable code.
        message: What was seen and what was done, in one sentence without patient data.
    """

    code: RepairCode
    message: str
