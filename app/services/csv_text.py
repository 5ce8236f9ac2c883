"""Tables as CSV that a spreadsheet opens without running anything of it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from pipelines.document import writable

Cell = str | float | int | bool | None

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> bytes:
    """A table in UTF-8 with a byte order mark, by which spreadsheets know the encoding.

    Text that a spreadsheet would take for a formula has an apostrophe in front; numbers stand as they are, in full
    precision, truth values as "true" and "false", and what is not known is empty.

    Args:
        columns: In order; no rows give the header alone.
        rows: By column; a column that is missing is empty.

    Raises:
        ValueError: A row has a column that is not named.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return writable(text.getvalue()).encode("utf-8-sig")


def _cell(value: Cell) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
