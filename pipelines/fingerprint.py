"""What a dataset is like: sizes, spacings, intensities, labels, and which data it was.

nnU-Net's fingerprint (Isensee et al., Nature Methods 18, 2021; `fingerprint_extractor.py` of its second version): cases
are cropped to what is not zero, and the intensities of labelled voxels are drawn from, as many of every case, so that
large cases count no more than small ones. One pass over the data, and memory of one case and a few million numbers.

The data's hash is of what was read, not of files: of every case its values, its grid and what is true of it, put
together whatever the order. Folders and files may be renamed, packed or converted without loss; a voxel may not change.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets.box import Box, bounding_box
from datasets.errors import ConfigError
from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, InstanceTruth, MaskTruth, Truth, label_values
from datasets.image import Array, Image
from datasets.resampling import reorient
from pipelines.settings import Settings
from pipelines.task import Task

# Networks see the patient so: i to the Left, j to Posterior, k to Superior.
_CANONICAL = "LPS"
_SEED = 1234
# Labelled voxels drawn of all cases together; nnU-Net draws 1e8.
_DRAWN = 2_000_000
_PERCENTS = (0.5, 50.0, 99.5)
_DIGITS = 6
# In place of a value: any but 0.
_ANY = -1


class CaseFingerprint(Settings):
    """One case after cropping to what is not zero; axes are (D, H, W): superior, posterior, left."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None = Field(description="null where it is not known: pictures, films")
    kept: float = Field(description="share of the voxels that cropping leaves")


class Intensities(Settings):
    """Values of one channel in labelled voxels, or in all that are kept where nothing is drawn."""

    mean: float
    std: float
    median: float
    minimum: float
    maximum: float
    percentile_0_5: float
    percentile_99_5: float


class Fingerprint(Settings):
    """What a dataset is like; the same data gives the same, whenever and wherever it lies."""

    dataset: str = Field(description="as it calls itself")
    layout: str
    data_sha256: str = Field(description="of what was read, whatever the files are called")
    patients: int
    cases: tuple[CaseFingerprint, ...]
    intensities: tuple[Intensities, ...] = Field(description="by channel")
    labels: dict[str, float] = Field(description="of masks, share of the kept voxels; else share of the cases")
    cases_with: dict[str, int] = Field(description="by label, in how many cases it is")
    seed: int = Field(default=_SEED, description="of the drawing of voxels, beside the data itself")

    @property
    def channels(self) -> int:
        """Of the images."""
        return len(self.intensities)

    @property
    def is_flat(self) -> bool:
        """Whether all cases are pictures of one slice."""
        return all(case.shape[0] == 1 for case in self.cases)

    @property
    def is_cropped(self) -> bool:
        """Whether cropping takes so much that nnU-Net normalises inside what is left: more than a quarter."""
        return float(np.median([case.kept for case in self.cases])) < 0.75

    @property
    def summary(self) -> dict[str, object]:
        """The same without the cases one by one, for cards."""
        shapes = np.median([case.shape for case in self.cases], axis=0).tolist()
        known = [case.spacing_mm for case in self.cases if case.spacing_mm is not None]
        told = self.model_dump(mode="json", exclude={"cases"})
        spacing = np.median(known, axis=0).tolist() if known else None
        return told | {"cases": len(self.cases), "median_shape": shapes, "median_spacing_mm": spacing}


