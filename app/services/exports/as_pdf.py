"""The review record as a PDF on A4: who and what, reasons for distrust, findings, measurements, decisions, images."""

import io
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors  # type: ignore[import-untyped]
from reportlab.lib.enums import TA_RIGHT  # type: ignore[import-untyped]
from reportlab.lib.pagesizes import A4  # type: ignore[import-untyped]
from reportlab.lib.styles import ParagraphStyle  # type: ignore[import-untyped]
from reportlab.lib.units import mm  # type: ignore[import-untyped]
from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]
from reportlab.platypus import (  # type: ignore[import-untyped]
    BaseDocTemplate,
    Frame,
    Image,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from app.services.exports import told as in_words
from app.services.exports.export import Export, file_name
from app.services.exports.typeface import BOLD, PLAIN, drawable, register
from app.services.key_images import KeyImage
from app.services.record import CaseRecord
from app.services.wording import NOTICE

_SIDE, _TOP, _BOTTOM = 16 * mm, 24 * mm, 20 * mm
_WIDE = A4[0] - 2 * _SIDE
_INK, _FAINT, _LINE = colors.HexColor("#1b2430"), colors.HexColor("#556270"), colors.HexColor("#cfd8df")
_BLUE, _PALE, _RED = colors.HexColor("#1f5f8b"), colors.HexColor("#eaf1f6"), colors.HexColor("#8a1c1c")
_GRAVITY = {"error": colors.HexColor("#b91c1c"), "warning": colors.HexColor("#c2410c")}
_LABEL_WIDE = 46 * mm
_PICTURES_A_ROW = 2
_PICTURE_HIGH = 85 * mm
_LONGEST_LINE, _LONGEST_WORD, _SHORTEST, _GAP = 40, 20, 5, 2  # letters by which a table's width is parted
_LONGEST_HEAD = 100  # letters of a page's head, in one line; the first page tells all of it

_TEXT = ParagraphStyle("text", fontName=PLAIN, fontSize=8.5, leading=11.5, textColor=_INK, splitLongWords=1)
_NUMBER = ParagraphStyle("number", _TEXT, alignment=TA_RIGHT)
_HEAD = ParagraphStyle("head", _TEXT, fontName=BOLD)
_HEAD_NUMBER = ParagraphStyle("head number", _HEAD, alignment=TA_RIGHT)
_NOTE = ParagraphStyle("note", _TEXT, fontSize=7.5, leading=10, textColor=_FAINT, spaceBefore=2)
_NAME = ParagraphStyle("name", _TEXT, textColor=_FAINT)
_TITLE = ParagraphStyle("title", _TEXT, fontName=BOLD, fontSize=15, leading=19, spaceAfter=5)
_SECTION = ParagraphStyle(
    "section", _TEXT, fontName=BOLD, fontSize=10.5, leading=14, textColor=_BLUE, spaceBefore=11, spaceAfter=3
)


def as_pdf(record: CaseRecord, images: Sequence[KeyImage] = ()) -> Export:
    """The record as a PDF; the same record gives the same bytes.

    Characters that the document's typeface lacks are shown by their number, and a line at the end says so.

    Args:
        record: The case.
        images: Key images; without any the document says so.
    """
    register()
    said = in_words.told(record)
    stream = io.BytesIO()
    document = BaseDocTemplate(
        stream,
        pagesize=A4,
        title=said.title,
        author="DenseLens",
        subject=NOTICE,
        # Without a clock in it: the same record, the same bytes.
        invariant=1,
    )
    frame = Frame(_SIDE, _BOTTOM, _WIDE, A4[1] - _TOP - _BOTTOM, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate("page", [frame])])
    document.build(list(_story(said, images)), canvasmaker=_canvas_for(record))
    return Export(file_name(record, "-review.pdf"), "application/pdf", stream.getvalue())


def _story(said: in_words.Told, images: Sequence[KeyImage]) -> Iterator[Any]:
    yield _paragraph(said.title, _TITLE)
    for alert in said.alerts:
        yield _marked(alert, _GRAVITY["warning"])
    yield _facts(said.facts)
    yield _paragraph("Quality flags", _SECTION)
    for gravity, message in said.flags:
        yield _marked(f"{gravity.capitalize()}: {message}", _GRAVITY.get(gravity, _FAINT))
    if not said.flags:
        yield _paragraph("No flags.", _NOTE)
    for table in said.tables:
        yield from _table(table)
    yield from _pictures(images)
    yield KeepTogether([_paragraph("The model", _SECTION), _facts(said.model)])
    if _is_short_of_letters(said):
        yield _paragraph(
            "Characters that this document cannot show stand as their number, such as [U+60A3]. "
            "The HTML, CSV and JSON exports hold them.",
            _NOTE,
        )


def _table(table: in_words.Table) -> Iterator[Any]:
    title = _paragraph(table.title, _SECTION)
    if not table.rows:
        yield KeepTogether([title, _paragraph(table.nothing, _NOTE)])
        return
    head = [_paragraph(text, _HEAD_NUMBER if at in table.numbers else _HEAD) for at, text in enumerate(table.columns)]
    body = [
        [_paragraph(text, _NUMBER if at in table.numbers else _TEXT) for at, text in enumerate(row)]
        for row in table.rows
    ]
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), _PALE),
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        *_padding(4, 2.5),
        *(("RIGHTPADDING", (at, 0), (at, -1), 12) for at in table.numbers),
    ]
    # The title goes with the table's first rows, not with all of it: a long one would leave half a page blank.
    title.keepWithNext = True
    yield title
    yield Table([head, *body], colWidths=_widths(table), repeatRows=1, splitInRow=1, style=style)
    if table.note:
        yield _paragraph(table.note, _NOTE)


