"""Numbers of a file in the types that an image holds them in, whichever library read them."""

from typing import Any

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Array, Intensity


def held(values: Array, intensity: Intensity, told: str) -> Array:
    """Values in the types of `datasets.io.nifti.read_nifti`: uint8, int16 or int32 where all are whole, else float32.

    Args:
        values: Of any shape; numbers or bool. Floats are taken as whole only in label maps.
        intensity: What they mean.
        told: The file, for refusals.

    Raises:
        InputRefused: `not_finite`; `unreadable_file` for types that are no real numbers, or whole numbers beyond int32.
    """
    if values.dtype.kind not in "biuf":
        raise _unfit("numbers", f"values of type {values.dtype} in {told}")
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputRefused(
            RefusalCode.NOT_FINITE, "finite values", f"NaN or infinity in {told}", "replace them and say so"
        )
    is_float = values.dtype.kind == "f"
    if is_float and (intensity is not Intensity.LABEL or bool((values != np.rint(values)).any())):
        return values.astype(np.float32)
    kinds: list[type[np.integer[Any]]] = [np.uint8] if intensity is Intensity.LABEL else []
    for kind in (*kinds, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    raise _unfit("whole numbers of at most 32 bits", f"{low:.0f} to {high:.0f} in {told}")


def check_whole(labels: Array, told: str) -> None:
    """Refuse a label map whose values are not whole numbers.

    Raises:
        InputRefused: `unreadable_file`.
    """
    if labels.dtype.kind not in "iu":
        some = float(labels[labels != np.rint(labels)].flat[0])
        raise _unfit("a label map of whole numbers", f"{some:g} among the values of {told}")


def _unfit(expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE, expected, got, "check that it is the file you mean, and export it again"
    )
