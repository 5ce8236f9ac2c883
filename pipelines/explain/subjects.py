"""What of a study is explained: a network's inputs, what is asked about them, and how maps get back into the study.

A classifier is asked about labels, of every film its findings rest on; one of patches about those of a few fields of a
slide. A network that labels voxels is asked about the
voxels of a label or of one lesion, where they are: networks of slices about every slice that shows some of it, networks
of volumes about one window around it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from datasets.errors import ConfigError
from datasets.resampling import reorient
from pipelines.classification import AnyHead, ClassesHead, ScoreHead
from pipelines.classifier_task import ClassifierTask
from pipelines.examination import Examination, Field, Seen
from pipelines.explain.subject import Patches, Slices, Subject, Whole, Window
from pipelines.explain.targets import ClassLogit, PixelLogits
from pipelines.explain.wanted import Wanted
from pipelines.image_task import ImageTask
from pipelines.localise_settings import slice_context
from pipelines.regions import components_by_size
from pipelines.resample import grid_mapping, resample
from pipelines.task import Task
from pipelines.tensors import as_tensor

_CANONICAL = "LPS"
# A window (d, h, w) around a lesion is no larger than this, whatever the scan. H-DenseUNet keeps maps of a deep network
# for each of the slices.
_LARGEST_WINDOW = (128, 128, 128)
_LARGEST_WINDOW_OF = {"h_dense_unet": (16, 128, 128)}


def check_wanted(task: Task, wanted: Wanted) -> None:
    """See that what is wanted can be had of a task, whatever the study.

    Raises:
        ConfigError: The task has no such label, or no lesions, or its network is not explained.
    """
    known = task.explained_labels
    if not known:
        raise ConfigError(
            "a task whose network is explained: films, volumes, slices, slides",
            f"{task.name}, of kind {task.kind}",
            "score it without an explanation, or explain another task",
        )
    if isinstance(task, ClassifierTask) and wanted.lesion is not None:
        got = f"lesion {wanted.lesion} of {task.name}"
        raise ConfigError("a label of the whole study", got, "leave --lesion out")
    unknown = [label for label in wanted.labels if label not in known]
    if unknown:
        raise ConfigError(f"labels of {task.name}: {', '.join(known)}", ", ".join(unknown), "correct --label")


def subjects_of(task: Task, said: Examination, wanted: Wanted) -> Iterator[Subject]:
    """What there is to explain in a study.

    Args:
        task: As `check_wanted` saw it.
        said: What was seen and said.
        wanted: Labels and lesion.

    Raises:
        ConfigError: The study has not that many lesions of the label.
    """
    if isinstance(task, ClassifierTask):
        yield from _of_views(task, said, wanted)
    elif isinstance(task, ImageTask):
        yield from _of_labels(task, said, wanted)
    else:
        yield from _of_fields(task, said, wanted)


def _of_views(task: ClassifierTask, said: Examination, wanted: Wanted) -> Iterator[Subject]:
    known = _logits(task.judge.heads)
    targets = tuple(known[label] for label in wanted.labels or _found(said, known))
    for number, seen in enumerate(said.seen):
        if seen.used:
            volume = as_tensor(seen.prepared).float()  # (C, D, H, W); films have one slice.
            inputs = volume[:, 0] if task.network.spatial_dims == 2 else volume
            yield Whole(seen, inputs[None], targets, expected=task.expected, number=number)


def _logits(heads: Sequence[AnyHead]) -> dict[str, ClassLogit]:
    """The outputs that say a probability, by label."""
    outputs = [(head, label) for head in heads for label in head.names]
    return {
        label: ClassLogit(index, label, exclusive=isinstance(head, ClassesHead))
        for index, (head, label) in enumerate(outputs)
        if label and not isinstance(head, ScoreHead)
    }


def _found(said: Examination, known: dict[str, ClassLogit]) -> list[str]:
    """What was called, or what came nearest to it."""
    named = [finding for finding in said.findings if finding.label in known]
    called = [finding.label for finding in named if finding.positive]
    nearest = sorted(named, key=lambda one: (one.probability or 0.0) / one.threshold, reverse=True)
    return called or [finding.label for finding in nearest[:1]]


def _of_fields(task: Task, said: Examination, wanted: Wanted) -> Iterator[Subject]:
    fields = [seen for seen in said.seen if isinstance(seen, Field)]
    if wanted.lesion is not None and wanted.lesion not in {field.number for field in fields}:
        known = ", ".join(str(field.number) for field in fields if field.number)
        got = f"region {wanted.lesion}"
        raise ConfigError(f"a region that was looked at closer: {known or 'none'}", got, "correct --lesion")
    outputs = task.network.out_channels
    for field in fields:
        if wanted.lesion in (None, field.number):
            pixels, edge = as_tensor(field.prepared).float()[:, 0], field.patch_px
            patches = [pixels[:, top : top + edge, left : left + edge] for top, left in field.corners]
            target = ClassLogit(outputs - 1, field.label, exclusive=outputs > 1)
            about = f"region {field.number}" if field.number else ""
            middle = len(patches) // 2
            yield Patches(field, torch.stack(patches), (target,), about, middle, corners=field.corners)


def _of_labels(task: ImageTask, said: Examination, wanted: Wanted) -> Iterator[Subject]:
    names = task.label_set.names
    if said.labels is None or not said.seen:
        return
    (seen,) = said.seen
    labels = reorient(said.labels, _CANONICAL)
    for index, label in enumerate(names, start=1):
        if wanted.labels and label not in wanted.labels:
            continue
        mask = labels.array[0] == index
        if wanted.lesion is not None:
            numbered, count = components_by_size(mask)
            if wanted.lesion > count:
                if wanted.labels:
                    raise ConfigError(f"a lesion of {label} from 1 to {count}", str(wanted.lesion), "correct --lesion")
                continue
            mask = numbered == wanted.lesion
        if not mask.any():
            continue
        # (D, H, W) on the grid of what was prepared.
        own = torch.from_numpy(np.ascontiguousarray(mask.transpose(2, 1, 0)))
        pixels = _on_prepared(own, labels.affine, seen)
        if pixels.any():
            about = "" if wanted.lesion is None else f"lesion {wanted.lesion}"
            yield _of_pixels(task, seen, pixels, (index, label, about))


def _on_prepared(mask: Tensor, affine: np.ndarray | None, seen: Seen) -> Tensor:
    """A mask (D, H, W) on the prepared grid: where half of a voxel or more is in it, or the fullest one."""
    columns, rows, slices = seen.prepared.shape
    if affine is None or seen.prepared.affine is None:
        return mask
    share = resample(mask[None].float(), (slices, rows, columns), grid_mapping(affine, seen.prepared.affine), fill=0.0)[
        0
    ]
    return share >= min(0.5, max(float(share.max()), 1e-3))


def _of_pixels(task: ImageTask, seen: Seen, pixels: Tensor, what: tuple[int, str, str]) -> Subject:
    index, label, about = what
    volume = as_tensor(seen.prepared).float()
    exclusive = task.network.out_channels > 1
    if task.network.spatial_dims == 3:
        first, size = _window(pixels, _LARGEST_WINDOW_OF.get(task.network.name, _LARGEST_WINDOW))
        inside = tuple(slice(at, at + n) for at, n in zip(first, size, strict=True))
        target = PixelLogits(index, pixels[inside][None], label, exclusive)
        return Window(seen, volume[(slice(None), *inside)][None], (target,), about, first=first)
    places = torch.nonzero(pixels.flatten(start_dim=1).any(dim=1)).flatten()
    context = slice_context(task.network)
    around = places[:, None] + torch.arange(-context, context + 1)  # (N, slices); the end slices are repeated.
    near = volume[:, around.clamp(0, volume.shape[1] - 1)]  # (C, N, slices, H, W)
    inputs = near.permute(1, 2, 0, 3, 4).flatten(1, 2)
    own = pixels[places]
    judged = int(own.flatten(start_dim=1).sum(dim=1).argmax())
    target = PixelLogits(index, own, label, exclusive)
    return Slices(seen, inputs, (target,), about, judged, places=tuple(places.tolist()))


def _window(pixels: Tensor, largest: tuple[int, int, int]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel and size of a window about the middle of a mask (D, H, W), as large as is affordable."""
    size = [min(extent, most) for extent, most in zip(pixels.shape, largest, strict=True)]
    middle = torch.nonzero(pixels).double().mean(dim=0).round().long().tolist()
    first = [int(np.clip(at - n // 2, 0, extent - n)) for at, n, extent in zip(middle, size, pixels.shape, strict=True)]
    return (first[0], first[1], first[2]), (size[0], size[1], size[2])
