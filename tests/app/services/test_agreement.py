"""Kappas as others define and compute them, times and overlaps by hand."""

from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from app.services.agreement import (
    agreement_of,
    agreements,
    counts_of,
    fleiss_kappa,
    mask_agreements,
    pairwise_agreements,
    times,
)
from app.services.ratings import Ratings
from app.store.records import Review
from pipelines.evaluation.intervals import Resampling

FEW = Resampling(replicates=200)
# Psychiatric diagnoses of 30 patients by 6 raters each: Fleiss, Psychological Bulletin 76(5), 1971, table 1.
DIAGNOSES = (
    *("00060", "03003", "01401", "00006", "03030", "20400", "00402", "20310", "20040", "00006"),
    *("10050", "11040", "03300", "10050", "02031", "00501", "30012", "51000", "02040", "10203"),
    *("00006", "01050", "02013", "20040", "10041", "05010", "40002", "02040", "10500", "00006"),
)


def ratings(said: list[list[int]], categories: int = 2, labels: tuple[str, ...] = ("mass",)) -> Ratings:
    count, readers = len(said), tuple(f"reader {n}" for n in range(len(said[0])))
    cases = tuple(f"case {n // len(labels)}" for n in range(count))
    return Ratings(readers, cases, tuple(labels[n % len(labels)] for n in range(count)), np.array(said), categories)


def test_the_worked_example_of_fleiss() -> None:
    counts = np.array([[int(digit) for digit in row] for row in DIAGNOSES], float)
    assert counts.sum(axis=1).tolist() == [6.0] * 30
    # His shares of the categories, and his kappa.
    np.testing.assert_allclose(counts.sum(axis=0) / 180.0, [0.144, 0.144, 0.167, 0.306, 0.239], atol=5e-4)
    assert fleiss_kappa(counts, np.ones((1, 30)))[0] == pytest.approx(0.430, abs=5e-4)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(3, 5), st.integers(2, 4))
def test_fleiss_counts_pairs_against_what_chance_pairs(seed: int, readers: int, categories: int) -> None:
    said = np.random.default_rng(seed).integers(0, categories, (12, readers))
    of = ratings(said.tolist(), categories)
    alike = [one[a] == one[b] for one in said for a, b in combinations(range(readers), 2)]
    everything = said.ravel()
    # Two answers drawn from all answers, with replacement.
    chance = np.mean([(everything == answer).mean() for answer in everything])
    expected = (np.mean(alike) - chance) / (1.0 - chance) if chance < 1.0 else np.nan
    assert fleiss_kappa(counts_of(of), np.ones((1, 12)))[0] == pytest.approx(expected, nan_ok=True)
    found = agreement_of(of, "mass", FEW)
    assert found.share.value == pytest.approx(np.mean(alike))
    assert found.kappa.value == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_cohen_is_what_scikit_learn_computes(seed: int, categories: int) -> None:
    said = np.random.default_rng(seed).integers(0, categories, (20, 2))
    found = agreement_of(ratings(said.tolist(), categories), "mass", FEW)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(said[:, 0], said[:, 1]))
    assert found.share.value == pytest.approx((said[:, 0] == said[:, 1]).mean())


def test_weights_count_items_as_often_as_they_were_drawn() -> None:
    said = np.random.default_rng(1).integers(0, 3, (8, 4))
    counts = counts_of(ratings(said.tolist(), 3))
    drawn = np.array([0, 3, 1, 1, 0, 2, 0, 1])
    expected = fleiss_kappa(np.repeat(counts, drawn, axis=0), np.ones((1, drawn.sum())))
    np.testing.assert_allclose(fleiss_kappa(counts, drawn[None].astype(float)), expected)


def test_all_of_one_mind_agree_wholly_and_no_kappa_tells_it() -> None:
    found = agreement_of(ratings([[0, 0, 0]] * 6), "mass", FEW)
    assert found.share.value == 1.0
    assert (found.kappa.value, found.kappa.low) == (None, None)
    # What six cases without a disagreement still allow: 0.025 ** (1 / 6).
    assert found.share.low == pytest.approx(0.5407, abs=1e-4)


