"""One DICOM file without its pixels, and how its attributes are read without trusting them."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset, config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID

from datasets.errors import InputRefused

# What pydicom raises on bytes that are no proper DICOM.
PARSE_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    struct.error,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    OverflowError,
)


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM file.

    Attributes:
        path: The file.
        header: Everything but pixels, overlays, icons and large private elements.
        is_image: Whether it is an image (and not a report, a segmentation, a plan …).
        pixel_offset: Where uncompressed pixel values start in the file, in bytes; None where a decoder must be asked.
        pixel_keyword: The element that holds the pixels: whole numbers, or floats of single or double precision.
        problem: Why its pixels cannot be read, as far as the header and the file's length tell.
        derived: Identifiers that were blank in the file and have been filled in (keywords).
    """

    path: Path
    header: Dataset
    is_image: bool
    pixel_offset: int | None = None
    pixel_keyword: str = "PixelData"
    problem: InputRefused | None = None
    derived: frozenset[str] = field(default_factory=frozenset)

    def text(self, keyword: str) -> str:
        """An attribute as text without padding; "" where absent or unreadable."""
        return text_of(self.header, keyword)

    def count(self, keyword: str, default: int = 0) -> int:
        """An attribute as a whole number; the default where absent or unreadable."""
        try:
            return int(self.header.get(keyword, default))
        except PARSE_ERRORS:
            return default

    @property
    def frames(self) -> int:
        """Number of frames; 1 for a plain image."""
        return max(1, self.count("NumberOfFrames", 1))

    @property
    def transfer_syntax(self) -> UID:
        """How the pixels are encoded."""
        return UID(text_of(self.header.file_meta, "TransferSyntaxUID"))

    @property
    def is_encapsulated(self) -> bool:
        """Whether the pixels are fragments for a decoder, and not plain values."""
        try:
            return self.transfer_syntax.is_encapsulated
        except ValueError:
            return True


@contextmanager
def lenient() -> Iterator[None]:
    """Read what files say without pydicom's checks of each value: what matters is checked by the readers themselves."""
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


def text_of(dataset: Dataset, keyword: str) -> str:
    """An attribute as text without padding; "" where absent or unreadable."""
    try:
        value = dataset.get(keyword)
    except PARSE_ERRORS:
        return ""
    return "" if value is None else str(value).strip(" \0")


def numbers_of(dataset: Dataset | None, keyword: str, count: int) -> tuple[float, ...] | None:
    """An attribute as `count` finite numbers; None where absent, of another length or unreadable."""
    if dataset is None:
        return None
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        numbers = tuple(float(v) for v in value) if count > 1 else (float(value),)
    except PARSE_ERRORS:
        return None
    return numbers if len(numbers) == count and all(abs(v) < 1e9 for v in numbers) else None
