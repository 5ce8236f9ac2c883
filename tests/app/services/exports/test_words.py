"""What files and people say is text wherever it is shown; and every document is whole, with much to say or nothing."""

import json
import re
from pathlib import Path

import pytest
from pypdf import PdfReader

from app.services.exports.as_csv import as_csv
from app.services.exports.as_html import as_html
from app.services.exports.as_json import as_json
from app.services.exports.as_pdf import as_pdf
from app.services.exports.as_seg import as_seg
from app.services.exports.as_sr import as_sr
from app.services.exports.typeface import drawable
from app.services.key_images import KeyImage
from app.services.reasons import MEANING, ReasonCode
from app.services.record import CaseRecord
from app.services.wording import NOTICE
from app.store.records import Decision
from tests.app.services.exports import reading, scene
from tests.app.services.exports.scene import FORMULA, GREEK, OTHER, READER, SCRIPT

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415478da63606060000000040001f61738550000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> CaseRecord:
    return scene.decided(scene.liver(tmp_path_factory.mktemp("liver"))).record()


def flat(text: str) -> str:
    """Without what line breaks and columns put between letters."""
    return "".join(text.split())


def test_a_page_shows_what_was_typed_and_runs_nothing(record: CaseRecord) -> None:
    page = reading.page_of(as_html(record))
    said = "".join(page.text)
    for text in (SCRIPT, FORMULA, GREEK, OTHER, READER, "planted <b>by a test</b>", MEANING[ReasonCode.ARTEFACT]):
        assert text in said
    assert {"script", "b", "iframe", "link"} & set(page.tags) == set()
    content = as_html(record).content.decode()
    assert "http://" not in content
    assert "https://" not in content


def test_a_pdf_shows_what_was_typed(record: CaseRecord, tmp_path: Path) -> None:
    said = flat(reading.pdf_text(as_pdf(record), tmp_path))
    for text in (FORMULA, "Журавлёва,", "12µm²≤3", "Ἀλέξανδρος", "planted<b>byatest</b>", "<script>alert(1)"):
        assert flat(text) in said


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_finds_no_formula(tmp_path: Path, sign: str) -> None:
    planted = scene.film(tmp_path)
    typed = f"{sign}1+1"
    planted.review(Decision(finding=0, label=typed, verdict="modified", reason=ReasonCode.OTHER, text=typed))
    rows = reading.rows_of_csv(as_csv(planted.record()))
    (row,) = [row for row in rows if row["finding"] == "0"]
    assert row["text"] == row["said_to_be"] == f"'{typed}"


def test_numbers_below_nought_stay_numbers(record: CaseRecord) -> None:
    values = [row["value"] for row in reading.rows_of_csv(as_csv(record)) if row["quantity"] == "mean_attenuation"]
    assert values == ["-7.25", "-14.5"]


def test_no_name_and_no_path_is_in_any_export(record: CaseRecord) -> None:
    source = Path(record.result.study.source)
    for export in (as_json(record), as_csv(record), as_html(record)):
        assert str(source.parent).encode() not in export.content
    # The name in the DICOM files is one of these texts; the images of a person's name are not copied anywhere.
    assert json.loads(as_json(record).content)["result"]["study"].keys() == {"uid", "modality", "series_uid"}


@pytest.mark.parametrize("code", ReasonCode)
def test_a_rejection_and_its_reason_are_told_everywhere(tmp_path: Path, code: ReasonCode) -> None:
    planted = scene.film(tmp_path)
    planted.review(Decision(finding=0, label="effusion", verdict="rejected", reason=code, text="in words"))
    record = planted.record()
    decision = json.loads(as_json(record).content)["findings"][0]["decision"]
    assert (decision["verdict"], decision["reason"], decision["text"]) == ("rejected", str(code), "in words")
    row = reading.rows_of_csv(as_csv(record))[1]
    assert (row["verdict"], row["reason"], row["text"]) == ("rejected", str(code), "in words")
    told = reading.page_of(as_html(record)).tables
    assert told["Findings"][1][-1] == "rejected"
    assert told["Decisions of the reader"][1][:4] == ["effusion", "rejected", MEANING[code], "in words"]
    text = flat(reading.pdf_text(as_pdf(record), tmp_path))
    assert flat("effusion 0.810 0.500 called rejected") in text


def test_numbers_of_a_rejected_finding_say_so(record: CaseRecord) -> None:
    notes = {(row[0], row[1]): row[3] for row in reading.page_of(as_html(record)).tables["Measurements"][1:]}
    assert notes["liver tumor 2", "volume"] == "rejected by the reader"
    assert notes["liver tumor 1", "volume"] == ""


def test_steps_on_the_way_are_counted_and_kept_in_json(tmp_path: Path) -> None:
    planted = scene.film(tmp_path)
    for number in range(4):
        planted.review(comment=f"step {number}", complete=False, based_on=number)
    planted.review(comment="done", based_on=4)
    planted.review(comment="anew", complete=False, based_on=5)
    record = planted.record()
    page = reading.page_of(as_html(record))
    assert [row[-1] for row in page.tables["Reviews"][1:]] == ["done", "anew"]
    said = "".join(page.text)
    assert "4 more are steps" in said
    assert "Later reviews are not complete and do not stand." in said
    assert len(json.loads(as_json(record).content)["reviews"]) == 6


