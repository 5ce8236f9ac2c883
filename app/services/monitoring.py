"""What becomes of the network's statements over time: how readers decide, how scores move, how the input changes.

Pure functions over what was monitored. Weeks begin on Monday, in UTC. A figure of too few cases is None, never a guess.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2

from app.store.records import Review, Verdict
from pipelines.results import Finding

# A rate of fewer decisions or cases is not told.
FEWEST = 5
# Nor is the drift of fewer scores, in the reference or after it.
FEWEST_SCORES = 30
_BINS = 10
_CONFIDENCE = 0.95
VERDICTS: tuple[Verdict, ...] = ("accepted", "modified", "rejected")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Monitored:
    """A case as monitoring looks at it.

    Attributes:
        case: Its id.
        task: By name.
        modality: "" where it is unknown.
        model: Name of the weights and the beginning of their hash.
        received_at: When it came.
        findings: What the network said.
        flags: Codes of quality flags.
        spacing_mm: Between voxels of the input; None where it is unknown.
        error: Code of why it was not scored; "" where it was.
        review: The one that stands; None where nobody has decided.
        edit_dice: Dice of the reader's mask and the network's, the mean over labels that either has; None without an
            edited mask.
    """

    case: str
    task: str
    modality: str
    model: str
    received_at: datetime
    findings: tuple[Finding, ...] = ()
    flags: tuple[str, ...] = ()
    spacing_mm: tuple[float, float, float] | None = None
    error: str = ""
    review: Review | None = None
    edit_dice: float | None = None


@dataclass(frozen=True)
class Rate:
    """A share with its interval.

    Attributes:
        hits: How many.
        of: Of how many.
        value: Their share; None of fewer than `FEWEST`.
        low: Lower end of the 95 % interval (Wilson); None as well.
        high: Upper end.
    """

    hits: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Drift:
    """How far scores after a day lie from those before it.

    Attributes:
        task: Whose.
        label: Of which of its labels.
        before: How many scores there were.
        after: And since.
        index: Population stability index; None of fewer than `FEWEST_SCORES` on either side.
        by_chance: What it stays below 19 times in 20 where nothing has changed.
    """

    task: str
    label: str
    before: int
    after: int
    index: float | None
    by_chance: float | None

    @property
    def moved(self) -> bool:
        """Whether it is more than chance."""
        return self.index is not None and self.by_chance is not None and self.index > self.by_chance


@dataclass(frozen=True)
class Spread:
    """How values lie: quartiles, None of fewer than `FEWEST`."""

    of: int
    low: float | None
    median: float | None
    high: float | None


def week_of(moment: datetime) -> date:
    """The Monday of its week, in UTC."""
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def rate(hits: int, of: int) -> Rate:
    """A share with the interval of Wilson (JASA 22, 1927), which holds for small numbers and near 0 and 1 too.

    Args:
        hits: 0 to `of`.
        of: 0 or more.
    """
    if of < FEWEST:
        return Rate(hits, of, None, None, None)
    z = float(ndtri(0.5 + _CONFIDENCE / 2.0))
    share = hits / of
    middle = (share + z * z / (2.0 * of)) / (1.0 + z * z / of)
    reach = z / (1.0 + z * z / of) * float(np.sqrt(share * (1.0 - share) / of + z * z / (4.0 * of * of)))
    low = 0.0 if hits == 0 else middle - reach
    return Rate(hits, of, share, low, 1.0 if hits == of else middle + reach)


def verdict_rates(
    cases: Iterable[Monitored], by: Callable[[Monitored, Finding], Key]
) -> dict[tuple[Key, Verdict], Rate]:
    """How often findings that the network called are accepted, modified and rejected.

    Args:
        cases: Of which the reviews that stand count.
        by: What to tell apart: the week of the review, the label, the model …

    Returns:
        For each key the three rates, of the called findings that were decided.
    """
    counts: dict[Key, Counter[Verdict]] = defaultdict(Counter)
    for one in cases:
        for decision in one.review.decisions if one.review else ():
            if decision.finding < len(one.findings) and one.findings[decision.finding].positive:
                counts[by(one, one.findings[decision.finding])][decision.verdict] += 1
    return {(key, verdict): rate(own[verdict], own.total()) for key, own in counts.items() for verdict in VERDICTS}


def flag_rates(cases: Iterable[Monitored], by: Callable[[Monitored], Key]) -> dict[tuple[Key, str], Rate]:
    """How often quality flags and reasons of failure stand with a case, for each key and each code that occurs."""
    groups = _grouped(cases, by)
    codes = sorted({code for own in groups.values() for one in own for code in _codes(one)})
    return {
        (key, code): rate(sum(code in _codes(one) for one in own), len(own))
        for key, own in groups.items()
        for code in codes
    }


def edit_spreads(cases: Iterable[Monitored], by: Callable[[Monitored], Key]) -> dict[Key, Spread]:
    """How much of the network's mask readers keep: Dice of their mask with it."""
    edited = (one for one in cases if one.edit_dice is not None)
    return {key: spread([one.edit_dice or 0.0 for one in own]) for key, own in _grouped(edited, by).items()}


