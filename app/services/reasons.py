"""Why a reader rejects, changes or adds a finding, as codes; `docs/codes.md` lists them."""

from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a finding is not left as the network told it."""

    FALSE_POSITIVE = "false_positive"
    WRONG_LABEL = "wrong_label"
    WRONG_EXTENT = "wrong_extent"
    WRONG_MEASUREMENT = "wrong_measurement"
    ARTEFACT = "artefact"
    POOR_IMAGE = "poor_image"
    NOT_RELEVANT = "not_relevant"
    MISSED_FINDING = "missed_finding"
    OTHER = "other"


MEANING: dict[str, str] = {
    ReasonCode.FALSE_POSITIVE: "There is nothing where the finding was called.",
    ReasonCode.WRONG_LABEL: "Something is there, but it is something else.",
    ReasonCode.WRONG_EXTENT: "The outline holds too much or too little.",
    ReasonCode.WRONG_MEASUREMENT: "The outline is right, a measured value is not.",
    ReasonCode.ARTEFACT: "Motion, metal, noise or reconstruction was taken for a finding.",
    ReasonCode.POOR_IMAGE: "The image is not good enough to say.",
    ReasonCode.NOT_RELEVANT: "The finding is there, and of no importance here.",
    ReasonCode.MISSED_FINDING: "The reader sees a finding that the network did not call.",
    ReasonCode.OTHER: "None of these; the reader's own words say what.",
}


def sentence_of(reason: str) -> str:
    """What a code means; an unknown one, as older or other software may have left it, is told as it stands.

    Args:
        reason: The code; "" gives "".
    """
    return MEANING.get(reason, reason)
