"""From the cells of a row to what is true of its film."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from datasets.example import ClassTruth, FindingsTruth
from datasets.labels import CHEST_XRAY_14
from datasets.layouts._columns import Roles, Sort, flag, is_unknown, number
from datasets.layouts._names import plain
from datasets.layouts._table import Table

NO_FINDING = "no_finding"


@dataclass(frozen=True)
class Vocabulary:
    """All that can be true in some tables.

    Attributes:
        sort: Of truth.
        names: Labels, or classes, in order.
        blank: What an empty cell of a finding means; None for unknown.
    """

    sort: Sort
    names: tuple[str, ...]
    blank: float | None = None

    @classmethod
    def of(cls, tables: Sequence[tuple[Table, Roles]]) -> "Vocabulary":
        """Of tables with the same columns, of which there is at least one.

        Findings of ChestX-ray14 are all fourteen in its own order, whichever occur; others are sorted by name, classes
        by value where they are numbers.
        """
        roles = tables[0][1]
        if roles.sort in (Sort.FLAGS, Sort.SCORES):
            names = tuple(plain(name) for name in roles.truth)
            return cls(roles.sort, names, 0.0 if NO_FINDING in names else None)
        cells = {cell for table, own in tables for cell in table.values(own.truth[0])}
        if roles.sort is Sort.CLASSES:
            return cls(roles.sort, _classes(cells))
        found = {name for cell in cells for name in listed(cell)}
        return cls(roles.sort, CHEST_XRAY_14 if found <= set(CHEST_XRAY_14) else tuple(sorted(found)))

    def truth(self, cells: Sequence[str]) -> FindingsTruth | ClassTruth | None:
        """What the cells of the truth's columns say; None where they say nothing."""
        if self.sort is Sort.CLASSES:
            name = class_name(cells[0])
            return ClassTruth(self.names.index(name), self.names) if name else None
        if self.sort is Sort.LISTED:
            if not cells[0]:
                return None
            return _findings(cells[0], self.names)
        read = number if self.sort is Sort.SCORES else flag
        values = {
            name: self.blank if is_unknown(cell) else read(cell) for name, cell in zip(self.names, cells, strict=True)
        }
        known = {name: value for name, value in values.items() if value is not None}
        return FindingsTruth(known) if known else None


# What is said often is one object.
@lru_cache(maxsize=8192)
def _findings(cell: str, names: tuple[str, ...]) -> FindingsTruth:
    there = set(listed(cell))
    return FindingsTruth({name: float(name in there) for name in names})


def listed(cell: str) -> list[str]:
    """The findings that stand between "|", in snake case, without "No Finding"."""
    return [name for part in cell.split("|") if (name := plain(part)) and name != NO_FINDING]


def class_name(cell: str) -> str:
    """A class in snake case, a number without its zeros behind the point; "" where it is unknown."""
    if is_unknown(cell):
        return ""
    value = number(cell)
    return plain(cell) if value is None or cell.lower() in ("true", "false", "yes", "no") else f"{int(value)}"


def _classes(cells: set[str]) -> tuple[str, ...]:
    names = {name for cell in cells if (name := class_name(cell))}
    if all(name.lstrip("-").isdigit() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))
