"""An index of patches by what a network sees in them: a folder that only grows.

    DIR/index.json                 whose features these are: weights, network, how large patches of slides are
    DIR/patches-<name>.csv         source, index, x_um, y_um, label; one row per patch
    DIR/patches-<name>.safetensors `features`, float16 (patches, width), each row of length 1

A part is there once its second file is, which is written last and whole: an addition that is stopped loses what it had
not yet written and leaves nothing half there, and several may add at the same time.
"""

import csv
import io
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from datasets.errors import ConfigError
from datasets.io.atomic import write_bytes, write_text

Features = NDArray[np.float32]

INDEX = "index.json"
_COLUMNS = ("source", "index", "x_um", "y_um", "label")
# Rows read at once: 32 MB of 1024 numbers.
_ROWS = 8192
_WHOLE = "an index that is whole"
_MAKE_ANEW = "make the index anew, in another folder"


def source_name(path: Path) -> str:
    """What an index calls a file: its absolute path, by which it is found again from anywhere; links stay links."""
    return os.path.normpath(path.absolute())


@dataclass(frozen=True)
class Place:
    """Where a patch is from.

    Attributes:
        source: Path of its file.
        index: Which of a file of many pictures, from 0; None elsewhere.
        x_um: Left edge on a slide; None elsewhere.
        y_um: Upper edge on a slide; None elsewhere.
        label: What it shows; "" where nobody said.
    """

    source: str
    index: int | None = None
    x_um: float | None = None
    y_um: float | None = None
    label: str = ""

    @property
    def told(self) -> str:
        """For people: the file, and where in it."""
        return self._within(self.source)

    @property
    def told_shortly(self) -> str:
        """The same without the file's folder."""
        return self._within(Path(self.source).name)

    def _within(self, file: str) -> str:
        if self.index is not None:
            return f"{file} [{self.index}]"
        if self.x_um is not None and self.y_um is not None:
            return f"{file} at {self.x_um:.0f}, {self.y_um:.0f} um"
        return file

    def is_same(self, other: "Place") -> bool:
        """Whether it is the same patch, whatever its label."""
        mine, others = ((one.source, one.index, one.x_um, one.y_um) for one in (self, other))
        return mine == others


