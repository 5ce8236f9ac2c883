"""From a slide's file to the reader that can read it."""

import logging
from dataclasses import dataclass
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.slide.tiff import TiffPyramid
from datasets.io.slide.vendor import VendorSlide, maker_of
from datasets.slide import Slide

TIFF_SUFFIXES = (".svs", ".tif", ".tiff")
SUFFIXES = (*TIFF_SUFFIXES, ".ndpi", ".scn", ".mrxs", ".bif", ".svslide", ".vms")

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Formats that are what they seem: pages of tiles. All others have ways of their own, which OpenSlide knows.
_PLAIN_PYRAMIDS = ("aperio", "generic-tiff", None)

# It tells of oddities on a terminal of its own; what matters is refused.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class SlideFile:
    """Opens a slide's file; picklable.

    Attributes:
        path: Where it lies.
        name: What the caller calls it.
    """

    path: Path
    name: str

    def __call__(self) -> Slide:
        """Open it: plain pyramids tile by tile, all else through OpenSlide.

        Raises:
            InputRefused: `unreadable_file`, `truncated_file`, `unsupported_transfer_syntax`, `unsupported_dimensions`,
                `empty_image`.
        """
        maker = maker_of(self.path)
        if maker not in _PLAIN_PYRAMIDS or not _is_tiff(self.path):
            return VendorSlide(self.path, self.name)
        try:
            return TiffPyramid(self.path, self.name)
        except InputRefused as refusal:
            # Some colours and compressions only OpenSlide knows; damage is damage to both.
            if maker is None or refusal.code is not RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX:
                raise
            try:
                return VendorSlide(self.path, self.name)
            except InputRefused:
                raise refusal from None


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _TIFF_STARTS
