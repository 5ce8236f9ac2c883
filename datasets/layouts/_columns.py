"""What the columns of a table of films mean, by their names and by what stands in them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from datasets.layouts._film_files import FILM_SUFFIXES
from datasets.layouts._table import Table

# In the order in which they are preferred.
_FILE = (
    *("image_index", "path", "filepath", "file_path", "image_path", "study_path", "dicom_path", "file", "files"),
    *("filename", "file_name", "image", "images", "image_name", "image_file", "x_ray_image_name", "image_id", "img"),
    *("img_id", "img_name", "dicom_id", "id_code", "id"),
)
_PATIENT = ("patient_id", "patientid", "patient", "subject_id", "subject", "person_id", "pid", "case_id", "lesion_id")
_SPLIT = ("split", "subset", "partition", "dataset_type", "set", "phase")
_SEX = ("sex", "gender", "patient_sex", "patient_gender", "male")
_AGE = ("age", "patient_age", "age_approx", "age_years")
_VIEW = ("view_position", "viewposition", "view", "projection", "ap_pa", "frontal_lateral")
_LISTED = ("finding_labels", "finding_label", "findings", "labels", "label", "class", "diagnosis")
_CLASS = ("label", "class", "class_name", "class_label", "category")
# These stand beside columns of 0 and 1 that say the same.
_CLASS_ELSE = ("diagnosis", "dx", "grade")
_BOXES = frozenset({"bbox", "bbox_x", "x_min", "xmin", "x", "bounding_box"})
# Numbers about the picture, dates, and what people are called: neither truth nor group.
_NEVER = frozenset(
    (
        *("x", "y", "z", "width", "height", "spacing", "px", "mm", "row", "rows", "column", "columns"),
        *("date", "time", "datetime", "name", "hash", "md5", "id", "ids", "url", "fold", "index", "unnamed"),
        *("note", "notes", "comment", "comments", "report"),
    )
)
_NEVER_AT_ALL = re.compile(r"^(_?\d*|follow_up.*|.*pixelspacing.*)$")
_MOST_GROUPS = 20
_MOST_CLASSES = 1000
_UNKNOWN = frozenset({"", "nan", "na", "n/a", "none", "null", "unknown", "?"})
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_UNCERTAIN = -1.0


class Sort(StrEnum):
    """What a table says of each film."""

    LISTED = "listed"
    FLAGS = "flags"
    CLASSES = "classes"
    SCORES = "scores"


@dataclass(frozen=True)
class Roles:
    """Which column means what.

    Attributes:
        file: The film, or the folder of a study.
        sort: What the truth is.
        truth: Columns that hold it: one for `LISTED` and `CLASSES`.
        patient: Whom a film shows; "" where no column says.
        split: To which part a row belongs; "" where no column says.
        sex: And so on; "" where there is none.
        age: In years.
        views: Columns about the projection.
        groups: Further columns of few different texts.
    """

    file: str
    sort: Sort
    truth: tuple[str, ...]
    patient: str = ""
    split: str = ""
    sex: str = ""
    age: str = ""
    views: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def roles_of(table: Table) -> Roles | None:
    """What the columns of a table mean, or None where it is no table of films with something true of them.

    The truth is, in this order: a column of findings with "|" between them; one called label or class; all columns
    that hold nothing but 0, 1 and -1; one called diagnosis; all other columns of numbers, which are scores.
    """
    file = _file(table)
    if not file or not table.rows or _BOXES & set(table.columns) or any("bbox" in name for name in table.columns):
        return None
    named = {role: _first(table, names) for role, names in _NAMED.items()}
    views = tuple(name for name in _VIEW if name in table.columns)
    taken = {file, *named.values(), *views}
    free = [name for name in table.columns if name not in taken]
    found = _truth(table, free)
    if found is None:
        return None
    sort, truth = found
    groups = tuple(name for name in free if name not in truth and _is_group(table, name))
    return Roles(file, sort, truth, **named, views=views, groups=groups)


def number(text: str) -> float | None:
    """A cell as a number; None for an empty or unknown one, and for a text that is none."""
    lowered = text.lower()
    if lowered in _UNKNOWN:
        return None
    try:
        value = _WORDS[lowered] if lowered in _WORDS else float(lowered)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def is_unknown(text: str) -> bool:
    """Whether a cell says nothing."""
    return text.lower() in _UNKNOWN


def flag(text: str) -> float | None:
    """A cell of 0 and 1; None where it is unknown, or -1, which is CheXpert's "uncertain"."""
    value = number(text)
    return None if value == _UNCERTAIN else value


_NAMED = {"patient": _PATIENT, "split": _SPLIT, "sex": _SEX, "age": _AGE}


def _first(table: Table, names: Sequence[str]) -> str:
    return next((name for name in names if name in table.columns), "")


def _file(table: Table) -> str:
    known = _first(table, _FILE)
    if known:
        return known
    for name in table.columns:
        cells = [PurePosixPath(cell) for cell in table.values(name)[:8]]
        if cells and all(cell.suffix.lower() in FILM_SUFFIXES for cell in cells):
            return name
    return ""


def _truth(table: Table, free: Sequence[str]) -> tuple[Sort, tuple[str, ...]] | None:
    for name in _LISTED:
        if name in free and (name in _LISTED[:2] or any("|" in cell for cell in table.values(name))):
            return Sort.LISTED, (name,)
    chosen = _classes(table, free, _CLASS)
    if chosen is not None:
        return chosen
    numbers = {name: _numbers(table, name) for name in free if not _is_never(name)}
    flags = tuple(name for name, values in numbers.items() if values and values <= {0.0, 1.0, _UNCERTAIN})
    if flags:
        return Sort.FLAGS, flags
    chosen = _classes(table, free, _CLASS_ELSE)
    if chosen is not None:
        return chosen
    scores = tuple(name for name, values in numbers.items() if values)
    return (Sort.SCORES, scores) if scores else None


def _classes(table: Table, free: Sequence[str], names: Sequence[str]) -> tuple[Sort, tuple[str, ...]] | None:
    name = next((name for name in names if name in free), "")
    if not name:
        return None
    values = _numbers(table, name)
    if values and any(value != int(value) for value in values):
        return Sort.SCORES, (name,)
    told = {cell for cell in table.values(name) if not is_unknown(cell)}
    return (Sort.CLASSES, (name,)) if 0 < len(told) <= _MOST_CLASSES else None


def _numbers(table: Table, name: str) -> set[float]:
    """The different numbers of a column; none where a cell holds another text."""
    values: set[float] = set()
    for cell in set(table.values(name)):
        if not is_unknown(cell):
            value = number(cell)
            if value is None:
                return set()
            values.add(value)
    return values


def _is_group(table: Table, name: str) -> bool:
    if _is_never(name):
        return False
    cells = [cell for cell in table.values(name) if not is_unknown(cell)]
    different = len(set(cells))
    return 1 < different <= _MOST_GROUPS and 2 * different <= len(cells)


def _is_never(name: str) -> bool:
    return bool(_NEVER & set(name.split("_"))) or _NEVER_AT_ALL.match(name) is not None