def _widths(table: in_words.Table) -> list[float]:
    """Columns by the length of what stands in them, within bounds, so that long comments get the room."""
    wanted = []
    for at, head in enumerate(table.columns):
        texts = (head, *(row[at] for row in table.rows))
        longest, word = (max(map(len, parts)) for parts in (texts, " ".join(texts).split() or [""]))
        room = max(min(longest, _LONGEST_LINE), min(word, _LONGEST_WORD))
        wanted.append(max(room, _SHORTEST) + (_GAP if at in table.numbers else 0) + _GAP)
    return [_WIDE * length / sum(wanted) for length in wanted]


def _facts(facts: in_words.Facts) -> Any:
    rows = [[_paragraph(name, _NAME), _paragraph(value, _TEXT)] for name, value in facts]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0, 1)]
    return Table(rows, colWidths=[_LABEL_WIDE, _WIDE - _LABEL_WIDE], style=style)


def _marked(text: str, colour: Any) -> Any:
    style = [("LINEBEFORE", (0, 0), (0, -1), 3, colour), ("BACKGROUND", (0, 0), (-1, -1), _PALE), *_padding(7, 3)]
    return Table([[_paragraph(text, _TEXT)]], colWidths=[_WIDE], style=style, spaceBefore=2, spaceAfter=3)


def _pictures(images: Sequence[KeyImage]) -> Iterator[Any]:
    title = _paragraph("Key images", _SECTION)
    if not images:
        yield KeepTogether([title, _paragraph("There is no key image.", _NOTE)])
        return
    wide = _WIDE / _PICTURES_A_ROW
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0, 3), ("RIGHTPADDING", (0, 0), (-1, -1), 4 * mm)]
    for first in range(0, len(images), _PICTURES_A_ROW):
        row = [[_picture(image, wide - 4 * mm) for image in images[first : first + _PICTURES_A_ROW]]]
        table = Table(row, colWidths=[wide] * len(row[0]), hAlign="LEFT", style=style)
        yield KeepTogether([title, table] if first == 0 else [table])


def _picture(image: KeyImage, wide: float) -> list[Any]:
    width, height = image.size
    scale = min(wide / width, _PICTURE_HIGH / height)
    picture = Image(io.BytesIO(image.png), width=width * scale, height=height * scale, hAlign="LEFT")
    return [picture, Spacer(0, 2), _paragraph(image.caption, _NOTE)]


def _paragraph(text: str, style: Any) -> Any:
    # Paragraphs read a language of tags: what is text stays text.
    return Paragraph(escape(drawable(text)).replace("\n", "<br/>"), style)


def _padding(sides: float, ends: float) -> list[tuple[Any, ...]]:
    everywhere = ((0, 0), (-1, -1))
    return [
        *((f"{side}PADDING", *everywhere, sides) for side in ("LEFT", "RIGHT")),
        *((f"{end}PADDING", *everywhere, ends) for end in ("TOP", "BOTTOM")),
    ]


def _is_short_of_letters(said: in_words.Told) -> bool:
    cells = (text for table in said.tables for row in table.rows for text in row)
    texts = (*cells, *said.alerts, *(text for pair in (*said.facts, *said.flags, *said.model) for text in pair))
    return any("[U+" in drawable(text) for text in texts)


def _canvas_for(record: CaseRecord) -> type[Canvas]:
    """Pages that say which study they are of, which page they are, and what the document is not."""
    model = record.result.model
    of = drawable(f"{record.case.study_uid}, {record.result.task}")
    by = drawable(f"{model.name} {model.version}, weights {(model.weights_sha256 or 'untrained')[:16]}")

    class Pages(Canvas):  # type: ignore[misc]
        """Keeps its pages until it is known how many there are."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:
            """Put the page aside."""
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Write every page with its number."""
            pages = self._kept
            for number, page in enumerate(pages, start=1):
                self.__dict__.update(page)
                _frame_of_page(self, (of, by), f"Page {number} of {len(pages)}")
                super().showPage()
            super().save()

    return Pages


def _frame_of_page(canvas: Canvas, head: tuple[str, str], number: str) -> None:
    right, top = A4[0] - _SIDE, A4[1]
    canvas.saveState()
    for text, below in zip(head, (12 * mm, 16 * mm), strict=True):
        canvas.setFont(PLAIN, 7.5)
        canvas.setFillColor(_FAINT)
        canvas.drawString(_SIDE, top - below, text if len(text) <= _LONGEST_HEAD else f"{text[: _LONGEST_HEAD - 1]}…")
    canvas.setFont(BOLD, 7.5)
    canvas.drawRightString(right, top - 12 * mm, "DenseLens")
    canvas.setStrokeColor(_LINE)
    canvas.line(_SIDE, top - 18 * mm, right, top - 18 * mm)
    canvas.line(_SIDE, 15 * mm, right, 15 * mm)
    canvas.setFillColor(_RED)
    canvas.drawString(_SIDE, 11 * mm, NOTICE)
    canvas.setFillColor(_FAINT)
    canvas.setFont(PLAIN, 7.5)
    canvas.drawRightString(right, 11 * mm, number)
    canvas.restoreState()
