"""The typeface of PDF documents, which comes with the program, and text that it can show."""

import unicodedata
from functools import cache
from pathlib import Path

from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]
from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]

PLAIN, BOLD = "DejaVuSans", "DejaVuSans-Bold"

_FOLDER = Path(__file__).parent / "fonts"
# Written from the right, or joined: laid out letter by letter from the left they would read as something else.
_FROM_THE_RIGHT = ("R", "AL", "AN")


@cache
def register() -> frozenset[int]:
    """Make the typeface known to reportlab, once.

    Returns:
        The characters, as code points, that both of its weights have.
    """
    faces = [TTFont(name, _FOLDER / f"{name}.ttf") for name in (PLAIN, BOLD)]
    for face in faces:
        pdfmetrics.registerFont(face)
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)
    return frozenset(faces[0].face.charToGlyph) & frozenset(faces[1].face.charToGlyph)


def drawable(text: str) -> str:
    """Text in which every character can be shown.

    Characters that the typeface lacks, or whose script it cannot lay out, stand as their number, "[U+60A3]": never as
    a blank or another letter. Line ends are kept, other controls are blanks.
    """
    known = register()
    return "".join(_drawable(character, known) for character in unicodedata.normalize("NFC", text))


def _drawable(character: str, known: frozenset[int]) -> str:
    if character == "\n":
        return character
    if unicodedata.category(character) == "Cc":
        return " "
    if ord(character) in known and unicodedata.bidirectional(character) not in _FROM_THE_RIGHT:
        return character
    return f"[U+{ord(character):04X}]"
