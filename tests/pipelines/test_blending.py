"""What comes out of the ring of slices, and how much of it there ever is."""

import pytest
import torch
from torch import Tensor

from pipelines.blending import SLAB_SLICES
from pipelines.sliding_window import LogitStream
from pipelines.windows import WindowSettings


def _volume(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("size", [(8, 8, 8), (40, 8, 8), (3, 16, 16), (None, None), (8, 8)])
def test_slabs_tile_the_volume_once_in_order(size: tuple[int | None, ...]) -> None:
    volume = _volume(1, 29, 16, 12)
    slabs = list(LogitStream(volume, lambda windows: windows * 2, WindowSettings(size, batch=3), classes=1))
    edges = [slab.start for slab in slabs] + [slabs[-1].stop]
    assert edges[0] == 0
    assert edges[-1] == 29
    assert all(slab.stop == after for slab, after in zip(slabs, edges[1:], strict=True))
    assert all(slab.logits.shape == (1, slab.stop - slab.start, 16, 12) for slab in slabs)
    # A function of each voxel alone passes through blending unchanged.
    assert torch.allclose(torch.cat([slab.logits for slab in slabs], dim=1), volume * 2, atol=1e-5)


def test_memory_is_that_of_a_window_and_a_slab_whatever_the_depth() -> None:
    def run(depth: int) -> tuple[int, int]:
        settings = WindowSettings((16, 16, 16), batch=2)
        stream = LogitStream(
            _volume(1, depth, 24, 24), lambda windows: windows.expand(-1, 3, -1, -1, -1), settings, classes=3
        )
        deepest = max(slab.logits.shape[1] for slab in stream)
        return stream.statistics.accumulator_bytes, deepest

    held, deepest = run(40)
    assert run(400) == (held, deepest)
    assert deepest <= SLAB_SLICES
    # Three classes and the sum of weights, 16 slices deep, and one window of weights: float32.
    assert held == 4 * (4 * 16 * 24 * 24 + 16**3)


def test_slabs_come_while_the_volume_is_still_being_read() -> None:
    calls = 0

    def network(windows: Tensor) -> Tensor:
        nonlocal calls
        calls += len(windows)
        return windows

    stream = LogitStream(_volume(1, 64, 8, 8), network, WindowSettings((8, 8, 8)), classes=1)
    next(stream)
    assert calls < 4
    list(stream)
    assert calls == stream.statistics.windows_total == 15
