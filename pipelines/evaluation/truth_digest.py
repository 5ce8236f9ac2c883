"""What is true of a study as a hash: whether two evaluations, or two halves of one, were against the same truth."""

import hashlib
import json

import numpy as np

from datasets.example import ClassTruth, Example, FindingsTruth
from datasets.image import Array


def truth_digest(example: Example) -> str:
    """Sha256 of a truth, read anew.

    Raises:
        InputRefused: It cannot be read.
    """
    truth = example.truth
    if isinstance(truth, FindingsTruth):
        return _of_values({"values": dict(truth.values)})
    if isinstance(truth, ClassTruth):
        return _of_values({"index": truth.index, "classes": list(truth.classes)})
    return labels_digest(truth.read().array)


def labels_digest(array: Array) -> str:
    """Of values and shape, whatever type they are stored in."""
    content = np.ascontiguousarray(array, dtype=np.int32)
    return hashlib.sha256(str(array.shape).encode() + content.tobytes()).hexdigest()


def _of_values(values: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
