"""Streams of blended windows, against MONAI's sliding window and against what the definitions say."""

from collections.abc import Callable

import pytest
import torch
from monai.inferers import sliding_window_inference
from torch import Tensor

from datasets.errors import ConfigError, WeightsError
from pipelines.slabs import decide_labels, label_map, largest_logit
from pipelines.sliding_window import LogitStream, StreamOptions, air_below, outside
from pipelines.windows import WindowSettings


def _network(classes: int, axes: int, channels: int = 1) -> torch.nn.Module:
    """A convolution followed by something that depends on the place in the window, so that blending shows."""
    torch.manual_seed(3)
    convolution = (torch.nn.Conv3d if axes == 3 else torch.nn.Conv2d)(channels, classes, 3, padding=1)

    class Placed(torch.nn.Module):
        def forward(self, windows: Tensor) -> Tensor:
            ramp = torch.linspace(-1, 1, windows[0, 0].numel(), device=windows.device).reshape(windows.shape[2:])
            return convolution(windows) + ramp * 3

    return Placed().eval().requires_grad_(False)


def _volume(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _all(stream: LogitStream) -> Tensor:
    return torch.cat([slab.logits for slab in stream], dim=1)


@pytest.mark.parametrize(
    ("shape", "size", "overlap", "batch"),
    [
        ((40, 33, 37), (16, 16, 16), 0.5, 1),
        ((40, 33, 37), (16, 16, 16), 0.25, 4),
        ((41, 50, 23), (8, 24, 12), (0.5, 0.25, 0.7), 3),
        ((9, 20, 31), (16, 24, 16), 0.5, 2),
        ((7, 10, 11), (16, 13, 16), 0.5, 2),
        ((16, 16, 16), (16, 16, 16), 0.5, 2),
        ((5, 40, 40), (1, 16, 16), 0.6, 5),
        ((30, 18, 18), (3, 16, 18), 0.9, 7),
        ((21, 17, 16), (4, 5, 16), 0.0, 2),
        ((70, 12, 12), (33, 8, 8), 0.8, 3),
    ],
)
def test_logits_are_monais(
    shape: tuple[int, int, int], size: tuple[int, int, int], overlap: float | tuple[float, ...], batch: int
) -> None:
    volume, network = _volume(2, *shape), _network(3, 3, channels=2)
    settings = WindowSettings(size, overlap=overlap, batch=batch, padding_value=-0.7)
    stream = LogitStream(volume, network, settings, classes=3)
    ours = _all(stream)
    monais = sliding_window_inference(
        volume[None], size, batch, network, overlap=overlap, mode="gaussian", padding_mode="constant", cval=-0.7
    )[0]
    assert ours.shape == monais.shape
    assert (ours - monais).abs().max() < 1e-4
    assert stream.statistics.windows_total == stream.plan.windows
    top = monais.topk(2, dim=0).values
    clear = top[0] - top[1] > 1e-4
    assert torch.equal(largest_logit(ours)[clear].long(), monais.argmax(0)[clear])


@pytest.mark.parametrize("sigma_scale", [0.05, 0.125, 0.5])
def test_logits_are_monais_for_any_sigma(sigma_scale: float) -> None:
    volume, network = _volume(1, 20, 30, 25), _network(2, 3)
    settings = WindowSettings((12, 16, 16), sigma_scale=sigma_scale, batch=2)
    monais = sliding_window_inference(
        volume[None], (12, 16, 16), 2, network, overlap=0.5, mode="gaussian", sigma_scale=sigma_scale
    )[0]
    assert (_all(LogitStream(volume, network, settings, classes=2)) - monais).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(16, 24), (50, 16), (20, 21)])
@pytest.mark.parametrize("batch", [1, 4])
def test_2d_network_gives_monais_logits_of_each_slice(size: tuple[int, int], batch: int) -> None:
    volume, network = _volume(1, 19, 40, 33), _network(3, 2)
    ours = _all(LogitStream(volume, network, WindowSettings(size, batch=batch, padding_value=2.0), classes=3))
    monais = sliding_window_inference(
        volume.transpose(0, 1), size, 4, network, overlap=0.5, mode="gaussian", padding_mode="constant", cval=2.0
    ).transpose(0, 1)
    assert (ours - monais).abs().max() < 1e-4


