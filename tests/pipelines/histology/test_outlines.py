"""Outlines against counting pixels, scikit-image's labels and a point-in-polygon test of its own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.draw import polygon2mask
from skimage.measure import euler_number, label

from pipelines.histology.outlines import outlines, ring_area

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.booleans())


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_polygons_cover_the_pixels_and_nothing_else(mask) -> None:
    polygons = outlines(mask)
    assert sum(part.area for part in polygons) == mask.sum()
    assert len(polygons) == label(mask, connectivity=1).max()
    # Parts minus holes; a hole of one part that touches the outside by a corner alone is a hole of that part.
    drawn = np.zeros(mask.shape, dtype=int)
    for part in polygons:
        for ring, sign in ((part.exterior, 1), *((hole, -1) for hole in part.holes)):
            # Twice as fine, so that no pixel's centre lies on an edge.
            inside = polygon2mask((2 * mask.shape[0], 2 * mask.shape[1]), 2 * ring[:, ::-1] - 0.5)
            drawn += sign * inside[::2, ::2]
    np.testing.assert_array_equal(drawn, mask)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_rings_are_closed_never_touch_themselves_and_turn_the_right_way(mask) -> None:
    for part in outlines(mask):
        assert ring_area(part.exterior) > 0
        assert all(ring_area(hole) < 0 for hole in part.holes)
        for ring in (part.exterior, *part.holes):
            np.testing.assert_array_equal(ring[0], ring[-1])
            assert len({tuple(point) for point in ring[:-1]}) == len(ring) - 1
            steps = np.diff(ring, axis=0)
            assert ((steps == 0).sum(axis=1) == 1).all()
            # No point at which it goes straight on.
            assert (np.sign(steps) != np.sign(np.roll(steps, 1, axis=0))).any(axis=1).all()


def test_a_frame_has_one_hole_and_lies_where_it_is() -> None:
    mask = np.ones((4, 5), dtype=bool)
    mask[1:3, 2:4] = False
    [part] = outlines(mask, corner=(10, 20))
    assert euler_number(mask, connectivity=1) == 1 - len(part.holes)
    assert part.exterior.min(axis=0).tolist() == [20, 10]
    assert part.exterior.max(axis=0).tolist() == [25, 14]
    [hole] = part.holes
    assert {tuple(point) for point in hole.tolist()} == {(22, 11), (24, 11), (24, 13), (22, 13)}
    scaled = part.scaled(0.5, 2.0)
    assert scaled.area == part.area
    assert scaled.exterior.max(axis=0).tolist() == [12.5, 28]


def test_pixels_that_touch_by_a_corner_are_apart() -> None:
    first, second = outlines(np.array([[True, False], [False, True]]))
    assert first.area == second.area == 1


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 4), dtype=bool)) == ()
