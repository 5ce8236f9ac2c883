"""Alembic asks here how to reach the database: by the connection that `app.store.database` opened."""

from alembic import context

from app.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite cannot change a column; Alembic copies the table then.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
