"""The box around what is there."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from datasets.box import bounding_box

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))


@settings(max_examples=50, deadline=None)
@given(masks)
def test_bounding_box_is_tight(mask: np.ndarray) -> None:
    box = bounding_box(mask)
    if not mask.any():
        assert box is None
        return
    places = np.argwhere(mask)
    assert [(part.start, part.stop) for part in box] == list(
        zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
    )
