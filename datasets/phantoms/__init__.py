"""Studies with a truth known by formula."""

from datasets.phantoms.ct import (
    FIELD_MM,
    CtPhantom,
    CtTruth,
    EllipsoidPhantom,
    TumorTruth,
    ct_phantom,
    default_grid,
    tilted_planes,
)

__all__ = [
    "FIELD_MM",
    "CtPhantom",
    "CtTruth",
    "EllipsoidPhantom",
    "TumorTruth",
    "ct_phantom",
    "default_grid",
    "tilted_planes",
]
