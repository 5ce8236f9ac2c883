"""From which side a film was taken, as its header says."""

import re

from datasets.io.dicom.instance import PARSE_ERRORS, Instance, text_of
from datasets.study import Projection

# Of ViewPosition people write more than its terms: "PA ERECT", "AP LLD" (on the side, yet from the front), "L-LATERAL".
_FRONTAL = frozenset({"AP", "PA", "FRONTAL", "ANTEROPOSTERIOR", "POSTEROANTERIOR"})
_LATERAL = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"})
# Lying on the side is no side from which a film is taken.
_LYING = frozenset({"DECUBITUS", "DECUB", "LLD", "RLD"})
# PS3.16 CID 4010, in SNOMED CT and in the older SNOMED RT.
_FRONTAL_CODES = frozenset({"399033003", "399348003", "272479007", "R-10202", "R-10206", "R-10214", "R-40888"})
_LATERAL_CODES = frozenset(
    {"399067008", "399173006", "399198007", "399260004", "399352003"}
    | {"R-102CD", "R-10236", "R-10232", "R-10224", "R-10228"}
)
_SIDES, _DEPTH, _HEIGHT = frozenset("LR"), frozenset("AP"), frozenset("HF")


def projection_of(instance: Instance) -> Projection:
    """Frontal, lateral, or "" where the header does not say or means neither (oblique, apical).

    ViewPosition counts most, then ViewCodeSequence, then the directions in which columns and rows grow
    (PatientOrientation): to a side and to the head or feet on a frontal film, to the front or back on a lateral one.
    """
    view = instance.text("ViewPosition").upper()
    if view:
        words = set(re.split(r"[^A-Z]+", view))
        return _either(words, _FRONTAL, _LATERAL if not words & _LYING else frozenset())
    try:
        codes = {text_of(item, "CodeValue") for item in instance.header.get("ViewCodeSequence") or ()}
        directions = {str(letters)[:1] for letters in instance.header.get("PatientOrientation") or ()}
    except PARSE_ERRORS:
        return ""
    if codes & (_FRONTAL_CODES | _LATERAL_CODES):
        return _either(codes, _FRONTAL_CODES, _LATERAL_CODES)
    if len(directions) != 2 or not directions & _HEIGHT:
        return ""
    return _either(directions, _SIDES, _DEPTH)


def _either(words: set[str], frontal: frozenset[str], lateral: frozenset[str]) -> Projection:
    """What words say, unless they say both."""
    is_frontal, is_lateral = bool(words & frontal), bool(words & lateral)
    return "" if is_frontal == is_lateral else "frontal" if is_frontal else "lateral"
