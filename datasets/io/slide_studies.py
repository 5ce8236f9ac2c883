"""The series of a slide's file, by its headers."""

from contextlib import closing
from pathlib import Path

from datasets.io.slide.opening import SlideFile
from datasets.io.slide.tiff import TiffPyramid
from datasets.io.slide_image import LARGEST_IMAGE_PX, SlideAsImage
from datasets.slide_levels import description_of
from datasets.study import Series

MODALITY = "SM"


def slide_series(file: Path, source: str, uid: str) -> Series:
    """The series of one slide's file, by its headers.

    A TIFF that is not tiled and has at most 4096 x 4096 pixels is a picture like a PNG (modality not told) and a slide
    of one level at the same time; everything else is a slide (modality "SM").

    Args:
        file: Where the file lies.
        source: What the caller calls it.
        uid: The series' name.

    Raises:
        InputRefused: As `SlideFile`.
    """
    opener = SlideFile(file, source)
    with closing(opener()) as slide:
        columns, rows = slide.size_px
        is_picture = isinstance(slide, TiffPyramid) and not slide.is_tiled and columns * rows <= LARGEST_IMAGE_PX
        return Series(
            uid=uid,
            modality="" if is_picture else MODALITY,
            description=description_of(slide.kind, slide.size_px, len(slide.levels), slide.mpp),
            images=1,
            grid=None,
            repairs=(),
            refusal=None,
            read=SlideAsImage(opener),
            slide=opener,
        )
