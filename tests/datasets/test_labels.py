"""One place where 2 means tumour."""

import pytest

from datasets.labels import ANATOMICAL_STRUCTURE, LIVER_AND_TUMOR, CodedConcept, Label, LabelSet


def _label(index: int, name: str) -> Label:
    return Label(index, name, (0, 0, 0), CodedConcept("10200004", "SCT", "Liver"), ANATOMICAL_STRUCTURE)


def test_the_labels_of_the_liver_task() -> None:
    assert LIVER_AND_TUMOR.names == ("liver", "liver_tumor")
    assert LIVER_AND_TUMOR.classes == 3
    assert LIVER_AND_TUMOR["liver_tumor"].index == 2
    # SNOMED CT as DICOM PS3.16 lists it (CID 7166 and the table of common tissue segmentation types).
    assert LIVER_AND_TUMOR["liver"].concept == CodedConcept("10200004", "SCT", "Liver")
    assert LIVER_AND_TUMOR["liver"].category == CodedConcept("123037004", "SCT", "Anatomical Structure")
    assert LIVER_AND_TUMOR["liver_tumor"].concept == CodedConcept("108369006", "SCT", "Neoplasm")


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"liver.*liver_tumor.*spleen"):
        _ = LIVER_AND_TUMOR["spleen"]


@pytest.mark.parametrize("indices", [(0, 1), (2, 1), (1, 3), (1, 1)])
def test_indices_count_from_one_without_a_gap(indices: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1, 2, 3"):
        LabelSet(tuple(_label(index, f"organ_{place}") for place, index in enumerate(indices)))


def test_a_name_stands_once() -> None:
    with pytest.raises(ValueError, match="each label name once"):
        LabelSet((_label(1, "liver"), _label(2, "liver")))


def test_no_labels_is_background_alone() -> None:
    assert (LabelSet(()).names, LabelSet(()).classes) == ((), 1)
