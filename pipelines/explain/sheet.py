"""Maps of several methods side by side: a row for each label, a column for each method."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageDraw

from pipelines.explain.files import Explained, drawn
from pipelines.explain.overlay import BACKGROUND, FAINT, TEXT, WARNING, blend, font_of
from pipelines.results import OutputFile

_CELL_PX, _GAP_PX, _LINE_PX, _SIDE_PX = 224, 8, 18, 150


def sheet_file(explained: Sequence[Explained]) -> OutputFile:
    """The sheet, for the study's folder."""
    return OutputFile("explanations", "explanations.png", lambda path: _write(explained, path))


def sheet(explained: Sequence[Explained]) -> Pillow.Image:
    """Draw all maps of a study.

    Args:
        explained: At least one; a method that has no map of a label leaves its place empty.

    Returns:
        A picture; what is not faithful is grey, and says so below its name.
    """
    methods = list(dict.fromkeys(one.method.method_name() for one in explained))
    rows = list(dict.fromkeys(_row(one) for one in explained))
    tall = _CELL_PX + 2 * _LINE_PX + _GAP_PX
    whole = Pillow.new(
        "RGB", (_SIDE_PX + len(methods) * (_CELL_PX + _GAP_PX) + _GAP_PX, len(rows) * tall + _GAP_PX), BACKGROUND
    )
    draw = ImageDraw.Draw(whole)
    for one in explained:
        across, down = methods.index(one.method.method_name()), rows.index(_row(one))
        left, top = _SIDE_PX + across * (_CELL_PX + _GAP_PX), down * tall + _GAP_PX
        draw.text((left, top), one.method.method_name(), fill=TEXT, font=font_of(13))
        verdict = "not judged" if one.card is None else one.card.verdict.replace("_", " ")
        draw.text((left, top + _LINE_PX), verdict, fill=WARNING if one.doubts else FAINT, font=font_of(11))
        whole.paste(_cell(one), (left, top + 2 * _LINE_PX))
    for number, (label, about, film) in enumerate(rows):
        told = [label.replace("_", " "), about, f"film {film}" if film else ""]
        for line, text in enumerate(part for part in told if part):
            draw.text((_GAP_PX, number * tall + _GAP_PX + line * _LINE_PX), text, fill=TEXT, font=font_of(13))
    return whole


def _row(one: Explained) -> tuple[str, str, int | None]:
    return one.label, one.about, one.film


def _cell(one: Explained) -> Pillow.Image:
    what = drawn(one)
    height, width = what.picture.shape[0] * what.aspect, what.picture.shape[1]
    scale = _CELL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Pillow.fromarray(blend(what.picture, what.heat, size, grey=bool(one.doubts)))


def _write(explained: Sequence[Explained], path: Path) -> None:
    sheet(explained).save(path, format="PNG")
