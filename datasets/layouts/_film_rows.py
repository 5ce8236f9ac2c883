"""From the rows of a table to examples, with what is wrong with either."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from datasets.defects import Defect, DefectCode, Gravity
from datasets.example import Example, Split, Truth
from datasets.io.study_names import named_apart
from datasets.layouts._columns import Roles, is_unknown, number
from datasets.layouts._film_files import film_names, film_series
from datasets.layouts._film_places import FilmPlaces, leads_outside
from datasets.layouts._film_truth import Vocabulary
from datasets.layouts._names import patient_in, plain, split_of
from datasets.layouts._table import Table
from datasets.study import Projection, Study

# ChestX-ray14 has patients of 155 and of 412 years.
_OLDEST_YEARS = 120
_SEXES = {"m": "m", "male": "m", "f": "f", "female": "f", "w": "f", "man": "m", "woman": "f"}
_MALE = {"1": "m", "true": "m", "0": "f", "false": "f", "1.0": "m", "0.0": "f"}
_PROJECTIONS: dict[str, Projection] = {
    **dict.fromkeys(("pa", "ap", "frontal", "ap_supine", "ap_erect"), "frontal"),
    **dict.fromkeys(("lateral", "ll", "lat", "l", "rl"), "lateral"),
}


@dataclass
class Reading:
    """What is gathered while rows are read.

    Attributes:
        places: The films of the folder.
        vocabulary: What can be true.
        listed: The part of the set by a film's name, where lists say it.
    """

    places: FilmPlaces
    vocabulary: Vocabulary
    listed: Mapping[str, Split]
    _seen: dict[tuple[str, ...], list[Truth | None]] = field(default_factory=lambda: defaultdict(list))
    _missing: list[tuple[str, str]] = field(default_factory=list)
    _unknown: list[str] = field(default_factory=list)

    def missing(self, *, partial: bool) -> list[Defect]:
        """Rows without a film; only a warning where a part of the set is all one can expect."""
        advice = "put it into the folder, or take its row out of the table"
        gravity: Gravity = "warning" if partial else "error"
        return [Defect(DefectCode.IMAGE_MISSING, gravity, name, told, advice) for name, told in self._missing]

    def twice(self) -> list[Defect]:
        """Films with more than one row: a warning where all say the same."""
        defects = []
        for films, truths in self._seen.items():
            if len(truths) > 1:
                same = all(truth == truths[0] for truth in truths)
                told = f"{len(truths)} rows, which {'all say the same' if same else 'say different things'}"
                gravity: Gravity = "warning" if same else "error"
                defects.append(Defect(DefectCode.NAME_TWICE, gravity, films[0], told, "keep one of them"))
        return defects

    def counted(self, films: int) -> list[Defect]:
        """Films without a row, and rows that say nothing, each by their number."""
        rowless = films - len({film for several in self._seen for film in several})
        defects = []
        if rowless:
            told = f"{rowless} of {films} films without a row in the table"
            defects.append(Defect(DefectCode.LABELS_MISSING, "warning", "", told, "add rows for them, if they matter"))
        if self._unknown:
            told = f"{len(self._unknown)} rows in which nothing is known, the first of {self._unknown[0]}"
            defects.append(Defect(DefectCode.LABELS_MISSING, "warning", "", told, "they are left out; fill them in"))
        return defects

    def named(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """Examples under names that no other has, by name."""
        names = film_names([example.study.uid for example in examples])
        studies = named_apart(replace(e.study, uid=name) for e, name in zip(examples, names, strict=True))
        given = (
            replace(example, study=study, patient=example.patient or study.uid)
            for example, study in zip(examples, studies, strict=True)
        )
        return tuple(sorted(given, key=lambda example: example.name))

    def film_of(self, text: str) -> tuple[str, ...]:
        """The films a cell names, noted where there are none."""
        films = self.places.find(text)
        if not films:
            outside = leads_outside(text)
            self._missing.append((text, "a path that leads out of the folder" if outside else "no film of that name"))
        return films

    def take(self, films: tuple[str, ...], truth: Truth | None) -> bool:
        """Note what a row says; whether it makes an example."""
        self._seen[films].append(truth)
        if truth is None:
            self._unknown.append(films[0])
        return truth is not None and len(self._seen[films]) == 1


def examples_of(table: Table, roles: Roles, reading: Reading, split: Split) -> list[Example]:
    """Examples of the rows that have a film and say something; their studies' uids are still paths.

    Args:
        table: Of films.
        roles: What its columns mean.
        reading: Gathers what is wrong.
        split: To which part all of them belong; "" where rows or lists say it, or nobody.
    """
    at = {name: index for index, name in enumerate(table.columns)}
    examples = []
    for row in table.rows:
        films = reading.film_of(row[at[roles.file]])
        if not films:
            continue
        truth = reading.vocabulary.truth([row[at[name]] for name in roles.truth])
        if not reading.take(films, truth) or truth is None:
            continue
        cells = dict(zip(table.columns, row, strict=True))
        told = split or split_of(cells.get(roles.split, "")) or reading.listed.get(films[0].rpartition("/")[2], "")
        patient = cells.get(roles.patient, "") or patient_in(films[0])
        study = _study(films, reading, cells, roles)
        examples.append(Example(study, truth, patient, told, _groups(cells, roles)))
    return examples


def _study(films: tuple[str, ...], reading: Reading, cells: Mapping[str, str], roles: Roles) -> Study:
    seen = [_PROJECTIONS.get(plain(cells[name]), "") for name in roles.views]
    projection: Projection = next((p for p in seen if p), "")
    paths = [reading.places.films[film] for film in films]
    if len(films) == 1:
        return Study(films[0], str(paths[0]), (film_series(paths[0], projection),))
    # A file's ending is taken off a path, and a folder has none.
    uid = f"{films[0].rpartition('/')[0]}.study"
    return Study(uid, str(paths[0].parent), tuple(film_series(path, projection) for path in paths))


def _groups(cells: Mapping[str, str], roles: Roles) -> dict[str, str]:
    """Sex as m or f, age by decades, view, and further columns; what is unknown is left out."""
    groups = {name: cells[name] for name in roles.groups if not is_unknown(cells[name])}
    sex = cells.get(roles.sex, "").lower()
    if sex := (_MALE if roles.sex == "male" else _SEXES).get(sex, ""):
        groups["sex"] = sex
    if age := _decade(cells.get(roles.age, "")):
        groups["age"] = age
    if view := next((cells[name] for name in roles.views if not is_unknown(cells[name])), ""):
        groups["view"] = plain(view)
    return groups


def _decade(text: str) -> str:
    # "058Y", as the first release of ChestX-ray14 and DICOM write it; months and days are less than a year.
    years = number(text[:-1] if text[-1:].upper() == "Y" else "0" if text[-1:].upper() in ("M", "D", "W") else text)
    if years is None or not 0 <= years < _OLDEST_YEARS:
        return ""
    low = int(years) // 10 * 10
    return f"{low}-{low + 9}"
