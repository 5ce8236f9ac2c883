"""What stands beside the findings of a case: why, what it rests on, reports, and what was said before."""

from collections.abc import Sequence

import streamlit as st

from app.access import Person, Right
from app.components.files import Download, downloads, picture
from app.services.models import Model, model_of
from app.services.services import Services
from app.services.wording import NOTICE, moment_text, quantity_text, verdict_text, words
from app.store.records import Case, Review
from app.views.models import draw_card
from app.views.opened import Opened
from app.views.text import plain
from pipelines.explain.card import MEANING
from pipelines.results import Explanation

EXPORTS: tuple[tuple[str, str, str], ...] = (
    ("pdf", "PDF", "The report with key images, to print or to file"),
    ("html", "HTML", "The same as one page for the browser"),
    ("csv", "CSV", "Findings, measurements and decisions as a table"),
    ("json", "JSON", "The whole record with every review"),
    ("sr", "DICOM SR", "Measurement report (TID 1500) with the reader's decisions"),
    ("seg", "DICOM SEG or NIfTI", "The edited segmentation, on the grid of the input"),
)


def reasons_why(opened: Opened, token: str) -> None:
    """Explanation maps, each with what speaks for and against it."""
    explanations = opened.result.explanations if opened.aided else ()
    if not explanations:
        st.caption("No explanation maps were made. Score with `--explain grad_cam` to have some.")
    for number, one in enumerate(explanations):
        _explained(opened.case, number, one, token)


def _explained(case: Case, number: int, one: Explanation, token: str) -> None:
    name = f"{words(one.label)}{f', {one.about}' if one.about else ''}: {words(one.method)}"
    card = one.score_card
    failing = card is not None and card.verdict == "not_faithful"
    with st.expander(plain(f"{name}{' (not to be believed)' if failing else ''}")):
        if card is None:
            st.caption("This map was not judged.")
        elif failing:
            st.warning("This map is not faithful: " + "; ".join(MEANING[reason] for reason in card.reasons) + ".")
        else:
            st.caption(f"Faithful: {card.faithfulness:.2f} better than chance, of the range of the probability.")
        url = f"/api/cases/{case.id}/explanations/{number}"
        picture(url, f"Explanation map: {name}", token, key=f"map-{case.id}-{number}")


def about(services: Services, opened: Opened) -> None:
    """The model, what was measured, and what it was trained on."""
    result, model = opened.result, opened.result.model
    st.markdown(f"**Model** {plain(model.name)}, version {plain(model.version)}")
    st.caption(f"Weights {plain((model.weights_sha256 or 'untrained')[:16])}. Trained on: {plain(model.trained_on)}")
    known = model_of(model.weights_sha256, (services.settings.data / "weights",))
    if known is not None and st.button("Model card", icon=":material/description:", key="model-card"):
        _card(known)
    if result.quantities and opened.aided:
        rows = [
            {"Of": words(q.label or "study"), "What": words(q.name), "Value": quantity_text(q.value, q.unit)}
            for q in result.quantities
        ]
        st.dataframe(rows, hide_index=True, width="stretch")
    st.caption(f"{NOTICE}.")


@st.dialog("Model card", width="large")
def _card(model: Model) -> None:
    draw_card(model)


def report(person: Person, opened: Opened, token: str) -> None:
    """Exports of the case as it stands; they tell what the network said."""
    case = opened.case
    if not opened.aided:
        st.caption("There are reports once all readers of the study have read this case.")
        return
    if not person.may(Right.EXPORT):
        st.caption("Your role exports no reports.")
        return
    files = [Download(title, told, f"/api/cases/{case.id}/exports/{kind}") for kind, title, told in EXPORTS]
    if downloads(files, token, key=f"exports-{case.id}"):
        st.rerun()


def history(reviews: Sequence[Review], case: Case) -> None:
    """Every version, the latest first."""
    if not reviews:
        st.caption("Nobody has decided anything yet.")
    for review in reversed(reviews):
        marks = ["finished"] if review.complete else []
        marks += [f"in conflict with version {review.conflicts_with}"] if review.conflicts_with else []
        marks += ["of an earlier result"] if review.result_sha256 != case.result_sha256 else []
        marks += ["edited segmentation"] if review.mask else []
        told = f" ({', '.join(marks)})" if marks else ""
        st.markdown(f"**Version {review.number}**, {plain(review.reader)}, {moment_text(review.at)}{told}")
        decided = "; ".join(f"{words(one.label)} {verdict_text(one.verdict)}" for one in review.decisions)
        st.caption(plain(decided or "no finding decided"))
