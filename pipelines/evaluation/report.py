"""`report.html`: an evaluation on one page that needs nothing but itself."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Any

import vl_convert

from pipelines.evaluation.charts import Drawn, charts_of, forest
from pipelines.evaluation.document import EvaluationDocument
from pipelines.evaluation.report_tables import (
    comparison_table,
    failure_table,
    figure_table,
    group_table,
    rules_table,
    worst_table,
)
from pipelines.evaluation.wording import readable

# Nothing is fetched from anywhere; the charts' own code needs to make functions.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:#111827;margin:0;background:#f3f4f6}
main{max-width:1120px;margin:0 auto;padding:28px 32px;background:#fff}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:34px 0 8px;border-bottom:1px solid #e5e7eb;padding-bottom:4px}
h3{font-size:15px;margin:14px 0 2px}p{margin:4px 0 10px}.quiet{color:#4b5563;font-size:13px}
.notice{background:#fff7ed;border-left:4px solid #d55e00;padding:8px 14px;margin:14px 0;font-weight:600}
.warning{background:#fefce8;border-left:4px solid #e69f00;padding:6px 14px;margin:8px 0}
table{border-collapse:collapse;margin:6px 0 14px;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid #eef0f3;vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap}
thead th{border-bottom:2px solid #9ca3af}code{font-size:12px;overflow-wrap:anywhere}
.interval{color:#4b5563;font-size:12px}
.charts{display:flex;flex-wrap:wrap;gap:8px 40px}.chart{width:500px}.wide{max-width:1000px}.scroll{overflow-x:auto}
@media print{body{background:#fff}.chart{break-inside:avoid}}
"""
_START = """
for (const chart of JSON.parse(document.getElementById("charts").textContent))
  vegaEmbed("#" + chart.id, chart.spec, {actions: false, renderer: "svg"});
"""
_KINDS = {
    "segmentation": "Segmentation",
    "instances": "Segmentation of single objects",
    "findings": "Findings",
    "classes": "Classification",
}


def report(document: EvaluationDocument) -> str:
    """The page; the same for the same evaluation."""
    drawn = list(charts_of(document))
    forests = list(_forests(document))
    sections = [
        _head(document),
        _section("Figures", figure_table(document), _how_to_read(document)),
        _section("Distributions and curves" if drawn else "", _charts(drawn, "chart")),
        _section("Groups" if document.subgroups else "", group_table(document) + _charts(forests, "forest")),
        _section("Beside the other model" if document.comparison else "", comparison_table(document)),
        _section("Studies, the worst first", worst_table(document)),
        _section("Studies that could not be compared" if document.failed else "", failure_table(document)),
        _section("Rules", rules_table(document)),
        _section("What was evaluated", _provenance(document)),
    ]
    specs = [
        {"id": f"{prefix}-{at}", "spec": one.spec}
        for prefix, part in (("chart", drawn), ("forest", forests))
        for at, one in enumerate(part)
    ]
    title = f"Evaluation of {escape(document.task)} on {escape(document.data.name)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{''.join(sections)}</main>"
        f'<script type="application/json" id="charts">{_safe(json.dumps(specs, allow_nan=False))}</script>'
        f"<script>{_library()}</script><script>{_START}</script></body></html>\n"
    )


@lru_cache(maxsize=1)
def _library() -> str:
    """Vega, Vega-Lite and vegaEmbed.

    Raises:
        ValueError: Its text would end the element it stands in.
    """
    script: str = vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed")
    if "</script" in script.lower():
        raise ValueError("expected a script that can stand in a page; got one with an end tag in it")
    return script


def _head(document: EvaluationDocument) -> str:
    data = document.data
    warnings = "".join(f'<div class="warning">{escape(told)}</div>' for told in data.warnings)
    failed = f", {len(document.failed)} could not be compared" if document.failed else ""
    return (
        f"<h1>{escape(document.task)} on {escape(data.name)}</h1>"
        f'<p class="quiet">{_KINDS[document.kind]}: {len(document.cases)} studies of {data.patients} patients '
        f"(split: {escape(data.split)}){failed}. DenseLens {escape(document.version)}.</p>"
        '<div class="notice">Research use only, not a medical device.</div>' + warnings
    )


def _how_to_read(document: EvaluationDocument) -> str:
    confidence = f"{document.settings.confidence:.0%}"
    told = f"In brackets {confidence} intervals: {document.interval}. n: studies a figure rests on, and those left out."
    if document.kind == "segmentation":
        told += f" NSD at {document.settings.tolerance:g} mm (px where the spacing is unknown)."
        nested = [
            f"{readable(label)} is {' and '.join(readable(part).lower() for part in parts)} together"
            for label, parts in document.regions.items()
            if len(parts) > 1
        ]
        told += f" {'; '.join(nested)}." if nested else ""
    return f'<p class="quiet">{escape(told)}</p>'


def _forests(document: EvaluationDocument) -> Iterator[Drawn]:
    """Of the main figure of every label alone: a wall of forests is read by nobody."""
    seen = set()
    for group in document.subgroups:
        for figure in group.figures:
            if figure.label not in seen:
                seen.add(figure.label)
                yield forest(document, figure.metric, figure.label)


def _charts(drawn: Sequence[Drawn], prefix: str) -> str:
    parts = [
        f'<div class="{"wide" if one.wide else "chart"}"><h3>{escape(one.title)}</h3>'
        f'<p class="quiet">{escape(one.told)}</p><div id="{prefix}-{at}"></div></div>'
        for at, one in enumerate(drawn)
    ]
    return f'<div class="charts">{"".join(parts)}</div>'


def _provenance(document: EvaluationDocument) -> str:
    model = document.predictor.get("model") or {}
    rows: dict[str, Any] = {
        "task": document.task,
        "data": f"{document.data.name} (layout {document.data.layout}, split {document.data.split})",
        "sha256 of names, patients and truths": document.data.sha256,
        "predictions": document.predictor.get("source") or "made by the model, on the one path",
        "model": model.get("name"),
        "sha256 of the weights": model.get("weights_sha256"),
        "trained on": model.get("trained_on"),
        "seed": document.settings.seed,
        "version": f"DenseLens {document.version}, evaluation schema {document.schema_}",
    }
    lines = "".join(
        f"<tr><th>{escape(name)}</th><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in rows.items()
        if value not in (None, "")
    )
    return f"<table>{lines}</table>"


def _section(title: str, content: str, told: str = "") -> str:
    return f"<section><h2>{escape(title)}</h2>{told}{content}</section>" if title else ""


def _safe(data: str) -> str:
    """JSON that cannot end the element it stands in."""
    return data.replace("<", "\\u003c")
