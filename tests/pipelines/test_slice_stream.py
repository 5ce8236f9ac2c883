"""H-DenseUNet streamed along the slices: what its windows say, at a quarter of the work."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datasets.errors import ConfigError
from networks.build import build
from networks.configs import DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig
from networks.h_dense_unet import HDenseUNet
from pipelines.slice_stream import SliceMaps, hybrid_stream, logit_stream
from pipelines.sliding_window import LogitStream, StreamOptions
from pipelines.windows import WindowSettings, importance, plan_windows

WIDTHS = {"block_config": (1, 2, 2, 2), "growth_rate": 6, "init_features": 8, "feature_channels": 8}


def hybrid(**changes: Any) -> HDenseUNet:
    """A small hybrid with statistics and affine maps that matter."""
    config = HDenseUNetConfig(
        slice_network=DenseUNetConfig(**WIDTHS),
        volume_network=DenseUNet3DConfig(**WIDTHS, in_channels=4),
        **({"context_scale": 1.0} | changes),
    )
    network = build(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.running_var.uniform_(0.5, 2.0, generator=generator)
                part.bias.normal_(0.0, 0.3, generator=generator)
    return network.requires_grad_(False)


def scan(*shape: int) -> Tensor:
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(5))


def collected(stream: LogitStream) -> Tensor:
    """All slabs, which must come in order and once: (classes, D, H, W)."""
    parts, expected = [], 0
    for slab in stream:
        assert slab.start == expected
        expected = slab.stop
        parts.append(slab.logits)
    return torch.cat(parts, dim=1)


def windowed(network: HDenseUNet, volume: Tensor, depth: int, step: int) -> Tensor:
    """The definition: every window on its own, its end slices between their true neighbours, blended by weight."""
    slices, height, width = volume.shape[1:]
    indices = np.clip(np.arange(-1, slices + 1), 0, slices - 1)
    beside = volume[0, indices]
    weight = importance((depth, height, width), 0.125)
    total, weights = torch.zeros(3, slices, height, width), torch.zeros(slices, height, width)
    starts = [*range(0, slices - depth, step), slices - depth]
    for start in starts:
        triples = torch.stack([beside[start + offset : start + offset + depth] for offset in range(3)])
        logits = network.logits_between(triples[None])[0]
        total[:, start : start + depth] += logits * weight
        weights[start : start + depth] += weight
    return total / weights


class Counted:
    """How many slices went through the 2D branch."""

    def __init__(self, network: HDenseUNet) -> None:
        self.slices = 0
        network.slice_network.encoder.register_forward_pre_hook(self._add)
        network.slice_network.encoder.conv0.register_forward_pre_hook(self._add_stem)

    def _add(self, _part: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
        raise AssertionError("expected the taps of the encoder to be asked for, not its forward")

    def _add_stem(self, _part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.slices += inputs[0].shape[0]


@pytest.mark.parametrize(("overlap", "step"), [(0.5, 4), (0.75, 2), (0.25, 6), (0.0, 8)])
@pytest.mark.parametrize("batch", [1, 3])
def test_stream_is_the_windowed_definition_on_40_slices(overlap: float, step: int, batch: int) -> None:
    network, volume = hybrid(), scan(40, 37, 50)
    expected = windowed(network, volume, 8, step)
    counted = Counted(network)
    settings = WindowSettings((8, None, None), overlap=overlap, batch=batch)
    found = collected(hybrid_stream(volume, network, settings))
    assert counted.slices == 40
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("context", ["probabilities", "logits"])
def test_single_window_is_forward(context: str) -> None:
    network, volume = hybrid(context=context), scan(8, 32, 40)
    torch.testing.assert_close(
        collected(hybrid_stream(volume, network, WindowSettings((8, None, None)))),
        network(volume[None])[0],
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("depth", [1, 2, 5, 7])
@pytest.mark.parametrize("window", [8, None])
def test_volume_thinner_than_a_window_is_forward(depth: int, window: int | None) -> None:
    network, volume = hybrid(), scan(depth, 33, 20)
    found = collected(hybrid_stream(volume, network, WindowSettings((window, None, None))))
    torch.testing.assert_close(found, network(volume[None])[0], rtol=0, atol=1e-5)


def test_whole_volume_as_one_window_is_forward() -> None:
    network, volume = hybrid(), scan(13, 32, 32)
    found = collected(hybrid_stream(volume, network, WindowSettings((None, None, None))))
    torch.testing.assert_close(found, network(volume[None])[0], rtol=0, atol=1e-5)


def test_integers_are_prepared_slice_by_slice() -> None:
    network = hybrid()
    volume = (scan(12, 32, 32) * 100).to(torch.int16)
    options = StreamOptions(prepare=lambda voxels: voxels.div_(100.0))
    settings = WindowSettings((8, None, None))
    found = collected(hybrid_stream(volume, network, settings, options=options))
    torch.testing.assert_close(found, collected(hybrid_stream(volume / 100.0, network, settings)), rtol=0, atol=1e-5)


def test_bf16_is_close() -> None:
    network, volume = hybrid(), scan(16, 64, 64)
    settings = WindowSettings((8, None, None))
    exact = collected(hybrid_stream(volume, network, settings)).softmax(0)
    rough = collected(hybrid_stream(volume, network, settings, options=StreamOptions(precision="bf16"))).softmax(0)
    assert 0 < (exact - rough).abs().max() < 0.1


def test_memory_does_not_grow_with_depth() -> None:
    def held(depth: int) -> int:
        volume = scan(depth, 32, 32)
        plan = plan_windows((depth, 32, 32), WindowSettings((8, None, None)))
        source = SliceMaps(volume, plan, network=hybrid(), slices=2, options=StreamOptions())
        for corner in plan.corners():
            source.batch([corner])
        assert source.asked == depth
        return source._buffer.numel()

    assert held(12) == held(48) == 12 * 32 * 32 * (1 + 3 + 8)


def test_window_is_a_view_of_the_buffer() -> None:
    plan = plan_windows((24, 32, 32), WindowSettings((8, None, None)))
    source = SliceMaps(scan(24, 32, 32), plan, network=hybrid(), slices=1, options=StreamOptions())
    for corner in plan.corners():
        maps = source.batch([corner])
        assert maps.shape == (1, 12, 8, 32, 32)
        assert maps.is_contiguous(memory_format=torch.channels_last_3d)
        assert maps.untyped_storage().data_ptr() == source._buffer.untyped_storage().data_ptr()


def test_running_out_of_memory_halves_the_slices_per_call(monkeypatch: pytest.MonkeyPatch) -> None:
    network, volume = hybrid(), scan(12, 32, 32)
    expected = collected(hybrid_stream(volume, network, WindowSettings((8, None, None))))
    real, calls = network.slice_maps, []

    def tight(slices: Tensor) -> Tensor:
        calls.append(len(slices))
        if len(slices) > 2:
            raise torch.OutOfMemoryError("no room")
        return real(slices)

    monkeypatch.setattr(network, "slice_maps", tight)
    found = collected(hybrid_stream(volume, network, WindowSettings((8, None, None), batch=8)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert calls[:3] == [8, 4, 2]
    assert max(calls[3:]) == 2

    def none(slices: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(network, "slice_maps", none)
    with pytest.raises(torch.OutOfMemoryError):
        next(hybrid_stream(volume, network, WindowSettings((8, None, None), batch=2)))


def test_skipped_windows_ask_nobody() -> None:
    network = hybrid()
    counted = Counted(network)
    stream = hybrid_stream(
        scan(24, 32, 32), network, WindowSettings((8, None, None)), options=StreamOptions(skip=lambda *_: True)
    )
    assert (collected(stream).argmax(0) == 0).all()
    assert stream.statistics.windows_skipped == 5
    assert counted.slices == 0


def test_skipping_in_the_middle_changes_nothing_else() -> None:
    network, volume = hybrid(), scan(40, 32, 32)
    settings = WindowSettings((8, None, None), overlap=0.0)
    options = StreamOptions(skip=lambda _, first: first[0] in {8, 16})
    expected = collected(hybrid_stream(volume, network, settings))
    counted = Counted(network)
    found = collected(hybrid_stream(volume, network, settings, options=options))
    assert counted.slices == 24
    for part in (slice(0, 8), slice(24, 40)):
        torch.testing.assert_close(found[:, part], expected[:, part], rtol=0, atol=1e-5)
    assert (found[:, 8:24].argmax(0) == 0).all()


@pytest.mark.parametrize("size", [(8, 64, 64), (6, None, None), (None, None), (8, None, 64)])
def test_windows_that_the_network_cannot_take_are_refused(size: tuple[int | None, ...]) -> None:
    with pytest.raises(ConfigError, match="multiple of 4"):
        hybrid_stream(scan(16, 64, 64), hybrid(), WindowSettings(size))


def test_the_network_decides_the_stream() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, -x], dim=1)

    flat = logit_stream(scan(4, 8, 8), Flat(), WindowSettings((4, 8, 8)), classes=2)
    assert [slab.logits.shape[0] for slab in flat] == [2]
    found = collected(logit_stream(scan(8, 32, 32), hybrid(), WindowSettings((8, None, None)), classes=3))
    assert found.shape == (3, 8, 32, 32)