def fingerprint(dataset: Dataset, task: Task) -> Fingerprint:
    """Look at every case of a dataset once.

    Args:
        dataset: Whatever its layout.
        task: Says which image of a study is looked at, and which labels count; those it does not know are background.

    Raises:
        ConfigError: There is no case, or they are slides, or cases have different numbers of channels.
        InputRefused: An image or its labels cannot be read.
    """
    if not dataset.examples:
        raise ConfigError(
            "a dataset with examples", f"none in {dataset.name}", "check --data; denselens audit tells why"
        )
    drawn = max(1, _DRAWN // len(dataset.examples))
    seen = [_look(example, task, drawn) for example in dataset.examples]
    if len({one.drawn.shape[0] for one in seen}) > 1:
        counts = ", ".join(str(count) for count in sorted({one.drawn.shape[0] for one in seen}))
        raise ConfigError("as many channels in every case", f"{counts} in {dataset.name}", "make them alike")
    voxels: Counter[str] = Counter()
    with_label: Counter[str] = Counter()
    for one in seen:
        voxels.update(one.labels)
        with_label.update(label for label, count in one.labels.items() if count)
    total = sum(one.voxels for one in seen)
    return Fingerprint(
        dataset=dataset.name,
        layout=dataset.layout,
        data_sha256=hashlib.sha256(b"".join(sorted(one.digest for one in seen))).hexdigest(),
        patients=len({example.patient for example in dataset.examples}),
        cases=tuple(one.case for one in seen),
        intensities=tuple(_intensities(seen)),
        labels={label: round(count / total, 9) for label, count in sorted(voxels.items())},
        cases_with=dict(sorted(with_label.items())),
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is kept of a case: `voxels` are what `labels` counts of, `drawn` (C, n), without any the values' all."""

    case: CaseFingerprint
    digest: bytes
    drawn: NDArray[np.float32]
    labels: dict[str, int]
    voxels: int


def _look(example: Example, task: Task, drawn: int) -> _Seen:
    image, truth = _image(example, task), example.truth
    labels = _upright(truth.read()) if isinstance(truth, MaskTruth | InstanceTruth) else None
    digest = _digest(image, labels, truth)
    box = bounding_box((image.array != 0).any(axis=0)) or _all(image)
    values = image.array[:, *box]
    counts, voxels, wanted = _statements(truth), 1, np.arange(math.prod(values.shape[1:]))
    if labels is not None:
        names = _names(truth, task)
        mask = _labelled(labels, image)[box]
        counts, voxels = _voxels(mask, names), mask.size
        wanted = np.flatnonzero(np.isin(mask, list(names)) if isinstance(truth, MaskTruth) else mask)
    draw = np.random.default_rng([*np.frombuffer(digest, np.uint32).tolist(), _SEED])
    # Drawn with putting back: every case counts alike, however few voxels it has.
    places = draw.choice(wanted, drawn) if wanted.size else wanted
    i, j, k = values.shape[1:]
    case = CaseFingerprint(
        shape=(k, j, i),
        spacing_mm=None if image.affine is None else _rounded(image.grid.spacing_mm[::-1]),
        kept=round(math.prod(values.shape[1:]) / math.prod(image.shape), _DIGITS),
    )
    return _Seen(case, digest, values.reshape(values.shape[0], -1)[:, places].astype(np.float32), counts, voxels)


def _image(example: Example, task: Task) -> Image:
    """What the task looks at: the first film or volume; of several sequences of one scan all, as channels."""
    chosen = task.choose(example.study).series
    if any(series.slide is not None for series in chosen):
        raise ConfigError("a dataset of volumes, films or pictures", f"the slide {example.name}", "plan it by hand")
    first = _upright(chosen[0].load().image)
    if first.shape[2] == 1:
        return first
    rest = [_upright(series.load().image) for series in chosen[1:]]
    if any(one.shape != first.shape for one in rest):
        raise ConfigError("sequences of one scan on one grid", f"several in {example.name}", "resample them to one")
    return Image(np.concatenate([one.array for one in (first, *rest)]), first.intensity, first.affine)


def _names(truth: Truth, task: Task) -> dict[int, str]:
    """What values in a label map mean to the task; of instances every value is one of their sort."""
    if isinstance(truth, InstanceTruth):
        return {_ANY: truth.name}
    if not isinstance(truth, MaskTruth):
        return {}
    indices = label_values(truth.names, task.label_set)
    known = {value: task.label_set.labels[index - 1].name for value, index in indices.items()}
    return known or dict(truth.names)


def _voxels(mask: Array, names: Mapping[int, str]) -> dict[str, int]:
    """Voxels of each label; several values may be one label."""
    found = Counter(dict.fromkeys(names.values(), 0))
    for value, name in names.items():
        found[name] += int(np.count_nonzero(mask if value == _ANY else mask == value))
    return dict(found)


def _statements(truth: Truth) -> dict[str, int]:
    """What is said of a case as a whole: 1 for what is there."""
    if isinstance(truth, FindingsTruth):
        return {label: int(value == 1.0) for label, value in truth.values.items()}
    if isinstance(truth, ClassTruth):
        return {name: int(index == truth.index) for index, name in enumerate(truth.classes)}
    return {}


def _labelled(labels: Image, image: Image) -> Array:
    """The label map (I, J, K) on the image's voxels.

    Raises:
        ConfigError: It has others.
    """
    if labels.shape != image.shape:
        raise ConfigError(f"labels on the image's {image.shape} voxels", f"{labels.shape}", "see denselens audit")
    values: Array = labels.array[0]
    return values


def _upright(image: Image) -> Image:
    return image if image.affine is None else reorient(image, _CANONICAL)


def _all(image: Image) -> Box:
    """The whole of an image in which everything is zero."""
    i, j, k = image.shape
    return slice(0, i), slice(0, j), slice(0, k)


def _digest(image: Image, labels: Image | None, truth: Truth) -> bytes:
    """Of a case's values, its grid, and what is true of it; numbers count, not how many bytes they were stored in."""
    hashed = hashlib.sha256()
    for part in _parts(image, labels, truth):
        hashed.update(hashlib.sha256(part).digest())
    return hashed.digest()


def _parts(image: Image, labels: Image | None, truth: Truth) -> Iterator[bytes]:
    yield from _bytes_of(image)
    if labels is not None:
        yield from _bytes_of(labels)
    if isinstance(truth, MaskTruth):
        yield repr(sorted(truth.names.items())).encode()
    elif isinstance(truth, InstanceTruth):
        yield truth.name.encode()
    elif isinstance(truth, ClassTruth):
        yield repr((truth.index, truth.classes)).encode()
    else:
        yield repr(sorted(truth.values.items())).encode()


def _bytes_of(image: Image) -> Iterator[bytes]:
    yield repr(image.array.shape).encode()
    if image.affine is not None:
        # Formats store affines with different precision.
        yield (np.round(image.affine, 4) + 0.0).tobytes()
    for channel in image.array:
        yield np.ascontiguousarray(channel.transpose(2, 1, 0), dtype=np.float32).tobytes()


def _intensities(seen: Iterable[_Seen]) -> Iterator[Intensities]:
    drawn = np.concatenate([one.drawn for one in seen], axis=1)
    for channel in drawn:
        values = channel.astype(np.float64) if channel.size else np.zeros(1)
        low, middle, high = np.percentile(values, _PERCENTS)
        stated = (values.mean(), values.std(), middle, values.min(), values.max(), low, high)
        yield Intensities(
            **dict(zip(Intensities.model_fields, (round(float(one), _DIGITS) for one in stated), strict=True))
        )


def _rounded(values: Iterable[float]) -> tuple[float, float, float]:
    depth, height, width = (round(float(value), _DIGITS) for value in values)
    return depth, height, width
