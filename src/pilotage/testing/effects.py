"""Counts what really happened, in the same database: for tests that kill, pause and repeat workers."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text


class EffectCounter:
    """Each named effect with how often it was written and how many distinct idempotency keys it carried."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS effect (name text NOT NULL, key text NOT NULL)"))
            connection.execute(text("TRUNCATE effect"))

    @staticmethod
    def write(connection: Connection, name: str, key: str = "") -> None:
        """Write one effect in the caller's transaction; a repeat counts again."""
        connection.execute(text("INSERT INTO effect VALUES (:name, :key)"), {"name": name, "key": key})

    @staticmethod
    def write_once(connection: Connection, name: str, key: str) -> None:
        """Write one effect as a target with idempotency keys does: a repeat of the key changes nothing."""
        statement = text(
            "INSERT INTO effect SELECT :name, :key WHERE NOT EXISTS (SELECT 1 FROM effect WHERE key = :key)"
        )
        connection.execute(statement, {"name": name, "key": key})

    def counts(self) -> dict[str, int]:
        """Return how often each effect was written."""
        with self._engine.connect() as connection:
            rows = connection.execute(text("SELECT name, count(*) FROM effect GROUP BY name"))
            return {row[0]: row[1] for row in rows}
