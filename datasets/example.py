"""What is learnt from and judged by: a study with what is true of it, pixels on demand.

Every layout of a dataset (`datasets.layouts`) becomes these types and no others, so training, audits and evaluation
never know where a case came from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from datasets.defects import Defect
from datasets.image import Image
from datasets.labels import LabelSet
from datasets.study import Study

Split = Literal["", "train", "validation", "test"]


@dataclass(frozen=True)
class MaskTruth:
    """A label for every voxel.

    Attributes:
        read: Loads the label map, (1, I, J, K) of integers, on its own grid, which ought to be the image's. Picklable.
        names: What each value means, as the dataset calls it; 0 is background and need not stand here.
    """

    read: Callable[[], Image]
    names: Mapping[int, str]


@dataclass(frozen=True)
class InstanceTruth:
    """A number for every object of one sort.

    Attributes:
        read: Loads the numbers, (1, I, J, K) of integers: 0 background, any other number an object. Picklable.
        name: Of the sort, "nucleus".
    """

    read: Callable[[], Image]
    name: str


@dataclass(frozen=True)
class FindingsTruth:
    """Several labels, each of which may be there or not, or scores.

    Attributes:
        values: By label: 1.0 there, 0.0 not there, another number a score. A label that is missing is unknown and
            counts neither way.
    """

    values: Mapping[str, float]


@dataclass(frozen=True)
class ClassTruth:
    """One of several classes that exclude each other.

    Attributes:
        index: Into `classes`.
        classes: All of them in order; digits where the dataset has no names.
    """

    index: int
    classes: tuple[str, ...]


Truth = MaskTruth | InstanceTruth | FindingsTruth | ClassTruth


@dataclass(frozen=True)
class Example:
    """One study with what is true of it.

    Attributes:
        study: As `datasets.io.discover` would find it, with no series but those that were looked at for the truth. Its
            uid is unique in the dataset and fit for a file's name.
        truth: What is true of it.
        patient: Whom it shows, for splits; the study's uid where the dataset does not say. Never a name: what the
            dataset calls its patients, or a hash where a header says it.
        split: To which part the dataset itself gives it; "" where it does not say.
        groups: Further columns ("sex", "view", "site"), for figures by group.
    """

    study: Study
    truth: Truth
    patient: str
    split: Split = ""
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The study's uid."""
        return self.study.uid


@dataclass(frozen=True)
class Dataset:
    """Examples of one sort.

    Attributes:
        name: The folder's or file's, or what the dataset calls itself.
        layout: Module in `datasets.layouts` that read it.
        examples: By name, in a stable order.
        labels: What can be true: names of labels in the order of their values, without background.
        defects: What could not become an example, and why (a label without an image, a file nobody can read).
    """

    name: str
    layout: str
    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    defects: tuple[Defect, ...] = ()


def label_values(names: Mapping[int, str], wanted: LabelSet) -> dict[int, int]:
    """By value in a dataset's label map, the index it has in a task's label set; values of unknown names are left out.

    Names are compared in lower case with every run of other characters than letters and digits as one underscore, and
    a plural's "s" counts for nothing: "Liver tumors" is `liver_tumor`.
    """
    known = {_plain(label.name): label.index for label in wanted.labels}
    return {value: known[_plain(name)] for value, name in names.items() if _plain(name) in known}


def _plain(name: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(word.removesuffix("s") for word in words)