def spacing_spreads(cases: Iterable[Monitored], by: Callable[[Monitored], Key]) -> dict[Key, Spread]:
    """How far slices lie apart: the largest of the three spacings, mm."""
    known = (one for one in cases if one.spacing_mm is not None)
    return {key: spread([max(one.spacing_mm or (0.0,)) for one in own]) for key, own in _grouped(known, by).items()}


def spread(values: Sequence[float]) -> Spread:
    """Quartiles of some values."""
    if len(values) < FEWEST:
        return Spread(len(values), None, None, None)
    low, middle, high = (float(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return Spread(len(values), low, middle, high)


def score_drift(cases: Sequence[Monitored], since: date) -> tuple[Drift, ...]:
    """How far the probabilities of each task's labels lie from those of the cases that came before a day (UTC)."""
    before: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    after: Mapping[tuple[str, str], list[float]] = defaultdict(list)
    for one in cases:
        side = before if one.received_at.astimezone(UTC).date() < since else after
        for finding in one.findings:
            if finding.probability is not None:
                side[one.task, finding.label].append(finding.probability)
    return tuple(_drift(*of, before[of], after[of]) for of in sorted({*before, *after}))


def stability_index(reference: Sequence[float], later: Sequence[float]) -> tuple[float, float]:
    """Population stability index of some values against others, and what chance makes of it.

    The sum over bins of (q - p) ln(q / p), where p is the reference's share of a bin and q the later ones' (Siddiqi,
    "Credit Risk Scorecards", 2006; Kullback and Leibler's J of 1951). Bins hold a tenth of the reference each, fewer
    where values are alike. Half a case is added to each bin, so that an empty one has a logarithm.

    Where nothing has changed the index is distributed as chi squared with a degree of freedom less than there are bins,
    times 1/n + 1/m (Yurdakul and Naranjo, Journal of Risk Model Validation 14, 2020).

    Args:
        reference: At least one value.
        later: The same.

    Returns:
        The index, and the 95th percentile of that distribution.
    """
    # A value on an edge is in the bin above it.
    edges = np.unique(np.quantile(np.asarray(reference), np.arange(1, _BINS) / _BINS))
    shares = []
    for values in (reference, later):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1) + 0.5
        shares.append(counts / counts.sum())
    p, q = shares
    chance = float(chi2.ppf(_CONFIDENCE, edges.size)) * (1.0 / len(reference) + 1.0 / len(later))
    return float(((q - p) * np.log(q / p)).sum()), chance


def counts(cases: Iterable[Monitored]) -> dict[tuple[date, str], int]:
    """By the week they came, how many cases were scored, failed and decided."""
    found: Counter[tuple[date, str]] = Counter()
    for one in cases:
        week = week_of(one.received_at)
        found[week, "failed" if one.error else "scored"] += 1
        found[week, "decided"] += one.review is not None and one.review.complete
    return dict(found)


def _drift(task: str, label: str, before: Sequence[float], after: Sequence[float]) -> Drift:
    if min(len(before), len(after)) < FEWEST_SCORES:
        return Drift(task, label, len(before), len(after), None, None)
    return Drift(task, label, len(before), len(after), *stability_index(before, after))


def _codes(one: Monitored) -> frozenset[str]:
    return frozenset((*one.flags, *([one.error] if one.error else [])))


def _grouped(cases: Iterable[Monitored], by: Callable[[Monitored], Key]) -> dict[Key, list[Monitored]]:
    groups: dict[Key, list[Monitored]] = defaultdict(list)
    for one in cases:
        groups[by(one)].append(one)
    return dict(groups)
