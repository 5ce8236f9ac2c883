"""Exports as others read them: the numbers of each by what they are of, and their text."""

import base64
import csv
import io
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from app.services.exports.export import Export
from app.services.wording import probability_text, quantity_text, words
from datasets.io.report_concepts import measured_concept
from tests.datasets.report_reading import values_by_dcmqi

# By what it is of and what was measured; every number as it is written for people.
Numbers = dict[tuple[str, str], str]
_PROBABILITIES = {"probability": "probability", "threshold": "operating_point", "operating_point": "operating_point"}


def of_json(export: Export) -> Numbers:
    document = json.loads(export.content)
    told: Numbers = {}
    for finding in document["findings"]:
        network = finding["network"] or {}
        for key, name in (("probability", "probability"), ("threshold", "operating_point")):
            if network.get(key) is not None:
                told[words(finding["name"]), name] = probability_text(network[key])
        told |= _quantities(words(finding["name"]), network.get("quantities", ()))
    for measured in document["measurements"]:
        told |= _quantities(f"{words(measured['label'])}, all of it", measured["quantities"])
    for volume in (document["edited_mask"] or {"volumes": ()})["volumes"]:
        told[words(volume["label"]), "edited"] = quantity_text(volume["edited_ml"], "ml")
        told[words(volume["label"]), "before"] = quantity_text(volume["network_ml"], "ml")
    return told


def _quantities(of: str, quantities: Any) -> Numbers:
    return {(of, one["name"]): quantity_text(one["value"], one["unit"]) for one in quantities}


def of_csv(export: Export) -> Numbers:
    told: Numbers = {}
    for row in rows_of_csv(export):
        named = words(f"{row['label']} {row['component']}")
        if row["kind"] == "finding":
            for name in ("probability", "operating_point"):
                told[named, name] = probability_text(float(row[name]))
        if row["quantity"]:
            value = float(row["value"]) if row["value"] else None
            text = quantity_text(value, row["unit"])
            if row["kind"] == "edited_mask":
                told[named, "edited" if row["quantity"] == "volume" else "before"] = text
            else:
                told[f"{named}, all of it" if row["kind"] == "measured" else named, row["quantity"]] = text
    return told


def rows_of_csv(export: Export) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export.content.decode("utf-8-sig"), newline="")))


def of_sr(path: Path) -> Numbers:
    """By dcmqi's reader, with the names this program has for DICOM's codes."""
    names = ("volume", "mean_attenuation", "longest_axial_diameter", "perpendicular_diameter", "count")
    codes = {measured_concept(name).concept.value: name for name in names}
    before = measured_concept("volume_before_editing").concept.value
    told: Numbers = {}
    for tracking, values in values_by_dcmqi(path).items():
        of, _, how = words(tracking).partition(", ")
        for code, (value, unit) in values.items():
            if code in _PROBABILITIES:
                told[of, code] = probability_text(value)
            elif how == "by a reader":
                told[of, "before" if code == before else "edited"] = quantity_text(value, unit)
            else:
                named = f"{of}, all of it" if how else of
                # The volume of all lesions together is a volume to DICOM.
                burden = named == "liver tumor, all of it" and codes[code] == "volume"
                told[named, "burden" if burden else codes[code]] = quantity_text(value, unit)
    return told


class _Tables(HTMLParser):
    """The tables of a page by their heading, and all of its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.text: list[str] = []
        self.tags: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self._inside = tag
        if tag == "tr":
            self.tables[self._title].append([])
        if tag in ("td", "th"):
            self.tables[self._title][-1].append("")
        if tag == "h2":
            self._title = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "h2":
            self.tables[self._title] = []
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            return
        self.text.append(data)
        if self._inside == "h2":
            self._title += data
        if self._inside in ("td", "th"):
            self.tables[self._title][-1][-1] += data


def page_of(export: Export) -> _Tables:
    page = _Tables()
    page.feed(export.content.decode("utf-8"))
    return page


def of_html(export: Export) -> Numbers:
    return numbers_of_tables(page_of(export).tables)


def numbers_of_tables(tables: dict[str, list[list[str]]]) -> Numbers:
    told: Numbers = {}
    for of, probability, threshold, *_ in tables["Findings"][1:]:
        if threshold:
            told |= {(of, "probability"): probability.removesuffix(" *"), (of, "operating_point"): threshold}
    for of, quantity, value, _ in tables["Measurements"][1:]:
        told[of, quantity.replace(" ", "_")] = value
    for of, before, edited in tables.get("Volumes in the edited mask", [])[1:]:
        told |= {(of, "before"): before, (of, "edited"): edited}
    return told


def pdf_text(export: Export, folder: Path) -> str:
    path = folder / "read.pdf"
    path.write_bytes(export.content)
    done = subprocess.run(["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True)
    return done.stdout


def of_pdf(export: Export, folder: Path) -> Numbers:
    """From the text as it lies on the page: columns are parted by two blanks or more."""
    tables: dict[str, list[list[str]]] = {}
    title = ""
    for line in pdf_text(export, folder).splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells in (["Findings"], ["Measurements"], ["Volumes in the edited mask"]):
            title = cells[0]
            tables[title] = []
        elif len(cells) == 1:
            # Whatever ends a table is one text: its note, a heading.
            title = ""
        elif title:
            tables[title].append(cells)
    findings = [[*row, ""] if re.fullmatch(r"[<>\d. *]+", row[1]) else [row[0], "", "", *row[1:]]
                for row in tables["Findings"]]  # fmt: skip
    measured = [row[:3] + [""] for row in tables["Measurements"]]
    return numbers_of_tables(tables | {"Findings": findings, "Measurements": measured})


def images_of(export: Export) -> list[bytes]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', export.content.decode())
    return [base64.b64decode(one) for one in found]
