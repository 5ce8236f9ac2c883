"""What `result.json` says of the image itself: its grid, its slide, and what the values of its mask stand for."""

from dataclasses import asdict

from pydantic import Field

from datasets.geometry import Grid
from datasets.labels import CodedConcept, Label
from pipelines.document import Document


class GridRecord(Document):
    """The grid of the input image, which is the grid of the mask; the affine maps to RAS mm."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, grid: Grid) -> "GridRecord":
        """Record a grid."""
        return cls(
            shape=grid.shape,
            spacing_mm=grid.spacing_mm,
            affine=tuple(tuple(float(v) for v in row) for row in grid.affine),
        )


class SlideRecord(Document):
    """Size of a slide at its finest level, and how fine that is."""

    size_px: tuple[int, int]
    mpp: tuple[float, float] = Field(description="Micrometres per pixel, along columns and rows")
    kind: str


class LabelRecord(Document):
    """What a value of the label map stands for: its name, its colour, and the coded concepts of DICOM."""

    index: int
    name: str
    colour: tuple[int, int, int]
    concept: CodedConcept
    category: CodedConcept

    @classmethod
    def of(cls, label: Label) -> "LabelRecord":
        """Record a label."""
        return cls(**asdict(label))
