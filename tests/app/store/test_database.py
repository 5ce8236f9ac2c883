from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.store.audit_log import AuditLog
from app.store.cases import Cases
from app.store.database import Database, open_database
from app.store.records import NewCase, NewReview
from app.store.reviews import Reviews
from app.store.tables import Moment, Table
from datasets.errors import ConfigError

CASE = NewCase(study_uid="1.2.3", task="liver_ct", folder="somewhere", result_sha256="ab")


def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": _same_type})
        assert compare_metadata(context, Table.metadata) == []


def _same_type(_context: object, _column: object, _told: object, found: object, known: object) -> bool | None:
    # A time is text on disk; what text and length it is, Alembic compares by itself.
    return str(found) != str(known.impl) if isinstance(known, Moment) else None


def test_opening_again_changes_nothing(url: str) -> None:
    first = open_database(url)
    case = Cases(first).take_in(CASE, "worker")
    first.close()
    again = open_database(url)
    assert Cases(again).get(case.id) == case
    again.close()


@pytest.mark.parametrize("url", ["mysql://somebody@somewhere/db", "not a url", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--database"):
        open_database(url)


@pytest.mark.needs("pg_lsclusters")
def test_a_database_out_of_reach_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        open_database(f"postgresql://somebody:secret@/db?host={tmp_path}")
    assert "secret" not in refused.value.message
    assert "somebody" in refused.value.message


def test_a_transaction_is_whole_or_not_at_all(database: Database) -> None:
    def half() -> None:
        with database.writing() as session:
            session.execute(text("UPDATE audit_head SET number = 5"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert AuditLog(database).head() == (0, "")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE reviews SET reader = 'somebody'",
        "DELETE FROM reviews",
        "UPDATE audit_log SET entry = '{}'",
        "DELETE FROM audit_log",
    ],
)
def test_the_database_itself_keeps_what_was_appended(database: Database, statement: str) -> None:
    case = Cases(database).take_in(CASE, "worker")
    Reviews(database).append(NewReview(case=case.id, reader="anna", result_sha256="ab"))
    with pytest.raises(DBAPIError, match="appended and never changed"), database.writing() as session:
        session.execute(text(statement))
    assert AuditLog(database).faults() == []


def test_a_reader_is_not_kept_waiting_by_a_writer(database: Database) -> None:
    Cases(database).take_in(CASE, "worker")
    with database.writing() as session:
        session.execute(text("UPDATE cases SET priority = 9"))
        with database.reading() as looking:
            assert looking.execute(text("SELECT priority FROM cases")).scalar_one() == 0.0


def test_times_are_exact(database: Database) -> None:
    case = Cases(database).take_in(CASE, "worker")
    found = Cases(database).get(case.id)
    assert found.received_at == case.received_at
    assert found.received_at.utcoffset() is not None
