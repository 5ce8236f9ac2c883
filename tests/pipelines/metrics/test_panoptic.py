"""Panoptic quality of regions whose overlaps are counted by hand, and against a slow transcription of the paper."""

import numpy as np
import pytest
from hypothesis import given, settings

from pipelines.metrics.panoptic import panoptic_quality
from tests.pipelines.metrics.label_maps import PAIRS, blocks, regions, renumbered


def test_by_hand() -> None:
    reference = blocks((0, 4, 0, 4), (0, 2, 6, 10), (6, 8, 0, 2))
    prediction = blocks((0, 4, 1, 5), (0, 2, 6, 10), (4, 6, 10, 12))
    found = panoptic_quality(prediction, reference)
    # 16 pixels moved by one column share 12 of 20; 8 pixels are the same; one is missed, one invented.
    assert (found.matched, found.missed, found.invented) == (2, 1, 1)
    assert found.segmentation == pytest.approx((12 / 20 + 1) / 2)
    assert found.recognition == pytest.approx(2 / (2 + 0.5 + 0.5))
    assert found.quality == pytest.approx((12 / 20 + 1) / 3)


def test_exactly_one_half_is_no_match() -> None:
    # Two of four pixels in common, so that the union is four: IoU 1/2.
    found = panoptic_quality(blocks((0, 1, 0, 2)), blocks((0, 1, 0, 4)))
    assert (found.matched, found.missed, found.invented, found.quality) == (0, 1, 1, 0.0)
    assert panoptic_quality(blocks((0, 1, 0, 3)), blocks((0, 1, 0, 4))).quality == pytest.approx(0.75)


def test_one_that_should_be_two() -> None:
    two, one = blocks((0, 4, 0, 6), (0, 4, 6, 8)), blocks((0, 4, 0, 8))
    # The larger part has 24 of 32 pixels and matches, the smaller is missed: PQ = 0.75 / 1.5.
    assert panoptic_quality(one, two).quality == pytest.approx(0.5)


def test_empty_maps() -> None:
    nothing, something = blocks(), blocks((0, 2, 0, 2))
    found = panoptic_quality(nothing, nothing)
    assert (found.quality, found.segmentation, found.recognition) == (1.0, 1.0, 1.0)
    for found in (panoptic_quality(nothing, something), panoptic_quality(something, nothing)):
        assert (found.quality, found.segmentation, found.recognition) == (0.0, 0.0, 0.0)


@settings(deadline=None)
@given(PAIRS)
def test_as_the_paper_defines_it(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, reference = pair
    found = panoptic_quality(prediction, reference)
    p, g = regions(prediction), regions(reference)
    ious = [len(a & b) / len(a | b) for a in p.values() for b in g.values() if 2 * len(a & b) > len(a | b)]
    divisor = len(ious) + 0.5 * (len(p) - len(ious)) + 0.5 * (len(g) - len(ious))
    assert found.quality == pytest.approx(sum(ious) / divisor if divisor else 1.0)
    # Symmetric, blind to numbers, and perfect where nothing differs.
    other = panoptic_quality(renumbered(reference), prediction)
    assert (other.matched, other.invented, other.missed) == (found.matched, found.missed, found.invented)
    assert other.quality == pytest.approx(found.quality)
    assert panoptic_quality(renumbered(reference), reference).quality == 1.0
