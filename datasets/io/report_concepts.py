"""The codes of measurement reports, in one place: what a label, a measured value, a unit and a verdict are called.

Codes of SNOMED CT, DICOM and LOINC are those that DICOM's own context groups list (pydicom's `sr.codedict` has them),
and only where they mean the same. Everything else has a code of this project, under `OWN_SCHEME`: its name as it stands
in `result.json`, shortened where it is long. A borrowed code that is nearly right would be read as right.
"""

import hashlib
from dataclasses import dataclass

from pydicom.sr.codedict import codes

from datasets.io.report_content import Verdict
from datasets.labels import CodedConcept, Label

OWN_SCHEME = "99DENSELENS"
_LONGEST_CODE = 16  # of a CodeValue; longer ones stand in another attribute, which readers stumble over
_LONGEST_MEANING = 64  # characters a value of VR LO may have (DICOM PS3.5, table 6.2-1)

LIVER = CodedConcept("10200004", "SCT", "Liver")
CHEST = CodedConcept("816094009", "SCT", "Chest")
POSITIVE = CodedConcept("10828004", "SCT", "Positive")
NEGATIVE = CodedConcept("260385009", "SCT", "Negative")
YES = CodedConcept("373066001", "SCT", "Yes")
NO = CodedConcept("373067005", "SCT", "No")
COMMENT = CodedConcept("121106", "DCM", "Comment")
SOURCE = CodedConcept("260753009", "SCT", "Source")
SOURCE_OF_MEASUREMENT = CodedConcept("121112", "DCM", "Source of Measurement")
CENTRE = CodedConcept("111010", "DCM", "Center")
LANGUAGE = CodedConcept("en-GB", "RFC5646", "English (United Kingdom)")
_MEAN = CodedConcept("373098007", "SCT", "Mean")

# Findings by the names of their labels, where no `Label` carries a concept. The other findings of chest films, among
# them atelectasis, cardiomegaly, consolidation and pneumonia, stand in DICOM's lists not at all, or as something else.
_FINDINGS = {
    "infiltration": CodedConcept("112121", "DCM", "Infiltrate"),
    "mass": CodedConcept("4147007", "SCT", "Mass"),
    "nodule": CodedConcept("27925004", "SCT", "Nodule"),
    "effusion": CodedConcept("60046008", "SCT", "Pleural effusion"),
    "pneumothorax": CodedConcept("36118008", "SCT", "Pneumothorax"),
    "edema": CodedConcept("19242006", "SCT", "Pulmonary edema"),
    "fibrosis": CodedConcept("112674009", "SCT", "Fibrosis"),
    "tumor": CodedConcept("108369006", "SCT", "Neoplasm"),
    "nucleus": CodedConcept("84640000", "SCT", "Nucleus"),
}


@dataclass(frozen=True)
class Measured:
    """What a measured value is called.

    Attributes:
        concept: Its name.
        derivation: How it sums up many values; None where there is one.
    """

    concept: CodedConcept
    derivation: CodedConcept | None = None


_QUANTITIES = {
    "volume": Measured(CodedConcept("118565006", "SCT", "Volume")),
    # The volume of all lesions together.
    "burden": Measured(CodedConcept("118565006", "SCT", "Volume")),
    "mean_attenuation": Measured(CodedConcept("112031", "DCM", "Attenuation Coefficient"), _MEAN),
    "longest_axial_diameter": Measured(CodedConcept("103339001", "SCT", "Long axis")),
    "perpendicular_diameter": Measured(CodedConcept("103340004", "SCT", "Short axis")),
    "area": Measured(CodedConcept("42798000", "SCT", "Area")),
}

# Meanings of UCUM codes; others are shown as they are written.
_UNITS = {
    "1": "no units",
    "ml": "milliliter",
    "mm": "millimeter",
    "mm2": "square millimeter",
    "um": "micrometer",
    "um2": "square micrometer",
    "[hnsf'U]": "Hounsfield unit",
    "{pixels}": "pixels",
    "1/mm2": "per square millimeter",
    "%": "percent",
}

_PROCEDURES = {
    "CT": CodedConcept("25045-6", "LN", "CT unspecified body region"),
    "MR": CodedConcept("25056-3", "LN", "MRI unspecified body region"),
    "CR": CodedConcept("43468-8", "LN", "XR unspecified body region"),
    "DX": CodedConcept("43468-8", "LN", "XR unspecified body region"),
    "RG": CodedConcept("43468-8", "LN", "XR unspecified body region"),
}
_IMAGING = CodedConcept("363679005", "SCT", "Imaging procedure")

# The one table between what a reader decides and how a report says it.
VERDICTS: dict[Verdict, CodedConcept] = {
    "accepted": CodedConcept("accepted", OWN_SCHEME, "Accepted"),
    "modified": CodedConcept("modified", OWN_SCHEME, "Accepted as modified by the reader"),
    "rejected": CodedConcept("rejected", OWN_SCHEME, "Rejected"),
}


def own(name: str, meaning: str = "") -> CodedConcept:
    """A concept of this project.

    Args:
        name: In snake case. Of more than 16 characters its beginning is kept, and a hash that tells it from others.
        meaning: In words; the name's own where it says enough.
    """
    words = meaning or name.replace("_", " ").capitalize()
    code = name
    if len(name) > _LONGEST_CODE:
        code = f"{name[:9]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return CodedConcept(code, OWN_SCHEME, words[:_LONGEST_MEANING])


PROBABILITY = own("probability", "Probability of finding")
RAW_PROBABILITY = own("raw_probability", "Probability of finding, uncalibrated")
OPERATING_POINT = own("operating_point", "Probability from which the finding is called")
CALLED = own("called", "Called at the operating point")
CALIBRATED = own("calibrated", "Probability and operating point are calibrated")
NOTHING_SAID = own("nothing_said", "Nothing was found and nothing was measured")
VERDICT = own("verdict", "Reader's verdict")
READER = own("reader", "Reader who decided")
DECIDED_AT = own("decided_at", "Time of the decision")
REASON = own("reason", "Reader's reason")
REASON_CODE = own("reason_code", "Reader's reason, coded")
SAID_TO_BE = own("said_to_be", "What the reader calls it")


def finding_concept(label: Label | str) -> CodedConcept:
    """What a label is."""
    if isinstance(label, Label):
        return label.concept
    return _FINDINGS.get(label) or own(label)


def measured_concept(name: str) -> Measured:
    """What a measured value is called."""
    return _QUANTITIES.get(name) or Measured(own(name))


def unit_concept(unit: str) -> CodedConcept:
    """A UCUM unit."""
    return CodedConcept(unit, "UCUM", _UNITS.get(unit, unit))


def procedure_concept(modality: str) -> CodedConcept:
    """What was done to get images of a DICOM modality; "imaging" where no more is known."""
    return _PROCEDURES.get(modality, _IMAGING)


def modality_concept(modality: str) -> CodedConcept:
    """A DICOM modality; "other" where DICOM has no such code."""
    for group in (codes.cid29, codes.cid32):
        for keyword in group.dir():
            code = getattr(group, keyword)
            if code.value == modality:
                return CodedConcept(code.value, code.scheme_designator, code.meaning)
    return CodedConcept("OT", "DCM", "Other")
