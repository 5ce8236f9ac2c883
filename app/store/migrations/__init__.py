"""How the tables came about, step by step; Alembic runs them when a database is opened."""
