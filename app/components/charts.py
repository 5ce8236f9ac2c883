"""Charts of figures over time and of figures with their intervals, all of one look."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

import altair as alt
from pydantic import BaseModel, ConfigDict

# Told apart by people who see no red or green too (Okabe and Ito).
GOOD, DOUBTFUL, BAD, PLAIN = "#009e73", "#e69f00", "#d55e00", "#0072b2"
VERDICT_COLOURS = {"accepted": GOOD, "modified": DOUBTFUL, "rejected": BAD}
_MORE = ("#56b4e9", "#cc79a7", "#f0e442", "#999999")
_HEIGHT_PX, _ROW_PX, _AROUND_PX = 320, 26, 120
_MOST_TICKS, _MOST_BANDS = 8, 3

Format = Literal["share", "number"]


class OverTime(BaseModel):
    """A figure of one week.

    Attributes:
        week: Its Monday.
        series: Which line it is of.
        value: Of the line.
        low: Lower end of the band.
        high: Upper end.
        of: Out of how many it is.
    """

    model_config = ConfigDict(frozen=True)

    week: date
    series: str
    value: float
    low: float
    high: float
    of: int


class Beside(BaseModel):
    """A figure in a row of its own.

    Attributes:
        row: Of what it is.
        series: Which colour it has.
        value: The figure.
        low: Lower end of its interval.
        high: Upper end.
        of: Out of how many it is.
    """

    model_config = ConfigDict(frozen=True)

    row: str
    series: str
    value: float
    low: float
    high: float
    of: int


def lines_over_weeks(
    points: Sequence[OverTime], title: str, written: Format, colours: dict[str, str] | None = None
) -> alt.LayerChart:
    """A line for each series with a band between its ends.

    Args:
        points: At least one.
        title: Of the vertical axis.
        written: Shares as per cent from 0 to 1, or numbers from 0.
        colours: By series; the usual ones otherwise.
    """
    data = _data([one.model_dump() | {"week": _at(one.week)} for one in points])
    series = list(dict.fromkeys(one.series for one in points))
    # Rare things are not drawn on a line.
    whole = written == "share" and max(one.high for one in points) > 0.5
    scale = alt.Scale(domain=[0, 1]) if whole else alt.Scale(zero=True, nice=True)
    colour = _colour(series, colours)
    weeks = alt.X(
        "week:T",
        title="Week beginning",
        axis=alt.Axis(format="%-d %b %Y", values=_ticks([one.week for one in points]), labelAngle=0, grid=False),
    )
    base = alt.Chart(data).encode(x=weeks, color=colour)
    # More bands than three hide each other; their ends stand in the tooltips.
    opacity = 0.15 if len(series) <= _MOST_BANDS else 0.0
    band = base.mark_area(opacity=opacity).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(size=45, filled=True), strokeWidth=2).encode(
        y=alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(format=_format(written), tickCount=5)),
        tooltip=_tooltips(alt.Tooltip("week:T", title="Week beginning", format="%-d %B %Y"), written),
    )
    chart: alt.LayerChart = (band + line).properties(height=_HEIGHT_PX)
    return chart


def intervals_beside(
    figures: Sequence[Beside],
    title: str,
    written: Format,
    domain: tuple[float, float],
    colours: dict[str, str] | None = None,
) -> alt.LayerChart:
    """A point with its interval for each row, those of several series one above the other.

    Args:
        figures: At least one, in the order of the rows.
        title: Of the horizontal axis.
        written: Shares as per cent, or numbers.
        domain: What the axis spans.
        colours: By series; the usual ones otherwise.
    """
    data = _data([one.model_dump() for one in figures])
    rows, series = list(dict.fromkeys(one.row for one in figures)), list(dict.fromkeys(one.series for one in figures))
    where: dict[str, Any] = {
        "y": alt.Y("row:N", title=None, sort=rows, axis=alt.Axis(labelLimit=220)),
        "yOffset": alt.YOffset("series:N", sort=series),
        "color": _colour(series, colours),
    }
    scale = alt.Scale(domain=list(domain), clamp=True)
    base = alt.Chart(data).encode(**where)
    rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    point = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(format=_format(written), tickCount=5)),
        tooltip=_tooltips(alt.Tooltip("row:N", title="Of"), written),
    )
    height = _ROW_PX * max(len(rows) * len(series), 2) + _AROUND_PX
    chart: alt.LayerChart = (rule + point).properties(height=height)
    return chart


def bars_with_limits(figures: Sequence[Beside], title: str, limit: str) -> alt.LayerChart:
    """A bar for each row, and a mark at its upper end `high`, which it is to be compared with.

    Args:
        figures: At least one; the series is told in the legend.
        title: Of the horizontal axis.
        limit: What the mark is.
    """
    data = _data([one.model_dump() for one in figures])
    rows, series = list(dict.fromkeys(one.row for one in figures)), list(dict.fromkeys(one.series for one in figures))
    known = {"no more than chance": PLAIN, "moved": BAD}
    row = alt.Y("row:N", title=None, sort=rows, axis=alt.Axis(labelLimit=260))
    bar = (
        alt.Chart(data)
        .mark_bar(height=12)
        .encode(
            y=row,
            x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=5)),
            color=_colour(series, known),
            tooltip=[
                alt.Tooltip("row:N", title="Of"),
                alt.Tooltip("value:Q", title="Index", format=".3f"),
                alt.Tooltip("high:Q", title=limit, format=".3f"),
                alt.Tooltip("of:Q", title="Scores since"),
            ],
        )
    )
    mark = alt.Chart(data).mark_tick(color="#444444", thickness=2, height=18).encode(y=row, x="high:Q")
    chart: alt.LayerChart = (bar + mark).properties(height=_ROW_PX * max(len(rows), 2) + _AROUND_PX)
    return chart


def counts_over_weeks(rows: Sequence[tuple[date, str, int]]) -> alt.Chart:
    """Bars beside each other for each week.

    Args:
        rows: (Monday, what was counted, how many), at least one.
    """
    data = _data([{"week": _at(week), "series": series, "count": count} for week, series, count in rows])
    colours = {"scored": PLAIN, "decided": GOOD, "failed": BAD}
    bars = alt.Chart(data).mark_bar()
    chart: alt.Chart = bars.encode(
        x=alt.X("yearmonthdate(week):O", title="Week beginning", axis=alt.Axis(format="%-d %b", labelAngle=0)),
        xOffset=alt.XOffset("series:N", sort=list(colours)),
        y=alt.Y("count:Q", title="Cases", axis=alt.Axis(tickMinStep=1, tickCount=5)),
        color=_colour(list(colours), colours),
        tooltip=[
            alt.Tooltip("week:T", title="Week beginning", format="%-d %B %Y"),
            alt.Tooltip("series:N", title="Cases"),
            alt.Tooltip("count:Q", title="How many"),
        ],
    ).properties(height=_HEIGHT_PX)
    return chart


def _data(rows: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _ticks(weeks: Sequence[date]) -> list[str]:
    """Some of the weeks, evenly, the last one among them."""
    own = sorted(set(weeks), reverse=True)
    return [_at(week) for week in own[:: len(own) // (_MOST_TICKS + 1) + 1]]


def _at(week: date) -> str:
    # Without a time it would be midnight in UTC, which is another day elsewhere.
    return f"{week.isoformat()}T00:00:00"


def _colour(series: list[str], colours: dict[str, str] | None) -> alt.Color:
    usual = [PLAIN, BAD, GOOD, DOUBTFUL, *_MORE]
    known = colours or {}
    chosen = [known.get(name, usual[at % len(usual)]) for at, name in enumerate(series)]
    legend = (
        alt.Legend(title=None, orient="top", labelLimit=260, symbolOpacity=1)
        if len(series) > 1 or series != [""]
        else None
    )
    return alt.Color("series:N", scale=alt.Scale(domain=series, range=chosen), legend=legend)


def _format(written: Format) -> str:
    return ".0%" if written == "share" else ".3~g"


def _tooltips(first: alt.Tooltip, written: Format) -> list[alt.Tooltip]:
    fine = ".1%" if written == "share" else ".3g"
    return [
        first,
        alt.Tooltip("series:N", title="What"),
        alt.Tooltip("value:Q", title="Figure", format=fine),
        alt.Tooltip("low:Q", title="From", format=fine),
        alt.Tooltip("high:Q", title="To", format=fine),
        alt.Tooltip("of:Q", title="Out of"),
    ]
