"""Tables of a film's values: modality LUT and VOI LUT.

The library's own functions take the tables of well-made files; of tables with fewer bits than entries have numbers, the
usual twelve bits in and eight out, they look up the wrong entry, and of modality tables they know 8 and 16 bits alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasets.io.dicom.instance import PARSE_ERRORS, Instance

_MOST_ENTRIES = 1 << 16


@dataclass(frozen=True, eq=False)
class LookupTable:
    """One table (PS3.3 C.11.1.1.1).

    Attributes:
        first: The value that stands for the first entry; smaller ones do too, and larger than the last for the last.
        entries: (n,) whole numbers.
        white: The largest number an entry can be.
    """

    first: int
    entries: NDArray[np.int32]
    white: int

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.int32]:
        """Look values of any shape up."""
        places = np.rint(values).astype(np.int64) - self.first
        found: NDArray[np.int32] = self.entries[np.clip(places, 0, self.entries.size - 1)]
        return found


def has_table(instance: Instance, keyword: str) -> bool:
    """Whether there is a table in a sequence, be it whole or damaged."""
    try:
        return bool(instance.header.get(keyword))
    except PARSE_ERRORS:
        return True


def lookup_table(instance: Instance, keyword: str, *, signed: bool) -> LookupTable | None:
    """The first table of a sequence; None without one that can be read.

    Args:
        instance: The film.
        keyword: "ModalityLUTSequence" or "VOILUTSequence".
        signed: Whether the values to be looked up can be negative: then the first one's sign is put right.
    """
    try:
        items = instance.header.get(keyword)
        return _read(items[0], instance.transfer_syntax.is_little_endian, signed=signed) if items else None
    except (*PARSE_ERRORS, IndexError):
        return None


def _read(item: Dataset, little_endian: bool, *, signed: bool) -> LookupTable | None:
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or _MOST_ENTRIES
    # An unsigned element holds the first value's bits, whatever their sign.
    first = first - _MOST_ENTRIES if signed and first >= _MOST_ENTRIES // 2 else first
    entries = _entries(item.LUTData, count, little_endian)
    if entries is None or not 1 <= bits <= 16:
        return None
    return LookupTable(first, entries, max(2**bits - 1, int(entries.max())))


def _entries(data: object, count: int, little_endian: bool) -> NDArray[np.int32] | None:
    """Entries from the words of a table; two to a word where there are half as many words."""
    order = "<" if little_endian else ">"
    words = np.frombuffer(data, f"{order}u2") if isinstance(data, bytes) else np.asarray(data).astype("<u2")
    if words.size >= count:
        return words[:count].astype(np.int32)
    halves = np.stack((words & 0xFF, words >> 8), axis=1).ravel()
    return halves[:count].astype(np.int32) if halves.size >= count else None
