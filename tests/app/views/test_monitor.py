from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.access import Role
from app.services.intake import take_in
from app.services.services import Services
from app.store import cases as store_cases
from app.store.records import Case, Decision, NewReview, Verdict
from app.store.reviews import Reviews
from app.views import monitor
from pipelines.results import FlagCode, flag
from tests.app.planted import plant_failure, plant_film
from tests.app.reader_study import finding
from tests.app.views.pages import page, rows_of, words_of


def plant(here: Services, root: Path, count: int, verdict: Verdict = "accepted", **changes: object) -> list[Case]:
    cases = []
    for _ in range(count):
        seed = len(list((root / "results").glob("*"))) if (root / "results").is_dir() else 0
        case = take_in(here.database, plant_film(root, seed, 32, **changes), "worker")
        said = Decision(finding=0, label="effusion", verdict=verdict)
        new = NewReview(case=case.id, reader="anna", result_sha256=case.result_sha256, decisions=(said,), complete=True)
        Reviews(here.database).append(new)
        cases.append(case)
    return cases


def metrics(page: AppTest) -> dict[str, str]:
    return {one.label: one.value for one in page.metric}


def test_an_empty_store_says_what_will_be_here(here: Services) -> None:
    shown = page(monitor.render, here)
    assert not shown.exception
    assert "nothing to monitor yet" in words_of(shown)
    assert not shown.metric


def test_who_does_no_research_sees_nothing(here: Services) -> None:
    shown = page(monitor.render, here, roles=frozenset({Role.READER}))
    assert [one.value for one in shown.exception]
    assert not shown.metric


def test_what_readers_decided_stands_in_numbers(here: Services, tmp_path: Path) -> None:
    for verdict, count in (("accepted", 6), ("modified", 3), ("rejected", 1)):
        plant(here, tmp_path, count, verdict)  # type: ignore[arg-type]
    take_in(here.database, plant_failure(tmp_path), "worker")
    shown = page(monitor.render, here)
    assert not shown.exception
    assert metrics(shown) == {
        "Cases": "11",
        "Decided": "10",
        "Not scored": "1",
        "Findings accepted": "60 %",
        "Findings modified": "30 %",
        "Findings rejected": "10 %",
    }
    assert "All cases came on one day" in words_of(shown)


def test_a_share_of_few_is_not_told(here: Services, tmp_path: Path) -> None:
    plant(here, tmp_path, 4)
    shown = page(monitor.render, here)
    assert metrics(shown)["Findings accepted"] == "too few"
    assert "No week has 5 decided findings yet." in words_of(shown)


def test_filters_leave_out_the_rest(here: Services, tmp_path: Path) -> None:
    plant(here, tmp_path, 3)
    plant(here, tmp_path, 2, task="chest_pneumonia")
    shown = page(monitor.render, here)
    assert metrics(shown)["Cases"] == "5"
    shown.selectbox(key="monitor_task").select("chest_pneumonia").run()
    assert metrics(shown)["Cases"] == "2"
    assert shown.selectbox(key="monitor_model").options == ["All", "planted abababab"]


def test_scores_that_moved_are_told(here: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return now - timedelta(days=7)

    def scored(p: float) -> None:
        for at in range(30):
            plant(here, tmp_path, 1, findings=(finding("effusion", p + at * 1e-3), finding("mass", 0.1 + at * 1e-3)))

    # Only the clock of the store stands a week behind.
    with monkeypatch.context() as then:
        then.setattr(store_cases, "datetime", Earlier)
        scored(0.6)
    scored(0.8)
    shown = page(monitor.render, here)
    shown.date_input[0].set_value(now.date()).run()
    assert not shown.exception
    rows = {row["row"]: row for row in rows_of(shown) if row["series"] in ("moved", "no more than chance")}
    assert rows["effusion (chest_xray)"]["series"] == "moved"
    assert rows["mass (chest_xray)"]["series"] == "no more than chance"
    assert rows["mass (chest_xray)"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_results_that_are_gone_are_counted_and_flags_drawn(here: Services, tmp_path: Path) -> None:
    cases = plant(here, tmp_path, 6, quality=(flag(FlagCode.LOOKS_CROPPED, "warning", "m"),))
    (Path(cases[0].folder) / "result.json").unlink()
    shown = page(monitor.render, here)
    assert "Left out: 1 of 6 cases" in words_of(shown)
    drawn = [row for row in rows_of(shown) if row.get("series") == "looks cropped"]
    assert [(row["value"], row["of"]) for row in drawn] == [(1.0, 5)]
