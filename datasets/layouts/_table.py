"""Tables in text files: read whole, with or without a header, whatever separates their cells."""

import csv
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from datasets.errors import ConfigError
from datasets.layouts._film_files import FILM_SUFFIXES
from datasets.layouts._names import plain

SUFFIXES = (".csv", ".tsv")

_DELIMITERS = (",", ";", "\t")
_LARGEST_BYTES = 2**29
_HEAD_LINES = 40
_HEAD_BYTES = 2**18


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        path: Of the file.
        columns: Names in snake case, each once; of a table without a header "path" and "label".
        titles: The same names as they stand in the file.
        rows: As many cells each as there are columns, without blanks around them.
    """

    path: Path
    columns: tuple[str, ...]
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def values(self, column: str) -> list[str]:
        """All cells of a column."""
        index = self.columns.index(column)
        return [row[index] for row in self.rows]


def read_table(path: Path, *, head: bool = False) -> Table:
    """Read a table.

    Args:
        path: A text file in UTF-8 with commas, semicolons or tabs between cells. Its first line is its header, but
            where that begins with a path: such a table has two columns, path and label, as MURA's.
        head: Read the first lines only.

    Returns:
        Without rows that are empty.

    Raises:
        ConfigError: It cannot be read, is no text, has no line, or a row has more cells than the header.
    """
    try:
        lines = list(csv.reader(io.StringIO(text := _text(path, head=head)), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise _bad(path, str(error)) from error
    cells = [tuple(cell.strip() for cell in line) for line in lines if any(cell.strip() for cell in line)]
    if not cells:
        raise _bad(path, "an empty file")
    titles, rows = (("path", "label"), cells) if _is_row(cells[0]) else (cells[0], cells[1:])
    # Files that a spreadsheet wrote end each line in separators.
    while titles and not titles[-1] and all(len(row) < len(titles) or not row[len(titles) - 1] for row in rows):
        titles = titles[:-1]
    whole = tuple(_fitted(row, len(titles), path) for row in rows)
    return Table(path, _once([plain(title) for title in titles]), titles, whole)


def _text(path: Path, *, head: bool) -> str:
    try:
        if not head and path.stat().st_size > _LARGEST_BYTES:
            raise _bad(path, f"more than {_LARGEST_BYTES} bytes")
        with path.open("r", encoding="utf-8-sig", newline="") as file:
            text = "".join(islice(file, _HEAD_LINES))[:_HEAD_BYTES] if head else file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(path, f"{type(error).__name__}: {error}") from error
    if "\0" in text:
        raise _bad(path, "bytes that are no text")
    return text


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _is_row(cells: tuple[str, ...]) -> bool:
    """Whether a first line is no header: a path and a number."""
    first = PurePosixPath(cells[0].replace("\\", "/"))
    return len(cells) == 2 and (len(first.parts) > 1 or first.suffix.lower() in FILM_SUFFIXES)


def _fitted(row: tuple[str, ...], columns: int, path: Path) -> tuple[str, ...]:
    if any(row[columns:]):
        raise _bad(path, f"a row of {len(row)} cells under {columns} columns: {row[0]!r}")
    return (row + ("",) * columns)[:columns]


def _once(names: list[str]) -> tuple[str, ...]:
    taken: list[str] = []
    for index, name in enumerate(names):
        taken.append(f"{name}_{index}" if not name or name in taken else name)
    return tuple(taken)


def _bad(path: Path, got: str) -> ConfigError:
    return ConfigError("a table in UTF-8 with a line for each film", f"{path.name}: {got}", "correct the file")
