"""From which side a film was taken, as its header says."""

from datasets.io.dicom.instance import Instance
from datasets.study import Projection

_FRONTAL = frozenset({"AP", "PA"})
_LATERAL = frozenset({"LL", "RL", "LAT", "LATERAL"})
# PS3.16 CID 4010, in SNOMED CT and in the older SNOMED RT.
_FRONTAL_CODES = frozenset({"399348003", "272479007", "R-10206", "R-10214"})
_LATERAL_CODES = frozenset({"399198007", "399173006", "399067008", "R-10236", "R-10232", "R-10228"})
_DIRECTIONS: dict[str, Projection] = {"L": "frontal", "R": "frontal", "A": "lateral", "P": "lateral"}


def projection_of(instance: Instance) -> Projection:
    """Frontal, lateral, or "" where the header does not say or means neither (oblique, apical, decubitus).

    ViewPosition counts most, then ViewCodeSequence, then the direction in which columns grow (PatientOrientation): to
    the patient's left or right on a frontal film, to his front or back on a lateral one.
    """
    view = instance.text("ViewPosition").upper()
    if view:
        return "frontal" if view in _FRONTAL else "lateral" if view in _LATERAL else ""
    for item in instance.header.get("ViewCodeSequence") or ():
        code = str(item.get("CodeValue", ""))
        if code in _FRONTAL_CODES | _LATERAL_CODES:
            return "frontal" if code in _FRONTAL_CODES else "lateral"
    rows = instance.header.get("PatientOrientation")
    first = str(rows[0]) if rows and not isinstance(rows, str) else ""
    return _DIRECTIONS.get(first, "")
