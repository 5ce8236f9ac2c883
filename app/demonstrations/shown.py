"""What a demonstration of a task is, and what it is given back to show."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pipelines.journal import Entry
from pipelines.outputs import RESULT

SHEET = "contact_sheet.png"


@dataclass(frozen=True)
class Found:
    """What was left of a study that was scored, as anybody would find it.

    Attributes:
        study: Its uid.
        folder: Where its files are.
        document: Its `result.json`.
    """

    study: str
    folder: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, entry: Entry, out: Path) -> "Found":
        """Read what was written.

        Raises:
            RuntimeError: The study failed: the phantoms of a demonstration are sound.
        """
        if entry.status == "failed":
            raise RuntimeError(f"expected {entry.study} to be scored; got {entry.code}: {entry.message}")
        folder = out / entry.folder
        return cls(entry.study, folder, json.loads((folder / RESULT).read_text(encoding="utf-8")))

    @property
    def quantities(self) -> dict[tuple[str | None, str], float]:
        """Values by label and name; 0 where one could not be measured."""
        return {(q.get("label"), q["name"]): float(q["value"] or 0.0) for q in self.document["quantities"]}

    @property
    def codes(self) -> list[str]:
        """Of the quality flags."""
        return [flag["code"] for flag in self.document["quality"]]


@dataclass(frozen=True)
class Demonstration:
    """One task, shown on phantoms.

    Attributes:
        task: Name of its YAML.
        told: What is shown, in a sentence.
        make: Writes the phantoms into a folder and gives the inputs to score.
        show: Draws a contact sheet at a path, and gives a table of found beside truth.
        explained: Method by which findings are explained too; "" for none.
    """

    task: str
    told: str
    make: Callable[[Path], list[Path]]
    show: Callable[[Sequence[Found], Path], Table]
    explained: str = ""


def table(title: str, first: str, *columns: str) -> Table:
    """A table narrow enough for 80 columns, which is what a pipe or a log gets."""
    made = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    made.add_column(f"\n{first}" if any("\n" in column for column in columns) else first, no_wrap=True)
    for column in columns:
        made.add_column(column, justify="right", no_wrap=True)
    return made
