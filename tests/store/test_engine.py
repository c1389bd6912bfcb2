"""A server that cannot be trusted with decisions is refused at start, with what to change."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from pilotage.core.errors import Unavailable, UsageError
from pilotage.store import disk
from pilotage.store import engine as engines
from pilotage.store.disk import refuse_writes_when_full, require_room
from pilotage.store.engine import ServerFacts, check_listening, check_server, make_engine, parse_url, psycopg_url
from pilotage.testing.network import forwarded

pytestmark = pytest.mark.store


def test_an_error_of_the_database_repeats_nothing_that_was_typed(engine: Engine) -> None:
    mine = make_engine(engine.url.render_as_string(hide_password=False))
    with pytest.raises(DBAPIError) as failed, mine.connect() as connection:
        connection.execute(text("SELECT :typed, 1 / 0"), {"typed": "DE89370400440532013000"})
    mine.dispose()
    assert "DE89" not in str(failed.value)


def test_a_good_server_says_what_it_is(engine: Engine) -> None:
    facts = check_server(engine)
    assert facts.major >= 15
    assert re.fullmatch(r"\d+(\.\d+)+", facts.version)
    assert facts.fsync


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (ServerFacts(version="14.9", major=14, fsync=True, checksums=True), "STORE_TOO_OLD"),
        (ServerFacts(version="17.1", major=17, fsync=False, checksums=True), "STORE_NOT_DURABLE"),
    ],
)
def test_an_old_or_forgetful_server_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, facts: ServerFacts, code: str
) -> None:
    monkeypatch.setattr(engines, "server_facts", lambda _engine: facts)
    with pytest.raises(Unavailable) as refused:
        check_server(engine)
    assert refused.value.code == code


def test_an_address_without_a_server_is_unavailable_and_its_password_stays_secret() -> None:
    engine = make_engine("postgresql://bank:s3cret@127.0.0.1:1/none")
    with pytest.raises(Unavailable) as refused:
        check_server(engine)
    assert refused.value.code == "STORE_UNREACHABLE"
    assert "127.0.0.1:1/none" in refused.value.message
    assert "s3cret" not in str(refused.value)
    with pytest.raises(Unavailable):
        check_listening("postgresql://bank:s3cret@127.0.0.1:1/none")


@pytest.mark.parametrize("url", ["mysql://h/d", "not an address", "sqlite:///x"])
def test_only_postgresql_addresses_are_read(url: str) -> None:
    with pytest.raises(UsageError, match="postgresql://user"):
        parse_url(url)


@pytest.mark.parametrize("url", ["postgres://u:p@h:5/d", "postgresql://u:p@h:5/d", "postgresql+psycopg://u:p@h:5/d"])
def test_every_usual_spelling_of_an_address_is_read(url: str) -> None:
    signs = "keepalives_count=3&keepalives_idle=5&keepalives_interval=2&tcp_user_timeout=10000"
    address, _, query = psycopg_url(url).partition("?")
    assert (address, "&".join(sorted(query.split("&")))) == ("postgresql://u:p@h:5/d", signs)


def test_what_an_address_says_itself_about_signs_of_life_stays() -> None:
    url = psycopg_url("postgresql://h/d?tcp_user_timeout=700")
    assert ("tcp_user_timeout=700" in url, "10000" in url, "keepalives_idle=5" in url) == (True, False, True)
    assert psycopg_url(url) == url


def _ends_without_an_answer_ms(descriptor: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as wire:
        return wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_a_connection_over_a_network_that_is_gone_ends_in_ten_seconds(database_url: str) -> None:
    with forwarded(database_url, ["127.0.0.1"]) as (url,):
        with psycopg.connect(psycopg_url(url)) as connection:
            assert _ends_without_an_answer_ms(connection.fileno()) == 10_000
        for limit_ms, patience_ms in ((2_000, 10_000), (60_000, 60_000)):  # a large write may wait for a lock so long
            mine = make_engine(url, pool_size=1, statement_timeout_ms=limit_ms)
            with mine.connect() as pooled:
                wire: Any = pooled.connection.driver_connection
                assert _ends_without_an_answer_ms(wire.fileno()) == patience_ms
            mine.dispose()


def test_statements_end_after_their_timeout_and_time_is_utc(database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1, statement_timeout_ms=50)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
        with pytest.raises(DBAPIError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(5)"))
    engine.dispose()


def test_a_direct_address_hears_its_own_notification(database_url: str) -> None:
    check_listening(database_url)


@pytest.fixture
def transaction_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as a pooler in transaction mode: the next statement runs in another server session."""
    real: Any = psycopg.Connection.execute

    def forgetful(connection: Any, query: Any, *rest: Any, **options: Any) -> Any:
        done = real(connection, query, *rest, **options)
        if str(query).startswith("LISTEN"):
            real(connection, "UNLISTEN *")
        return done

    monkeypatch.setattr(psycopg.Connection, "execute", forgetful)
    monkeypatch.setattr(engines, "_ROUND_TRIP_SECONDS", 0.2)


@pytest.mark.usefixtures("transaction_pooler")
def test_a_transaction_pooler_is_detected_and_the_variable_to_set_is_named(database_url: str) -> None:
    with pytest.raises(Unavailable, match="DATABASE_LISTEN_URL") as refused:
        check_listening(database_url)
    assert refused.value.code == "STORE_CANNOT_LISTEN"


def test_below_200_mib_writes_are_refused_and_reading_and_deleting_go_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = make_engine(database_url, pool_size=1)
    refuse_writes_when_full(engine, tmp_path)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS full_disk (n int)"))
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: disk.REFUSE_BYTES - 1)
    monkeypatch.setattr(disk, "_LOOK_EVERY_SECONDS", -1)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM full_disk")).scalar_one() == 0
        connection.execute(text("DELETE FROM full_disk"))
    with pytest.raises(Unavailable) as refused, engine.begin() as connection:
        connection.execute(text("INSERT INTO full_disk VALUES (1)"))
    assert refused.value.code == "store_unavailable"
    engine.dispose()


def test_free_space_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        require_room(tmp_path / "gone")
