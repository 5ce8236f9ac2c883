from pathlib import Path

from streamlit.testing.v1 import AppTest

from app.access import Role
from app.services.intake import take_in
from app.services.reading import make_plan
from app.services.services import Services
from app.store.audit_log import AuditLog
from app.store.reading_records import NewPlan, Plan
from app.store.readings import Readings
from app.store.records import Case, Decision, NewReview, Verdict
from app.store.reviews import Reviews
from app.views import compare
from tests.app.planted import plant_film
from tests.app.views.pages import page, rows_of, words_of

READER = frozenset({Role.READER})


def cases_in(here: Services, root: Path, count: int = 3) -> list[Case]:
    return [take_in(here.database, plant_film(root, seed, 32), "worker") for seed in range(count)]


def plan_for(here: Services, cases: list[Case], **changes: object) -> Plan:
    told = {"name": "**Pilot** <b>", "cases": tuple(case.id for case in cases), "readers": ("anna", "ben")}
    wanted = NewPlan.model_validate({**told, "adjudicators": ("carla",), **changes})
    return make_plan(here.database, wanted, "rita")


def read(here: Services, case: Case, reader: str, verdict: Verdict, seconds: float = 20.0) -> None:
    said = Decision(finding=0, label="effusion", verdict=verdict)
    new = {"case": case.id, "reader": reader, "result_sha256": case.result_sha256, "decisions": (said,)}
    Reviews(here.database).append(NewReview.model_validate({**new, "complete": True, "seconds": seconds}))


def tables(page: AppTest) -> list[list[dict[str, object]]]:
    return [one.value.to_dict("records") for one in page.dataframe]


def metrics(page: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in page.metric}


def test_a_plan_is_made_on_the_page(here: Services, tmp_path: Path) -> None:
    cases = cases_in(here, tmp_path)
    shown = page(compare.render, here)
    assert "no reader study yet" in words_of(shown)
    shown.text_input(key="plan_name").input("Pilot")
    shown.text_area(key="plan_readers").input("anna\n ben \n\n")
    shown.text_area(key="plan_adjudicators").input("carla")
    shown.radio(key="plan_arms").set_value("Half of the cases each: who reads which with help is drawn")
    shown.button(key="plan_make").click().run()
    assert not shown.exception
    (plan,) = Readings(here.database).all()
    assert (plan.name, plan.readers, plan.adjudicators) == ("Pilot", ("anna", "ben"), ("carla",))
    assert set(plan.cases) == {case.id for case in cases}
    assert (plan.arms, plan.made_by) == (("aided", "unaided"), "rita")
    # The page goes on with it.
    assert [row["Reader"] for row in tables(shown)[0]] == ["anna", "ben"]


def test_a_plan_that_makes_no_sense_is_told_and_not_made(here: Services, tmp_path: Path) -> None:
    cases_in(here, tmp_path)
    shown = page(compare.render, here)
    shown.text_input(key="plan_name").input("Pilot")
    shown.text_area(key="plan_readers").input("anna")
    shown.text_area(key="plan_adjudicators").input("anna")
    shown.button(key="plan_make").click().run()
    assert "adjudicators who do not read" in words_of(shown)
    assert Readings(here.database).all() == []


def test_a_reader_sees_their_own_part_alone(here: Services, tmp_path: Path) -> None:
    cases = cases_in(here, tmp_path)
    plan_for(here, cases)
    read(here, cases[0], "anna", "accepted")
    read(here, cases[0], "ben", "rejected")
    shown = page(compare.render, here, "anna", READER)
    assert not shown.exception
    assert "You are one of the readers" in words_of(shown)
    assert "with the network's help" in words_of(shown)
    assert [button.key for button in shown.button] == ["read_next"]
    assert not shown.dataframe
    assert not shown.tabs
    # The same for somebody who may do everything, and reads.
    assert not page(compare.render, here, "anna").tabs


