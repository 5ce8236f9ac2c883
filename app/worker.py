"""A worker: leases jobs from the store, scores what they name, and puts the results on the worklist.

A job of the kind `score` names an input, a task and an output folder, one of the kind `view` a case whose images are to
be prepared for the page. While it runs its lease is renewed; a worker that
dies leaves the job to another, which goes on where the journal of the output folder ends.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from app.services.intake import take_in
from app.services.jobs import SCORE, VIEW, ScoreJob, ViewJob, queue_view
from app.services.viewing import Viewing
from app.store.cases import Cases
from app.store.database import Database
from app.store.queue import LeaseLost, Queue
from app.store.records import Job
from datasets.errors import ConfigError, DenseLensError, InputRefused, WeightsError
from datasets.io.discover import open_inputs
from pipelines.results import FailureCode
from pipelines.run import Pipeline
from pipelines.score import many
from pipelines.task import load_task

_LOG = logging.getLogger(__name__)

# Of a pipeline: task, settings over its YAML, other weights than its own.
Asked = tuple[str, tuple[str, ...], str | None]


@dataclass
class Worker:
    """One worker; a process has one.

    Attributes:
        database: Where the jobs are.
        name: Of its own.
        device: As for `denselens score`.
        lease_s: How long a job is its own without a sign of life.
        viewing: Where the images of cases are prepared for pages; None prepares none.
    """

    database: Database
    name: str
    device: str = "auto"
    lease_s: float = 60.0
    viewing: Viewing | None = None
    _loaded: tuple[Asked, Pipeline] | None = None

    def work(self, *, stop: Callable[[], bool] = lambda: False) -> int:
        """Do jobs until there are none that may be begun, or until told to stop.

        Returns:
            How many were begun.
        """
        queue, begun = Queue(self.database), 0
        kinds = (SCORE,) if self.viewing is None else (SCORE, VIEW)
        while not stop() and (job := queue.lease(self.name, self.lease_s, kinds)) is not None:
            begun += 1
            self._do(queue, job)
        return begun

    def _do(self, queue: Queue, job: Job) -> None:
        try:
            with self._renewing(queue, job) as lost:
                if job.kind == VIEW:
                    self._view(ViewJob.model_validate(job.payload))
                else:
                    self._score(ScoreJob.model_validate(job.payload), lost)
            queue.complete(job)
        except LeaseLost:
            _LOG.warning("job %s took too long and is another worker's", job.id)
        except ValidationError:
            self._fail(queue, job, (FailureCode.CONFIG_ERROR.value, "a job that says what it wants"), again=False)
        except DenseLensError as refusal:
            # What is wrong with the input, the settings or the weights stays wrong.
            self._fail(queue, job, (_code(refusal), refusal.message), again=False)
        except Exception:  # noqa: BLE001 (the guard of this door: a job must not cost the worker)
            _LOG.exception("job %s", job.id)
            self._fail(queue, job, (FailureCode.INTERNAL_ERROR.value, "see the worker's log"), again=True)

    def _fail(self, queue: Queue, job: Job, why: tuple[str, str], *, again: bool) -> None:
        try:
            queue.fail(job, *why, again=again)
        except LeaseLost:
            _LOG.warning("job %s failed and is another worker's", job.id)

    def _score(self, wanted: ScoreJob, lost: Callable[[], bool]) -> None:
        pipeline = self._pipeline(wanted)
        with open_inputs([wanted.input]) as inventory:
            for scored in many(pipeline.task.gather(inventory.studies), pipeline, wanted.out):
                case = take_in(self.database, wanted.out / scored.entry.folder, self.name)
                if self.viewing is not None and not case.error:
                    queue_view(self.database, case)
                if lost():
                    raise LeaseLost

    def _view(self, wanted: ViewJob) -> None:
        if self.viewing is not None:
            self.viewing.prepare(Cases(self.database).get(wanted.case))

    def _pipeline(self, wanted: ScoreJob) -> Pipeline:
        """Loaded once for all jobs that ask for the same."""
        asked = (wanted.task, wanted.settings, wanted.weights)
        if self._loaded is None or self._loaded[0] != asked:
            task = load_task(wanted.task, wanted.settings)
            if wanted.weights is not None:
                task = task.model_copy(update={"weights": wanted.weights})
            # One at a time: networks are large, and jobs of a kind come in rows.
            self._loaded = None
            self._loaded = (asked, Pipeline.load(task, self.device))
        return self._loaded[1]

    @contextmanager
    def _renewing(self, queue: Queue, job: Job) -> Iterator[Callable[[], bool]]:
        """Renew the lease from another thread; what is given says whether it was lost."""
        done, lost = threading.Event(), threading.Event()

        def renew() -> None:
            while not done.wait(self.lease_s / 3.0):
                try:
                    queue.renew(job, self.lease_s)
                except LeaseLost:
                    lost.set()
                    return

        thread = threading.Thread(target=renew, name=f"lease of {job.id}", daemon=True)
        thread.start()
        try:
            yield lost.is_set
        finally:
            done.set()
            thread.join()


def _code(error: DenseLensError) -> str:
    if isinstance(error, InputRefused):
        return error.code.value
    if isinstance(error, WeightsError):
        return FailureCode.WEIGHTS_ERROR.value
    return (FailureCode.CONFIG_ERROR if isinstance(error, ConfigError) else FailureCode.INTERNAL_ERROR).value
