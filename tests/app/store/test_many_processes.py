"""Readers and workers in processes of their own, all at once: nothing is lost, nothing is done twice."""

import multiprocessing
from collections import Counter

import pytest

from app.store.audit_log import AuditLog
from app.store.cases import Cases
from app.store.database import open_database
from app.store.queue import Queue
from app.store.records import NewCase, NewJob, NewReview
from app.store.reviews import Reviews

SPAWN = multiprocessing.get_context("spawn")


def decide(url: str, case: str, reader: str, decisions: int) -> None:
    database = open_database(url)
    reviews = Reviews(database)
    for number in range(decisions):
        reviews.append(NewReview(case=case, reader=reader, result_sha256="sha", comment=str(number)))
    database.close()


def work(url: str, worker: str) -> None:
    database = open_database(url)
    queue, log = Queue(database), AuditLog(database)
    while (job := queue.lease(worker, 60)) is not None:
        log.note(worker, "score", job.key)
        queue.complete(job)
    database.close()


def together(target: object, arguments: list[tuple[object, ...]]) -> None:
    processes = [SPAWN.Process(target=target, args=one) for one in arguments]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def decided_by_all(url: str, readers: int, decisions: int) -> None:
    database = open_database(url)
    case = Cases(database).take_in(NewCase(study_uid="1", task="t", folder="f", result_sha256="sha"), "w").id
    together(decide, [(url, case, f"reader {n}", decisions) for n in range(readers)])
    kept = Reviews(database).of(case)
    assert [review.number for review in kept] == list(range(1, readers * decisions + 1))
    for reader in range(readers):
        own = [review.comment for review in kept if review.reader == f"reader {reader}"]
        assert own == [str(number) for number in range(decisions)]
    assert AuditLog(database).faults() == []
    assert AuditLog(database).head()[0] == readers * decisions + 1
    database.close()


def test_no_decision_is_lost(url: str) -> None:
    decided_by_all(url, readers=3, decisions=15)


@pytest.mark.slow
def test_no_decision_of_many_is_lost(url: str) -> None:
    decided_by_all(url, readers=8, decisions=200)


def test_no_job_is_done_twice(url: str) -> None:
    database = open_database(url)
    for number in range(30):
        Queue(database).add(NewJob(kind="score", key=f"job {number}"))
    together(work, [(url, f"worker {n}") for n in range(3)])
    done = Counter(entry.subject for entry in AuditLog(database).entries())
    assert done == {f"job {number}": 1 for number in range(30)}
    assert Queue(database).counts() == {"done": 30}
    database.close()


def test_a_database_is_made_once_by_whoever_comes_first(url: str) -> None:
    together(work, [(url, f"worker {n}") for n in range(3)])
    database = open_database(url)
    assert AuditLog(database).faults() == []
    database.close()
