"""Migrations form one chain: two branches merged side by side would leave a database that cannot be migrated."""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory


def test_there_is_one_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "pilotage.store:migrations")
    heads = ScriptDirectory.from_config(config).get_heads()
    assert len(heads) == 1, f"Let one of {', '.join(heads)} come after the other: its down_revision."
