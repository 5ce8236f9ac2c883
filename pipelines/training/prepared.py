"""Examples as a training keeps them: prepared once by the task's own steps, then read in parts from disk.

Cases lie in chunks: one file of raw numbers and one JSON that says where in it each array starts. A chunk appears
whole or not at all, so a preparation that was killed goes on where it was. The folder's name is a hash of the data, of
what the task does to it and of what the examples are, so nothing stale is ever read.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.errors import InputRefused
from datasets.example import Example
from datasets.image import Image
from datasets.io.atomic import atomic_path, write_text

Array = NDArray[Any]

# Chunks there are at least, so that all workers have something to do, and examples in one at most.
_CHUNKS, _MOST_IN_CHUNK = 32, 256
_ALIGNED = 64


@dataclass(frozen=True)
class Case:
    """One thing to learn from: an image, or one view of a study.

    Attributes:
        name: Of the example; of several views with a number behind.
        inputs: (C, D, H, W) float32, as the task's `preprocess` gives it.
        truth: (1, D, H, W) integers on the same grid, or (outputs,) float32 with NaN where nothing is known.
        places: By label, flat indices into D x H x W where it is, a sample of them; "any" for all labels together.
        kind: Cases of one kind are alike; for drawing some kinds more often than their share.
        spacing: Of the grid along (d, h, w), in mm or in anything else that is in proportion.
    """

    name: str
    inputs: Array
    truth: Array
    places: Mapping[str, NDArray[np.int64]]
    kind: str = ""
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def size(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        _, depth, height, width = self.inputs.shape
        return depth, height, width


def spacing_of(prepared: Image) -> tuple[float, float, float]:
    """Of an image's grid along (d, h, w); ones where it is unknown."""
    if prepared.affine is None:
        return 1.0, 1.0, 1.0
    across, down, along = prepared.grid.spacing_mm
    return along, down, across


Prepare = Callable[[Example], Sequence[Case]]


def data_stamp(root: Path) -> str:
    """Sha256 of the names, sizes and times of change of all files below a folder, or of one file."""
    files = sorted(path for path in (root.rglob("*") if root.is_dir() else [root]) if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        stat = path.stat()
        told = path.relative_to(root).as_posix() if root.is_dir() else path.name
        digest.update(f"{told}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Refused:
    """An example that could not be prepared.

    Attributes:
        name: Of the example.
        code: Of the refusal.
        told: What was expected, what came, what to do.
    """

    name: str
    code: str
    told: str


@dataclass(frozen=True)
class CaseStore:
    """Prepared cases in a folder.

    Attributes:
        folder: Of this data and this preparation alone.
    """

    folder: Path

    def fill(self, examples: Sequence[Example], prepare: Prepare, pool: Executor | None = None) -> Iterator[int]:
        """Prepare what is not there yet.

        Args:
            examples: All that the store is to hold; the same ones in the same order whenever it is filled.
            prepare: Picklable where there is a pool.
            pool: Does the work in other processes; None does it here.

        Yields:
            How many examples are there so far, chunk by chunk; those that were refused are among them.
        """
        step = _chunk_size(len(examples))
        chunks = [examples[start : start + step] for start in range(0, len(examples), step)]
        missing = [(n, chunk) for n, chunk in enumerate(chunks) if not self._index(n).is_file()]
        done = len(examples) - sum(len(chunk) for _, chunk in missing)
        if done:
            yield done
        jobs = [(self.folder, number, chunk, prepare) for number, chunk in missing]
        for count in pool.map(_fill_chunk, jobs) if pool else map(_fill_chunk, jobs):
            done += count
            yield done

    def cases(self, examples: int) -> tuple[Case, ...]:
        """All cases, their arrays mapped from disk and not yet read.

        Args:
            examples: How many examples the store was filled with.
        """
        chunks = math.ceil(examples / _chunk_size(examples))
        return tuple(case for number in range(chunks) for case in self._chunk(number))

    def refused(self, examples: int) -> tuple[Refused, ...]:
        """Examples that could not be prepared, and why."""
        chunks = math.ceil(examples / _chunk_size(examples))
        return tuple(Refused(**row) for number in range(chunks) for row in self._told(number)["refused"])

    def _told(self, number: int) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._index(number).read_text(encoding="utf-8"))
        return told

    def _index(self, number: int) -> Path:
        return self.folder / f"chunk-{number:05d}.json"

    def _chunk(self, number: int) -> Iterator[Case]:
        rows = self._told(number)["cases"]
        numbers = _Mapped(str(self._index(number).with_suffix(".bin")))
        for row in rows:
            places = {label: numbers.array(told) for label, told in row["places"].items()}
            inputs, truth = numbers.array(row["inputs"]), numbers.array(row["truth"])
            across, down, along = row["spacing"]
            yield Case(row["name"], inputs, truth, places, row["kind"], (across, down, along))


def _chunk_size(examples: int) -> int:
    return max(1, min(_MOST_IN_CHUNK, examples // _CHUNKS))


def _fill_chunk(job: tuple[Path, int, Sequence[Example], Prepare]) -> int:
    """Prepare the examples of a chunk and write them; picklable."""
    folder, number, examples, prepare = job
    store = CaseStore(folder)
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(store._index(number).with_suffix(".bin")) as path, path.open("wb") as stream:
        for example in examples:
            try:
                cases = prepare(example)
            except InputRefused as refusal:
                refused.append({"name": example.name, "code": refusal.code.value, "told": str(refusal)})
                continue
            for case in cases:
                arrays = {"inputs": case.inputs, "truth": case.truth}
                told: dict[str, Any] = {key: _append(stream, array) for key, array in arrays.items()}
                places = {label: _append(stream, array) for label, array in case.places.items()}
                named = {"name": case.name, "kind": case.kind, "spacing": case.spacing}
                rows.append({**named, **told, "places": places})
    write_text(store._index(number), json.dumps({"cases": rows, "refused": refused}))
    return len(examples)


def _append(stream: Any, array: Array) -> dict[str, Any]:
    stream.write(b"\0" * (-stream.tell() % _ALIGNED))
    start = stream.tell()
    stream.write(np.ascontiguousarray(array).tobytes())
    return {"start": start, "shape": list(array.shape), "dtype": array.dtype.str}


@dataclass(frozen=True)
class _Mapped:
    """The numbers of a chunk."""

    path: str

    def array(self, told: Mapping[str, Any]) -> Array:
        """A read-only part, as it was appended."""
        shape = tuple(int(extent) for extent in told["shape"])
        dtype = np.dtype(told["dtype"])
        start = int(told["start"])
        stop = start + dtype.itemsize * math.prod(shape)
        part: Array = _bytes_of(self.path)[start:stop].view(dtype).reshape(shape)
        return part


@cache
def _bytes_of(path: str) -> NDArray[np.uint8]:
    if Path(path).stat().st_size == 0:
        return np.empty(0, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r")
