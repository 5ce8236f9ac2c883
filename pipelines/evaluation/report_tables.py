"""The tables of the report, as HTML; every word from outside is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

from pipelines.evaluation.cases import Case
from pipelines.evaluation.document import EvaluationDocument, FigureRecord
from pipelines.evaluation.wording import readable, unit_of

_WORST = 20


def figure_table(document: EvaluationDocument) -> str:
    """Metrics by label, with intervals and numbers of cases."""
    labels = list(dict.fromkeys(figure.label for figure in document.figures))
    metrics = list(dict.fromkeys(figure.metric for figure in document.figures))
    if len(labels) > len(metrics):
        return _labels_down(document.figures, labels, metrics)
    found = {(figure.label, figure.metric): figure for figure in document.figures}
    heads = ["", *(readable(label) if label else "All" for label in labels)]
    rows = []
    for metric in metrics:
        cells = [_name(metric)]
        cells += [_told(found[label, metric]) if (label, metric) in found else "" for label in labels]
        rows.append(cells)
    return table(heads, rows)


def group_table(document: EvaluationDocument) -> str:
    """The main figures by group."""
    rows = []
    for group in document.subgroups:
        mark = " *" if group.few else ""
        for at, figure in enumerate(group.figures):
            first = at == 0
            rows.append(
                [
                    escape(group.column) if first else "",
                    escape(group.value) + mark if first else "",
                    f"{group.patients} / {group.cases}" if first else "",
                    escape(readable(figure.label)),
                    _name(figure.metric),
                    _told(figure),
                ]
            )
    note = '<p class="quiet">* fewer than 10 patients: an interval says little.</p>'
    heads = ["column", "value", "patients / studies", "label", "figure", "value [interval]"]
    return table(heads, rows) + note if rows else ""


def comparison_table(document: EvaluationDocument) -> str:
    """Both models, the difference, and p-values."""
    comparison = document.comparison
    if comparison is None:
        return ""
    other = comparison.other.get("source") or (comparison.other.get("model") or {}).get("name") or "the other"
    rows = [
        [
            escape(readable(one.label) if one.label else "All"),
            _name(one.metric),
            number(one.first),
            number(one.second),
            f"{number(one.difference)} {interval_of(one.low, one.high)}",
            f"{p_value(one.p_value)} <span class=interval>({escape(one.test)})</span>",
            p_value(one.p_permutation),
            p_value(one.p_holm),
            f"{one.cases}",
        ]
        for one in comparison.figures
    ]
    heads = ["label", "figure", "this", "other", "difference", "p", "p (signs)", "p (Holm)", "n"]
    told = (
        f'<p class="quiet">Against {escape(str(other))} on the {comparison.cases} studies of {comparison.patients} '
        "patients that both have. Difference: this less other, with its bootstrap interval. Holm: corrected for the "
        "labels of a figure. A figure that is undefined for one of both leaves its study out of the difference.</p>"
    )
    return told + table(heads, rows)


def worst_table(document: EvaluationDocument) -> str:
    """The cases with the lowest figures, and what was called wrongly with the greatest confidence."""
    rows = sorted(((*_badness(document, case), case) for case in document.cases), key=lambda row: (row[0], row[2].name))
    shown = [
        [
            escape(case.name),
            escape(case.patient) if case.patient != case.name else "",
            told,
            escape("; ".join(case.notes)),
        ]
        for _, told, case in rows[:_WORST]
    ]
    note = f'<p class="quiet">{min(_WORST, len(rows))} of {len(rows)}; all stand in cases.csv.</p>'
    return note + table(["study", "patient", "figures", "notes"], shown)


def failure_table(document: EvaluationDocument) -> str:
    """What could not be compared, and why."""
    rows = [[escape(one.name), escape(one.code), escape(one.message), escape(one.advice)] for one in document.failed]
    return table(["study", "code", "reason", "what to do"], rows)


def rules_table(document: EvaluationDocument) -> str:
    """What happens where a mask is empty, or nothing is there to rank."""
    rows = [[escape(name.replace("_", " ")), escape(told)] for name, told in document.empty_rules.items()]
    return table(["where", "what counts"], rows)


def number(value: float | None) -> str:
    """Three digits behind the point, fewer for large numbers."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def p_value(value: float | None) -> str:
    """As papers print it."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _labels_down(figures: Iterable[FigureRecord], labels: Sequence[str], metrics: Sequence[str]) -> str:
    """Many labels: one row each."""
    found = {(figure.label, figure.metric): figure for figure in figures}
    rows = []
    for label in labels:
        cells = [_told(found[label, metric]) if (label, metric) in found else "" for metric in metrics]
        rows.append([escape(readable(label) if label else "All"), *cells])
    return table(["", *(_name(metric) for metric in metrics)], rows)


def _badness(document: EvaluationDocument, case: Case) -> tuple[float, str]:
    if case.masks:
        told = ", ".join(_mask_told(record.label, record.dice, record.hd95, record.unit) for record in case.masks)
        return min(record.dice for record in case.masks), told
    if case.instances is not None:
        one = case.instances
        told = f"PQ {number(one.panoptic_quality)}, AJI {number(one.aggregated_jaccard)}, "
        return one.panoptic_quality, told + f"{one.matched} matched, {one.missed} missed, {one.invented} invented"
    if case.classes is not None:
        true = case.classes.probabilities[case.classes.truth]
        names = [escape(readable(name)) for name in document.classes]
        told = f"true {names[case.classes.truth]}, called {names[case.classes.called]}, "
        return true, told + f"probability of the true class {number(true)}"
    if case.findings:
        off = {one.label: abs(one.truth - one.probability) for one in case.findings}
        wrong = sorted(off, key=lambda label: -off[label])[:3]
        return -max(off.values()), ", ".join(
            f"{escape(readable(label))} off by {number(off[label])}" for label in wrong
        )
    worst = max((abs(one.said - one.truth) for one in case.scores), default=0.0)
    return -worst, f"off by {number(worst)}"


def _mask_told(label: str, dice: float, hd95: float | None, unit: str) -> str:
    far = "" if hd95 is None else f" (HD95 {number(hd95)} {unit})"
    return f"{escape(readable(label))} Dice {number(dice)}{far}"


def _name(metric: str) -> str:
    unit = unit_of(metric)
    return escape(f"{readable(metric)} ({unit})" if unit else readable(metric))


def _told(figure: FigureRecord) -> str:
    left_out = f", {figure.undefined} undefined" if figure.undefined else ""
    counted = f'<span class="interval">n = {figure.cases}{left_out}</span>'
    return f"<b>{number(figure.value)}</b> {interval_of(figure.low, figure.high)} {counted}"


def interval_of(low: float | None, high: float | None) -> str:
    """An interval as it stands behind its figure; nothing where there is none."""
    return "" if low is None or high is None else f'<span class="interval">[{number(low)}, {number(high)}]</span>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    if not rows:
        return '<p class="quiet">None.</p>'
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
