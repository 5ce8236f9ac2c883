"""The aggregated Jaccard index by hand, and against a slow transcription of algorithm 1 of Kumar et al."""

import numpy as np
import pytest
from hypothesis import given, settings

from pipelines.metrics.aggregated_jaccard import aggregated_jaccard
from tests.pipelines.metrics.label_maps import PAIRS, blocks, regions, renumbered


def test_by_hand() -> None:
    reference = blocks((0, 4, 0, 4), (0, 2, 6, 10), (6, 8, 0, 2))
    prediction = blocks((0, 4, 1, 5), (0, 2, 6, 10), (4, 6, 10, 12))
    # Shared 12 and 8; joined 20 and 8, with 4 missed and 4 invented.
    assert aggregated_jaccard(prediction, reference) == pytest.approx((12 + 8) / (20 + 8 + 4 + 4))


def test_one_that_should_be_two_is_taken_twice() -> None:
    two, one = blocks((0, 4, 0, 6), (0, 4, 6, 8)), blocks((0, 4, 0, 8))
    # Both halves, 24 and 8 pixels, take the only one there is, with 32 pixels: unions of 32 each.
    assert aggregated_jaccard(one, two) == pytest.approx((24 + 8) / (32 + 32))
    # The other way round the larger half is taken, the smaller one counts in full.
    assert aggregated_jaccard(two, one) == pytest.approx(24 / (32 + 8))


def test_of_equal_partners_the_larger_overlap() -> None:
    # The reference's 4 pixels: 2 lie in a region of 2 (IoU 2/4), and 2 in one of 2 as well: whichever, 2 of 4 + 2.
    reference = blocks((0, 1, 0, 4))
    assert aggregated_jaccard(blocks((0, 1, 0, 2), (0, 1, 2, 4)), reference) == pytest.approx(2 / 6)
    # IoU 1/3 twice: 2 of 6, or 1 of 3; the first is taken, the second's single pixel is left over.
    reference = blocks((0, 1, 0, 3))
    prediction = blocks((0, 1, 2, 3), (0, 1, 0, 2))
    prediction[2, 0:3] = 2
    assert aggregated_jaccard(prediction, reference) == pytest.approx(2 / (6 + 1))


def test_empty_maps() -> None:
    nothing, something = blocks(), blocks((0, 2, 0, 2))
    assert aggregated_jaccard(nothing, nothing) == 1.0
    assert aggregated_jaccard(nothing, something) == aggregated_jaccard(something, nothing) == 0.0


@settings(deadline=None)
@given(PAIRS)
def test_as_the_algorithm_says(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, reference = pair
    p, g = regions(prediction), regions(reference)
    shared, joined, used = 0, 0, set()
    for truth in g.values():
        touching = [(len(truth & q) / len(truth | q), len(truth & q), -j) for j, q in p.items() if truth & q]
        if not touching:
            joined += len(truth)
            continue
        best = -max(touching)[2]
        shared += len(truth & p[best])
        joined += len(truth | p[best])
        used.add(best)
    joined += sum(len(q) for j, q in p.items() if j not in used)
    assert aggregated_jaccard(prediction, reference) == pytest.approx(shared / joined if joined else 1.0)
    assert aggregated_jaccard(renumbered(reference), reference) == 1.0


def test_blind_to_numbers() -> None:
    reference = blocks((0, 4, 0, 4), (0, 2, 6, 10), (6, 8, 0, 2))
    prediction = blocks((0, 4, 1, 5), (0, 2, 6, 10), (4, 6, 10, 12))
    value = aggregated_jaccard(prediction, reference)
    assert aggregated_jaccard(renumbered(prediction), renumbered(reference)) == value
