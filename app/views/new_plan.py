"""A form by which somebody makes a reading plan."""

import streamlit as st
from pydantic import ValidationError

from app.access import Person
from app.services.reading import make_plan
from app.services.services import Services
from app.services.wording import status_text
from app.store.cases import Cases, Wanted
from app.store.reading_records import Arm, NewPlan

_ARMS: dict[str, tuple[Arm, ...]] = {
    "With the network's help": ("aided",),
    "Without it": ("unaided",),
    "Half of the cases each: who reads which with help is drawn": ("aided", "unaided"),
}
_MOST = 2000


def new_plan(services: Services, person: Person) -> None:
    """Draw the form; once a plan is made the page begins again with it.

    Args:
        services: Of the installation.
        person: In whose name the plan is made.
    """
    database = services.database
    tasks = Cases(database).tasks()
    if not tasks:
        st.info("There are no cases to read yet. Score studies, or upload some, and they can be read here.")
        return
    task = st.selectbox("Task", tasks, key="plan_task")
    cases = [one for one in Cases(database).find(Wanted(tasks=(task,), order="received", most=_MOST)) if not one.error]
    names = {one.id: f"{one.study_uid} ({status_text(one.status)})" for one in cases}
    with st.form("new_plan", border=False):
        name = st.text_input("Name of the study", key="plan_name", max_chars=255)
        every = st.checkbox(f"All {len(cases)} cases of the task", value=True, key="plan_all")
        chosen = st.multiselect(
            "Or these cases", list(names), format_func=lambda case: names[case], key=f"plan_cases_{task}"
        )
        columns = st.columns(2)
        readers = columns[0].text_area(
            "Readers", key="plan_readers", help="As their login names them, one a line.", height=110
        )
        adjudicators = columns[1].text_area(
            "Adjudicators",
            key="plan_adjudicators",
            help="They decide once all have read. They do not read.",
            height=110,
        )
        arms = st.radio("They read", list(_ARMS), key="plan_arms")
        seed = st.number_input(
            "Seed", value=0, step=1, key="plan_seed", help="The same seed draws the same order and the same arms."
        )
        if not st.form_submit_button("Make the plan", type="primary", key="plan_make"):
            return
    wanted = {
        "name": name.strip(),
        "cases": tuple(names) if every else tuple(chosen),
        "readers": _lines(readers),
        "adjudicators": _lines(adjudicators),
        "arms": _ARMS[arms],
        "seed": int(seed),
    }
    try:
        plan = make_plan(database, NewPlan.model_validate(wanted), person.name)
    except ValidationError:
        st.error("A plan needs a name, a case and a reader; each reader once; and adjudicators who do not read.")
        return
    st.session_state["plan_made"] = plan.id
    st.rerun()


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
