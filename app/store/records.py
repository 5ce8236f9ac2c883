"""What the store gives and takes: plain values, without a database behind them."""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

CaseStatus = Literal["new", "in_review", "decided", "failed"]
Verdict = Literal["accepted", "modified", "rejected"]
JobStatus = Literal["queued", "running", "done", "set_aside"]


class JobCode(StrEnum):
    """Why a job was set aside, beside the codes of what it did (docs/codes.md)."""

    WORKER_LOST = "worker_lost"


def canonical(document: Any) -> str:
    """JSON that is the same for the same content: keys sorted, no blanks, no NaN."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of(document: Any) -> str:
    """Of the canonical JSON in UTF-8, in hexadecimal."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


class Record(BaseModel):
    """Frozen, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NewCase(Record):
    """A study that was scored by a task, or that could not be.

    Attributes:
        study_uid: Of the study; never a name.
        task: By name.
        modality: DICOM modality; "" where it is unknown.
        folder: Where `result.json` and its files lie.
        result_sha256: The result's digest.
        findings: Labels that were called, the likeliest first.
        flags: Codes of quality flags, the gravest first.
        priority: The higher, the sooner somebody should look.
        error: Code of why it was not scored; "" where it was.
    """

    study_uid: str
    task: str
    modality: str = ""
    folder: str
    result_sha256: str
    findings: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    priority: float = 0.0
    error: str = ""


class Case(NewCase):
    """A case on the worklist.

    Attributes:
        id: By which it is asked for.
        status: New until somebody claims or decides it.
        received_at: When it first came.
        changed_at: When anything about it changed last.
        claimed_by: Who has it in review; "" for nobody.
        claimed_until: When the claim lapses.
        reviews: How many there are.
        in_conflict: Whether two readers decided without having seen each other's, and nobody has since.
    """

    id: str
    status: CaseStatus
    received_at: datetime
    changed_at: datetime
    claimed_by: str = ""
    claimed_until: datetime | None = None
    reviews: int = 0
    in_conflict: bool = False


class Decision(Record):
    """What a reader says of one finding.

    Attributes:
        finding: Its place in the result's list, from 0; further ones are the reader's own.
        label: What it is said to be.
        verdict: As it is, changed, or not there.
        reason: Code of why it is changed or rejected.
        text: In the reader's words.
    """

    finding: int = Field(ge=0)
    label: str
    verdict: Verdict
    reason: str = ""
    text: str = ""


class NewReview(Record):
    """What a reader decided about a case.

    Attributes:
        case: Its id.
        reader: Who.
        based_on: Number of the review the reader had before them; 0 where there was none.
        result_sha256: Digest of the result they saw.
        decisions: One for each finding they decided.
        complete: Whether the case is decided with this.
        comment: On the whole case.
        mask: Name of the edited label map's file; "" where none was edited.
        mask_sha256: Of its voxels.
        seconds: How long they looked.
        aided: Whether they saw what the network said.
    """

    case: str
    reader: str = Field(min_length=1)
    based_on: int = Field(default=0, ge=0)
    result_sha256: str
    decisions: tuple[Decision, ...] = ()
    complete: bool = False
    comment: str = ""
    mask: str = ""
    mask_sha256: str = ""
    seconds: float = Field(default=0.0, ge=0.0)
    aided: bool = True


class Review(NewReview):
    """A review as it was appended; never changed.

    Attributes:
        number: Of the case's reviews, from 1.
        at: When.
        conflicts_with: Number of the latest review that the reader had not seen; 0 for none.
    """

    number: int
    at: datetime
    conflicts_with: int = 0


class NewJob(Record):
    """Something a worker is to do.

    Attributes:
        kind: What, "score".
        key: What makes it this job: the same key is never done twice.
        payload: What the worker needs to know.
        priority: The higher, the sooner.
        most_attempts: After which it is set aside.
    """

    kind: str
    key: str
    payload: dict[str, Any] = Field(default_factory=dict)
    priority: int = 0
    most_attempts: int = Field(default=3, ge=1)


class Job(NewJob):
    """A job in the queue.

    Attributes:
        id: By which it is asked for.
        status: Queued, running, done, or set aside with its reason.
        attempts: How often it was begun.
        created_at: When it came.
        not_before: When it may be begun.
        leased_by: Which worker has it; "" for none.
        leased_until: When another may take it.
        code: Why it failed last.
        message: The same in words, without patient data.
    """

    id: str
    status: JobStatus
    attempts: int
    created_at: datetime
    not_before: datetime
    leased_by: str = ""
    leased_until: datetime | None = None
    code: str = ""
    message: str = ""


class AuditEntry(Record):
    """One line of the log of who did what.

    Attributes:
        number: From 1, without gaps.
        at: When.
        who: Reader, worker or service.
        action: What was done, "review".
        subject: To what, "case:…".
        detail: What else matters; no patient data.
        previous: Hash of the line before; "" of the first.
        sha256: Of everything else here.
    """

    number: int
    at: datetime
    who: str
    action: str
    subject: str
    detail: dict[str, Any] = Field(default_factory=dict)
    previous: str
    sha256: str = ""

    def hashed(self) -> str:
        """What its hash must be."""
        return sha256_of(self.model_dump(mode="json", exclude={"sha256"}))
