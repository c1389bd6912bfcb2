"""The schema's history: one Alembic revision per file, its SQL beside it."""
