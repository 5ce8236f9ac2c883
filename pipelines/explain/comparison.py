"""Methods beside each other over a set of studies: what a paper's table would show, as CSV and as a page.

A study counts once for each label and method: several films of it are averaged, and intervals are of resampled studies.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pipelines.evaluation.intervals import FEW_PATIENTS, Patients, Resampling
from pipelines.evaluation.report import STYLE
from pipelines.evaluation.report_tables import interval_of, number, table
from pipelines.evaluation.statistics import mean
from pipelines.explain.card import ScoreCard

_FIRST = ("study", "source", "label", "about", "method", "verdict", "reasons", "budget")
_FIGURES = tuple(name for name in ScoreCard.model_fields if name not in ("verdict", "reasons", "budget"))
_FAITHFUL = "faithful"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_SHOWN = {
    _FAITHFUL: "share faithful",
    "faithfulness": "faithfulness",
    "deletion_auc": "deletion",
    "deletion_auc_random": "at random",
    "insertion_auc": "insertion",
    "insertion_auc_random": "at random",
    "randomisation": "randomised",
    "randomisation_unrelated": "unrelated",
    "stability": "stability",
    "completeness_error": "completeness error",
}


@dataclass(frozen=True)
class Judged:
    """One map of one study.

    Attributes:
        study: Its uid.
        told: As `result.json` tells the explanation; it has a score card.
    """

    study: str
    told: Mapping[str, Any]

    @property
    def figures(self) -> dict[str, float]:
        """The figures of its card that were taken, and whether it is faithful, as numbers."""
        card = self.told["score_card"]
        taken = {name: float(card[name]) for name in _FIGURES if card.get(name) is not None}
        return {_FAITHFUL: float(card["verdict"] == _FAITHFUL), **taken}


def judged_of(documents: Iterable[Mapping[str, Any]]) -> list[Judged]:
    """The judged maps of results, as `result.json` has them."""
    return [
        Judged(document["study"]["uid"], told)
        for document in documents
        for told in document["explanations"]
        if told["score_card"] is not None
    ]


def comparison_csv(judged: Sequence[Judged]) -> str:
    """A row per map; no maps give a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIRST, *_FIGURES], restval="", lineterminator="\n")
    writer.writeheader()
    for one in judged:
        told, card = one.told, one.told["score_card"]
        row = {name: told.get(name, "") for name in ("source", "label", "about", "method")}
        row |= {"study": one.study, "verdict": card["verdict"], "budget": card["budget"]}
        row["reasons"] = " ".join(card["reasons"])
        writer.writerow(row | {name: card[name] for name in _FIGURES if card.get(name) is not None})
    return text.getvalue()


# Names of methods stay in one piece.
_NAMES = "td:first-child{white-space:nowrap}td:first-child code{overflow-wrap:normal}"


def comparison_page(judged: Sequence[Judged], title: str) -> str:
    """A page of its own: a table of all labels together, then one for each.

    Args:
        judged: At least one.
        title: What was explained.
    """
    labels = list(dict.fromkeys(one.told["label"] for one in judged))
    parts = [_section("All labels", judged)]
    if len(labels) > 1:
        parts += [_section(label, [one for one in judged if one.told["label"] == label]) for label in labels]
    studies = len({one.study for one in judged})
    told = f"{studies} study" if studies == 1 else f"{studies} studies"
    few = (
        f'<p class="warning">{told}: with fewer than {FEW_PATIENTS} an interval says little</p>'
        if studies < FEW_PATIENTS
        else ""
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{STYLE}{_NAMES}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="quiet">{len(judged)} maps of {told}. Means over studies; in '
        "brackets 95 % intervals, bootstrap over studies. Low is good for deletion, high for insertion; randomised is "
        "the rank correlation with maps of shuffled weights, to be seen beside that with unrelated images.</p>"
        f'<p class="notice">Research use only, not a medical device.</p>{few}{"".join(parts)}</main></body></html>\n'
    )


def _section(name: str, judged: Sequence[Judged]) -> str:
    methods = list(dict.fromkeys(one.told["method"] for one in judged))
    rows = [_row(method, [one for one in judged if one.told["method"] == method]) for method in methods]
    return f"<h2>{escape(name.replace('_', ' '))}</h2>{table(['method', 'maps', *_SHOWN.values()], rows)}"


def _row(method: str, judged: Sequence[Judged]) -> list[str]:
    by_study: dict[str, list[dict[str, float]]] = defaultdict(list)
    for one in judged:
        by_study[one.study].append(one.figures)
    patients = Patients(list(by_study), Resampling())
    cells = [f"<code>{escape(method)}</code>", str(len(judged))]
    for figure in _SHOWN:
        taken = [[one[figure] for one in maps if figure in one] for maps in by_study.values()]
        values = np.array([np.mean(some) if some else np.nan for some in taken])
        where = patients.interval(mean(values))
        cells.append(f"<b>{number(where.value)}</b> {interval_of(where.low, where.high)}")
    return cells
