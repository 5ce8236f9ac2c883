from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.store.database import Database
from app.store.queue import LeaseLost, Queue
from app.store.records import Job, JobCode, NewJob
from app.store.tables import moment_text


@pytest.fixture
def queue(database: Database) -> Queue:
    return Queue(database)


def new(key: str, **other: object) -> NewJob:
    return NewJob.model_validate({"kind": "score", "key": key, "payload": {"input": key}, **other})


def leased(queue: Queue, worker: str = "one") -> Job:
    job = queue.lease(worker, seconds=60)
    assert job is not None
    return job


def at_once(database: Database, column: str) -> None:
    """Let a time come that is waited for."""
    past = moment_text(datetime.now(UTC) - timedelta(seconds=1))
    with database.writing() as session:
        session.execute(text(f"UPDATE jobs SET {column} = :at WHERE {column} IS NOT NULL"), {"at": past})


def test_nothing_is_queued_twice_and_nothing_is_done_twice(queue: Queue) -> None:
    first = queue.add(new("a"))
    assert queue.add(new("a", priority=9)) == first
    done = queue.complete(leased(queue))
    assert queue.add(new("a")).status == "done"
    assert queue.lease("one", 60) is None
    assert queue.get(done.id).status == "done"


def test_the_most_urgent_comes_first_then_the_oldest(queue: Queue) -> None:
    for key, priority in (("b", 0), ("c", 5), ("a", 0)):
        queue.add(new(key, priority=priority))
    assert [job.key for job in queue.find("queued")] == ["c", "b", "a"]
    assert [leased(queue).key for _ in range(3)] == ["c", "b", "a"]
    assert queue.counts() == {"running": 3}


def test_a_worker_takes_what_it_can_do(queue: Queue) -> None:
    queue.add(new("a", kind="explain"))
    assert queue.lease("one", 60, kinds=("score",)) is None
    assert queue.lease("one", 60, kinds=("score", "explain")) is not None


def test_what_a_lost_worker_began_another_takes_up(queue: Queue, database: Database) -> None:
    queue.add(new("a"))
    lost = leased(queue, "lost")
    assert queue.lease("other", 60) is None
    at_once(database, "leased_until")
    taken = leased(queue, "other")
    assert (taken.id, taken.leased_by, taken.attempts) == (lost.id, "other", 2)
    # The first one comes back to life: its work is not to be kept.
    for late in (queue.complete, lambda job: queue.renew(job, 60), lambda job: queue.fail(job, "code", "why")):
        with pytest.raises(LeaseLost):
            late(lost)
    assert queue.complete(taken).status == "done"


def test_a_job_that_kills_its_workers_is_set_aside(queue: Queue, database: Database) -> None:
    queue.add(new("poison", most_attempts=2))
    queue.add(new("healthy", priority=-1))
    for _ in range(2):
        assert leased(queue).key == "poison"
        at_once(database, "leased_until")
    assert leased(queue).key == "healthy"
    (aside,) = queue.find("set_aside")
    assert (aside.key, aside.code, aside.leased_by) == ("poison", JobCode.WORKER_LOST, "")
    again = queue.retry(aside.id)
    assert (again.status, again.attempts) == ("queued", 0)


def test_a_failed_job_is_tried_again_later_each_time(queue: Queue, database: Database) -> None:
    queue.add(new("a", most_attempts=3))
    waits = []
    for _ in range(2):
        before = datetime.now(UTC)
        failed = queue.fail(leased(queue), "gpu_lost", "the device is gone")
        assert failed.status == "queued"
        waits.append((failed.not_before - before).total_seconds())
        assert queue.lease("one", 60) is None
        at_once(database, "not_before")
    assert waits[0] == pytest.approx(10, abs=2)
    assert waits[1] == pytest.approx(20, abs=2)
    last = queue.fail(leased(queue), "gpu_lost", "the device is gone")
    assert (last.status, last.code, last.message) == ("set_aside", "gpu_lost", "the device is gone")


def test_what_can_never_succeed_is_not_tried_again(queue: Queue) -> None:
    queue.add(new("a"))
    assert queue.fail(leased(queue), "missing_slice", "refused", again=False).status == "set_aside"


def test_renewing_keeps_a_job(queue: Queue, database: Database) -> None:
    queue.add(new("a"))
    job = leased(queue)
    at_once(database, "leased_until")
    queue.renew(job, 60)
    assert queue.lease("other", 60) is None
    assert queue.complete(job).status == "done"


def test_what_is_not_there_is_told(queue: Queue) -> None:
    for ask in (queue.get, queue.retry):
        with pytest.raises(LookupError):
            ask("none")
