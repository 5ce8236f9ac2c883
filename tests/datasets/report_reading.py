"""Measurement reports as other people's software reads them."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dcmqi
import highdicom as hd
from pydicom import Dataset

TID1500READER = Path(dcmqi.__file__).parent / "bin" / "tid1500reader"


@dataclass(frozen=True)
class Read:
    """One measurement group, read by highdicom.

    Attributes:
        values: By code of what was measured: value and unit.
        codes: By code of what was evaluated: the code of the answer.
        texts: By code of what is told in words.
        finding: (code, scheme), or None.
        segments: Referenced segment as the region itself; () where the group is no region.
        sources: SOPInstanceUIDs of the sources of measurement, with segments.
        items: The group's own content.
    """

    values: dict[str, tuple[float, str]]
    codes: dict[str, str]
    texts: dict[str, str]
    finding: tuple[str, str] | None
    sites: list[str]
    uid: str
    segments: tuple[int, ...]
    sources: dict[str, list[int]]
    items: list[Dataset]


def groups(path: Path) -> dict[str, Read]:
    """The groups of a report by their tracking identifier."""
    document = hd.sr.srread(path)
    content = document.content
    assert isinstance(content, hd.sr.MeasurementReport)
    found = [
        *content.get_volumetric_roi_measurement_groups(),
        *content.get_planar_roi_measurement_groups(),
        *content.get_image_measurement_groups(),
    ]
    return {str(group.tracking_identifier): _read(group) for group in found}


def _read(group: Any) -> Read:
    items = list(group[0].ContentSequence)
    region = isinstance(group, hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations)
    finding = group.finding_type
    return Read(
        values={m.name.value: (m.value, m.unit.value) for m in group.get_measurements()},
        codes={e.name.value: e.value.value for e in group.get_qualitative_evaluations()},
        texts={i.name.value: i.TextValue for i in items if i.ValueType == "TEXT" and i.RelationshipType == "CONTAINS"},
        finding=None if finding is None else (finding.value, finding.scheme_designator),
        sites=[site.value.value for site in group.finding_sites],
        uid=str(group.tracking_uid),
        segments=tuple(_segments(_named(items, "121191"))) if region else (),
        sources={str(i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): _segments(i) for i in _all(items, "121112")},
        items=items,
    )


def _all(items: list[Dataset], code: str) -> list[Dataset]:
    return [item for item in items if item.ConceptNameCodeSequence[0].get("CodeValue") == code]


def _named(items: list[Dataset], code: str) -> Dataset:
    (item,) = _all(items, code)
    return item


def _segments(item: Dataset) -> list[int]:
    numbers = item.ReferencedSOPSequence[0].get("ReferencedSegmentNumber")
    return [] if numbers is None else [int(n) for n in (numbers if hasattr(numbers, "__iter__") else [numbers])]


def comments(path: Path) -> list[str]:
    """What the report tells in words."""
    return [i.TextValue for i in hd.sr.srread(path).content[0].ContentSequence if i.name.value == "121106"]


def read_by_dcmqi(path: Path) -> list[dict[str, Any]]:
    """The groups in their order, as dcmqi's own program tells them."""
    told = path.with_suffix(".json")
    command = [str(TID1500READER), "--inputDICOM", str(path), "--outputMetadata", str(told)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    measurements: list[dict[str, Any]] = json.loads(told.read_text())["Measurements"]
    return measurements


def values_by_dcmqi(path: Path) -> dict[str, dict[str, tuple[float, str]]]:
    """By tracking identifier and code: value and unit."""
    return {
        group["TrackingIdentifier"]: {
            item["quantity"]["CodeValue"]: (float(item["value"]), item["units"]["CodeValue"])
            for item in group.get("measurementItems") or []
        }
        for group in read_by_dcmqi(path)
    }


def errors_of_dciodvfy(path: Path) -> list[str]:
    """What dicom3tools calls wrong; it has to know what it looks at."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    assert "SR" in report
    return [line for line in report.splitlines() if line.startswith("Error")]