def test_whole_slices_are_the_networks_own_logits() -> None:
    volume, network = _volume(1, 11, 20, 17), _network(3, 2)
    stream = LogitStream(volume, network, WindowSettings((None, None), batch=4), classes=3)
    assert torch.allclose(_all(stream), network(volume.transpose(0, 1)).transpose(0, 1), atol=1e-5)
    assert stream.statistics.windows_total == 11


def test_integers_are_prepared_window_by_window_and_stay_as_they_are() -> None:
    volume = (_volume(1, 20, 20, 20) * 300).to(torch.int16)
    before = volume.clone()
    settings = WindowSettings((24, 12, 12), padding_value=-9.0)
    network = _network(2, 3)

    def prepare(window: Tensor) -> Tensor:
        return window.clamp_(-200, 250).div_(100)

    ours = _all(LogitStream(volume, network, settings, classes=2, options=StreamOptions(prepare=prepare)))
    prepared = volume.float().clamp(-200, 250) / 100
    assert torch.equal(volume, before)
    assert torch.allclose(ours, _all(LogitStream(prepared, network, settings, classes=2)), atol=1e-5)


def test_windows_of_air_are_skipped_and_become_background() -> None:
    volume = torch.full((1, 32, 32, 32), -1000.0)
    volume[:, 20:28, 20:28, 20:28] = 50.0
    sent = 0

    def network(windows: Tensor) -> Tensor:
        nonlocal sent
        sent += len(windows)
        assert bool((windows.amax(dim=(1, 2, 3, 4)) > -500).all())
        return torch.cat([torch.zeros_like(windows), windows / 10], dim=1)

    settings = WindowSettings((8, 8, 8), overlap=0.0, batch=3)
    stream = LogitStream(volume, network, settings, classes=2, options=StreamOptions(skip=air_below(-500)))
    logits = _all(stream)
    assert (stream.statistics.windows_total, stream.statistics.windows_skipped, sent) == (64, 56, 8)
    assert torch.equal(largest_logit(logits).bool(), volume[0] > 0)
    air = logits[:, :8]
    assert torch.allclose(air, torch.tensor([10.0, -10.0]).reshape(2, 1, 1, 1).expand_as(air))


def test_a_mask_of_the_body_skips_the_same_windows() -> None:
    body = torch.zeros(32, 32, 32, dtype=torch.bool)
    body[20:28, 20:28, 20:28] = True
    options = StreamOptions(skip=outside(body, (8, 8, 8)), background=(4.0,))
    settings = WindowSettings((8, 8, 8), overlap=0.0)
    stream = LogitStream(torch.zeros(1, 32, 32, 32), lambda windows: windows, settings, classes=1, options=options)
    logits = _all(stream)
    assert stream.statistics.windows_skipped == 56
    assert logits[0, 0, 0, 0] == 4.0
    assert logits[0, 24, 24, 24] == 0.0


def test_a_volume_of_nothing_but_air_never_meets_the_network() -> None:
    def network(_: Tensor) -> Tensor:
        raise AssertionError("asked")

    options = StreamOptions(skip=air_below(0.0))
    settings = WindowSettings((8, 8, 8), batch=2)
    stream = LogitStream(torch.full((1, 20, 9, 5), -1.0), network, settings, classes=3, options=options)
    assert not label_map(decide_labels(stream), (20, 9, 5)).any()
    assert stream.statistics.windows_skipped == stream.statistics.windows_total


def _out_of_memory_above(limit: int, seen: list[int]) -> Callable[[Tensor], Tensor]:
    def network(windows: Tensor) -> Tensor:
        seen.append(len(windows))
        if len(windows) > limit:
            raise torch.OutOfMemoryError("no memory for so many")
        return windows * 3

    return network


def test_out_of_memory_halves_the_batch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    volume, seen = _volume(1, 30, 16, 16), list[int]()
    stream = LogitStream(volume, _out_of_memory_above(2, seen), WindowSettings((8, 8, 8), batch=9), classes=1)
    assert torch.allclose(_all(stream), volume * 3, atol=1e-5)
    assert seen[:4] == [9, 4, 2, 2]
    assert max(seen[2:]) == 2
    assert (stream.statistics.batch, stream.statistics.batch_halved) == (2, 2)
    assert "out of memory with 9 windows per batch: going on with 4" in caplog.text


def test_out_of_memory_with_a_single_window_is_raised() -> None:
    stream = LogitStream(_volume(1, 8, 8, 8), _out_of_memory_above(0, []), WindowSettings((8, 8, 8)), classes=1)
    with pytest.raises(torch.OutOfMemoryError):
        next(stream)


