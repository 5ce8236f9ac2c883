"""Monitoring: how readers decide on what the network says, and whether scores and input stay what they were."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import streamlit as st

from app.access import Person, Right
from app.components.charts import (
    PLAIN,
    VERDICT_COLOURS,
    Beside,
    OverTime,
    bars_with_limits,
    counts_over_weeks,
    intervals_beside,
    lines_over_weeks,
)
from app.services.monitored import monitored
from app.services.monitoring import (
    FEWEST,
    FEWEST_SCORES,
    VERDICTS,
    Drift,
    Monitored,
    Rate,
    Spread,
    counts,
    edit_spreads,
    flag_rates,
    score_drift,
    spacing_spreads,
    verdict_rates,
    week_of,
)
from app.services.services import Services
from app.services.wording import words

_ALL = "All"
_PERIODS = {"Last 4 weeks": 4, "Last 12 weeks": 12, "Last 52 weeks": 52, "All": None}
_MOST_FLAGS, _MOST_BARS = 6, 20
_KEPT_S = 60
_TOO_FEW = f"Weeks with fewer than {FEWEST} of them are left out."


def render(services: Services, person: Person) -> None:
    """Draw the page.

    Args:
        services: Of the installation.
        person: Who looks at it; without the right to research nothing is shown.
    """
    person.require(Right.RESEARCH)
    st.header("Monitoring", anchor=False)
    everything, missing = _monitored(services.settings.database, services)
    if not everything:
        st.info("There is nothing to monitor yet. Figures appear here once studies have been scored and decided.")
        return
    cases = _filtered(everything)
    if missing:
        told = f"Left out: {missing} of {missing + len(everything)} cases"
        st.warning(f"{told}, whose results are gone, or are not those that were taken in.")
    if not cases:
        st.info("No case fits these filters.")
        return
    _numbers(cases)
    decisions, scores, incoming = st.tabs(["Decisions", "Scores", "Input"])
    with decisions:
        _decisions(cases)
    with scores:
        _scores(cases)
    with incoming:
        _input(cases)


# Without a copy for each window: nothing of it is ever changed.
@st.cache_resource(ttl=_KEPT_S, max_entries=1, show_spinner="Reading results …")
def _monitored(url: str, _services: Services) -> tuple[tuple[Monitored, ...], int]:
    del url  # By which one store's cases are told from another's.
    return monitored(_services.database, _services.viewing.masks)


def _filtered(cases: Sequence[Monitored]) -> list[Monitored]:
    columns = st.columns(4)
    task = columns[0].selectbox("Task", [_ALL, *sorted({one.task for one in cases})], key="monitor_task")
    modality = columns[1].selectbox(
        "Modality", [_ALL, *sorted({one.modality for one in cases if one.modality})], key="monitor_modality"
    )
    model = columns[2].selectbox("Model", [_ALL, *sorted({one.model for one in cases})], key="monitor_model")
    period = columns[3].selectbox("Received in", list(_PERIODS), index=1, key="monitor_period")
    weeks = _PERIODS[period]
    since = date.min if weeks is None else week_of(datetime.now(UTC)) - timedelta(weeks=weeks - 1)
    return [
        one
        for one in cases
        if task in (_ALL, one.task)
        and modality in (_ALL, one.modality)
        and model in (_ALL, one.model)
        and week_of(one.received_at) >= since
    ]


def _numbers(cases: Sequence[Monitored]) -> None:
    total = verdict_rates(cases, lambda _one, _finding: "")
    decided = sum(one.review is not None and one.review.complete for one in cases)
    columns = st.columns(6)
    columns[0].metric("Cases", len(cases))
    columns[1].metric("Decided", decided)
    columns[2].metric("Not scored", sum(bool(one.error) for one in cases))
    for column, verdict in zip(columns[3:], VERDICTS, strict=True):
        one = total.get(("", verdict))
        column.metric(f"Findings {verdict}", _share(one), help=_of(one))


def _share(one: Rate | None) -> str:
    return "too few" if one is None or one.value is None else f"{100.0 * one.value:.0f} %"


def _of(one: Rate | None) -> str:
    if one is None:
        return "No called finding was decided yet."
    told = f"{one.hits} of {one.of} called findings that were decided"
    if one.low is None or one.high is None:
        return f"{told}; below {FEWEST} no share is told."
    return f"{told}; 95 % interval {100.0 * one.low:.0f} to {100.0 * one.high:.0f} %."


def _decisions(cases: Sequence[Monitored]) -> None:
    by_week = verdict_rates(cases, lambda one, _finding: week_of(one.review.at if one.review else one.received_at))
    st.subheader("What readers decide of called findings", anchor=False)
    points = [_week(week, verdict, rate) for (week, verdict), rate in sorted(by_week.items()) if rate.value is not None]
    if points:
        st.altair_chart(lines_over_weeks(points, "Share of findings", "share", VERDICT_COLOURS), width="stretch")
        st.caption(f"By the week of the review, with 95 % intervals (Wilson). {_TOO_FEW}")
    else:
        st.info(f"No week has {FEWEST} decided findings yet.")
    _by_label(cases)
    st.subheader("How much of the network's mask is kept", anchor=False)
    edits = edit_spreads(cases, lambda one: week_of(one.review.at if one.review else one.received_at))
    points = _spreads(edits, "Dice of the edited and the network's mask")
    if points:
        st.altair_chart(lines_over_weeks(points, "Dice", "share"), width="stretch")
        st.caption(f"Median and quartiles of masks that readers edited; 1 is unchanged. {_TOO_FEW}")
    else:
        st.info(f"No week has {FEWEST} edited masks yet.")


def _by_label(cases: Sequence[Monitored]) -> None:
    by_label = verdict_rates(cases, lambda one, finding: f"{words(finding.label)} ({one.task})")
    rows = [
        Beside(row=label, series=verdict, value=rate.value, low=rate.low or 0.0, high=rate.high or 0.0, of=rate.of)
        for (label, verdict), rate in sorted(by_label.items(), key=lambda one: one[0][0])
        if rate.value is not None
    ]
    if rows:
        st.subheader("By finding", anchor=False)
        st.altair_chart(intervals_beside(rows, "Share", "share", (0.0, 1.0), VERDICT_COLOURS), width="stretch")


def _scores(cases: Sequence[Monitored]) -> None:
    st.subheader("Have scores moved?", anchor=False)
    days = sorted(one.received_at.astimezone(UTC).date() for one in cases)
    if days[0] == days[-1]:
        st.info("All cases came on one day. Scores can be compared once there are two days.")
        return
    since = st.date_input(
        "Compare scores from this day on with those before it",
        value=days[len(days) // 2] if days[len(days) // 2] > days[0] else days[-1],
        min_value=days[0] + timedelta(days=1),
        max_value=days[-1],
        key=f"monitor_since_{days[0]}_{days[-1]}",
        width=320,
    )
    drifts = score_drift(cases, since)
    told = [_bar(one) for one in drifts if one.index is not None][:_MOST_BARS]
    if told:
        limit = "By chance up to"
        st.altair_chart(bars_with_limits(told, "Population stability index", limit), width="stretch")
        st.caption(
            "A bar beyond its mark is more than chance: that happens to one label in twenty where nothing changed. "
            "By custom an index above 0.1 is worth a look and one above 0.25 a reason to act."
        )
    few = [one for one in drifts if one.index is None]
    if few:
        names = len({one.label for one in few})
        st.info(f"Too few scores for {names} labels: {FEWEST_SCORES} are needed before the day, and as many since.")


def _bar(one: Drift) -> Beside:
    name = f"{words(one.label)} ({one.task})"
    chance = one.by_chance or 0.0
    series = "moved" if one.moved else "no more than chance"
    return Beside(row=name, series=series, value=one.index or 0.0, low=0.0, high=chance, of=one.after)


def _input(cases: Sequence[Monitored]) -> None:
    st.subheader("Quality flags and refused studies", anchor=False)
    flags = flag_rates(cases, lambda one: week_of(one.received_at))
    total: dict[str, int] = {}
    for (_, code), rate in flags.items():
        total[code] = total.get(code, 0) + rate.hits
    shown = sorted(total, key=lambda code: (-total[code], code))[:_MOST_FLAGS]
    points = [
        _week(week, words(code), rate)
        for (week, code), rate in sorted(flags.items())
        if code in shown and rate.value is not None
    ]
    if points:
        st.altair_chart(lines_over_weeks(points, "Share of cases", "share"), width="stretch")
        st.caption(f"The most frequent ones, by the week a case came; pointing at one tells its interval. {_TOO_FEW}")
    else:
        st.info("No quality flag was raised, or too few cases came in each week.")
    st.subheader("Distance between slices", anchor=False)
    spacings = _spreads(spacing_spreads(cases, lambda one: week_of(one.received_at)), "largest voxel spacing")
    if spacings:
        st.altair_chart(lines_over_weeks(spacings, "Spacing, mm", "number", {"": PLAIN}), width="stretch")
        st.caption(f"Median and quartiles of the largest of the three voxel spacings. {_TOO_FEW}")
    else:
        st.info("No week has enough volumes with a known spacing.")
    st.subheader("Cases", anchor=False)
    rows = [(week, name, count) for (week, name), count in sorted(counts(cases).items())]
    st.altair_chart(counts_over_weeks(rows), width="stretch")
    st.caption("By the week a case came. A decided case is one of those that were scored.")


def _week(week: date, series: str, rate: Rate) -> OverTime:
    value, low, high = rate.value or 0.0, rate.low or 0.0, rate.high or 0.0
    return OverTime(week=week, series=series, value=value, low=low, high=high, of=rate.of)


def _spreads(spreads: dict[date, Spread], series: str) -> list[OverTime]:
    return [
        OverTime(week=week, series=series, value=one.median, low=one.low or 0.0, high=one.high or 0.0, of=one.of)
        for week, one in sorted(spreads.items())
        if one.median is not None
    ]
