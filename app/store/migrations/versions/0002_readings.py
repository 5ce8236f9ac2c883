"""Reading plans, and who reads what."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of reader studies."""
    op.create_table(
        "reading_plans",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("made_at", sa.String(27), nullable=False),
        sa.Column("made_by", sa.String(255), nullable=False),
        sa.Column("closed_at", sa.String(27)),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reading_plans"),
    )
    op.create_table(
        "reading_assignments",
        sa.Column("plan_id", sa.String(32), nullable=False),
        sa.Column("reader", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("case_id", sa.String(32), nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "reader", "position", name="pk_reading_assignments"),
        sa.ForeignKeyConstraint(["plan_id"], ["reading_plans.id"], name="fk_reading_assignments_plan_id_reading_plans"),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name="fk_reading_assignments_case_id_cases"),
    )
    op.create_index("ix_reading_assignments_case_id", "reading_assignments", ["case_id"])
    _keep_assignments()


def _keep_assignments() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER reading_assignments_no_{action.lower()} BEFORE {action} ON reading_assignments "
                "BEGIN SELECT RAISE(ABORT, 'rows of reading_assignments are appended and never changed'); END"
            )
        return
    # The function is the first migration's.
    op.execute(
        "CREATE TRIGGER reading_assignments_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON reading_assignments "
        "FOR EACH STATEMENT EXECUTE FUNCTION denselens_appended()"
    )