class IndexSettings(BaseModel):
    """What all features of an index have in common; `index.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_: Literal[1] = Field(default=1, alias="schema")
    weights: str
    weights_sha256: str
    width: PositiveInt
    patch_px: PositiveInt
    mpp: PositiveFloat
    network: dict[str, Any] = {}
    version: str = ""


@dataclass(frozen=True)
class PatchIndex:
    """An index that exists.

    Attributes:
        folder: Where it lies.
        settings: What its features have in common.
    """

    folder: Path
    settings: IndexSettings

    @classmethod
    def open(cls, folder: Path) -> "PatchIndex":
        """Open an index.

        Raises:
            ConfigError: There is none, or it is damaged.
        """
        path = folder / INDEX
        if not path.is_file():
            raise ConfigError("a folder with an index of patches", f"{folder}, without {INDEX}", "make one with --add")
        try:
            return cls(folder, IndexSettings.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError) as error:
            reason = str(error).replace("\n", " ")
            raise ConfigError(_WHOLE, f"{path}: {reason}", _MAKE_ANEW) from error

    @classmethod
    def open_or_make(cls, folder: Path, settings: IndexSettings) -> "PatchIndex":
        """Open an index for additions with the same settings, or make an empty one.

        Raises:
            ConfigError: It has other settings, is damaged, or the folder cannot be written to.
        """
        if not (folder / INDEX).is_file():
            try:
                write_text(folder / INDEX, settings.model_dump_json(indent=2, by_alias=True) + "\n")
            except OSError as error:
                got = f"{folder}: {error.strerror or error}"
                raise ConfigError("a folder that can be written to", got, "choose another --index") from error
        found = cls.open(folder)
        found.check(settings)
        return found

    def check(self, settings: IndexSettings) -> None:
        """Refuse features that cannot be compared with those of the index.

        Raises:
            ConfigError: They are of other weights, or of other patches of slides.
        """
        for name in ("weights_sha256", "width", "patch_px", "mpp"):
            here, there = getattr(self.settings, name), getattr(settings, name)
            if here != there:
                raise ConfigError(
                    f"the {name} of the index in {self.folder}, {here} (weights {self.settings.weights})",
                    f"{there} (weights {settings.weights})",
                    "leave --weights out, or make another index: features of different networks cannot be compared",
                )

    def add(self, features: Features, places: Sequence[Place]) -> None:
        """Add patches, all of them or none.

        Args:
            features: (N, width), each of length 1.
            places: N of them.

        Raises:
            ConfigError: The folder cannot be written to.
            ValueError: The shapes do not fit.
        """
        if features.shape != (len(places), self.settings.width):
            raise ValueError(f"expected features ({len(places)}, {self.settings.width}), got {features.shape}")
        if not places:
            return
        name = self.folder / f"patches-{len(self._parts):05d}-{secrets.token_hex(4)}.safetensors"
        try:
            write_bytes(name.with_suffix(".csv"), _table(places))
            write_bytes(name, save({"features": features.astype(np.float16)}))
        except OSError as error:
            got = f"{self.folder}: {error.strerror or error}"
            raise ConfigError("a folder that can be written to", got, "make room there") from error

    def __len__(self) -> int:
        return sum(self._count(part) for part in self._parts)

    @property
    def sources(self) -> frozenset[str]:
        """The files whose patches it holds."""
        return frozenset(place.source for part in self._parts for place in _places(part.with_suffix(".csv")))

    def chunks(self) -> Iterator[tuple[Path, int, Features]]:
        """All features, some thousands at a time.

        Yields:
            The part, the first row's number in it, and (n, width) float32, each row of length 1.

        Raises:
            ConfigError: A part is damaged.
        """
        for part in self._parts:
            with self._opened(part) as file:
                rows = file.get_slice("features")
                count, width = rows.get_shape()
                if width != self.settings.width:
                    raise ConfigError(_WHOLE, f"{width} features in {part}", _MAKE_ANEW)
                for start in range(0, count, _ROWS):
                    chunk = rows[start : min(start + _ROWS, count)].astype(np.float32)
                    # Half precision has left them a little off the unit sphere.
                    yield part, start, chunk / np.linalg.norm(chunk, axis=1, keepdims=True)

    def places(self, part: Path) -> "_Places":
        """Where the patches of a part are from, row by row."""
        return _Places(part.with_suffix(".csv"), self._count(part))

    @property
    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob("patches-*.safetensors"))

    def _count(self, part: Path) -> int:
        with self._opened(part) as file:
            return int(file.get_slice("features").get_shape()[0])

    def _opened(self, part: Path) -> Any:
        try:
            return safe_open(part, framework="np")
        except (SafetensorError, OSError) as error:
            raise ConfigError(_WHOLE, f"{part}: {error}", _MAKE_ANEW) from error


@dataclass(frozen=True)
class _Places:
    """The rows of a part's table, read when the first is asked for."""

    path: Path
    count: int

    def __getitem__(self, row: int) -> Place:
        return self._rows[row]

    @cached_property
    def _rows(self) -> list[Place]:
        rows = list(_places(self.path))
        if len(rows) != self.count:
            raise ConfigError(_WHOLE, f"{len(rows)} rows for {self.count} features in {self.path}", _MAKE_ANEW)
        return rows


def _table(places: Sequence[Place]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for place in places:
        numbers = ("" if value is None else value for value in (place.index, place.x_um, place.y_um))
        table.writerow([place.source, *numbers, place.label])
    # Names of files need not be UTF-8.
    return text.getvalue().encode("utf-8", "surrogateescape")


def _places(path: Path) -> Iterator[Place]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            yield Place(
                row["source"],
                int(row["index"]) if row["index"] else None,
                float(row["x_um"]) if row["x_um"] else None,
                float(row["y_um"]) if row["y_um"] else None,
                row["label"],
            )
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise ConfigError(_WHOLE, f"{path}: {type(error).__name__} {error}", _MAKE_ANEW) from error
