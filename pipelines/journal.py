"""The memory of a run: one line per finished study, on the disk before the next begins."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from datasets.errors import ConfigError
from datasets.io.atomic import write_text

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """How one study ended.

    Attributes:
        study: The study's uid.
        source: Where it came from: another input of the same name is another study.
        folder: Its folder's name within the output folder.
        status: "done", or "failed" for a study refused for a coded reason.
        code: The reason's code; "" when done.
        message: The reason in words; "" when done.
        digest: `result_digest` of its `result.json`.
        seconds: Wall time.
    """

    study: str
    source: str
    folder: str
    status: Literal["done", "failed"]
    code: str
    message: str
    digest: str
    seconds: float


class Journal:
    """A file of one JSON line per finished study, after a first line that says which run it belongs to.

    Args:
        folder: The run's output folder; made when missing.
        run: What must be the same for results to belong together (task, settings, weights).
        fresh: Forget what stands there.

    Raises:
        ConfigError: The folder holds a run with other settings or weights, or cannot be written to.
    """

    def __init__(self, folder: Path, run: str, *, fresh: bool) -> None:
        self._path = folder / JOURNAL
        lines = [] if fresh else list(_whole_lines(self._path))
        if lines and lines[0].get("run") != run:
            raise ConfigError(
                "an output folder of a run with the same task, settings and weights",
                f"another run in {folder}",
                "choose another --out, or --fresh to start over in this one",
            )
        self._entries = {entry.study: entry for entry in map(_entry, lines[1:])}
        # Rewriting drops a line that a crash cut short; what follows must start on a line of its own.
        kept = [{"run": run}, *(asdict(entry) for entry in self._entries.values())]
        try:
            write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        except OSError as error:
            raise ConfigError(
                "an output folder that can be written to", f"{folder}: {error}", "choose --out"
            ) from error

    def get(self, study: str) -> Entry | None:
        """How a study ended in this run or the one it resumes, or None."""
        return self._entries.get(study)

    def append(self, entry: Entry) -> None:
        """Remember a finished study; on the disk when this returns."""
        self._entries[entry.study] = entry
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    # A crash can leave half a line, a power cut any bytes at all: what follows the first of them is forgotten.
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            return
        if not isinstance(line, dict):
            return
        yield line


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(**line)
