"""Figures over time, by their formulas."""

import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from scipy.stats import binomtest

from app.services.monitoring import (
    FEWEST,
    FEWEST_SCORES,
    Drift,
    Monitored,
    Rate,
    Spread,
    counts,
    edit_spreads,
    flag_rates,
    rate,
    score_drift,
    spacing_spreads,
    spread,
    stability_index,
    verdict_rates,
    week_of,
)
from tests.app.reader_study import decision, finding, said

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
FILM = (finding("mass", 0.9), finding("nodule", 0.1))


def seen(case: str = "a", **changes: object) -> Monitored:
    told = {"case": case, "task": "chest_xray", "modality": "DX", "model": "m", "received_at": MONDAY}
    return Monitored(**{**told, **changes})


@pytest.mark.parametrize(("hits", "of"), [(0, 5), (5, 5), (3, 10), (81, 263), (1, 1000)])
def test_intervals_of_shares_are_wilsons(hits: int, of: int) -> None:
    theirs = binomtest(hits, of).proportion_ci(0.95, method="wilson")
    found = rate(hits, of)
    assert (found.value, found.low, found.high) == pytest.approx((hits / of, theirs.low, theirs.high), abs=1e-9)


def test_a_share_of_a_few_is_not_told() -> None:
    assert rate(2, FEWEST - 1) == Rate(2, FEWEST - 1, None, None, None)
    assert rate(0, 0).value is None
    assert spread([1.0] * (FEWEST - 1)) == Spread(FEWEST - 1, None, None, None)


def test_weeks_begin_on_monday_in_utc() -> None:
    assert week_of(MONDAY) == date(2024, 3, 4)
    assert week_of(MONDAY - timedelta(microseconds=1)) == date(2024, 2, 26)
    # Half past midnight of Monday in Berlin is Sunday in UTC.
    assert week_of(datetime(2024, 3, 4, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == date(2024, 2, 26)


def test_verdicts_are_counted_of_findings_that_were_called() -> None:
    verdicts = ["accepted"] * 6 + ["modified"] * 3 + ["rejected"]
    cases = [
        seen(str(n), findings=FILM, review=said(str(n), "anna", decision(0, "mass", verdict)))  # type: ignore[arg-type]
        for n, verdict in enumerate(verdicts)
    ]
    # One that was not called, one that the reader added, and one that nobody decided.
    others = decision(1, "nodule", "accepted"), decision(2, "edema", "accepted")
    cases += [seen("x", findings=FILM, review=said("x", "anna", *others)), seen("y", findings=FILM)]
    found = verdict_rates(cases, lambda one, of: (one.task, of.label))
    key = ("chest_xray", "mass")
    assert {verdict: (one.hits, one.of, one.value) for (of, verdict), one in found.items() if of == key} == {
        "accepted": (6, 10, 0.6),
        "modified": (3, 10, 0.3),
        "rejected": (1, 10, 0.1),
    }
    assert {of for of, _ in found} == {key}


def test_flags_and_failures_are_rates_of_cases() -> None:
    cases = [seen(str(n), flags=("looks_cropped",) if n < 2 else ()) for n in range(7)]
    cases += [seen("broken", error="missing_slice")]
    found = flag_rates(cases, lambda one: week_of(one.received_at))
    assert {code: (one.hits, one.of, one.value) for (_, code), one in found.items()} == {
        "looks_cropped": (2, 8, 0.25),
        "missing_slice": (1, 8, 0.125),
    }
    assert flag_rates([], lambda one: one.task) == {}


def test_the_stability_index_by_hand() -> None:
    # Edges at the deciles of 0 … 99; all later values lie in the lowest of ten bins.
    reference, later = [float(n) for n in range(100)], [0.0] * 100
    p = np.full(10, 10.5) / 105.0
    q = np.array([100.5] + [0.5] * 9) / 105.0
    expected = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    index, chance = stability_index(reference, later)
    assert index == pytest.approx(expected)
    # The 95th percentile of chi squared with nine degrees of freedom is 16.919.
    assert chance == pytest.approx(16.919 * (1 / 100 + 1 / 100), rel=1e-4)
    assert stability_index(reference, reference)[0] == 0.0
    # J is symmetric, and so is the index where the bins are the same.
    halves = [0.0] * 51 + [1.0] * 50
    quarters = [0.0] * 76 + [1.0] * 25
    assert stability_index(halves, quarters)[0] == pytest.approx(stability_index(quarters, halves)[0])


def test_nothing_moved_exceeds_chance_once_in_twenty() -> None:
    rng = np.random.default_rng(5)
    over = 0
    for _ in range(400):
        index, chance = stability_index(rng.random(400).tolist(), rng.random(300).tolist())
        over += index > chance
    # Binomial with 400 trials of 0.05: within four standard deviations.
    assert 3 <= over <= 38


def test_drift_is_told_of_enough_scores_alone() -> None:
    later = MONDAY + timedelta(days=7)

    def scored(count: int, p: float, at: datetime) -> list[Monitored]:
        return [seen(f"{at}{n}", received_at=at, findings=(finding("mass", p + n * 1e-3),)) for n in range(count)]

    before, after = scored(FEWEST_SCORES, 0.2, MONDAY), scored(FEWEST_SCORES, 0.7, later)
    (moved,) = score_drift([*before, *after], later.date())
    assert (moved.task, moved.label, moved.before, moved.after) == ("chest_xray", "mass", 30, 30)
    assert moved.moved
    (few,) = score_drift([*before, *after[1:]], later.date())
    assert few == Drift("chest_xray", "mass", 30, 29, None, None)
    assert not few.moved
    (same,) = score_drift([*before, *scored(FEWEST_SCORES, 0.2, later)], later.date())
    assert not same.moved


def test_what_readers_keep_of_masks_and_how_far_slices_lie_apart() -> None:
    cases = [seen(str(n), edit_dice=n / 10.0, spacing_mm=(0.7, 0.7, float(n))) for n in range(5)]
    cases += [seen("none")]
    assert edit_spreads(cases, lambda one: one.task) == {
        "chest_xray": Spread(5, pytest.approx(0.1), pytest.approx(0.2), pytest.approx(0.3))
    }
    # The largest of each: 0.7, 1, 2, 3, 4.
    assert spacing_spreads(cases, lambda one: one.task) == {"chest_xray": Spread(5, 1.0, 2.0, 3.0)}


def test_what_came_each_week() -> None:
    cases = [
        seen("a", review=said("a", "anna")),
        seen("b", review=said("b", "anna", complete=False)),
        seen("c", error="missing_slice"),
        seen("d", received_at=MONDAY + timedelta(days=8)),
    ]
    first, second = date(2024, 3, 4), date(2024, 3, 11)
    expected = {(first, "scored"): 2, (first, "failed"): 1, (first, "decided"): 1, (second, "scored"): 1}
    assert {key: count for key, count in counts(cases).items() if count} == expected
