"""Reviews: what readers decided. They are appended, each beside all that came before, and none is ever changed."""

from datetime import UTC, datetime

from sqlalchemy import func, select

from app.store.audit_log import REVIEWED, append_entry, review_sha256
from app.store.cases import row_of
from app.store.database import Database
from app.store.records import NewReview, Review, canonical
from app.store.tables import ReviewRow, moment_text


class Reviews:
    """The reviews of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, new: NewReview) -> Review:
        """Keep what a reader decided, whatever others decided meanwhile.

        Two readers who decided without having seen each other's review are in conflict. Both reviews are kept, and the
        case says so until somebody who has seen the latest decides.

        Raises:
            NoSuchCase: There is none.
            ValueError: The review says to be based on one that is not there.
        """
        now = datetime.now(UTC)
        with self._database.writing() as session:
            case = row_of(session, new.case, to_change=True)
            if new.based_on > case.reviews:
                raise ValueError(f"expected a review based on one of {case.reviews}, got {new.based_on}")
            others = select(func.max(ReviewRow.number)).where(
                ReviewRow.case_id == new.case, ReviewRow.number > new.based_on, ReviewRow.reader != new.reader
            )
            unseen = session.scalar(others) or 0
            said = Review(**new.model_dump(), number=case.reviews + 1, at=now, conflicts_with=unseen)
            document = said.model_dump(mode="json", exclude={"case", "number", "at", "reader"})
            session.add(ReviewRow(case_id=new.case, number=said.number, at=now, reader=new.reader, document=document))
            # Who has seen the latest of a conflict settles it; who has not adds to it.
            case.in_conflict = bool(unseen) or (case.in_conflict and new.based_on < case.reviews)
            case.reviews, case.changed_at = said.number, now
            case.status = "decided" if new.complete else "in_review"
            if new.complete:
                case.claimed_by, case.claimed_until = "", None
            digest = review_sha256(new.case, said.number, moment_text(now), new.reader, canonical(document))
            detail = {"case": new.case, "number": said.number, "sha256": digest}
            append_entry(session, new.reader, REVIEWED, f"case:{new.case}", detail)
            return said

    def of(self, case: str) -> list[Review]:
        """All reviews of a case, the first one first.

        Raises:
            NoSuchCase: There is none.
        """
        with self._database.reading() as session:
            row_of(session, case)
            rows = session.scalars(select(ReviewRow).where(ReviewRow.case_id == case).order_by(ReviewRow.number))
            return [review_of(row) for row in rows]

    def all(self) -> list[Review]:
        """Those of every case, in the order of time."""
        with self._database.reading() as session:
            rows = session.scalars(select(ReviewRow).order_by(ReviewRow.at, ReviewRow.case_id, ReviewRow.number))
            return [review_of(row) for row in rows]


def review_of(row: ReviewRow) -> Review:
    """What a row says."""
    return Review(case=row.case_id, number=row.number, at=row.at, reader=row.reader, **row.document)