def test_who_reads_nowhere_is_told_so(here: Services, tmp_path: Path) -> None:
    plan_for(here, cases_in(here, tmp_path))
    shown = page(compare.render, here, "dora", READER)
    assert "You read in no study" in words_of(shown)
    assert not shown.selectbox


def test_progress_agreement_and_times(here: Services, tmp_path: Path) -> None:
    cases = cases_in(here, tmp_path, 4)
    plan_for(here, cases)
    for at, case in enumerate(cases):
        read(here, case, "anna", "accepted", 10.0 + at)
        if at < 3:
            read(here, case, "ben", "rejected" if at == 0 else "accepted", 30.0)
    shown = page(compare.render, here)
    assert not shown.exception
    progress = tables(shown)[0]
    assert [(row["Reader"], row["Read"], row["Assigned"]) for row in progress] == [("anna", 4, 4), ("ben", 3, 4)]
    # Three cases with two labels each: effusion is disputed in one, mass in none.
    told = metrics(shown)
    assert told["Cases read by all"] == "3"
    assert told["Agreement"] == "83 %"
    # Both see it, neither sees it, one sees it: 2, 3 and 1 of 6. Chance agrees in (3 * 2 + 3 * 4) / 36.
    assert told["Cohen's kappa"] == f"{(5 / 6 - 0.5) / 0.5:.2f}"
    assert told["Median with help"] == "13 s"
    assert (told["Median without"], told["Help changes a case by"]) == ("none", "no pairs")
    drawn = {(row["row"], row["series"]): row["value"] for row in rows_of(shown)}
    assert drawn["effusion", "agreement"] == 2 / 3
    assert ("mass", "kappa") not in drawn


def test_names_are_shown_as_they_are(here: Services, tmp_path: Path) -> None:
    plan_for(here, cases_in(here, tmp_path), adjudicators=("*carla* <script>",))
    shown = page(compare.render, here)
    assert shown.selectbox(key="plan_chosen").options[0] == "**Pilot** <b>"
    assert r"\*carla\* \<script\>" in words_of(shown)


def test_what_is_to_be_adjudicated(here: Services, tmp_path: Path) -> None:
    cases = cases_in(here, tmp_path)
    plan_for(here, cases)
    for reader, verdict in (("anna", "accepted"), ("ben", "rejected")):
        read(here, cases[1], reader, verdict)  # type: ignore[arg-type]
    shown = page(compare.render, here, "carla", READER)
    assert not shown.exception
    (row,) = next(rows for rows in tables(shown) if rows and "Some see" in rows[0])
    assert row == {"Study": cases[1].study_uid, "All see": "nothing", "Some see": "effusion (anna)"}
    assert "waiting: 1" in words_of(shown)
    read(here, cases[1], "carla", "accepted")
    assert "Cases decided: 1, waiting: 0" in words_of(page(compare.render, here, "carla", READER))


def test_the_table_is_handed_out_and_that_is_logged(here: Services, tmp_path: Path) -> None:
    cases = cases_in(here, tmp_path, 1)
    plan = plan_for(here, cases, readers=("anna",))
    read(here, cases[0], "anna", "rejected")
    shown = page(compare.render, here)
    (button,) = shown.get("download_button")
    assert button.proto.label == "Download CSV"
    before = AuditLog(here.database).head()[0]
    button.click().run()
    (last,) = AuditLog(here.database).entries(first=before + 1)
    assert (last.who, last.action, last.subject) == ("rita", "export", f"plan:{plan.id}")


def test_closing_a_study_shows_its_readers_the_rest(here: Services, tmp_path: Path) -> None:
    plan = plan_for(here, cases_in(here, tmp_path))
    shown = page(compare.render, here)
    shown.button(key="close_plan").click().run()
    assert not shown.exception
    assert Readings(here.database).get(plan.id).closed_at is not None
    assert "You are one of the readers" not in words_of(page(compare.render, here, "anna", READER))
