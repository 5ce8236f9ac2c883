"""Lessons of tasks that label the voxels, or the objects, of one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Example, InstanceTruth, MaskTruth, label_values
from datasets.image import Image, Intensity
from datasets.labels import LabelSet
from pipelines.evaluation.masks import aligned
from pipelines.evaluation.said import CaseRefused
from pipelines.image_task import ImageTask
from pipelines.resample import grid_mapping, resample
from pipelines.tensors import as_tensor
from pipelines.training.draws import Shape
from pipelines.training.lesson import Answers, Figures, Lesson
from pipelines.training.losses import UNKNOWN, voxel_loss
from pipelines.training.prepared import Case, spacing_of

_ANY, _IGNORE = "any", "ignore"
_MOST_PLACES = 4096


@dataclass(frozen=True)
class VoxelLesson(Lesson):
    """A lesson in labelling voxels.

    Attributes:
        task: With the settings of its training.
    """

    task: ImageTask

    @property
    def shape(self) -> Shape:
        """Slices with their neighbours for flat networks, blocks for others.

        Raises:
            ConfigError: The patch has more axes than the network.
        """
        patch, flat = self.task.training.patch, self.task.network.spatial_dims == 2
        if patch is None:
            return Shape(None, flat, self._context())
        if len(patch) != self.task.network.spatial_dims:
            got = f"training.patch {list(patch)}"
            raise ConfigError(f"a patch of {self.task.network.spatial_dims} numbers", got, "correct it")
        depth, height, width = (1, *patch) if flat else patch
        return Shape((depth, height, width), flat, self._context())

    @property
    def independent(self) -> bool:
        """Labels exclude each other."""
        return False

    def prepare(self, example: Example) -> Sequence[Case]:
        """The image on the network's grid and the truth beside it.

        Raises:
            InputRefused: One of them cannot be read, or they do not fit each other.
            ConfigError: The example has no truth of voxels.
        """
        chosen = self.task.choose(example.study)
        image = chosen.series[0].load().image
        prepared = self.task.preprocess(image)
        truth = self._truth(example, image, prepared)
        inputs = np.ascontiguousarray(as_tensor(prepared).float().numpy())
        return (Case(example.name, inputs, truth, self._places(truth, example), _kind(prepared), spacing_of(prepared)),)

    def finished(self, pixels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Slices as channels for flat networks, (C, H, W) and (H, W); blocks (C, D, H, W) and (D, H, W) for others."""
        wanted = torch.from_numpy(self.task.wanted(truth[0].numpy())).long()  # (D, H, W)
        if self.task.network.spatial_dims == 3:
            return pixels, wanted
        # The first slice's channels first, as windows over a volume have them.
        return pixels.transpose(0, 1).flatten(0, 1), wanted[pixels.shape[1] // 2]

    def loss(self, answers: Answers, wanted: Tensor) -> Tensor:
        """Cross-entropy, Dice and what else the settings ask for."""
        return voxel_loss(answers, wanted, self.task.training.loss)

    def figures(self, said: Sequence[Tensor], wanted: Sequence[Tensor]) -> Figures:
        """Dice of each label, all patches together; their mean decides. A label that is nowhere has none."""
        classes = max(2, self.task.network.out_channels)
        counts = torch.zeros(classes, classes, dtype=torch.long)
        for logits, truth in zip(said, wanted, strict=True):
            labels = logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
            known = truth != UNKNOWN
            pairs = truth[known] * classes + labels[known]
            counts += torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        told = {}
        for index, name in enumerate(self.task.learnt_classes[1:classes], start=1):
            total = int(counts[index].sum() + counts[:, index].sum())
            if total:
                told[f"dice_{name}"] = 2.0 * int(counts[index, index]) / total
        return Figures(float(np.mean(list(told.values()))) if told else 0.0, told)

    def _context(self) -> int:
        network, channels = self.task.network, self.task.channels
        return (network.in_channels // channels - 1) // 2 if network.spatial_dims == 2 else 0

    def _truth(self, example: Example, image: Image, prepared: Image) -> NDArray[np.integer]:
        """(1, D, H, W) on the prepared grid: labels of the task, or numbers of objects."""
        if isinstance(example.truth, InstanceTruth):
            return _same_grid(example.truth.read(), image, prepared, example.name).astype(np.int32)
        if not isinstance(example.truth, MaskTruth):
            got = f"{type(example.truth).__name__} of {example.name}"
            raise ConfigError("labels of voxels", got, "train a task that classifies on this set")
        own = _own_labels(example.truth.read(), self._renamed(example.truth), self.task.label_set, example.name)
        if own.affine is None or prepared.affine is None:
            return _same_grid(own, image, prepared, example.name)
        try:
            aligned(own, image)
        except CaseRefused as error:
            raise InputRefused(RefusalCode.DIFFERENT_GRIDS, error.expected, error.got, error.advice) from error
        return _on_grid(own, prepared, self.task.label_set.classes)

    def _renamed(self, truth: MaskTruth) -> dict[int, str]:
        return {value: self.task.training.labels.get(name, name) for value, name in truth.names.items()}

    def _places(self, truth: NDArray[np.integer], example: Example) -> dict[str, NDArray[np.int64]]:
        rng = np.random.default_rng(list(example.name.encode("utf-8", "surrogateescape")))
        flat = truth.reshape(-1)
        places = {
            _ANY: np.flatnonzero((flat > 0) & (flat != UNKNOWN) if isinstance(example.truth, MaskTruth) else flat)
        }
        if isinstance(example.truth, MaskTruth):
            places |= {label.name: np.flatnonzero(flat == label.index) for label in self.task.label_set.labels}
        return {
            label: np.sort(rng.choice(found, _MOST_PLACES, replace=False)) if found.size > _MOST_PLACES else found
            for label, found in places.items()
            if found.size
        }


def _own_labels(mask: Image, names: dict[int, str], labels: LabelSet, name: str) -> Image:
    """A data set's label map with the task's numbers.

    Labels the task does not know are background; what is to be ignored (nnU-Net's name for it) is `UNKNOWN`.
    """
    values = label_values(names, labels) | {value: UNKNOWN for value, name in names.items() if name == _IGNORE}
    strange = sorted(set(np.unique(mask.array).tolist()) - {0, *names})
    if strange:
        got = f"{', '.join(f'{value:g}' for value in strange[:5])} in the labels of {name}"
        raise InputRefused(
            RefusalCode.UNKNOWN_LABEL, f"values of {sorted(names)}", got, "name them, or mend the labels"
        )
    own = np.zeros(mask.array.shape, dtype=np.uint8)
    for value, index in values.items():
        own[mask.array == value] = index
    return Image(own, Intensity.LABEL, mask.affine)


def _on_grid(labels: Image, target: Image, classes: int) -> NDArray[np.uint8]:
    """A label map on another grid: every label is interpolated, and the greatest share decides."""
    shape = (target.shape[2], target.shape[1], target.shape[0])
    if labels.grid.matches(target.grid):
        return np.ascontiguousarray(as_tensor(labels).numpy())
    mapping = grid_mapping(labels.grid.affine, target.grid.affine)
    volume = as_tensor(labels)[0]
    best, label = torch.zeros(shape), torch.zeros(shape, dtype=torch.uint8)
    rest = torch.ones(shape)
    for index in (*range(1, classes), UNKNOWN):
        if not bool((volume == index).any()):
            continue
        share = resample((volume == index).float()[None], shape, mapping, fill=0.0)[0]
        rest -= share
        label[share > best] = index
        best = torch.maximum(best, share)
    label[rest > best] = 0
    return label.numpy()[np.newaxis]


def _same_grid(truth: Image, image: Image, prepared: Image, name: str) -> NDArray[np.integer]:
    """Of pictures: the network sees the picture's own pixels, so the truth has as many."""
    if not truth.shape == image.shape == prepared.shape:
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            f"labels of the picture's size {image.shape[:2]}",
            f"{truth.shape[:2]} for {name}",
            "check which labels belong to it",
        )
    array: NDArray[np.integer] = np.ascontiguousarray(truth.array.transpose(0, 3, 2, 1))
    return array


def _kind(prepared: Image) -> str:
    """Pictures of one size and sort; volumes are all of one kind."""
    if prepared.shape[2] > 1:
        return ""
    grey = prepared.channels == 1 or bool((prepared.array[0] == prepared.array[1]).all())
    return f"{prepared.shape[0]} x {prepared.shape[1]}, {'grey' if grey else 'colour'}"
