"""A case as one window has it open, and the steps that its reader takes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.services.deciding import Draft, Stand, open_findings, saved
from app.store.database import Database
from app.store.records import Case, Decision, Review
from pipelines.results import Result


@dataclass
class Opened:
    """A case that is open.

    Attributes:
        case: As the store had it when it was last drawn.
        result: What the network said.
        draft: What the reader says.
        database: Where each step is kept at once.
        reader: Who.
        aided: Whether they see what the network says.
        since: When it was opened, seconds of a clock that only goes on.
        current: Which finding is looked at.
        jumps: How often the viewer was told to jump.
    """

    case: Case
    result: Result
    draft: Draft
    database: Database
    reader: str
    aided: bool = True
    since: float = field(default_factory=time.monotonic)
    current: int = 0
    jumps: int = 0

    @property
    def called(self) -> tuple[int, ...]:
        """Findings that the network calls; none where the reader does not see what it says."""
        if not self.aided:
            return ()
        return tuple(number for number, one in enumerate(self.result.findings) if one.positive)

    @property
    def still_open(self) -> tuple[int, ...]:
        """Findings that are called, seen and not yet decided."""
        return open_findings(self.result, self.draft.stand) if self.aided else ()

    def look(self, number: int) -> None:
        """Turn to a finding; the image jumps to it."""
        self.current, self.jumps = number, self.jumps + 1

    def move(self, by: int) -> None:
        """Turn to the next or the previous of the called findings, round and round."""
        called = self.called
        at = called.index(self.current) if self.current in called else 0
        self.look(called[(at + by) % len(called)])

    def decide(self, decision: Decision) -> None:
        """Decide a finding, and turn to the next that is open."""
        self.step(self.draft.stand.decided(decision))
        still_open = self.still_open
        if still_open:
            self.look(next((number for number in still_open if number > decision.finding), still_open[0]))

    def step(self, stand: Stand) -> None:
        """Say something else."""
        self.draft = self.draft.then(stand)
        self._save()

    def finish(self) -> None:
        """Decide the case as it stands."""
        self.step(replace(self.draft.stand, complete=True))

    def undo(self) -> None:
        """Say again what was said a step before."""
        self.draft = self.draft.undone()
        self._save()

    def take_note(self, review: Review, reviews: Sequence[Review], *, theirs: bool) -> None:
        """Go on after another reader's review, which settles the conflict.

        Args:
            review: Theirs, that was shown.
            reviews: All of the case.
            theirs: Whether what they said stands from now on, or what this reader said.
        """
        seen = max(one.number for one in reviews if one.number <= review.number or one.reader == self.reader)
        stand = Stand.of(review) if theirs else self.draft.stand
        self.draft = replace(self.draft.then(stand), seen=seen)
        self._save()

    def _save(self) -> None:
        # Before anything is drawn: what the page shows as decided is in the store.
        seconds = time.monotonic() - self.since
        self.draft, _ = saved(self.database, self.draft, self.reader, seconds, aided=self.aided)
