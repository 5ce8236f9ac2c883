"""What a label means: index, name, colour and coded concept in one place."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CodedConcept:
    """A term of a coding scheme, such as SNOMED CT.

    Attributes:
        value: The code, such as "10200004".
        scheme: The scheme's designator, such as "SCT".
        meaning: The term in words.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One class of a segmentation or classification.

    Attributes:
        index: Value in a label map; 0 is background and has no label.
        name: Stable snake-case name used in files.
        colour: Red, green, blue in 0..255.
        concept: What it is, coded.
        category: The kind of thing it is, coded, as DICOM SEG asks for.
    """

    index: int
    name: str
    colour: tuple[int, int, int]
    concept: CodedConcept
    category: CodedConcept


@dataclass(frozen=True)
class LabelSet:
    """The labels of one task.

    Attributes:
        labels: In the order of their indices, which count 1, 2, 3 … without a gap.

    Raises:
        ValueError: An index is out of order or a name stands twice.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        indices = [label.index for label in self.labels]
        if indices != list(range(1, len(indices) + 1)):
            raise ValueError(f"expected label indices 1, 2, 3 … in order; got {indices}")
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise ValueError(f"expected each label name once; got {names}")

    def __getitem__(self, name: str) -> Label:
        for label in self.labels:
            if label.name == name:
                return label
        raise KeyError(f"expected one of {self.names}; got {name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the order of their indices."""
        return tuple(label.name for label in self.labels)

    @property
    def classes(self) -> int:
        """Number of classes of a network that predicts these labels, background included."""
        return len(self.labels) + 1


ANATOMICAL_STRUCTURE = CodedConcept("123037004", "SCT", "Anatomical Structure")
MORPHOLOGIC_ABNORMALITY = CodedConcept("49755003", "SCT", "Morphologically Altered Structure")

LIVER_AND_TUMOR = LabelSet(
    (
        Label(1, "liver", (221, 130, 101), CodedConcept("10200004", "SCT", "Liver"), ANATOMICAL_STRUCTURE),
        Label(2, "liver_tumor", (144, 238, 144), CodedConcept("108369006", "SCT", "Neoplasm"), MORPHOLOGIC_ABNORMALITY),
    )
)

# The findings of ChestX-ray14 (Wang et al., CVPR 2017) in the order of its networks' outputs, in snake case.
CHEST_XRAY_14 = (
    *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax"),
    *("consolidation", "edema", "emphysema", "fibrosis", "pleural_thickening", "hernia"),
)
