"""Where patches are halved, by hand."""

import pytest

from pipelines.planning.topology import topology


def test_a_cube_is_halved_until_its_edge_is_four() -> None:
    found = topology((128, 128, 128), (1.0, 1.0, 1.0))
    assert found.strides == ((2, 2, 2),) * 5
    assert found.is_even
    assert found.patch == (128, 128, 128)


def test_a_coarse_axis_waits_and_is_not_looked_along() -> None:
    # 3.6 is 5.76 times 0.625: within a factor of 2 after two halvings of the others (1.44).
    found = topology((20, 320, 256), (3.6, 0.625, 0.625))
    assert found.strides[:3] == ((1, 2, 2), (1, 2, 2), (2, 2, 2))
    assert found.halvings == (2, 6, 6)
    assert found.kernels[:3] == ((1, 3, 3), (1, 3, 3), (3, 3, 3))
    assert not found.is_even


@pytest.mark.parametrize(("patch", "raised"), [((36, 50, 35), (40, 56, 40)), ((33, 33), (40, 40)), ((7, 7), (7, 7))])
def test_patches_are_raised_to_what_they_are_halved_by(patch: tuple[int, ...], raised: tuple[int, ...]) -> None:
    assert topology(patch, (1.0,) * len(patch)).patch == raised


def test_one_axis_alone_is_halved_from_three_least_edges_on() -> None:
    assert topology((11, 4), (1.0, 1.0)).strides == ()
    assert topology((12, 4), (1.0, 1.0)).strides == ((2, 1),)


def test_depth_can_be_limited() -> None:
    assert len(topology((128, 128), (1.0, 1.0), most=3).strides) == 3
