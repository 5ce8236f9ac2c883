"""A folder of films and a table that says what is true of them.

Films are PNG, JPEG or DICOM, in subfolders as well; the table is a .csv or .tsv beside them. Public sets in this layout
are ChestX-ray14 (`Data_Entry_2017*.csv` with `train_val_list.txt` and `test_list.txt`), CheXpert (`train.csv`,
`valid.csv`) and MURA (`train_labeled_studies.csv`, whose lines name folders: several films are one study).

Columns mean what their names say (`_columns`): a film, a patient, a part of the set, sex, age, view. Findings are what
stands between "|" in a column of findings ("No Finding" is none of them), or columns of 0 and 1. -1 is unknown, as
CheXpert's "uncertain"; an empty cell is unknown too, but in a table with a column "No Finding": there it means that the
report does not mention the finding, which CheXpert counts as 0 (Irvin et al., AAAI 2019, table 1: its positive,
uncertain and negative studies add up to all). A column `label` or `class` holds classes that exclude each other,
sorted by name, or by value where they are numbers. Other numbers are scores.
"""

import re
from pathlib import Path

from datasets.defects import Defect
from datasets.errors import ConfigError
from datasets.example import Dataset, Example, Split
from datasets.layouts._columns import Roles, Sort, roles_of
from datasets.layouts._film_files import films_below
from datasets.layouts._film_places import FilmPlaces
from datasets.layouts._film_rows import Reading, examples_of
from datasets.layouts._film_truth import Vocabulary
from datasets.layouts._names import split_among, told_briefly
from datasets.layouts._table import SUFFIXES, Table, read_table

_NAME = "film_table"
_OTHERS = ("dataset.json", "labels", "masks", "labelstr")
# Beside other tables of the same set (boxes, predictions) this is the one.
_CHEST_XRAY_14 = re.compile(r"^data_entry_2017.*\.csv$", re.IGNORECASE)
_MURA = re.compile(r"labeled_studies$", re.IGNORECASE)
_LIST = re.compile(r"^(?P<split>train_val|train|val|valid|validation|test)_list.*\.txt$", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Whether a folder has a table of films, and no label maps; or a path is such a table."""
    if path.is_file():
        return path.suffix.lower() in SUFFIXES and _is_film_table(path)
    if not path.is_dir() or any(entry.name.lower() in _OTHERS for entry in path.iterdir()):
        return False
    return any(_is_film_table(file) for file in _tables_in(path))


def read(path: Path) -> Dataset:
    """All films that the table names.

    Args:
        path: The folder, or a table in it where there are several.

    Returns:
        A film without a row is told by number, a row without a film one by one, as far as there are few.

    Raises:
        ConfigError: There is no table of films, or there are several that do not belong together.
    """
    root = path if path.is_dir() else path.parent
    tables = _chosen(_tables_in(root) if path.is_dir() else [path], path)
    first = tables[0][1]
    vocabulary = Vocabulary.of(tables)
    places = FilmPlaces(films_below(root))
    listed = _listed_splits(root)
    examples: list[Example] = []
    defects: list[Defect] = []
    reading = Reading(places, vocabulary, listed)
    for table, roles in tables:
        # Where no row says it, the table's own name may.
        split = "" if roles.split or listed else split_among(table.path.stem)
        examples += examples_of(table, roles, reading, split)
    # ChestX-ray14 comes in twelve archives, and many have one of them.
    partial = _CHEST_XRAY_14.match(tables[0][0].path.name) is not None and first.sort is Sort.LISTED
    defects += told_briefly(reading.missing(partial=partial), "rows")
    defects += told_briefly(reading.twice(), "films")
    defects += reading.counted(len(places.films))
    return Dataset(root.name, _NAME, reading.named(examples), vocabulary.names, tuple(defects))


def _tables_in(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    return sorted(file for file in files if file.is_file())


def _is_film_table(file: Path) -> bool:
    try:
        return roles_of(read_table(file, head=True)) is not None
    except ConfigError:
        return False


def _chosen(files: list[Path], path: Path) -> list[tuple[Table, Roles]]:
    """The tables of films: one, or one for each part of the set with the same columns."""
    files = [file for file in files if _is_film_table(file)]
    files = [file for file in files if _CHEST_XRAY_14.match(file.name)] or files
    found = []
    for file in files:
        table = read_table(file)
        roles = roles_of(table)
        if roles is not None:
            found.append(_of_mura(table, roles))
    if not found:
        raise ConfigError("a table of films with a column for the film and one for what is true", f"{path}", "add it")
    parts = [split_among(table.path.stem) for table, _ in found]
    together = len({table.columns for table, _ in found}) == 1 and "" not in parts and len(set(parts)) == len(parts)
    if len(found) > 1 and not together:
        names = ", ".join(table.path.name for table, _ in found)
        raise ConfigError("one table of films, or one for each part with the same columns", names, "name one as --data")
    return found


def _of_mura(table: Table, roles: Roles) -> tuple[Table, Roles]:
    """MURA's tables have no header: 1 is abnormal (Rajpurkar et al., MIDL 2018)."""
    if not _MURA.search(table.path.stem) or "label" not in roles.truth:
        return table, roles
    renamed = tuple("abnormal" if name == "label" else name for name in table.columns)
    given = Roles(roles.file, Sort.FLAGS, ("abnormal",))
    return Table(table.path, renamed, table.titles, table.rows), given


def _listed_splits(root: Path) -> dict[str, Split]:
    """By the name of a film, the part a list beside the table gives it to; `train_val` is to be split further."""
    splits: dict[str, Split] = {}
    for file in sorted(root.iterdir()):
        match = _LIST.match(file.name)
        if match is not None and file.is_file():
            split = split_among(match["split"]) or "train"
            try:
                lines = file.read_text(encoding="utf-8-sig").split()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError("a list of names of films", f"{file.name}: {error}", "correct it") from error
            splits |= dict.fromkeys(lines, split)
    return splits
