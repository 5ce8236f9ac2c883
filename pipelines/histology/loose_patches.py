"""Patches that somebody cut out of slides already: a picture of a patch's size, or a file of many."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Image
from datasets.io.patch_stack import PatchStack
from pipelines.examination import Examination
from pipelines.histology.hot_spots import LABEL
from pipelines.histology.light import Floats, Pixels
from pipelines.histology.patch_table import PatchTable
from pipelines.histology.read_ahead import read_ahead
from pipelines.results import Finding, FlagCode, OutputFile, Quantity, flag

_COLOURS = 3


@dataclass(frozen=True)
class PatchJudge:
    """What is known about judging patches.

    Attributes:
        ask: From patches uint8 (n, patch_px, patch_px, 3) to the network's own probabilities (n,).
        calibrate: From these to the ones that are told.
        calibrated: Whether that changes anything.
        threshold: From which told probability a patch is positive.
        patch_px: Edge of a patch.
        batch: Patches per question.
    """

    ask: Callable[[Pixels], Floats]
    calibrate: Callable[[Floats], NDArray[np.float64]]
    calibrated: bool
    threshold: float
    patch_px: int
    batch: int

    def examine_patch(self, pixels: Pixels) -> Examination:
        """One patch (patch_px, patch_px, 3): one finding."""
        raw = self.ask(pixels[np.newaxis])
        probability = float(self.calibrate(raw)[0])
        finding = Finding(
            label=LABEL,
            probability=round(probability, 4),
            raw_probability=round(float(raw[0]), 4),
            threshold=self.threshold,
            positive=probability >= self.threshold,
            calibrated=self.calibrated,
        )
        return Examination(findings=(finding,), flags=(_NOT_NORMALISED,))

    def examine_stack(self, stack: PatchStack) -> Examination:
        """A file of patches: a table, and how many are positive.

        Raises:
            InputRefused: `unsupported_dimensions`; `unreadable_tile`.
        """
        wanted = (self.patch_px, self.patch_px, _COLOURS)
        if stack.shape != wanted:
            raise InputRefused(
                RefusalCode.UNSUPPORTED_DIMENSIONS,
                f"patches of {self.patch_px} x {self.patch_px} pixels in colour",
                f"{stack.shape} in {stack.name}",
                "cut patches of this size, or score the slides they were cut from",
            )
        raw = np.concatenate([self.ask(batch) for batch in read_ahead(stack.batches(self.batch))])
        told = self.calibrate(raw)
        positive = told >= self.threshold
        rows = [
            (index, f"{own:.4f}", f"{probability:.4f}", int(counts))
            for index, (own, probability, counts) in enumerate(zip(raw, told, positive, strict=True))
        ]
        table = PatchTable(("index", "raw_probability", "probability", "positive"), rows)
        return Examination(
            quantities=(
                Quantity(name="count", label="patch", value=float(len(raw)), unit="1"),
                Quantity(name="count", label=LABEL, value=float(np.count_nonzero(positive)), unit="1"),
            ),
            flags=(_NOT_NORMALISED,),
            files=(OutputFile("patches", "patches.csv", table.write),),
        )


def colour_pixels(image: Image, name: str) -> Pixels:
    """The pixels (rows, columns, 3) of a picture.

    Raises:
        InputRefused: `wrong_modality`: it is not in colour.
    """
    if image.channels != _COLOURS or image.array.dtype != np.uint8:
        raise InputRefused(
            RefusalCode.WRONG_MODALITY,
            "a picture in colour of a section stained with hematoxylin and eosin",
            f"{image.channels} channel of {image.array.dtype} in {name}",
            "score the picture as it came from the microscope",
        )
    return np.ascontiguousarray(image.array[..., 0].transpose(2, 1, 0))


_NOT_NORMALISED = flag(
    FlagCode.STAIN_NOT_NORMALISED,
    "info",
    "patches were taken as they are: a single one does not tell how its slide is stained",
)
