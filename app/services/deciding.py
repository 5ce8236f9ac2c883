"""A reader's decisions on a case, as they grow: each step is appended to the store at once, so that nothing is lost.

A draft is what a page holds between two steps. It is a value: every step gives another one, and undoing is a step like
any other, a new version that says what an earlier one said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.services.reasons import ReasonCode
from app.store.database import Database
from app.store.records import Case, Decision, NewReview, Review, Verdict
from app.store.reviews import Reviews
from pipelines.results import Result


@dataclass(frozen=True)
class Stand:
    """What a reader says of a case at one moment.

    Attributes:
        decisions: One a finding at most, in the order of findings.
        mask: Name of the edited mask; "" for the network's own.
        mask_sha256: Of its voxels.
        comment: On the whole case.
        complete: Whether the case is decided.
    """

    decisions: tuple[Decision, ...] = ()
    mask: str = ""
    mask_sha256: str = ""
    comment: str = ""
    complete: bool = False

    @classmethod
    def of(cls, review: Review) -> "Stand":
        """What a review says."""
        return cls(review.decisions, review.mask, review.mask_sha256, review.comment, review.complete)

    def on(self, finding: int) -> Decision | None:
        """What is decided of a finding."""
        return next((one for one in self.decisions if one.finding == finding), None)

    def decided(self, decision: Decision) -> "Stand":
        """With another decision of its finding."""
        others = [one for one in self.decisions if one.finding != decision.finding]
        return replace(self, decisions=tuple(sorted([*others, decision], key=lambda one: one.finding)))

    def without(self, finding: int) -> "Stand":
        """With no decision of a finding."""
        return replace(self, decisions=tuple(one for one in self.decisions if one.finding != finding))


@dataclass(frozen=True)
class Draft:
    """What a page holds of a case that is being decided.

    Attributes:
        case: Its id.
        result_sha256: Of the result that is seen.
        stand: What is said now.
        seen: Number of the latest review that the reader has seen; 0 for none.
        before: What was said before, the latest last; for undoing.
    """

    case: str
    result_sha256: str
    stand: Stand = Stand()
    seen: int = 0
    before: tuple[Stand, ...] = ()

    def then(self, stand: Stand) -> "Draft":
        """With something else said; what was said before can be undone to."""
        return replace(self, stand=stand, before=(*self.before, self.stand))

    def undone(self) -> "Draft":
        """With what was said a step before; itself where there was none."""
        if not self.before:
            return self
        return replace(self, stand=self.before[-1], before=self.before[:-1])


def begun(case: Case, reviews: Sequence[Review]) -> Draft:
    """A draft that goes on from the latest review of this result that the reader may see.

    Args:
        case: That is opened.
        reviews: That the reader may see, the first one first; none where they read blinded.
    """
    own = [review for review in reviews if review.result_sha256 == case.result_sha256]
    stands = [Stand.of(review) for review in own]
    return Draft(
        case.id,
        case.result_sha256,
        stands[-1] if stands else Stand(),
        own[-1].number if own else 0,
        (Stand(), *stands[:-1]) if stands else (),
    )


def open_findings(result: Result, stand: Stand) -> tuple[int, ...]:
    """Findings that are called and not yet decided."""
    return tuple(number for number, one in enumerate(result.findings) if one.positive and stand.on(number) is None)


def verdict_on(
    result: Result, finding: int, verdict: Verdict, reason: ReasonCode | None = None, text: str = ""
) -> Decision:
    """A decision on a finding of the result.

    Raises:
        ValueError: There is no such finding, or one is rejected or modified without a reason.
    """
    if not 0 <= finding < len(result.findings):
        raise ValueError(f"expected one of {len(result.findings)} findings, got {finding}")
    if verdict != "accepted" and reason is None:
        raise ValueError("expected a reason for what is rejected or modified")
    label = result.findings[finding].label
    return Decision(finding=finding, label=label, verdict=verdict, reason=reason or "", text=text)


def added(result: Result, stand: Stand, label: str, text: str = "") -> Stand:
    """With a finding that the reader saw and the network did not call."""
    numbers = [len(result.findings) - 1, *(one.finding for one in stand.decisions)]
    decision = Decision(
        finding=max(numbers) + 1, label=label, verdict="modified", reason=ReasonCode.MISSED_FINDING, text=text
    )
    return stand.decided(decision)


def saved(database: Database, draft: Draft, reader: str, seconds: float, *, aided: bool = True) -> tuple[Draft, Review]:
    """Append what a draft says.

    Args:
        database: Open.
        draft: As it is to stand.
        reader: Who.
        seconds: How long they have looked at the case until now.
        aided: Whether they see what the network says.

    Returns:
        The draft, which has seen its own review but none that came in between; and the review.

    Raises:
        NoSuchCase: There is none.
    """
    stand = draft.stand
    review = Reviews(database).append(
        NewReview(
            case=draft.case,
            reader=reader,
            based_on=draft.seen,
            result_sha256=draft.result_sha256,
            decisions=stand.decisions,
            complete=stand.complete,
            comment=stand.comment,
            mask=stand.mask,
            mask_sha256=stand.mask_sha256,
            seconds=seconds,
            aided=aided,
        )
    )
    # Whoever has not seen another's review stays in conflict until they have.
    return (draft if review.conflicts_with else replace(draft, seen=review.number)), review


def others_since(draft: Draft, reviews: Sequence[Review], reader: str) -> tuple[Review, ...]:
    """Reviews of others that came after what the draft has seen."""
    return tuple(review for review in reviews if review.number > draft.seen and review.reader != reader)
