"""The Core tables and the migrated database are the same schema."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from pilotage.store.tables import (
    console,
    corpora,
    evaluation,
    gates,
    ledger,
    releases,
    rollouts,
    runs,
    serving,
    shadow,
    spaces,
)
from pilotage.store.tables.metadata import metadata

pytestmark = pytest.mark.store


def _ours(_obj: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:  # partitions come and go
    return not (
        kind == "table"
        and name is not None
        and (name == "alembic_version" or name.startswith(("interaction_default", "chunk_text_")))
    )


def test_every_table_and_column_of_the_mirror_is_in_the_database_and_the_reverse(engine: Engine) -> None:
    assert {
        console.console_session,
        console.console_login,
        corpora.corpus,
        evaluation.evaluation_run,
        releases.release,
        rollouts.rollout,
        serving.interaction,
        spaces.space_health,
        ledger.ledger_entry,
        runs.run,
        gates.gate_vote,
        shadow.rollout_pair,
    } <= set(metadata.tables.values())
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "include_object": _ours}
        )
        assert compare_metadata(context, metadata) == []
