"""Labels of patches: from their folders, a table, or the file in which PatchCamelyon keeps them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from datasets.errors import ConfigError
from pipelines.patch_index import Place, source_name

FOLDERS = "folders"
_HDF5 = (".h5", ".hdf5")
_PCAM = ("normal", "tumor")
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError)


@dataclass(frozen=True)
class Labels:
    """Who says what a patch shows.

    Attributes:
        by_folder: The name of the folder that a picture lies in.
        by_place: A table's, by path and index in the file; None as an index is for the whole file.
        in_order: Of the pictures of one file, in their order.
    """

    by_folder: bool = False
    by_place: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    in_order: Sequence[str] | None = None

    @classmethod
    def read(cls, told: str | None) -> "Labels":
        """Find labels as a caller names them.

        Args:
            told: "folders"; a .csv with columns `source` (path relative to the table), `label` and, where a file holds
                many pictures, `index` from 0; an .h5 with the dataset `y` of PatchCamelyon; None for no labels.

        Raises:
            ConfigError: It is none of these, or cannot be read.
        """
        if told is None:
            return cls()
        if told == FOLDERS:
            return cls(by_folder=True)
        path = Path(told)
        if path.suffix.lower() in _HDF5:
            return cls(in_order=_pcam(path))
        return cls(by_place=_table(path))

    def of(self, place: Place) -> str:
        """The label of a patch; "" where nobody says."""
        if self.by_folder:
            return Path(place.source).parent.name
        if self.in_order is not None:
            return "" if place.index is None else self.in_order[place.index]
        return self.by_place.get((place.source, place.index), self.by_place.get((place.source, None), ""))

    def check(self, source: str, pictures: int) -> None:
        """Refuse labels in order that are not those of a file.

        Raises:
            ConfigError: There are more or fewer of them than pictures.
        """
        if self.in_order is not None and len(self.in_order) != pictures:
            got = f"{len(self.in_order)} labels for {pictures} pictures in {source}"
            raise ConfigError("a label for each picture", got, "give the labels of this very file to --labels")


def _pcam(path: Path) -> list[str]:
    try:
        with h5py.File(path, "r") as file:
            values = np.asarray(file["y"]).ravel()
    except _BROKEN as error:
        raise ConfigError("labels in a dataset y", f"{path}: {error}", "correct --labels") from error
    if values.dtype.kind not in "bui" or (values.size and not 0 <= values.min() <= values.max() <= 1):
        raise ConfigError("labels 0 and 1, as PatchCamelyon's", f"others in {path}", "give labels as a .csv")
    return [_PCAM[int(value)] for value in values]


def _table(path: Path) -> dict[tuple[str, int | None], str]:
    advice = f'give "{FOLDERS}", or a .csv with columns source, label and, if need be, index'
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
        return {
            (source_name(path.parent / row["source"]), int(row["index"]) if row.get("index") else None): row["label"]
            for row in rows
        }
    except (*_BROKEN, csv.Error) as error:
        raise ConfigError("labels of patches", f"{path}: {type(error).__name__} {error}", advice) from error
