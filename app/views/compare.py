"""Reader studies: plans, how far they have come, how readers agree, what is to be adjudicated, and the material."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from app.access import Person, Right
from app.services.ratings import labels_there
from app.services.reading import Standing, standing_of
from app.services.services import Services
from app.services.study_material import Material, material_of
from app.services.study_table import study_table
from app.services.wording import moment_text, words
from app.store.audit_log import AuditLog
from app.store.reading_records import Plan
from app.store.readings import Readings
from app.views.agreement import draw_agreement
from app.views.new_plan import new_plan
from app.views.text import plain

_NEW = ""


def render(services: Services, person: Person) -> None:
    """Draw the page: all plans to who does research, to others those in which they read or adjudicate.

    Args:
        services: Of the installation.
        person: Who looks at it.
    """
    st.header("Reader studies", anchor=False)
    plans = [one for one in Readings(services.database).all() if _concerns(one, person)]
    may_make = person.may(Right.RESEARCH)
    if not plans and not may_make:
        st.info("You read in no study. Whoever plans one names its readers.")
        return
    plan = _chosen(plans, may_make=may_make)
    if plan is None:
        if not plans:
            st.info("There is no reader study yet. Several readers who do not see each other's reviews begin here.")
        new_plan(services, person)
        return
    standing = standing_of(services.database, plan.id)
    _describe(standing)
    _own_part(standing, person)
    if _is_blind(standing, person):
        st.info("You are one of the readers. What others said is shown here once every case was read by all.")
        return
    if may_make or person.name in plan.adjudicators:
        _results(services, person, plan)


def _concerns(plan: Plan, person: Person) -> bool:
    return person.may(Right.RESEARCH) or person.name in (*plan.readers, *plan.adjudicators)


def _chosen(plans: Sequence[Plan], *, may_make: bool) -> Plan | None:
    known = {one.id: one for one in plans}
    options = [*known, _NEW] if may_make else list(known)
    made = st.session_state.pop("plan_made", None)
    if made in options:
        st.session_state["plan_chosen"] = made
    if "plan_chosen" in st.session_state and st.session_state["plan_chosen"] not in options:
        del st.session_state["plan_chosen"]
    names = {one.id: one.name + ("" if one.closed_at is None else " (closed)") for one in plans}
    if len(options) == 1 and not known:
        return None
    chosen = st.selectbox(
        "Study", options, format_func=lambda plan: names.get(plan, "Plan a new one …"), key="plan_chosen"
    )
    return known.get(chosen)


def _describe(standing: Standing) -> None:
    plan = standing.plan
    arms = "both with and without the network's help" if len(plan.arms) > 1 else f"{_arm(plan.arms[0])}"
    ended = "" if plan.closed_at is None else f" Closed on {moment_text(plan.closed_at)}."
    st.caption(
        f"Made by {plain(plan.made_by)} on {plain(moment_text(plan.made_at))}. {len(plan.cases)} cases, "
        f"{len(plan.readers)} readers, {arms}. Seed {plan.seed}.{plain(ended)}"
    )


def _arm(arm: str) -> str:
    return "with the network's help" if arm == "aided" else "without the network's help"


def _is_blind(standing: Standing, person: Person) -> bool:
    return person.name in standing.plan.readers and standing.plan.closed_at is None and not standing.complete


def _own_part(standing: Standing, person: Person) -> None:
    own, left = standing.of(person.name), standing.unread_by(person.name)
    if not own:
        return
    st.progress((len(own) - len(left)) / len(own), f"You have read {len(own) - len(left)} of {len(own)} cases.")
    if left and standing.plan.closed_at is None:
        if st.button("Read the next case", type="primary", key="read_next"):
            _open(left[0].case)
        st.caption(f"It is number {left[0].position} in your order, {_arm(left[0].arm)}.")


def _results(services: Services, person: Person, plan: Plan) -> None:
    material = material_of(services.database, plan.id)
    progress, agreement, adjudication, table = st.tabs(["Progress", "Agreement", "Adjudication", "Material"])
    with progress:
        _progress(services, person, material.standing)
    with agreement:
        draw_agreement(services, material)
    with adjudication:
        _adjudication(person, material)
    with table:
        _material(services, person, material)


def _progress(services: Services, person: Person, standing: Standing) -> None:
    rows = []
    for reader in sorted(standing.plan.readers):
        own, left = standing.of(reader), standing.unread_by(reader)
        aided = sum(one.arm == "aided" for one in own)
        rows.append(
            {
                "Reader": reader,
                "Progress": (len(own) - len(left)) / len(own),
                "Read": len(own) - len(left),
                "Assigned": len(own),
                "With help": aided,
                "Without": len(own) - aided,
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        column_config={"Progress": st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0)},
    )
    if standing.plan.closed_at is None and person.may(Right.RESEARCH):
        with st.popover("Close this study"):
            st.write("Nobody reads for it any more, and its readers see each other's reviews. This cannot be undone.")
            if st.button("Close it", type="primary", key="close_plan"):
                Readings(services.database).close(standing.plan.id, person.name)
                st.rerun()


def _adjudication(person: Person, material: Material) -> None:
    standing = material.standing
    if not standing.plan.adjudicators:
        st.info("This study has no adjudicator.")
        return
    told = f"Cases decided: {len(standing.adjudications)}, waiting: {len(standing.to_adjudicate)}."
    st.write(f"{told} Adjudicators: {plain(', '.join(sorted(standing.plan.adjudicators)))}.")
    if not standing.to_adjudicate:
        st.info("No case waits. A case comes here once all its readers have read it.")
        return
    rows = [_to_adjudicate(material, case) for case in standing.to_adjudicate]
    chosen = st.dataframe(
        rows, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", key="to_adjudicate"
    )
    picked = chosen["selection"]["rows"]
    if person.name in standing.plan.adjudicators and st.button(
        "Open case", type="primary", disabled=not picked, key="open_to_adjudicate"
    ):
        _open(standing.to_adjudicate[picked[0]])


def _to_adjudicate(material: Material, case: str) -> dict[str, str]:
    readers, findings = sorted(material.standing.plan.readers), material.findings.get(case, ())
    said = {reader: labels_there(material.standing.readings[reader, case], findings) for reader in readers}
    agreed = frozenset.intersection(*said.values())
    differ = frozenset.union(*said.values()) - agreed
    disputed = [
        f"{words(label)} ({', '.join(reader for reader in readers if label in said[reader])})"
        for label in sorted(differ)
    ]
    return {
        "Study": material.cases[case].study_uid,
        "All see": ", ".join(words(label) for label in sorted(agreed)) or "nothing",
        "Some see": "; ".join(disputed) or "nothing else",
    }


def _material(services: Services, person: Person, material: Material) -> None:
    plan = material.standing.plan
    st.write("One table: a row for each reader, case and finding, with verdicts, reasons and seconds.")
    pseudonymous = st.toggle("Readers as numbers instead of names", value=True, key="pseudonymous")
    missing = len(plan.cases) - len(material.results)
    if missing:
        st.warning(f"{missing} cases have no result any more, or another one; their findings are not in the table.")
    table = study_table(material.standing, material.cases, material.findings, pseudonymous=pseudonymous)
    st.download_button(
        "Download CSV",
        table,
        f"reader-study-{plan.id[:8]}.csv",
        "text/csv",
        on_click=partial(_note_export, services, person, plan),
        key="download_material",
    )


def _note_export(services: Services, person: Person, plan: Plan) -> None:
    AuditLog(services.database).note(person.name, "export", f"plan:{plan.id}", {"format": "csv"})


def _open(case: str) -> None:
    st.session_state["case"] = case
    st.switch_page(st.session_state["pages"]["case"], query_params={"id": case})
