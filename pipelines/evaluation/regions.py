"""What is compared of a label map: each label with those that lie in it, whatever the dataset calls them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datasets.example import label_values
from datasets.image import Array
from datasets.labels import ANATOMICAL_STRUCTURE, MORPHOLOGIC_ABNORMALITY, LabelSet
from pipelines.regions import Mask


@dataclass(frozen=True)
class Region:
    """One thing that is compared.

    Attributes:
        label: Its name in the task's label set.
        indices: Of the labels that make it up; more than its own where others lie in it.
        is_lesion: Whether it is counted one by one, too.
    """

    label: str
    indices: tuple[int, ...]
    is_lesion: bool

    def mask(self, labels: Array) -> Mask:
        """Where a map of the task's labels (I, J, K) shows it."""
        found: Mask = labels == self.indices[0]
        for index in self.indices[1:]:
            found |= labels == index
        return found


def regions_of(label_set: LabelSet) -> tuple[Region, ...]:
    """One region per label.

    A set with one anatomical structure and abnormalities is nested: abnormalities lie in the structure and count as
    part of it, so that its liver is liver and tumour together, as LiTS evaluates it. In other sets each label stands
    alone. Abnormalities are counted one by one.
    """
    structures = [label.index for label in label_set.labels if label.category == ANATOMICAL_STRUCTURE]
    abnormal = tuple(label.index for label in label_set.labels if label.category == MORPHOLOGIC_ABNORMALITY)
    within = {structures[0]: abnormal} if len(structures) == 1 else {}
    return tuple(
        Region(label.name, (label.index, *within.get(label.index, ())), label.index in abnormal)
        for label in label_set.labels
    )


@dataclass(frozen=True)
class Naming:
    """How a dataset's words become the task's.

    Attributes:
        label_set: The task's.
        renamed: By a dataset's name, the label's; beyond names that are alike.
    """

    label_set: LabelSet
    renamed: Mapping[str, str]

    def values(self, names: Mapping[int, str]) -> dict[int, int]:
        """By value in the dataset's label maps, the task's index; values of other names are left out."""
        return label_values({value: self.renamed.get(name, name) for value, name in names.items()}, self.label_set)

    def strangers(self, names: Mapping[int, str]) -> tuple[str, ...]:
        """Names of a dataset's values that mean nothing to the task, background aside."""
        known = self.values(names)
        return tuple(name for value, name in sorted(names.items()) if value and value not in known)


def translated(labels: Array, values: Mapping[int, int]) -> Array:
    """A label map in the task's indices; what has none becomes background.

    Args:
        labels: Any shape, whole numbers.
        values: By value, the index.
    """
    result = np.zeros_like(labels, dtype=np.uint8)
    for value, index in values.items():
        result[labels == value] = index
    return result
