"""Models: which weights there are, what is known of them, and which task takes them."""

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from app.access import Person, Right
from app.services.models import Model, list_models, tasks_without_weights
from app.services.services import Services
from app.services.wording import number_text, words
from app.views.text import plain


def render(services: Services, person: Person) -> None:
    """Draw the page.

    Args:
        services: Of the installation; weights in the folder `weights` of its data are shown beside those that ship.
        person: Who looks at it; without the right to look at cases nothing is shown.
    """
    person.require(Right.LOOK)
    st.header("Models", anchor=False)
    models = list_models((services.settings.data / "weights",))
    if not models:
        st.info("There are no weights here. Those that ship come with the program; install it again.")
        return
    chosen = st.dataframe(
        [_row(one) for one in models],
        key="models",
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        column_config={"Size, MB": st.column_config.NumberColumn(format="%.1f", width="small")},
    )
    rows = chosen["selection"]["rows"]
    untrained = ", ".join(f"`{task}`" for task in tasks_without_weights())
    st.caption(f"Select a row for its card. Tasks that come without weights: {untrained}.")
    draw_card(models[rows[0] if rows and rows[0] < len(models) else 0])


def _row(one: Model) -> dict[str, Any]:
    live = [use.task if use.part == "network" else f"{use.task} ({words(use.part)})" for use in one.uses]
    return {
        "Weights": one.name,
        "Live for": ", ".join(live) or "no task",
        "Network": str(one.network.get("name", "")) if one.network else "",
        "Trained on": "cannot be used" if one.error else one.card.trained_on if one.card else "unknown",
        "Phantoms only": one.card is not None and one.card.phantom,
        "Origin": "ships" if one.shipped else "installed",
        "Size, MB": one.megabytes,
    }


def draw_card(one: Model) -> None:
    """Draw all that is known of some weights; what their card says is text, whatever stands in it."""
    st.subheader(plain(one.name), anchor=False, divider="gray")
    if one.error:
        st.error(one.error)
        return
    if one.card is None:
        st.warning("Nothing is known of these weights but their file: there is no card beside it.")
    elif one.card.phantom:
        st.warning("Trained on computer-made phantoms only. What it says of patients means nothing.")
    left, right = st.columns([3, 2], gap="large")
    with left:
        _facts(one)
    with right:
        _figures(one)
    if one.text:
        with st.expander("Full model card"):
            # Its first line is the name, which stands above.
            st.markdown(one.text.partition("\n")[2])
    if one.network:
        with st.expander("Network"):
            _table(("Setting", "Value"), ((name, str(value)) for name, value in one.network.items()))


def _facts(one: Model) -> None:
    card = one.card
    facts = {"SHA-256": one.sha256, "File": one.path.name}
    if card is not None:
        facts = {
            "Task": card.task,
            "Trained on": card.trained_on,
            "Limits": card.limits,
            "Labels": ", ".join(words(label) or "(never trained)" for label in card.labels),
            "Input": card.input.scale if card.input else "",
            "Imported from": card.source or "",
            **facts,
        }
    for name, value in facts.items():
        if value:
            st.markdown(f"**{name}**  \n{plain(value)}")
    for note in card.notes if card else ():
        st.markdown(f"**To be known**  \n{plain(note)}")


def _figures(one: Model) -> None:
    card = one.card
    if card is None:
        return
    if card.evaluation is not None:
        st.markdown(
            f"**On data it was not trained on**  \n{plain(card.evaluation.data)}, {card.evaluation.cases} cases"
        )
        told = {
            name: number_text(figure.value)
            + ("" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})")
            for name, figure in card.evaluation.figures.items()
        }
        _named("Figure", told)
    elif card.held_out:
        st.markdown("**On data it was not trained on**")
        _named("Figure", {name: number_text(value) for name, value in card.held_out.items()})
    if card.operating_points:
        st.markdown("**Called from this probability on**")
        _named("Label", {words(label): f"{value:.3f}" for label, value in card.operating_points.items()})


def _named(heading: str, values: Mapping[str, str]) -> None:
    _table((heading, "Value"), ((words(name), value) for name, value in values.items()))


def _table(heading: tuple[str, str], rows: Iterable[tuple[str, str]]) -> None:
    st.dataframe([dict(zip(heading, row, strict=True)) for row in rows], hide_index=True, width="stretch")