def test_labels_stand_by_themselves_and_together() -> None:
    # Of the first label they always agree, of the second never.
    said = [row for n in range(10) for row in ([n % 2, n % 2], [n % 2, 1 - n % 2])]
    found = agreements(ratings(said, labels=("mass", "nodule")), FEW)
    assert [(one.label, one.items, one.cases, one.share.value) for one in found] == [
        ("", 20, 10, 0.5),
        ("mass", 10, 10, 1.0),
        ("nodule", 10, 10, 0.0),
    ]
    assert [one.kappa.value for one in found] == [pytest.approx(0.0), 1.0, pytest.approx(-1.0)]


def test_each_pair_of_readers_has_its_own_kappa() -> None:
    said = np.random.default_rng(2).integers(0, 2, (15, 3))
    found = pairwise_agreements(ratings(said.tolist()), FEW)
    assert [one.readers for one in found] == list(combinations(("reader 0", "reader 1", "reader 2"), 2))
    for one, (a, b) in zip(found, combinations(range(3), 2), strict=True):
        assert one.kappa.value == pytest.approx(cohen_kappa_score(said[:, a], said[:, b]))


def test_intervals_are_of_cases_and_not_of_labels() -> None:
    rng = np.random.default_rng(3)
    said = [[int(a), int(a) if rng.random() < 0.8 else 1 - int(a)] for a in rng.integers(0, 2, 40)]
    alone = agreement_of(ratings(said), "", Resampling())
    # The same said ten times over of each case: nothing more is known.
    repeated = Ratings(
        ("a", "b"),
        tuple(f"case {n}" for n in range(40) for _ in range(10)),
        ("mass",) * 400,
        np.repeat(np.array(said), 10, axis=0),
    )
    copied = agreement_of(repeated, "", Resampling())
    assert copied.share.value == alone.share.value
    assert copied.share.low == pytest.approx(alone.share.low, abs=0.02)
    assert copied.share.high == pytest.approx(alone.share.high, abs=0.02)


def test_nothing_to_compare() -> None:
    nothing = Ratings(("a", "b"), (), (), np.zeros((0, 2), np.int64))
    assert agreements(nothing) == pairwise_agreements(nothing) == ()
    assert agreements(ratings([[1], [0]])) == ()
    with pytest.raises(ValueError, match="two readers"):
        agreement_of(ratings([[1], [0]]), "")
    assert times([]) == ()


def test_masks_of_two_readers_overlap_by_dice() -> None:
    def mask_of(case: str, reader: str) -> np.ndarray | None:
        mask = np.zeros((4, 4, 1), np.uint8)
        if case == "both":
            mask[:2] = 1  # 8 voxels
            if reader == "ben":
                mask[0] = 2  # 4 of them another label
        return None if (case, reader) == ("one", "ben") else mask

    (found,) = mask_agreements(mask_of, ("both", "empty", "one"), ("anna", "ben"), 1, FEW)
    assert (found.readers, found.cases) == (("anna", "ben"), 2)
    # 2 * 4 / (8 + 4) of the one, 1 of the other, where neither marked anything.
    assert found.dice.value == pytest.approx((2.0 / 3.0 + 1.0) / 2.0)
    (none,) = mask_agreements(mask_of, ("one",), ("anna", "ben"), 1, FEW)
    assert (none.cases, none.dice.value) == (0, None)


def reading(reader: str, case: str, seconds: float, *, aided: bool) -> Review:
    now = datetime.now(UTC)
    return Review(case=case, reader=reader, result_sha256="", seconds=seconds, aided=aided, number=1, at=now)


def test_times_are_paired_by_case() -> None:
    found = times(
        [
            reading("anna", "a", 30.0, aided=True),
            reading("ben", "a", 50.0, aided=False),
            reading("carla", "a", 70.0, aided=False),
            reading("anna", "b", 100.0, aided=False),
            reading("ben", "b", 90.0, aided=True),
            reading("anna", "c", 10.0, aided=True),
        ],
        FEW,
    )
    assert [one.reader for one in found] == ["", "anna", "ben", "carla"]
    together, anna = found[:2]
    assert (together.aided, together.unaided, together.aided_s, together.unaided_s) == (3, 3, 30.0, 70.0)
    # Case a: 30 - (50 + 70) / 2; case b: 90 - 100; case c was read one way only.
    assert (together.pairs, together.difference_s.value) == (2, pytest.approx((-30.0 - 10.0) / 2.0))
    assert (anna.aided_s, anna.unaided_s, anna.pairs, anna.difference_s.value) == (20.0, 100.0, 0, None)
