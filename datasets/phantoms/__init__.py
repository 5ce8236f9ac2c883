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
from datasets.phantoms.film import VIEWS, FilmPhantom, View, film_phantom
from datasets.phantoms.slide import SlidePhantom, slide_phantom
from datasets.phantoms.slide_artifacts import Artifact
from datasets.phantoms.slide_patches import Patches, patch_label, slide_patches

__all__ = [
    "FIELD_MM",
    "VIEWS",
    "Artifact",
    "CtPhantom",
    "CtTruth",
    "EllipsoidPhantom",
    "FilmPhantom",
    "Patches",
    "SlidePhantom",
    "TumorTruth",
    "View",
    "ct_phantom",
    "default_grid",
    "film_phantom",
    "patch_label",
    "slide_patches",
    "slide_phantom",
    "tilted_planes",
]
