"""Objects told apart where they touch: discs whose number is known."""

import numpy as np
import pytest

from pipelines.instances import areas_px, at_edge, drop_small, in_order, split_objects
from tests.pipelines.discs import discs


@pytest.mark.parametrize("gap", [6.0, 3.0, 0.0])
def test_two_discs_that_touch_are_two(gap: float) -> None:
    # Centres 2 r + 1 - gap apart: from a touch to a lens in common.
    first, second = (30, 30, 12.0), (30, 55 - gap, 12.0)
    both = discs((60, 90), first, second)
    found = split_objects(both)
    assert found.max() == 2
    assert ((found > 0) == both).all()
    left, right = discs((60, 90), first), discs((60, 90), second)
    # Up to the lens, which lies between them, each is what it was.
    assert (found[left & ~right] == found[30, 30]).mean() > 0.99
    assert (found[right & ~left] == found[30, 54 - int(gap)]).mean() > 0.99


def test_one_disc_is_one_and_so_is_a_bean() -> None:
    for radius in (0.0, 1.0, 2.0, 3.0, 8.0, 25.0):
        assert split_objects(discs((60, 60), (30, 30, radius))).max() == 1
    bean = discs((60, 60), *[(30 - 4 * np.cos(a), 30 + 14 * np.sin(a), 8.0) for a in np.linspace(-1, 1, 40)])
    assert split_objects(bean).max() == 1


def test_a_wider_waist_keeps_them_together() -> None:
    peanut = discs((60, 90), (30, 30, 12.0), (30, 46, 12.0))
    # Half the waist is sqrt(12^2 - 8^2) = 8.9, the radius 12: narrower by 3.1.
    assert split_objects(peanut, waist_px=1.5).max() == 2
    assert split_objects(peanut, waist_px=4.0).max() == 1


def test_a_core_tells_what_the_outline_does_not() -> None:
    mask = np.zeros((30, 60), bool)
    mask[5:25, 5:55] = True
    core = mask.copy()
    core[:, 29:31] = False
    assert split_objects(mask).max() == 1
    found = split_objects(mask, core)
    assert found.max() == 2
    assert ((found > 0) == mask).all()
    assert np.unique(found[:, 5:28][mask[:, 5:28]]).tolist() == [1]
    assert np.unique(found[:, 32:55][mask[:, 32:55]]).tolist() == [2]


def test_a_piece_without_a_core_is_an_object() -> None:
    mask = discs((40, 80), (20, 20, 8.0), (20, 60, 2.0))
    found = split_objects(mask, discs((40, 80), (20, 20, 6.0)))
    assert found.max() == 2
    assert ((found > 0) == mask).all()


def test_pixels_that_touch_by_a_corner_are_one_and_none_is_lost() -> None:
    assert split_objects(np.eye(5, dtype=bool)).max() == 1
    rng = np.random.default_rng(3)
    for density in (0.3, 0.5, 0.7, 0.9):
        mask = rng.random((31, 57)) < density
        assert ((split_objects(mask, waist_px=0.3) > 0) == mask).all()


def test_numbers_follow_the_rows_and_turn_with_the_picture() -> None:
    mask = discs((70, 90), (50, 20, 6.0), (20, 70, 9.0), (25, 30, 5.0))
    found = split_objects(mask)
    # By the first row of each: 11, 20 and 44.
    assert (found[20, 70], found[25, 30], found[50, 20]) == (1, 2, 3)
    turned = split_objects(np.rot90(mask).copy())
    assert sorted(areas_px(turned)) == sorted(areas_px(found))


def test_nothing_gives_nothing() -> None:
    found = split_objects(np.zeros((31, 57), bool))
    assert (found.shape, found.dtype, found.max()) == ((31, 57), np.int32, 0)
    assert areas_px(found).size == at_edge(found).size == 0
    assert drop_small(found, 5).max() == 0


def test_everything_is_one() -> None:
    assert (split_objects(np.ones((4, 7), bool)) == 1).all()


def test_small_ones_go_and_numbers_close_up() -> None:
    numbers = np.array([[1, 1, 0, 2], [1, 1, 0, 0], [0, 0, 3, 3]], np.int32)
    assert areas_px(numbers).tolist() == [4, 1, 2]
    assert drop_small(numbers, 2).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 2]]
    assert drop_small(numbers, 1).tolist() == numbers.tolist()
    assert drop_small(numbers, 5).max() == 0


def test_order_by_first_pixel() -> None:
    assert in_order(np.array([[0, 9, 9], [4, 9, 0], [4, 0, 7]], np.int32)).tolist() == [[0, 1, 1], [2, 1, 0], [2, 0, 3]]


def test_edges() -> None:
    numbers = np.zeros((5, 6), np.int32)
    numbers[0, 2], numbers[2, 2:4], numbers[4, 5], numbers[2, 0] = 1, 2, 3, 4
    assert at_edge(numbers).tolist() == [1, 3, 4]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        split_objects(np.zeros((4, 5), bool), np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        split_objects(np.zeros((4, 5, 6), bool))
