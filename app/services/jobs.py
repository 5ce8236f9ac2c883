"""What jobs say: the one place that knows what stands in a payload, for whoever queues them and for workers."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from app.store.database import Database
from app.store.queue import Queue
from app.store.records import Case, Job, NewJob, sha256_of

SCORE, VIEW = "score", "view"
# Somebody may be waiting for the page.
_SOON = 100


class ScoreJob(BaseModel):
    """What a job of the kind `score` says.

    Attributes:
        input: File or folder, as `denselens score` takes it.
        task: Name of a YAML in `configs/`, or the path of one.
        settings: `key=value` over the YAML.
        weights: Other weights than the task's.
        out: Output folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Path
    task: str
    settings: tuple[str, ...] = ()
    weights: str | None = None
    out: Path

    @property
    def key(self) -> str:
        """The same for the same work: asked for twice, it is done once."""
        return f"{SCORE}:{sha256_of(self.model_dump(mode='json'))}"


def queue_score(database: Database, wanted: ScoreJob, priority: int = 0) -> Job:
    """Have something scored; where that was asked for before, in whatever state it is, that job is given back."""
    absolute = wanted.model_copy(update={"input": wanted.input.resolve(), "out": wanted.out.resolve()})
    payload = absolute.model_dump(mode="json")
    return Queue(database).add(NewJob(kind=SCORE, key=absolute.key, payload=payload, priority=priority))


class ViewJob(BaseModel):
    """What a job of the kind `view` says: the images of a case are to be prepared for the page.

    Attributes:
        case: Its id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str


def queue_view(database: Database, case: Case) -> Job:
    """Have the images of a case's latest result prepared, before those that are to be scored."""
    payload = ViewJob(case=case.id).model_dump(mode="json")
    key = f"{VIEW}:{case.id}:{case.result_sha256}"
    return Queue(database).add(NewJob(kind=VIEW, key=key, payload=payload, priority=_SOON))
