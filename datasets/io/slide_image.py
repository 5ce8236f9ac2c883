"""A slide that is small enough to be an image as well."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from datasets.codes import RefusalCode, Repair
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.slide import Slide
from datasets.study import Loaded

# What is larger is a slide and nothing else: 4096 x 4096 pixels of colour are 50 MB.
LARGEST_IMAGE_PX = 4096 * 4096


@dataclass(frozen=True)
class SlideAsImage:
    """Reads a slide as one image; picklable."""

    open: Callable[[], Slide]

    def __call__(self, repairs: tuple[Repair, ...] = ()) -> Loaded:
        """Read the finest level.

        Args:
            repairs: What finding the slide put right.

        Returns:
            Colour (3, columns, rows, 1), or grey (1, columns, rows, 1) where the file holds grey; with an affine where
            micrometres per pixel are known.

        Raises:
            InputRefused: `wrong_modality`: it is larger than 4096 x 4096 pixels; and as reading a slide.
        """
        with closing(self.open()) as slide:
            columns, rows = slide.size_px
            if columns * rows > LARGEST_IMAGE_PX:
                raise InputRefused(
                    RefusalCode.WRONG_MODALITY,
                    "an image that fits into memory",
                    f"a whole slide of {columns} x {rows} pixels, {slide.name}",
                    "score it with --task histopathology",
                )
            mpp = slide.mpp or (1.0, 1.0)
            # Read as if pixels were square, at their own size: one pixel of the file is one of the image.
            pixels = slide.with_mpp(1.0).read(0.0, 0.0, columns, rows, 1.0)
            affine = None if slide.mpp is None else np.diag([mpp[0] / 1000, mpp[1] / 1000, 1.0, 1.0])
            levels = slide.dicom
        array = pixels[..., :1] if slide.is_grey else pixels
        stacked = np.ascontiguousarray(array.transpose(2, 0, 1))[:, np.newaxis].transpose(0, 3, 2, 1)
        intensity = Intensity.GREY if slide.is_grey else Intensity.COLOUR
        return Loaded(Image(stacked, intensity, affine), repairs, levels=levels)
