"""A log in memory, and a fresh database with keys and a home for each test that needs one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pilotage.adapters.keyring import Keyring
from pilotage.core.ids import PrincipalId, new_ulid
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.store.engine import make_engine, parse_url, psycopg_url
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.ledger import LedgerHome


@pytest.fixture
def fresh_url(server_url: str, template_database: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test."""
    name = f"pilotage_ledger_{secrets.token_hex(6)}"
    with psycopg.connect(psycopg_url(server_url), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template_database))
        )
        yield parse_url(server_url).set(database=name).render_as_string(hide_password=False)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def ledger(fresh_url: str, tmp_path: Path) -> Iterator[LedgerHome]:
    """An empty ledger."""
    engine = make_engine(fresh_url)
    yield LedgerHome(home=tmp_path, engine=engine, keyring=Keyring.open(tmp_path, {}, create=True))
    engine.dispose()


@pytest.fixture
def entry_of() -> Callable[[int], EncodedEntry]:
    """Make the nth example entry."""
    clock = SimulatedClock()

    def make(number: int, kind: EntryKind = EntryKind.WORKSPACE_CHANGED) -> EncodedEntry:
        return encode_entry(
            id=new_ulid(clock.now(), entropy=hashlib.sha256(str(number).encode()).digest()[:10]),
            kind=kind,
            at=clock.now(),
            actor="system:test",
            subject=f"thing-{number}",
            data={"number": number},
        )

    return make


@pytest.fixture
def admin() -> Principal:
    """A person who may change keys and disclose."""
    roles = frozenset({Role.WORKSPACE_ADMIN, Role.AUDITOR})
    return Principal(
        id=PrincipalId("local|ana.silva"), kind=PrincipalKind.PERSON, label="Ana Silva", via="local", roles=roles
    )
