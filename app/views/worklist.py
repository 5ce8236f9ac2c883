"""The worklist: which cases there are, which need somebody first, and who has them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import streamlit as st

from app.access import Person, Right
from app.components.files import ticker
from app.services.news import worklist_state
from app.services.services import Services
from app.services.wording import status_text
from app.store.cases import Cases, ClaimedByAnother, Wanted
from app.store.queue import Queue
from app.store.records import Case, CaseStatus, sha256_of
from app.views.text import plain

_STATUSES: tuple[CaseStatus, ...] = ("new", "in_review", "decided", "failed")
_ORDERS: dict[Literal["priority", "received", "changed"], str] = {
    "priority": "Most urgent first",
    "received": "Latest received first",
    "changed": "Latest changed first",
}
_PAGE = 50
_NOTHING_YET = (
    "There is no case yet. Score studies with `denselens score`, then open their results here: "
    "`denselens review RESULTS`. Or upload a study, if you may."
)


def render(services: Services, person: Person) -> None:
    """Draw the page.

    Args:
        services: Of the installation.
        person: Who looks at it.
    """
    token = services.tokens.grant(person, frozenset({Right.LIST}))
    # Before the cases are read: what changes meanwhile is news.
    state = worklist_state(services.database)
    _table(services, person, _filters(services))
    ticker("/api/worklist/state", token, state, key="worklist-news")


def _filters(services: Services) -> Wanted:
    columns = st.columns([3, 2, 2, 2, 1.4], vertical_alignment="bottom")
    text = columns[0].text_input("Search", placeholder="Study identifier or finding", key="search")
    statuses = columns[1].multiselect("Status", _STATUSES, format_func=status_text, key="statuses")
    tasks = columns[2].multiselect("Task", Cases(services.database).tasks(), key="tasks")
    order = columns[3].selectbox("Order", list(_ORDERS), format_func=lambda name: _ORDERS[name], key="order")
    in_conflict = columns[4].toggle("In conflict", key="in_conflict", help="Two readers decided without each other")
    page = int(st.session_state.get("page", 0))
    asked = (text, tuple(statuses), tuple(tasks), order, in_conflict)
    if st.session_state.get("asked") != asked:
        st.session_state["asked"], st.session_state["page"] = asked, 0
        page = 0
    return Wanted(statuses, tasks, text.strip(), in_conflict, order, _PAGE, page * _PAGE)


def _table(services: Services, person: Person, wanted: Wanted) -> None:
    cases = Cases(services.database)
    found, counts = cases.find(wanted), cases.counts(wanted)
    _counts(counts, Queue(services.database).counts())
    if not found:
        st.info("No case fits these filters." if sum(counts.values()) or wanted.skip else _NOTHING_YET)
        return
    chosen = st.dataframe(
        [_row(case) for case in found],
        # A row that was selected is a place in the list: when other cases stand there, it is selected no more.
        key=f"cases-{sha256_of([case.id for case in found])[:16]}",
        hide_index=True,
        width="stretch",
        height=min(36 * (len(found) + 1) + 4, 640),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Priority": st.column_config.ProgressColumn(format="%.2f", min_value=0.0, max_value=3.3, width="small"),
            "Received": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", width="small"),
        },
    )
    _pages(wanted, len(found))
    rows = chosen["selection"]["rows"]
    _actions(services, person, found[rows[0]] if rows and rows[0] < len(found) else None, found)


def _counts(counts: dict[str, int], jobs: dict[str, int]) -> None:
    told = [f"**{counts.get(status, 0)}** {status_text(status)}" for status in _STATUSES]
    waiting, running, aside = (jobs.get(name, 0) for name in ("queued", "running", "set_aside"))
    if waiting or running:
        told.append(f"**{waiting + running}** jobs waiting or running")
    if aside:
        told.append(f"**{aside}** jobs set aside")
    st.markdown(" · ".join(told))


def _row(case: Case) -> dict[str, Any]:
    return {
        "Priority": case.priority,
        "Study": case.study_uid,
        "Task": case.task,
        "Modality": case.modality,
        "Findings": ", ".join(name.replace("_", " ") for name in case.findings) or "none called",
        "Flags": ", ".join(flag.replace("_", " ") for flag in case.flags),
        "Status": "in conflict" if case.in_conflict else status_text(case.status),
        "With": case.claimed_by,
        "Reviews": case.reviews,
        "Received": case.received_at,
    }


def _pages(wanted: Wanted, found: int) -> None:
    if wanted.skip == 0 and found < wanted.most:
        return
    page = wanted.skip // wanted.most
    columns = st.columns([1, 1, 6], vertical_alignment="center")
    if columns[0].button("Previous", disabled=page == 0, key="previous"):
        st.session_state["page"] = page - 1
        st.rerun()
    if columns[1].button("Next", disabled=found < wanted.most, key="next"):
        st.session_state["page"] = page + 1
        st.rerun()
    columns[2].caption(f"Cases {wanted.skip + 1} to {wanted.skip + found}")


def _actions(services: Services, person: Person, case: Case | None, found: Sequence[Case]) -> None:
    columns = st.columns([1.4, 1.8, 1.2, 6], vertical_alignment="center")
    if person.may(Right.LOOK):
        mine = (
            one for one in found if one.status == "new" or (one.status, one.claimed_by) == ("in_review", person.name)
        )
        first = next(mine, None)
        if columns[0].button("Open case", type="primary", disabled=case is None, shortcut="Enter", key="open"):
            _open(case)
        if columns[1].button("Open most urgent", disabled=first is None, shortcut="o", key="open_first"):
            _open(first)
    if case is not None and case.claimed_by == person.name:
        if columns[2].button("Release", key="release"):
            Cases(services.database).release(case.id, person.name)
            st.rerun()
    elif case is not None and case.claimed_by:
        columns[3].caption(f"{plain(case.claimed_by)} has this case until {_clock(case.claimed_until)}.")
        if person.may(Right.MANAGE) and columns[2].button("Take over", key="take_over"):
            Cases(services.database).release(case.id, case.claimed_by)
            claim(services, person, case)
            st.rerun()


def _open(case: Case | None) -> None:
    if case is not None:
        st.session_state["case"] = case.id
        st.switch_page(st.session_state["pages"]["case"], query_params={"id": case.id})


def claim(services: Services, person: Person, case: Case) -> str:
    """Take a case into review.

    Returns:
        Who has it instead; "" where it is this person's now.
    """
    try:
        Cases(services.database).claim(case.id, person.name)
    except ClaimedByAnother as taken:
        return taken.reader
    return ""


def _clock(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%H:%M UTC")
