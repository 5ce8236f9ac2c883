"""How far the readers of a plan agree, and how long they took: figures with intervals, and the tables behind them."""

from collections.abc import Sequence

import streamlit as st

from app.components.charts import GOOD, PLAIN, Beside, intervals_beside
from app.services.agreement import (
    Agreement,
    Times,
    agreements,
    mask_agreements,
    pairwise_agreements,
    times,
)
from app.services.ratings import Ratings, ratings_of
from app.services.services import Services
from app.services.study_material import Material, masks_of
from app.services.wording import words
from pipelines.evaluation.intervals import Interval

_ALL_LABELS = "All findings"


def draw_agreement(services: Services, material: Material) -> None:
    """Draw the figures.

    Args:
        services: Of the installation.
        material: Of a plan, to somebody whom it does not blind.
    """
    standing = material.standing
    done, of = len(standing.read_by_all), len(standing.plan.cases)
    if done < of:
        st.caption(f"So far: {done} of {of} cases were read by all. Figures of a study that goes on will change.")
    if len(standing.plan.readers) > 1:
        _findings(ratings_of(standing, material.findings))
    else:
        st.info("One reader has nobody to agree with. Times are told below.")
    _times(times(list(standing.readings.values())))
    if material.labels and len(standing.plan.readers) > 1:
        _masks(services, material)


def _findings(ratings: Ratings) -> None:
    st.subheader("Do readers see the same findings?", anchor=False)
    found = agreements(ratings)
    if not found:
        st.info("No case was read by all yet.")
        return
    together, kind = found[0], "Cohen's kappa" if len(ratings.readers) == 2 else "Fleiss' kappa"
    columns = st.columns(4)
    columns[0].metric("Cases read by all", together.cases)
    columns[1].metric("Readers", len(ratings.readers))
    columns[2].metric("Agreement", _share(together.share), help=_range(together.share, percent=True))
    columns[3].metric(kind, _number(together.kappa), help=_range(together.kappa))
    shown = [
        Beside(row=_label(one), series=name, value=of.value, low=_end(of.low, of), high=_end(of.high, of), of=one.items)
        for one in found
        for name, of in (("agreement", one.share), ("kappa", one.kappa))
        if of.value is not None
    ]
    lowest = min(0.0, *(one.low for one in shown))
    colours = {"agreement": PLAIN, "kappa": GOOD}
    st.altair_chart(
        intervals_beside(shown, f"Agreement, and {kind}", "number", (lowest, 1.0), colours), width="stretch"
    )
    st.caption(
        "Share of pairs of readers that say the same of a finding, and agreement beyond chance; with 95 % intervals "
        "over cases. There is no kappa where everybody says the same of all cases."
    )
    with st.expander("As a table, and by pairs of readers"):
        pairs = pairwise_agreements(ratings) if len(ratings.readers) > 2 else ()
        st.dataframe([_row(one) for one in (*found, *pairs)], hide_index=True, width="stretch")


def _row(one: Agreement) -> dict[str, object]:
    return {
        "Finding": _label(one),
        "Readers": ", ".join(one.readers),
        "Cases": one.cases,
        "Agreement": _share(one.share),
        "95 % interval": _range(one.share, percent=True),
        "Kappa": _number(one.kappa),
        "95 % interval of kappa": _range(one.kappa),
    }


def _times(found: Sequence[Times]) -> None:
    st.subheader("How long do they take?", anchor=False)
    if not found:
        st.info("No case was read yet.")
        return
    together = found[0]
    columns = st.columns(4)
    columns[0].metric("Median with help", _seconds(together.aided_s))
    columns[1].metric("Median without", _seconds(together.unaided_s))
    difference = together.difference_s
    told = "no pairs" if difference.value is None else f"{difference.value:+.0f} s".replace("-", "−")
    columns[2].metric("Help changes a case by", told, help=_range(difference))
    columns[3].metric("Cases read both ways", together.pairs)
    rows = [
        {
            "Reader": one.reader or "All",
            "Read with help": one.aided,
            "Median with help": _seconds(one.aided_s),
            "Read without": one.unaided,
            "Median without": _seconds(one.unaided_s),
        }
        for one in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption("The change is the mean over cases of the time with help less the time without, each a mean of readers.")


def _masks(services: Services, material: Material) -> None:
    st.subheader("Do readers draw the same?", anchor=False)
    names = {label.name: label.index for label in material.labels}
    columns = st.columns([2, 1, 3], vertical_alignment="bottom")
    label = columns[0].selectbox("Label", list(names), format_func=words, key="mask_label")
    if not columns[1].button("Compare masks", key="compare_masks"):
        return
    standing = material.standing
    mask_of = masks_of(material, services.viewing.masks)
    found = mask_agreements(mask_of, standing.plan.cases, sorted(standing.plan.readers), names[label])
    rows = [
        {
            "Readers": " and ".join(one.readers),
            "Cases": one.cases,
            "Mean Dice": _number(one.dice),
            "95 % interval": _range(one.dice),
        }
        for one in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(
        "Who saw the network's mask and left it has that mask. Cases that one of the two did not draw are left out."
    )


def _label(one: Agreement) -> str:
    return words(one.label) or _ALL_LABELS


def _end(end: float | None, of: Interval) -> float:
    return (of.value or 0.0) if end is None else end


def _share(of: Interval) -> str:
    return "too few" if of.value is None else f"{100.0 * of.value:.0f} %"


def _number(of: Interval) -> str:
    return "none" if of.value is None else f"{of.value:.2f}"


def _range(of: Interval, *, percent: bool = False) -> str:
    if of.low is None or of.high is None:
        return "too few cases for an interval"
    return f"{100 * of.low:.0f} to {100 * of.high:.0f} %" if percent else f"{of.low:.2f} to {of.high:.2f}"


def _seconds(seconds: float | None) -> str:
    return "none" if seconds is None else f"{seconds:.0f} s"
