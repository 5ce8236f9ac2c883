"""Pixels of a stack of slices as an image: what a series' `read` calls."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.io.dicom.frames import Frame
from datasets.io.dicom.geometry import Stack
from datasets.io.dicom.instance import lenient
from datasets.io.dicom.pixels import AIR_HU, FrameReader, Pixels, modality_values, padding_mask
from datasets.io.dicom.resampling import rectified
from datasets.study import Loaded


def read_volume(stack: Stack, repairs: tuple[Repair, ...]) -> Loaded:
    """Read the slices of a stack.

    Hounsfield units for CT; what the scanner's rescaling gives for others. Padding becomes air (-1024 HU), or the
    smallest other value where it is no CT; so does what a sheared stack does not cover.

    Args:
        stack: The slices and their grid.
        repairs: What has been put right so far, told with the result.

    Returns:
        An image (1, I, J, K): int16 where all values are whole and fit, else float32.

    Raises:
        InputRefused: Pixels cannot be decoded, are not finite, or are all equal.
    """
    is_ct = stack.frames[0].instance.text("Modality") == "CT"
    with lenient():
        collector = _Collector(stack.frames, AIR_HU if is_ct else None)
        reader = FrameReader()
        for k, frame in enumerate(stack.frames):
            stored = reader.stored(frame)
            collector.put(k, modality_values(stored, frame), padding_mask(stored, frame.instance))
        slices, told = collector.finish(stack.frames)
    slices = rectified(slices, stack, collector.fill)
    image = Image.from_slices(slices, Intensity.HOUNSFIELD if is_ct else Intensity.GREY, stack.grid.affine)
    return Loaded(image, (*repairs, *told), _source(stack.frames))


class _Collector:
    """Gathers slices in int16, and in float32 as soon as one does not fit."""

    def __init__(self, frames: Sequence[Frame], fill: float | None) -> None:
        rows, columns = frames[0].size
        self._slices: NDArray[np.int16] | NDArray[np.float32] = np.empty((len(frames), rows, columns), np.int16)
        self._fill = fill
        self._low, self._high = float("inf"), float("-inf")
        self._finite = True
        self._padding: list[tuple[int, NDArray[np.intp]]] = []
        self._replaced = 0

    @property
    def fill(self) -> float:
        """What stands where there is no tissue: air, or the smallest value."""
        return self._low if self._fill is None else self._fill

    def put(self, k: int, values: Pixels, padding: NDArray[np.bool_] | None) -> None:
        """Take the values of slice k (rows, columns)."""
        if padding is not None:
            values = self._without_padding(k, values, padding)
        low, high = float(values.min()), float(values.max())
        fits = np.issubdtype(values.dtype, np.integer) and low >= -(2**15) and high < 2**15
        if not fits and self._slices.dtype == np.int16:
            self._slices = self._slices.astype(np.float32)
        self._slices[k] = values
        if padding is None or not padding.all():
            self._low, self._high = min(self._low, low), max(self._high, high)
        self._finite = self._finite and bool(np.isfinite(low) and np.isfinite(high))

    def _without_padding(self, k: int, values: Pixels, padding: NDArray[np.bool_]) -> Pixels:
        fill = self._fill
        if fill is None:
            # The smallest value of all slices is known at the end only; that of the slice keeps the range honest.
            fill = float(values[~padding].min()) if not padding.all() else 0.0
            self._padding.append((k, np.flatnonzero(padding)))
            self._replaced += int(padding.sum())
        else:
            self._replaced += int((padding & (values != fill)).sum())
        values = values.copy()
        values[padding] = fill
        return values

    def finish(self, frames: Sequence[Frame]) -> tuple[Pixels, list[Repair]]:
        """The slices (K, J, I), and what was replaced in them.

        Raises:
            InputRefused: The values are not finite, or all equal.
        """
        for k, where in self._padding:
            self._slices[k].reshape(-1)[where] = self.fill
        if not self._finite or self._low >= self._high:
            _check(self._slices, frames[0])
        if not self._replaced:
            return self._slices, []
        share = 100.0 * self._replaced / self._slices.size
        what = f"{self.fill:g} HU" if self._fill is not None else f"the smallest other value, {self.fill:g}"
        return self._slices, [
            Repair(RepairCode.PADDING_REPLACED, f"{share:.1f} % of the voxels are padding and were set to {what}")
        ]


def _check(values: Pixels, frame: Frame) -> None:
    name = frame.instance.path.name
    if not np.isfinite(values).all():
        raise InputRefused(
            RefusalCode.NOT_FINITE,
            "finite numbers",
            f"infinite or undefined values in the series of {name}",
            "export the series again",
        )
    if values.min() == values.max():
        raise InputRefused(
            RefusalCode.EMPTY_IMAGE,
            "an image that shows something",
            f"{float(values.flat[0]):g} in every pixel of the series of {name}",
            "export the series again",
        )


def _source(frames: Sequence[Frame]) -> DicomSource:
    instances = list(dict.fromkeys(frame.instance for frame in frames))
    index = {instance: n for n, instance in enumerate(instances)}
    planes = tuple(frame.plane(index[frame.instance]) for frame in frames)
    return DicomSource(tuple(instance.header for instance in instances), planes)