def test_bf16_computes_in_bf16_and_blends_in_float32() -> None:
    volume, network = _volume(1, 20, 16, 16), _network(2, 3)
    settings = WindowSettings((8, 16, 16))
    exact = _all(LogitStream(volume, network, settings, classes=2))
    rounded = _all(LogitStream(volume, network, settings, classes=2, options=StreamOptions(precision="bf16")))
    assert rounded.dtype == torch.float32
    # bf16 keeps 8 bits: an error of about 2^-8 of the largest intermediate value, but an error there must be.
    assert 0 < (rounded - exact).abs().max() < 2**-7 * 4


def test_slabs_may_be_changed_by_whoever_takes_them() -> None:
    network = _network(2, 3)
    stream = LogitStream(_volume(1, 20, 8, 8), network, WindowSettings((8, 8, 8)), classes=2)
    untouched = _all(LogitStream(_volume(1, 20, 8, 8), network, WindowSettings((8, 8, 8)), classes=2))
    slabs = []
    for slab in stream:
        assert torch.is_grad_enabled()
        slabs.append(slab.logits.clone())
        slab.logits.mul_(0)
    assert torch.equal(torch.cat(slabs, dim=1), untouched)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogitStream(torch.zeros(8, 8, 8), lambda x: x, WindowSettings((8, 8, 8)), classes=1),
        lambda: LogitStream(torch.zeros(1, 0, 8, 8), lambda x: x, WindowSettings((8, 8, 8)), classes=1),
        lambda: LogitStream(torch.zeros(1, 8, 8, 8), lambda x: x, WindowSettings((8, 8, 8)), classes=0),
        lambda: LogitStream(
            torch.zeros(1, 8, 8, 8),
            lambda x: x,
            WindowSettings((8, 8, 8)),
            classes=2,
            options=StreamOptions(background=(1.0,)),
        ),
        lambda: next(LogitStream(torch.zeros(1, 8, 8, 8), lambda x: x, WindowSettings((8, 8, 8)), classes=2)),
        lambda: next(LogitStream(torch.zeros(1, 8, 8, 8), lambda x: x[..., 1:], WindowSettings((8, 8)), classes=1)),
        lambda: next(
            LogitStream(
                torch.zeros(1, 8, 8, 8),
                lambda x: x,
                WindowSettings((8, 8, 8)),
                classes=1,
                options=StreamOptions(prepare=lambda x: x[..., 1:]),
            )
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_three_parts(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.advice


def test_nan_is_not_taken_for_background() -> None:
    def network(windows: Tensor) -> Tensor:
        return windows / windows

    with pytest.raises(WeightsError, match="NaN in slices 0 to"):
        next(LogitStream(torch.zeros(1, 8, 8, 8), network, WindowSettings((8, 8, 8)), classes=1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("accumulator", ["auto", "device", "host"])
def test_cuda_gives_the_hosts_logits(accumulator: str) -> None:
    volume, network = _volume(1, 60, 64, 48), _network(3, 3)
    settings = WindowSettings((32, 32, 32), batch=4)
    host = _all(LogitStream(volume, network, settings, classes=3))
    device = torch.device("cuda")
    options = StreamOptions(device=device, accumulator=accumulator)  # type: ignore[arg-type]
    stream = LogitStream(volume, network.to(device), settings, classes=3, options=options)
    logits = _all(stream)
    assert logits.device.type == ("cpu" if accumulator == "host" else "cuda")
    # TF32 and other summation orders differ in the last bits; labels must not.
    assert (logits.cpu() - host).abs().max() < 1e-2
    assert (largest_logit(logits.cpu()) == largest_logit(host)).float().mean() > 0.999


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_out_of_memory_moves_blending_to_the_host_at_last() -> None:
    volume, failures = _volume(1, 30, 16, 16), [1, 1, 1]

    def network(windows: Tensor) -> Tensor:
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError("full")
        return windows * 3

    options = StreamOptions(device=torch.device("cuda"), accumulator="device")
    stream = LogitStream(volume, network, WindowSettings((8, 8, 8), batch=4), classes=1, options=options)
    logits = torch.cat([slab.logits.cpu() for slab in stream], dim=1)
    assert torch.allclose(logits, volume * 3, atol=1e-5)
    assert stream.statistics.accumulator_moved
    assert stream.statistics.batch_halved == 2
