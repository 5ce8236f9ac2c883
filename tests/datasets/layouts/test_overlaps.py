"""Regions that overlap in one label map."""

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.errors import InputRefused
from datasets.layouts._overlaps import Region, painted, region

SHAPE = (4, 20, 20)


def block(value: int, rows: slice, columns: slice) -> Region:
    made = region(value, str(value), mask(rows, columns))
    assert made is not None
    return made


def mask(rows: slice, columns: slice) -> NDArray[np.bool_]:
    where = np.zeros(SHAPE, np.bool_)
    where[1:3, rows, columns] = True
    return where


def test_the_smaller_lies_on_top_in_any_order() -> None:
    body, liver, tumor = (
        block(1, slice(0, 20), slice(0, 20)),
        block(2, slice(4, 14), slice(4, 14)),
        block(3, slice(6, 9), slice(6, 9)),
    )
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:3] = 1
    expected[1:3, 4:14, 4:14] = 2
    expected[1:3, 6:9, 6:9] = 3
    for order in ((body, liver, tumor), (tumor, liver, body), (liver, body, tumor)):
        np.testing.assert_array_equal(painted(order, SHAPE), expected)


@pytest.mark.parametrize(
    ("shared", "refused"), [(0, False), (1, False), (2, True), (10, True), (18, True), (19, False)]
)
def test_what_lies_half_in_another_is_refused(shared: int, refused: bool) -> None:
    # The smaller one has 20 rows of one column, of which `shared` lie in the larger: 5 % each.
    larger = np.zeros(SHAPE, np.bool_)
    larger[1:3, :shared, 10] = True
    larger[0] = True
    regions = [region(1, "larger", larger), region(2, "smaller", mask(slice(0, 20), slice(10, 11)))]
    given = [one for one in regions if one is not None]
    if refused:
        with pytest.raises(InputRefused, match=f"{5 * shared} %"):
            painted(given, SHAPE)
    else:
        labels = painted(given, SHAPE)
        assert np.count_nonzero(labels == 2) == 40


def test_nothing_and_many() -> None:
    assert not painted([], SHAPE).any()
    assert region(1, "nothing", np.zeros(SHAPE, np.bool_)) is None
    assert painted([block(300, slice(0, 2), slice(0, 2))], SHAPE).dtype == np.uint16
