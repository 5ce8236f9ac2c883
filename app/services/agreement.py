"""How far readers agree: shares, kappas, overlap of masks, and how long they took with and without help.

Intervals are made by drawing cases, for what is said of one case hangs together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.services.ratings import Ratings
from app.store.records import Review
from pipelines.evaluation.intervals import SHARE, UNBOUNDED, Interval, Patients, Resampling
from pipelines.evaluation.statistics import Ratio, Statistic, Values, mean
from pipelines.metrics.dice import dice
from pipelines.metrics.kappa import cohen_kappa

DRAWN = Resampling(replicates=1000)
_KAPPA = (-1.0, 1.0)

# (I, J, K) label map of a case as a reader left it; None where there is none.
MaskOf = Callable[[str, str], NDArray[np.uint8] | None]


@dataclass(frozen=True)
class Agreement:
    """How far some readers agree.

    Attributes:
        readers: Who.
        label: About what; "" for all labels together.
        cases: How many.
        items: How many labels of cases.
        share: Of the pairs of readers that say the same, averaged over items.
        kappa: Cohen's of two readers, Fleiss' of more; None where chance would agree as well.
    """

    readers: tuple[str, ...]
    label: str
    cases: int
    items: int
    share: Interval
    kappa: Interval


@dataclass(frozen=True)
class MaskAgreement:
    """How far the masks of two readers overlap.

    Attributes:
        readers: The two.
        index: Of the label.
        cases: Of which both have a mask.
        dice: Mean over them; 1 where neither marked anything.
    """

    readers: tuple[str, str]
    index: int
    cases: int
    dice: Interval


@dataclass(frozen=True)
class Times:
    """How long cases took.

    Attributes:
        reader: Who; "" for all together.
        aided: How many readings with what the network said.
        unaided: How many without.
        aided_s: Their median; None where there are none.
        unaided_s: The same without.
        difference_s: Aided less unaided, of the cases that were read both ways, each by the mean over its readers; the
            mean over these cases.
        pairs: How many such cases there are.
    """

    reader: str
    aided: int
    unaided: int
    aided_s: float | None
    unaided_s: float | None
    difference_s: Interval
    pairs: int


def agreements(ratings: Ratings, resampling: Resampling = DRAWN) -> tuple[Agreement, ...]:
    """All labels together, then each label, of all readers; nothing of fewer than two readers, or without items."""
    if len(ratings.readers) < 2 or not ratings.cases:
        return ()
    labels = sorted(set(ratings.labels))
    return (
        agreement_of(ratings, "", resampling),
        *(agreement_of(ratings.of_label(label), label, resampling) for label in labels if len(labels) > 1),
    )


def pairwise_agreements(ratings: Ratings, resampling: Resampling = DRAWN) -> tuple[Agreement, ...]:
    """Each pair of readers about all labels together; nothing where there are no items."""
    if not ratings.cases:
        return ()
    pairs = combinations(ratings.readers, 2)
    return tuple(agreement_of(ratings.of_readers(pair), "", resampling) for pair in pairs)


def agreement_of(ratings: Ratings, label: str, resampling: Resampling = DRAWN) -> Agreement:
    """How far the readers agree about all items together.

    Args:
        ratings: Of two readers or more, with at least one item.
        label: What the items are about, to be told.
        resampling: How intervals are made.

    Raises:
        ValueError: There are fewer than two readers, or no items.
    """
    if len(ratings.readers) < 2 or not ratings.cases:
        raise ValueError(f"expected two readers and an item; got {len(ratings.readers)} and {len(ratings.cases)}")
    drawn = Patients(ratings.cases, resampling)
    counts = counts_of(ratings)
    alike = agreeing_pairs(counts)
    kappa = _cohen(ratings) if len(ratings.readers) == 2 else _fleiss(counts)
    return Agreement(
        ratings.readers,
        label,
        cases=drawn.count,
        items=len(ratings.cases),
        share=drawn.interval(Ratio(alike, np.ones_like(alike)), SHARE),
        kappa=drawn.interval(kappa, _KAPPA),
    )


def counts_of(ratings: Ratings) -> Values:
    """(items, categories), how many readers chose each."""
    chosen = ratings.said[:, :, None] == np.arange(ratings.categories)
    counts: Values = chosen.sum(axis=1).astype(np.float64)
    return counts


def agreeing_pairs(counts: Values) -> Values:
    """(items,) share of the pairs of readers that chose the same category, of (items, categories) counts."""
    readers = counts.sum(axis=1)
    share: Values = (np.square(counts).sum(axis=1) - readers) / (readers * (readers - 1.0))
    return share


def fleiss_kappa(counts: Values, weights: Values) -> Values:
    """Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76(5), 1971.

    Agreement beyond chance over what chance leaves, where chance draws from what all raters said together.

    Args:
        counts: (items, categories) how many raters chose each, the same number of raters for each item.
        weights: (B, items) how often each item counts.

    Returns:
        (B,) at most 1; NaN where everything is of one category.
    """
    items = weights.sum(axis=1)
    seen = weights @ agreeing_pairs(counts) / items
    shares = weights @ counts / (items * counts[0].sum())[:, None]
    chance = np.square(shares).sum(axis=1)
    left = 1.0 - chance
    kappa: Values = np.divide(seen - chance, left, out=np.full(len(weights), np.nan), where=left > 1e-12)
    return kappa


def mask_agreements(
    mask_of: MaskOf, cases: Sequence[str], readers: Sequence[str], index: int, resampling: Resampling = DRAWN
) -> tuple[MaskAgreement, ...]:
    """Dice of the masks of each pair of readers, for one label.

    Args:
        mask_of: The label map of a case as a reader left it.
        cases: Which; those of which one of the two has no mask are left out.
        readers: Whose.
        index: Of the label.
        resampling: How intervals are made.

    Raises:
        ValueError: Two masks of a case differ in shape.
    """
    found = []
    for first, second in combinations(readers, 2):
        values = {}
        for case in cases:
            masks = mask_of(case, first), mask_of(case, second)
            if masks[0] is not None and masks[1] is not None:
                values[case] = dice(masks[0] == index, masks[1] == index)
        drawn = Patients(tuple(values), resampling)
        overlap = drawn.interval(mean(np.array(list(values.values()), np.float64)), SHARE)
        found.append(MaskAgreement((first, second), index, len(values), overlap))
    return tuple(found)


def times(readings: Sequence[Review], resampling: Resampling = DRAWN) -> tuple[Times, ...]:
    """How long readings took, of all together and of each reader; nothing where there are none."""
    readers = sorted({one.reader for one in readings})
    named = ["", *readers] if readings else []
    return tuple(
        _times(reader, [one for one in readings if reader in ("", one.reader)], resampling) for reader in named
    )


def _times(reader: str, readings: Sequence[Review], resampling: Resampling) -> Times:
    took: dict[bool, dict[str, list[float]]] = {True: {}, False: {}}
    for one in readings:
        took[one.aided].setdefault(one.case, []).append(one.seconds)
    both = sorted(took[True].keys() & took[False].keys())
    apart = [float(np.mean(took[True][case]) - np.mean(took[False][case])) for case in both]
    aided, unaided = ([seconds for some in took[arm].values() for seconds in some] for arm in (True, False))
    return Times(
        reader,
        len(aided),
        len(unaided),
        median(aided) if aided else None,
        median(unaided) if unaided else None,
        Patients(both, resampling).interval(mean(np.array(apart, np.float64)), UNBOUNDED),
        len(both),
    )


def _cohen(ratings: Ratings) -> Statistic:
    classes = ratings.categories
    cell = ratings.said[:, 0] * classes + ratings.said[:, 1]
    hot = (cell[:, None] == np.arange(classes * classes)).astype(np.float64)
    return lambda weights: cohen_kappa((weights @ hot).reshape(len(weights), classes, classes))


def _fleiss(counts: Values) -> Statistic:
    return lambda weights: fleiss_kappa(counts, weights)
