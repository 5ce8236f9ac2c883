"""One case: the image, what the network said of it and why, and what the reader decides."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from app.access import Person, Right
from app.components.files import pressed
from app.components.viewer import SHORTCUTS, Focus, ViewerEvents, ViewerRequest, viewer
from app.services.deciding import begun
from app.services.intake import read_result
from app.services.reading import assignment_of, visible_reviews
from app.services.services import Services
from app.services.view import PreparedView
from app.services.wording import status_text, words
from app.store.cases import Cases, NoSuchCase
from app.store.records import Case, Review
from app.views.case_tabs import about, history, reasons_why, report
from app.views.findings import KEYS, Panel
from app.views.opened import Opened
from app.views.text import plain
from app.views.worklist import claim
from datasets.errors import InputRefused
from pipelines.results import Result

_TOKEN_S = 600.0
_RIGHTS = (Right.LOOK, Right.DECIDE, Right.EXPORT)


def render(services: Services, person: Person) -> None:
    """Draw the page.

    Args:
        services: Of the installation.
        person: Who looks at it; may look at cases.
    """
    person.require(Right.LOOK)
    wanted = str(st.query_params.get("id") or st.session_state.get("case", ""))
    if not wanted:
        st.info("Open a case from the worklist.")
        return
    try:
        case = Cases(services.database).get(wanted)
        result, _ = read_result(Path(case.folder))
    except NoSuchCase:
        st.error("There is no such case.")
        return
    except InputRefused as refusal:
        st.error(plain(refusal.message))
        return
    reviews = visible_reviews(services.database, case.id, person.name)
    opened = _opened(services, person, case, result, reviews)
    _header(services, person, opened)
    if result.error is not None:
        st.error(f"This study could not be scored. {plain(result.error.message)} {plain(result.error.advice)}")
        about(services, opened)
        return
    _body(services, person, opened, reviews)


def _opened(services: Services, person: Person, case: Case, result: Result, reviews: Sequence[Review]) -> Opened:
    key = f"opened {case.id} {case.result_sha256}"
    if key not in st.session_state:
        reading = assignment_of(services.database, case.id, person.name)
        aided = reading is None or reading.arm == "aided"
        opened = Opened(case, result, begun(case, reviews), services.database, person.name, aided)
        opened.current = next(iter(opened.still_open or opened.called), 0)
        st.session_state[key] = opened
    known: Opened = st.session_state[key]
    known.case = case
    return known


def _header(services: Services, person: Person, opened: Opened) -> None:
    case = opened.case
    # In a study of readers everybody reads every case, whoever else has it.
    in_study = assignment_of(services.database, case.id, person.name) is not None
    if case.status in ("new", "in_review") and person.may(Right.DECIDE) and not in_study:
        taken = claim(services, person, case)
        if not taken:
            opened.case = case = Cases(services.database).get(case.id)
        else:
            st.warning(f"{plain(taken)} has this case. What you decide is kept beside what they decide.")
    columns = st.columns([1, 6, 1.2], vertical_alignment="center")
    if columns[0].button("Worklist", icon=":material/arrow_back:", shortcut="q", key="back"):
        st.switch_page(st.session_state["pages"]["worklist"])
    status = "in conflict" if case.in_conflict else status_text(case.status)
    told = f"**{plain(case.study_uid)}** · {plain(case.task)} · {status} · priority {case.priority:.2f}"
    columns[1].markdown(told)
    if columns[2].button("Keys", icon=":material/keyboard:", key="help") or pressed(["?"], "help-key"):
        _help()


@st.dialog("Keys", width="large")
def _help() -> None:
    left, right = st.columns(2)
    for column, title, keys in ((left, "Findings and decisions", KEYS), (right, "Viewer", SHORTCUTS)):
        column.markdown(f"**{title}**")
        column.table([{"Key": key, "Does": told} for key, told in keys])


def _body(services: Services, person: Person, opened: Opened, reviews: Sequence[Review]) -> None:
    try:
        with st.spinner("Preparing the images…"):
            prepared = services.viewing.prepare(opened.case)
    except InputRefused as refusal:
        st.error(f"The images cannot be shown. {plain(refusal.message)}")
        prepared = None
    rights = frozenset(right for right in _RIGHTS if person.may(right))
    token = services.tokens.grant(person, rights, opened.case.id, _TOKEN_S)
    image, panel = st.columns([7, 3])
    with panel:
        drawn = Panel(person, opened, reviews)
        findings, why, details, exports, past = st.tabs(["Findings", "Why", "About", "Report", "History"])
        with findings:
            drawn.draw()
        with why:
            reasons_why(opened, token)
        with details:
            about(services, opened)
        with exports:
            report(person, opened, token)
        with past:
            history(reviews, opened.case)
    with image:
        if prepared is not None:
            _viewer(prepared, opened, token, drawn)
        _line(opened)


def _viewer(prepared: PreparedView, opened: Opened, token: str, panel: Panel) -> None:
    view = prepared.view
    if not opened.aided:
        view = view.model_copy(update={"places": (), "heats": (), "labels": ()})
    request = ViewerRequest(
        base=f"/api/cases/{opened.case.id}",
        token=token,
        view=view,
        focus=Focus(opened.current, opened.jumps) if opened.jumps else None,
        mask=opened.draft.stand.mask,
        editable=panel.may_decide and view.editable and opened.aided,
        aided=opened.aided,
    )
    _heard(viewer(request, key=f"viewer-{opened.case.id}-{opened.case.result_sha256[:12]}"), opened, panel)


def _heard(events: ViewerEvents, opened: Opened, panel: Panel) -> None:
    if events.failed:
        st.rerun()
    if events.mask_saved is not None and events.mask_saved.mask != opened.draft.stand.mask:
        panel.take_mask(events.mask_saved)
        st.rerun()
    if events.focused is not None and events.focused != opened.current:
        opened.current = events.focused
        st.rerun()


def _line(opened: Opened) -> None:
    if not opened.aided:
        st.caption("You read this case without the network's help: add what you find.")
        return
    called = [one for one in opened.result.findings if one.positive]
    counts = Counter(words(one.label) for one in called)
    told = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())
    st.caption(f"Model {plain(opened.result.model.name)}: {plain(told) or 'nothing called'}.")
