"""Frames of DICOM images: where each lies in the patient and how its numbers are scaled, classic or enhanced."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasets.codes import RefusalCode
from datasets.dicom_source import Plane
from datasets.errors import InputRefused
from datasets.io.dicom.instance import PARSE_ERRORS, Instance, numbers_of

# Direction cosines may be rounded to three decimals; what is further from unit length or from perpendicular is no
# orientation.
_COSINE_TOLERANCE = 2e-3

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Place:
    """Where a frame lies, in LPS mm.

    Attributes:
        position: Centre of the first pixel (3,).
        along_row: Unit vector in which the column index grows.
        along_column: Unit vector in which the row index grows.
        spacing_mm: (between rows, between columns).
    """

    position: Vector
    along_row: Vector
    along_column: Vector
    spacing_mm: tuple[float, float]

    @property
    def normal(self) -> Vector:
        """Unit vector along which slices are stacked: along_row x along_column."""
        return np.cross(self.along_row, self.along_column)


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of an instance.

    Attributes:
        instance: The file it is in.
        number: From 1, as DICOM counts.
        place: Where it lies; None where the file does not say, and `problem` says what is missing.
        problem: Why its place is unknown.
        scaled: Whether the header tells how stored values become measured ones.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        order: (InstanceNumber, number of the frame); None where unknown.
        kind: ImageType or FrameType, upper case.
        thickness_mm: SliceThickness, which is told beside the spacing and never used; None where absent.
    """

    instance: Instance
    number: int
    place: Place | None
    problem: InputRefused | None
    scaled: bool
    slope: float
    intercept: float
    order: tuple[int, int] | None
    kind: tuple[str, ...]
    thickness_mm: float | None

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.instance.count("Rows"), self.instance.count("Columns")

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout view made to plan a scan."""
        return "LOCALIZER" in self.kind

    @property
    def where(self) -> Place:
        """The place of a frame that is known to have one.

        Raises:
            InputRefused: It has none.
        """
        if self.place is None:
            raise self.problem or _missing("ImagePositionPatient", self.instance)
        return self.place

    def plane(self, instance: int) -> Plane:
        """The frame as a plane of the instance with that index."""
        place = self.where
        return Plane(
            instance,
            self.number,
            position_mm=place.position,
            along_row=place.along_row,
            along_column=place.along_column,
            spacing_mm=place.spacing_mm,
            size=self.size,
        )


def frames_of(instance: Instance) -> tuple[Frame, ...]:
    """The frames of an image.

    Raises:
        InputRefused: The number of frames and their descriptions disagree, or frames come without any.
    """
    header = instance.header
    per_frame = _items(header, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        if instance.frames > 1:
            raise many_frames(instance)
        return (_classic(instance),)
    if len(per_frame) != instance.frames:
        raise InputRefused(
            RefusalCode.INCONSISTENT_FRAMES,
            "a description of each frame",
            f"{instance.frames} frames and {len(per_frame)} descriptions in {instance.path.name}",
            "export the series again",
        )
    shared = _items(header, "SharedFunctionalGroupsSequence")
    return tuple(_enhanced(instance, number, (item, *shared[:1])) for number, item in enumerate(per_frame, start=1))


def many_frames(instance: Instance) -> InputRefused:
    """The refusal of a file with many frames that make no volume."""
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        "one image per file, or an enhanced object that says where each frame lies",
        f"{instance.frames} frames without a place in {instance.path.name}",
        "export the series as single images; film loops and slides are read by other means",
    )


def _classic(instance: Instance) -> Frame:
    header = instance.header
    place, problem = _place(instance, header, header, header)
    return Frame(
        instance,
        number=1,
        place=place,
        problem=problem,
        scaled=_is_scaled(header),
        slope=_scale(header, "RescaleSlope", 1.0),
        intercept=_scale(header, "RescaleIntercept", 0.0),
        order=_order(header, 1),
        kind=_kind(header, "ImageType"),
        thickness_mm=_thickness(header),
    )


def _enhanced(instance: Instance, number: int, groups: tuple[Dataset, ...]) -> Frame:
    def group(keyword: str) -> Dataset | None:
        return next((items[0] for source in groups if (items := _items(source, keyword))), None)

    place, problem = _place(
        instance, group("PlanePositionSequence"), group("PlaneOrientationSequence"), group("PixelMeasuresSequence")
    )
    values = group("PixelValueTransformationSequence")
    frame_type = next((g for k in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence") if (g := group(k))), None)
    return Frame(
        instance,
        number=number,
        place=place,
        problem=problem,
        scaled=_is_scaled(values),
        slope=_scale(values, "RescaleSlope", 1.0),
        intercept=_scale(values, "RescaleIntercept", 0.0),
        order=_order(instance.header, number) or (0, number),
        kind=_kind(frame_type, "FrameType") or _kind(instance.header, "ImageType"),
        thickness_mm=_thickness(group("PixelMeasuresSequence")),
    )


def _place(
    instance: Instance, position: Dataset | None, orientation: Dataset | None, measures: Dataset | None
) -> tuple[Place | None, InputRefused | None]:
    where = numbers_of(position, "ImagePositionPatient", 3)
    cosines = numbers_of(orientation, "ImageOrientationPatient", 6)
    spacing = numbers_of(measures, "PixelSpacing", 2)
    if where is None or cosines is None:
        return None, _missing("ImagePositionPatient" if where is None else "ImageOrientationPatient", instance)
    axes = _perpendicular(np.array(cosines).reshape(2, 3))
    if axes is None:
        return None, InputRefused(
            RefusalCode.MISSING_ORIENTATION,
            "ImageOrientationPatient with two perpendicular unit vectors",
            f"{list(cosines)} in {instance.path.name}",
            "export the series with its geometry",
        )
    if spacing is None or min(spacing) <= 0:
        return None, InputRefused(
            RefusalCode.NO_SPACING,
            "PixelSpacing with two positive distances",
            f"{'none' if spacing is None else list(spacing)} in {instance.path.name}",
            "export the series with its geometry",
        )
    return Place(np.array(where), axes[0], axes[1], (spacing[0], spacing[1])), None


def _perpendicular(cosines: Vector) -> Vector | None:
    """Two unit vectors (2, 3), perpendicular to the last bit; None where the given ones are not nearly so."""
    row, column = cosines
    if max(abs(row @ row - 1), abs(column @ column - 1), abs(row @ column)) > _COSINE_TOLERANCE:
        return None
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _missing(keyword: str, instance: Instance) -> InputRefused:
    return InputRefused(
        RefusalCode.MISSING_ORIENTATION,
        "images that say where they lie in the patient",
        f"no usable {keyword} in {instance.path.name}",
        "export the series with its geometry",
    )


def _is_scaled(dataset: Dataset | None) -> bool:
    """Whether slope and intercept, or a table in their place, are there."""
    if dataset is None:
        return False
    pair = (dataset.get("RescaleSlope"), dataset.get("RescaleIntercept"))
    return "ModalityLUTSequence" in dataset or all(value not in (None, "") for value in pair)


def _scale(dataset: Dataset | None, keyword: str, default: float) -> float:
    """A factor of the modality transformation; one that is there and cannot be read is NaN, never a guess."""
    try:
        value = None if dataset is None else dataset.get(keyword)
        return default if value is None or value == "" else float(value)
    except PARSE_ERRORS:
        return float("nan")


def _order(header: Dataset, number: int) -> tuple[int, int] | None:
    instance_number = numbers_of(header, "InstanceNumber", 1)
    return None if instance_number is None else (int(instance_number[0]), number)


def _thickness(dataset: Dataset | None) -> float | None:
    numbers = numbers_of(dataset, "SliceThickness", 1)
    return None if numbers is None else numbers[0]


def _kind(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    if dataset is None:
        return ()
    try:
        values = dataset.get(keyword) or ()
    except PARSE_ERRORS:
        return ()
    return tuple(str(value).strip().upper() for value in ([values] if isinstance(values, str) else values))


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword) or ())
    except PARSE_ERRORS:
        return []
