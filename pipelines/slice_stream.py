"""H-DenseUNet over a whole volume: its 2D branch once per slice, not once per window.

The published protocol cuts windows of 8 slices two apart and runs everything on each, so every slice goes through the
larger of the two networks four times. What the 2D branch says about a slice depends on the slice and its neighbours
alone; here it is asked once, and its answers move along the slices in a buffer from which windows are cut. The result
is that of windows whose end slices know their true neighbours.

    stream = logit_stream(volume, network, WindowSettings((8, None, None)), classes=3)
"""

import logging
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from datasets.errors import ConfigError
from networks.h_dense_unet import HDenseUNet
from networks.layers import crop_to_size, pad_to_multiple
from pipelines.sliding_window import LogitStream, Predict, StreamOptions, autocast_of
from pipelines.windows import Corner, WindowPlan, WindowSettings, cut_raw

_LOG = logging.getLogger(__name__)


def logit_stream(
    volume: Tensor,
    network: Predict,
    settings: WindowSettings,
    *,
    classes: int,
    options: StreamOptions | None = None,
) -> LogitStream:
    """The stream that suits a network: `hybrid_stream` for H-DenseUNet, windows for any other.

    Args and errors are those of `LogitStream` and `hybrid_stream`.
    """
    if isinstance(network, HDenseUNet):
        return hybrid_stream(volume, network, settings, options=options)
    return LogitStream(volume, network, settings, classes=classes, options=options)


def hybrid_stream(
    volume: Tensor, network: HDenseUNet, settings: WindowSettings, *, options: StreamOptions | None = None
) -> LogitStream:
    """The fused logits of a volume, slab by slab.

    Args:
        volume: (1, D, H, W) of any real dtype; read, never written. A volume thinner than the window is one window,
            padded by repeating its last slice.
        network: In evaluation mode, on the options' device.
        settings: `size` (depth, None, None): whole slices, a depth the network halves. `batch` counts slices per call
            of the 2D branch; windows go one by one.
        options: As for `LogitStream`; `prepare` is applied to each slice with its neighbours, (1, 3, H, W).

    Raises:
        ConfigError: Windows that are not whole slices, or of a depth the network does not halve.
    """
    options = options or StreamOptions()
    depth = settings.size[0]
    if not network.config.takes_windows(settings.size):
        raise ConfigError(
            f"windows.size of (depth, null, null) with a depth that is a multiple of {network.config.depth_divisor}",
            f"{settings.size}",
            "H-DenseUNet takes whole slices; 8 slices are what its authors use",
        )
    source = partial(SliceMaps, network=network, slices=settings.batch, options=options)
    slices = volume.shape[1]
    window = (min(depth or slices, slices), *volume.shape[2:])
    return LogitStream(
        volume,
        partial(_second_half, network, window),
        replace(settings, size=(window[0], None, None), batch=1),
        classes=network.config.out_channels,
        options=replace(options, source=source),
    )


def _second_half(network: HDenseUNet, window: tuple[int, ...], maps: Tensor) -> Tensor:
    """The 3D network and the fusion: maps (N, 1 + classes + features, D', H', W') to logits (N, classes, *window)."""
    seen = 1 + network.config.out_channels
    return crop_to_size(network.fuse(maps[:, :seen], maps[:, seen:]), window)


class SliceMaps:
    """What the 2D branch says about slices, each asked once, in a buffer that moves along the slices.

    The buffer's memory is ordered (slice, row, column, channel), so that a window is a view of it in the layout that
    convolutions want, and nothing is copied but the slices that two fillings share.

    Args:
        volume: (1, D, H, W).
        plan: Windows of whole slices, ascending.
        network: Its 2D branch is asked.
        slices: How many slices are asked about at a time; halved when memory runs out.
        options: Device, precision and preparation.
    """

    def __init__(
        self, volume: Tensor, plan: WindowPlan, *, network: HDenseUNet, slices: int, options: StreamOptions
    ) -> None:
        self._volume = volume
        self._plan = plan
        self._network = network
        self._slices = slices
        self._options = options
        multiple = network.config.depth_divisor
        # A volume thinner than a window is the only one whose windows need slices beyond its end.
        self._depth = -(-plan.window[0] // multiple) * multiple
        self._buffer: Tensor | None = None
        self._start = self._stop = 0  # slices of the volume that the buffer holds
        self.asked = 0  # slices sent through the 2D branch

    def raw(self, corner: Corner) -> tuple[Tensor, Corner]:
        """The voxels (1, d, H, W) of a window as they are, and their first place."""
        return cut_raw(self._volume, self._plan, corner)

    def batch(self, corners: list[Corner]) -> Tensor:
        """Maps of windows (N, 1 + classes + features, D', H', W'), D', H' and W' as the network halves them.

        A single window is a view of the buffer, good until the next call.
        """
        with torch.inference_mode(), autocast_of(self._options):
            windows = [self._window(corner[0]) for corner in corners]
            return windows[0] if len(windows) == 1 else torch.cat(windows)

    def _window(self, start: int) -> Tensor:
        if self._stop < start:  # Windows between were skipped: nobody wants their slices.
            self._start = self._stop = start
        while self._stop < start + self._depth:
            self._ask(start)
        if self._buffer is None or start < self._start:
            raise ValueError(f"expected windows in ascending order; got slice {start} after {self._start}")
        held = self._buffer[start - self._start :][: self._depth]  # (D', H', W', channels)
        return held.permute(3, 0, 1, 2).unsqueeze(0)  # (1, channels, D', H', W')

    def _ask(self, start: int) -> None:
        """Send the next few slices through the 2D branch; slices before `start` are not needed any more."""
        count = min(self._slices, start + self._depth - self._stop)
        try:
            maps = self._maps(self._stop, self._stop + count)  # (count, channels, H', W')
        except torch.OutOfMemoryError:
            if count == 1:
                raise
            self._slices = count // 2
            _LOG.warning("out of memory with %d slices per call: going on with %d", count, self._slices)
            return
        place = self._room(maps, start)
        self._stop += count
        self.asked += count
        place.copy_(maps.permute(0, 2, 3, 1))

    def _maps(self, start: int, stop: int) -> Tensor:
        """Slices [start, stop) between their neighbours through the 2D branch: (stop - start, channels, H', W')."""
        last = self._volume.shape[1] - 1
        triples = []
        for z in range(start, stop):
            neighbours = [min(max(z + step, 0), last) for step in (-1, 0, 1)]
            voxels = self._volume[:, neighbours].to(torch.float32)  # (1, 3, H, W), a copy
            prepared = voxels if self._options.prepare is None else self._options.prepare(voxels)
            triples.append(prepared[0])
        slices = pad_to_multiple(torch.stack(triples).to(self._options.device), self._network.config.divisor)
        return self._network.slice_maps(slices)

    def _room(self, maps: Tensor, start: int) -> Tensor:
        """Where the next maps go: (count, H', W', channels) of the buffer, whose kept slices move to its front."""
        count, channels, height, width = maps.shape
        if self._buffer is None:
            dtype = torch.bfloat16 if self._options.precision == "bf16" else torch.float32
            capacity = self._depth + max(self._depth // 2, 1)
            self._buffer = torch.empty((capacity, height, width, channels), dtype=dtype, device=maps.device)
        if self._stop - self._start + count > self._buffer.shape[0]:
            kept = max(self._stop - start, 0)
            for index in range(kept):  # One by one: source and target may overlap.
                self._buffer[index].copy_(self._buffer[start - self._start + index])
            self._start = start if kept else self._stop
        first = self._stop - self._start
        return self._buffer[first : first + count]
