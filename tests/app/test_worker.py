"""Workers on a real queue with real weights: what they score is what `score` scores, whatever becomes of them."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sqlalchemy import text

from app.cli import main
from app.services.intake import read_result
from app.services.jobs import ScoreJob, queue_score
from app.store.audit_log import AuditLog
from app.store.cases import Cases, Wanted
from app.store.database import Database, open_database
from app.store.queue import Queue
from app.store.records import NewJob
from app.worker import Worker
from datasets.phantoms import film_phantom

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'denselens.sqlite'}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    array = film_phantom(31, findings=["cardiomegaly", "effusion"]).image(256).array
    Pillow.fromarray(np.ascontiguousarray(array[0, :, :, 0].T)).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def job_for(film: Path, out: Path, **other: object) -> ScoreJob:
    return ScoreJob.model_validate({"input": film, "task": "chest_xray", "out": out, **other})


def test_a_worker_says_what_score_says(database: Database, film: Path, tmp_path: Path, url: str) -> None:
    job = queue_score(database, job_for(film, tmp_path / "queued"))
    assert main(["worker", "--database", url, "--device", "cpu", "--until-empty"]) == 0
    assert main(["score", str(film), "--task", "chest_xray", "--out", str(tmp_path / "scored")]) == 0
    (case,) = Cases(database).find(Wanted())
    result, digest = read_result(tmp_path / "scored" / "film")
    assert case.result_sha256 == read_result(tmp_path / "queued" / "film")[1]
    assert read_result(tmp_path / "queued" / "film")[0].findings == result.findings
    assert digest
    assert (case.study_uid, case.task, case.status) == ("film", "chest_xray", "new")
    assert set(case.findings) == {one.label for one in result.findings if one.positive}
    assert {"cardiomegaly", "effusion"} <= set(case.findings)
    assert Path(case.folder) == tmp_path / "queued" / "film"
    assert Queue(database).get(job.id).status == "done"
    # Asked for once more, it is not done once more.
    assert queue_score(database, job_for(film, tmp_path / "queued")).id == job.id
    assert Worker(database, "one", "cpu").work() == 0
    assert [entry.action for entry in AuditLog(database).entries()] == ["take_in"]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"task": "gout"}, "config_error"),
        ({"settings": ("no_such_key=1",)}, "config_error"),
        ({"weights": "nothing.safetensors"}, "weights_error"),
        ({"input": "nowhere.png"}, "unreadable_file"),
    ],
)
def test_what_stays_wrong_is_set_aside_with_its_code(
    database: Database, film: Path, tmp_path: Path, other: dict[str, object], code: str
) -> None:
    job = queue_score(database, job_for(film, tmp_path / "out", **other))
    assert Worker(database, "one", "cpu").work() == 1
    aside = Queue(database).get(job.id)
    assert (aside.status, aside.code, aside.attempts) == ("set_aside", code, 1)
    assert aside.message


def test_a_job_that_says_nothing_is_set_aside(database: Database) -> None:
    job = Queue(database).add(NewJob(kind="score", key="empty"))
    Worker(database, "one", "cpu").work()
    assert Queue(database).get(job.id).status == "set_aside"


def test_a_study_that_cannot_be_scored_is_on_the_worklist_with_its_reason(database: Database, tmp_path: Path) -> None:
    Pillow.fromarray(np.zeros((256, 256), np.uint8)).save(tmp_path / "blank.png")
    queue_score(database, job_for(tmp_path / "blank.png", tmp_path / "out"))
    Worker(database, "one", "cpu").work()
    (case,) = Cases(database).find(Wanted())
    assert case.status == "failed"
    assert case.error == json.loads((tmp_path / "out" / "blank" / "result.json").read_text())["error"]["code"]


def _work(url: str) -> None:
    database = open_database(url)
    # Long enough to be killed in: a second's lease, and a task that is loaded first.
    Worker(database, "killed", "cpu", lease_s=3.0).work()


def test_what_a_killed_worker_began_another_ends(url: str, database: Database, film: Path, tmp_path: Path) -> None:
    job = queue_score(database, job_for(film, tmp_path / "out"))
    process = SPAWN.Process(target=_work, args=(url,))
    process.start()
    while Queue(database).get(job.id).status == "queued":
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert Queue(database).get(job.id).status == "running"
    assert Worker(database, "other", "cpu").work() == 0
    with database.writing() as session:  # The lease lapses.
        session.execute(text("UPDATE jobs SET leased_until = created_at"))
    assert Worker(database, "other", "cpu").work() == 1
    done = Queue(database).get(job.id)
    assert (done.status, done.attempts) == ("done", 2)
    assert [case.study_uid for case in Cases(database).find(Wanted())] == ["film"]
    assert AuditLog(database).faults() == []


def test_a_lease_is_renewed_while_a_job_runs(
    database: Database, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_score(database, job_for(film, tmp_path / "out"))
    worker = Worker(database, "one", "cpu", lease_s=0.3)
    score = Worker._score

    def slowly(self: Worker, wanted: ScoreJob, lost: object) -> None:
        time.sleep(1.0)
        assert Queue(database).lease("other", 60) is None
        score(self, wanted, lost)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "_score", slowly)
    assert worker.work() == 1
    assert Queue(database).counts() == {"done": 1}
