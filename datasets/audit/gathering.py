"""One pass over a case: every file is read once, and what checks need is noted."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datasets.audit.facts import CaseFacts, ImageFacts, LabelFacts
from datasets.audit.fit import fit, sample
from datasets.audit.pixels import digest, image_facts
from datasets.codes import RefusalCode
from datasets.defects import Defect, DefectCode
from datasets.errors import InputRefused
from datasets.example import Example, InstanceTruth, MaskTruth
from datasets.image import Array, Image, Intensity
from datasets.io.nifti import SUFFIXES, read_nifti

# Numbers of objects may run into the thousands; these are enough to tell what is wrong.
_MOST_COUNTED = 4096


def gather(example: Example) -> CaseFacts:
    """Read an example and note what checks need; what cannot be read is told as a defect.

    A file of many pictures (`Series.stack`) and a slide are not read: they are scored piece by piece.
    """
    defects: list[Defect] = []
    images: list[ImageFacts] = []
    first: Image | None = None
    if example.study.refusal is not None:
        defects.append(_refused(DefectCode.UNREADABLE_IMAGE, example.name, example.study.refusal))
    for series in example.study.series:
        if series.slide is not None or series.stack is not None:
            continue
        try:
            image = series.load().image
        except InputRefused as refusal:
            defects.append(_refused(DefectCode.UNREADABLE_IMAGE, example.name, refusal))
            continue
        except OSError as error:
            defects.append(_gone(DefectCode.UNREADABLE_IMAGE, example.name, error))
            continue
        first = first or image
        images.append(image_facts(series, image))
    labels = None
    if isinstance(example.truth, MaskTruth | InstanceTruth):
        try:
            labels = _label_facts(_label_map(example.truth.read), first, example)
        except InputRefused as refusal:
            defects.append(_refused(DefectCode.UNREADABLE_LABELS, example.name, refusal))
        except OSError as error:
            defects.append(_gone(DefectCode.UNREADABLE_LABELS, example.name, error))
    return CaseFacts(example, tuple(images), labels, tuple(defects))


def files_of(read: object) -> tuple[Path, ...]:
    """The files a reader reads: readers are picklable, so they are functions with arguments or dataclasses.

    Args:
        read: `Series.read` or `MaskTruth.read`.

    Returns:
        In the order in which they stand there; none where the reader does not say.
    """
    if isinstance(read, Path):
        return (read,)
    if isinstance(read, partial):
        return tuple(path for part in (*read.args, *read.keywords.values()) for path in files_of(part))
    if isinstance(read, tuple | list):
        return tuple(path for part in read for path in files_of(part))
    if is_dataclass(read) and not isinstance(read, type):
        return tuple(path for one in fields(read) for path in files_of(getattr(read, one.name)))
    owner = getattr(read, "__self__", None)
    return files_of(owner) if owner is not None else ()


def _label_map(read: Callable[[], Image]) -> Image:
    """The label map; a NIfTI that layouts refuse for values that are not whole is read as it is, to be told apart."""
    try:
        return read()
    except InputRefused as refusal:
        files = files_of(read)
        if refusal.code is RefusalCode.UNREADABLE_FILE and len(files) == 1 and files[0].name.endswith(SUFFIXES):
            return read_nifti(files[0], Intensity.LABEL).image
        raise


def _label_facts(image: Image, of: Image | None, example: Example) -> LabelFacts:
    array = image.array[0]
    whole, broken = _whole(array)
    values, counts = np.unique(whole, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_MOST_COUNTED]
    is_image = of is not None and _is_same(of.array, image.array)
    found = None
    if of is not None and of.shape == image.shape and not is_image:
        sampled = sample(of.array, array > 0 if isinstance(example.truth, InstanceTruth) else whole)
        found = None if sampled is None else fit(sampled)
    return LabelFacts(
        shape=image.shape,
        grid=None if image.affine is None else image.grid,
        digest=digest(image.array),
        counts={int(values[at]): int(counts[at]) for at in sorted(most)},
        broken=broken,
        broken_range=(float(array.min()), float(array.max())) if broken else (0.0, 0.0),
        is_image=is_image,
        fit=found,
    )


def _whole(array: Array) -> tuple[Array, int]:
    """Values rounded to whole ones, and how many were not."""
    if array.dtype.kind in "iub":
        return array.astype(np.int64), 0
    rounded = np.rint(array)
    broken = int((rounded != array).sum())
    return rounded.astype(np.int64), broken


def _is_same(image: Array, labels: Array) -> bool:
    """Whether a label map is its image: an image of a few values may be so by right, when it is a mask."""
    if image.shape != labels.shape or len(np.unique(image[:, ::4, ::4, ::4])) <= 2:
        return False
    return bool((image == labels).all())


def _refused(code: DefectCode, where: str, refusal: InputRefused) -> Defect:
    if refusal.code is RefusalCode.NOT_FINITE:
        code = DefectCode.NOT_FINITE_VALUES
    return Defect(code, "error", where, f"{refusal.code}: {refusal.message}", refusal.advice)


def _gone(code: DefectCode, where: str, error: OSError) -> Defect:
    return Defect(code, "error", where, f"{type(error).__name__}: {error.strerror}", "check the file and the disk")
