"""The charts of the report, as Vega-Lite specifications; colours can be told apart by everybody (Okabe and Ito)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from pipelines.evaluation.cases import Case, InstanceRecord, MaskRecord
from pipelines.evaluation.document import CurveRecord, EvaluationDocument, FigureRecord
from pipelines.evaluation.wording import readable, unit_of

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6b7280"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_WIDTH, _HEIGHT, _WIDE = 320, 260, 640
_AGREEMENT = 1.96
_MOST_LABELS = 7  # In one chart; there are no more colours that everybody can tell apart.

Spec = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """One chart of the report.

    Attributes:
        title: What it shows.
        told: How to read it.
        spec: Vega-Lite.
        wide: Whether it takes the whole width.
    """

    title: str
    told: str
    spec: Spec
    wide: bool = False


def charts_of(document: EvaluationDocument) -> Iterator[Drawn]:
    """All charts for which there is something to draw."""
    yield from _distributions(document)
    yield from _volumes(document.cases)
    yield from _scores(document.cases)
    yield from _curves(document.curves)
    if document.confusion:
        yield _confusion(document)


def forest(document: EvaluationDocument, metric: str, label: str) -> Drawn:
    """One figure by group, with its intervals and that of all."""
    overall = document.figure(metric, label)
    rows = [_row("all", overall, document.data.patients)] if overall is not None else []
    for group in document.subgroups:
        for figure in group.figures:
            if (figure.metric, figure.label) == (metric, label):
                name = f"{group.column}: {group.value}{' *' if group.few else ''}"
                rows.append(_row(name, figure, group.patients))
    base = alt.Chart(_data(rows)).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
        tooltip=["name:N", "value:Q", "low:Q", "high:Q", "patients:Q"],
    )
    title = _axis(metric)
    scale = alt.Scale(zero=False)
    bars = base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    points = base.mark_point(color=BLUE, filled=True, size=70).encode(x=alt.X("value:Q", title=title, scale=scale))
    counts = base.mark_text(align="left", dx=8, dy=-8, color=GREY, fontSize=10).encode(x="value:Q", text="told:N")
    line = alt.Chart(_data(rows[:1])).mark_rule(color=GREY, strokeDash=[4, 4]).encode(x="value:Q")
    chart = alt.layer(line, bars, points, counts).properties(width=_WIDE - 160, height=alt.Step(34))
    told = "Point and bootstrap interval by group; the dashed line is the figure of all. * fewer than 10 patients."
    return Drawn(f"{readable(metric)} by group{f', {readable(label)}' if label else ''}", told, _spec(chart), wide=True)


def _row(name: str, figure: FigureRecord, patients: int) -> Row:
    return {
        "name": name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "patients": patients,
        "told": f"{patients} patients",
    }


def _distributions(document: EvaluationDocument) -> Iterator[Drawn]:
    """Every case as a point, over boxes."""
    for metric in ("dice", "nsd", "hd95", "two_class_iou", "panoptic_quality", "aggregated_jaccard"):
        rows = list(_values(document.cases, metric))
        if not rows:
            continue
        title = _axis(f"hd95_{rows[0]['unit']}" if metric == "hd95" else metric)
        domain = [0, 1] if metric != "hd95" else alt.Undefined
        y = alt.Y("value:Q", title=title, scale=alt.Scale(domain=domain, zero=True))
        labels = list(dict.fromkeys(str(row["label"]) for row in rows))
        x = alt.X("label:N", title=None, sort=labels, axis=alt.Axis(labelAngle=0))
        base = alt.Chart(_data(rows)).encode(x=x, y=y)
        box = base.mark_boxplot(outliers=False, size=44, color=BLUE, opacity=0.3, extent=1.5, median={"color": "black"})
        points = base.mark_circle(size=26, color=BLUE, opacity=0.65).encode(
            xOffset=alt.XOffset("jitter:Q", scale=alt.Scale(domain=[-1.6, 1.6])), tooltip=["name:N", "value:Q"]
        )
        told = "Every point is a study; box: quartiles and median, whiskers to 1.5 times the box."
        yield Drawn(readable(metric), told, _spec((box + points).properties(width=_WIDTH, height=_HEIGHT)))


def _values(cases: Sequence[Case], metric: str) -> Iterator[Row]:
    for number, case in enumerate(cases):
        # The same place for a case in every chart, without a generator of random numbers.
        jitter = (number * 0.6180339887498949) % 1.0 * 2.0 - 1.0
        records: list[MaskRecord | InstanceRecord] = [*case.masks]
        if case.instances is not None:
            records.append(case.instances)
        for record in records:
            value = getattr(record, metric, None)
            if value is not None:
                unit = record.unit if isinstance(record, MaskRecord) else ""
                label = readable(record.label)
                yield {"name": case.name, "label": label, "value": value, "jitter": jitter, "unit": unit}


def _volumes(cases: Sequence[Case]) -> Iterator[Drawn]:
    """Bland and Altman, Lancet 1986: the error over the mean of both, with the limits of agreement."""
    for label in dict.fromkeys(record.label for case in cases for record in case.masks):
        pairs = [
            (case.name, record.reference_ml, record.predicted_ml)
            for case in cases
            for record in case.masks
            if record.label == label and record.reference_ml is not None and record.predicted_ml is not None
        ]
        if len(pairs) > 1:
            yield _bland_altman(f"Volume of {readable(label)}", pairs, "ml")


def _scores(cases: Sequence[Case]) -> Iterator[Drawn]:
    for label in dict.fromkeys(record.label for case in cases for record in case.scores):
        pairs = [(case.name, one.truth, one.said) for case in cases for one in case.scores if one.label == label]
        if len(pairs) > 1:
            yield _bland_altman(readable(label), pairs, "")


def _bland_altman(title: str, pairs: Sequence[tuple[str, float, float]], unit: str) -> Drawn:
    rows = [{"name": name, "mean": (true + said) / 2.0, "error": said - true} for name, true, said in pairs]
    errors = np.array([row["error"] for row in rows])
    middle, reach = float(errors.mean()), _AGREEMENT * float(errors.std(ddof=1))
    lines = [
        {"at": middle, "told": f"bias {middle:.3g}"},
        {"at": middle + reach, "told": f"+1.96 SD {middle + reach:.3g}"},
        {"at": middle - reach, "told": f"-1.96 SD {middle - reach:.3g}"},
    ]
    suffix = f" ({unit})" if unit else ""
    points = (
        alt.Chart(_data(rows))
        .mark_circle(size=40, color=BLUE, opacity=0.7)
        .encode(
            x=alt.X("mean:Q", title=f"mean of prediction and reference{suffix}", scale=alt.Scale(zero=False)),
            y=alt.Y("error:Q", title=f"prediction - reference{suffix}"),
            tooltip=["name:N", "mean:Q", "error:Q"],
        )
    )
    base = alt.Chart(_data(lines))
    rules = base.mark_rule(color=VERMILION, strokeDash=[5, 4]).encode(y="at:Q")
    texts = base.mark_text(align="right", dy=-6, color=VERMILION, fontSize=10).encode(
        x=alt.value(_WIDTH), y="at:Q", text="told:N"
    )
    told = "Bland-Altman: bias and limits of agreement (1.96 standard deviations of the errors)."
    return Drawn(title, told, _spec((points + rules + texts).properties(width=_WIDTH, height=_HEIGHT)))


_CURVES = {
    "roc": ("ROC", "1 - specificity", "sensitivity", "Dashed: chance. Area and interval stand in the table."),
    "precision_recall": ("Precision and recall", "recall (sensitivity)", "precision", "Nothing is interpolated."),
    "reliability": (
        "Reliability, as told",
        "mean probability",
        "share with the finding",
        "15 bins of equal width; the size of a point is its number of cases. Dashed: perfect calibration.",
    ),
    "reliability_raw": (
        "Reliability, the network's own",
        "mean probability",
        "share with the finding",
        "The same before calibration.",
    ),
    "froc": ("FROC", "invented lesions per image", "share of lesions found", "A lesion counts once, by overlap."),
}


def _curves(curves: Sequence[CurveRecord]) -> Iterator[Drawn]:
    for kind, (title, x_title, y_title, told) in _CURVES.items():
        mine = [curve for curve in curves if curve.kind == kind]
        for start in range(0, len(mine), _MOST_LABELS):
            part = mine[start : start + _MOST_LABELS]
            yield Drawn(title, told, _spec(_curve_chart(part, x_title, y_title)))


def _curve_chart(curves: Sequence[CurveRecord], x_title: str, y_title: str) -> Any:
    kind = curves[0].kind
    rows = [
        {"label": readable(curve.label), "x": x, "y": y, "at": at, "cases": (curve.cases or (0,) * len(curve.x))[at]}
        for curve in curves
        for at, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    limits = alt.Scale(domain=[0, 1])
    names = [readable(curve.label) for curve in curves]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("x:Q", title=x_title, scale=alt.Scale(zero=True) if kind == "froc" else limits),
        y=alt.Y("y:Q", title=y_title, scale=limits),
        color=alt.Color("label:N", title=None, scale=alt.Scale(domain=names, range=list(COLOURS))),
        order="at:Q",
    )
    layers: list[Any] = []
    if kind in ("roc", "reliability", "reliability_raw"):
        diagonal = alt.Chart(_data([{"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}]))
        layers.append(diagonal.mark_line(color=GREY, strokeDash=[4, 4], strokeWidth=1).encode(x="x:Q", y="y:Q"))
    if kind.startswith("reliability"):
        layers.append(base.mark_line(strokeWidth=1, opacity=0.6))
        size = alt.Size("cases:Q", scale=alt.Scale(range=[20, 260]), legend=None)
        layers.append(base.mark_circle(opacity=0.85).encode(size=size, tooltip=["label:N", "x:Q", "y:Q", "cases:Q"]))
    else:
        line = base.mark_line(strokeWidth=2, interpolate="step-after" if kind == "roc" else "linear")
        layers.append(line.encode(tooltip=["label:N", "x:Q", "y:Q"]))
    return alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)


def _confusion(document: EvaluationDocument) -> Drawn:
    names = [readable(name) for name in document.classes]
    rows = []
    for true, counts in zip(names, document.confusion, strict=True):
        total = max(sum(counts), 1)
        rows += [
            {"true": true, "called": called, "cases": count, "share": count / total, "told": f"{count}"}
            for called, count in zip(names, counts, strict=True)
        ]
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("called:N", title="called", sort=names, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("true:N", title="true", sort=names),
    )
    colour = alt.Color("share:Q", title="share of row", scale=alt.Scale(scheme="blues", domain=[0, 1]))
    squares = base.mark_rect(stroke="white").encode(color=colour, tooltip=["true:N", "called:N", "cases:Q", "share:Q"])
    text_colour = alt.when("datum.share > 0.5").then(alt.value("white")).otherwise(alt.value("black"))
    texts = base.mark_text(fontSize=13).encode(text="told:N", color=text_colour)
    chart = (squares + texts).properties(width=_WIDTH, height=_HEIGHT)
    return Drawn("Called and true classes", "Numbers of studies; colour: share of the row.", _spec(chart))


def _axis(metric: str) -> str:
    unit = unit_of(metric)
    return f"{readable(metric)} ({unit})" if unit else readable(metric)


def _data(rows: Sequence[Row]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _spec(chart: Any) -> Spec:
    configured = chart.configure_view(stroke="#d1d5db").configure_axis(gridColor="#eef0f3", labelFontSize=11)
    spec: Spec = configured.to_dict()
    return spec