def test_a_conflict_is_told_first(record: CaseRecord, tmp_path: Path) -> None:
    assert record.in_conflict
    document = json.loads(as_json(record).content)
    assert document["in_conflict"] is True
    assert [review["conflicts_with"] for review in document["reviews"]] == [0, 1]
    assert {row["in_conflict"] for row in reading.rows_of_csv(as_csv(record))} == {"true"}
    sentence = "Two readers decided without having seen each other's review."
    text = reading.pdf_text(as_pdf(record), tmp_path)
    assert text.index(sentence) < text.index("Quality flags") < text.index("Findings")
    page = "".join(reading.page_of(as_html(record)).text)
    assert page.index(sentence) < page.index("Quality flags") < page.index("Findings")


@pytest.mark.parametrize("make", [scene.film, scene.failed])
def test_a_case_without_reviews_has_whole_documents(tmp_path: Path, make: object) -> None:
    record = make(tmp_path).record()  # type: ignore[operator]
    document = json.loads(as_json(record).content)
    assert (document["reviews"], document["standing_review"], document["edited_mask"]) == ([], None, None)
    assert len(reading.rows_of_csv(as_csv(record))) == 1 + len(record.result.findings)
    text = reading.pdf_text(as_pdf(record), tmp_path)
    page = "".join(reading.page_of(as_html(record)).text)
    said = ["No reader has decided on this result.", "There is no review of this case.", "There is no key image."]
    if record.result.error:
        said += ["This study could not be scored (missing_slice): a slice is missing.", "The network told no findings"]
        assert reading.rows_of_csv(as_csv(record))[0]["reason"] == "missing_slice"
    for sentence in said:
        assert flat(sentence) in flat(text)
        assert sentence in page
    assert as_sr(record) is None
    assert as_seg(record) is None


def test_every_page_says_what_it_is_not_and_which_it_is(tmp_path: Path) -> None:
    planted = scene.film(tmp_path)
    long = " ".join(["many words"] * 1500) + " " + "x" * 500
    planted.review(Decision(finding=0, label="effusion", verdict="accepted", text=long), comment=long)
    images = [KeyImage(PICTURE, (1, 1), f"caption {number}") for number in range(6)]
    export = as_pdf(planted.record(), images)
    (tmp_path / "read.pdf").write_bytes(export.content)
    pages = PdfReader(tmp_path / "read.pdf").pages
    assert len(pages) > 4
    for number, page in enumerate(pages, start=1):
        text = page.extract_text()
        assert NOTICE in text
        assert f"Page {number} of {len(pages)}" in text
        assert "film-3, chest_xray" in text
        assert "planted 0.0, weights abababababababab" in text
        # A4 in points.
        assert [round(float(edge)) for edge in page.mediabox[2:]] == [595, 842]
    everything = flat(reading.pdf_text(export, tmp_path))
    assert (everything.count("many"), everything.count("words")) == (3000, 3000)
    assert everything.count("caption") == 6


def test_a_letter_that_cannot_be_shown_is_its_number(tmp_path: Path) -> None:
    assert drawable("Ωмега µ² ≤ é\n\x07x") == "Ωмега µ² ≤ é\n x"
    assert drawable("患") == "[U+60A3]"
    # Arabic and Hebrew would stand in the wrong order.
    assert drawable("אב") == "[U+05D0][U+05D1]"
    planted = scene.film(tmp_path)
    planted.review(comment="患者")
    record = planted.record()
    text = flat(reading.pdf_text(as_pdf(record), tmp_path))
    assert "[U+60A3][U+8005]" in text
    assert flat("Characters that this document cannot show") in text
    assert "患者" in "".join(reading.page_of(as_html(record)).text)
    assert "cannotshow" not in flat(reading.pdf_text(as_pdf(scene.film(tmp_path / "2").record()), tmp_path))


def test_the_same_record_gives_the_same_bytes(record: CaseRecord) -> None:
    for write in (as_json, as_csv, as_html, as_pdf):
        assert write(record) == write(record)


def test_the_keys_of_the_json_are_those_that_are_promised(repository: Path, record: CaseRecord) -> None:
    page = (repository / "docs" / "review-record.md").read_text(encoding="utf-8").partition("## The JSON document")[2]
    rows = dict(re.findall(r"^\| (`[^|]+) \| (.+) \|$", page, flags=re.MULTILINE))
    document = json.loads(as_json(record).content)
    assert {name for keys in rows for name in re.findall(r"`(\w+)`", keys)} == document.keys()
    for key, there in (
        ("case", document["case"]),
        ("result", document["result"]),
        ("findings", document["findings"][0]),
        ("findings[].network", document["findings"][0]["network"]),
        ("findings[].decision", document["findings"][0]["decision"]),
        ("measurements", document["measurements"][0]),
        ("edited_mask", document["edited_mask"]),
        ("reviews", document["reviews"][0]),
    ):
        promised = set(re.findall(r"`(\w+)`", rows[f"`{key}`"]))
        assert there.keys() <= promised, key


def test_the_file_is_named_after_the_study(record: CaseRecord) -> None:
    uid = record.case.study_uid
    assert as_pdf(record).name == f"{uid}-liver_ct-review.pdf"
    hostile = record.case.model_copy(update={"study_uid": "../../etc/passwd"})
    name = as_json(CaseRecord(hostile, record.result)).name
    assert "/" not in name
    assert name.endswith("-liver_ct-review.json")
