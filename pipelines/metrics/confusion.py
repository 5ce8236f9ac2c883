"""Which class was called where which one holds, and the shares that follow from it."""

import numpy as np
from numpy.typing import NDArray

Confusion = NDArray[np.float64]


def confusion_matrix(called: NDArray[np.integer], true: NDArray[np.integer], classes: int) -> Confusion:
    """Count cases.

    Args:
        called: (N,) class of each case, 0 to classes - 1.
        true: (N,) the class that holds.
        classes: How many there are.

    Returns:
        (classes, classes), row: the true class, column: the called one; zeros for no cases.

    Raises:
        ValueError: The shapes are not those, or a class is outside of the range.
    """
    if called.ndim != 1 or called.shape != true.shape:
        raise ValueError(f"expected a called and a true class for every case; got {called.shape} and {true.shape}")
    both = np.concatenate([called, true])
    if both.size and not (both.min() >= 0 and both.max() < classes):
        raise ValueError(f"expected classes 0 to {classes - 1}; got {both.min()} to {both.max()}")
    counts = np.bincount(true * classes + called, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def accuracy(confusion: Confusion) -> NDArray[np.float64]:
    """Share of cases that are called rightly.

    Args:
        confusion: (…, classes, classes), counts or weights.

    Returns:
        (…,) in [0, 1]; NaN for no cases.
    """
    return _over(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum((-2, -1)))


def balanced_accuracy(confusion: Confusion) -> NDArray[np.float64]:
    """Mean over the classes of the share of its cases that are called so; classes that no case has are left out.

    Args:
        confusion: (…, classes, classes).

    Returns:
        (…,) in [0, 1]; NaN for no cases.
    """
    there = confusion.sum(-1)
    recall = _over(np.diagonal(confusion, axis1=-2, axis2=-1), there)
    return _over(np.where(there > 0, recall, 0.0).sum(-1), (there > 0).sum(-1))


def f1(confusion: Confusion) -> NDArray[np.float64]:
    """F1 of each class: twice those called rightly over those called plus those there.

    Args:
        confusion: (…, classes, classes).

    Returns:
        (…, classes) in [0, 1]; NaN for a class that is neither there nor called.
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _over(2.0 * right, confusion.sum(-1) + confusion.sum(-2))


def _over(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = np.divide(
        part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0
    )
    return shares
