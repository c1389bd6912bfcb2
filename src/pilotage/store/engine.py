"""The pool of connections a process works with, and what a server must be to be used at all.

Statement timeouts: 60 s here (control), 5 s on the serving path, which has its own pool. Fail mode: a server that is
too old, may lose commits, or swallows notifications is refused at start with what to change.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

import psycopg
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from pilotage.core.errors import PilotageError, Unavailable, UsageError

POOL_SIZE: Final = 10
CONTROL_TIMEOUT_MS: Final = 60_000
SERVING_TIMEOUT_MS: Final = 5_000
OLDEST_MAJOR: Final = 15

SIGNS_OF_LIFE: Final = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""How a connection finds within about ten seconds that its network is gone (seconds; the last in milliseconds).

A network that went away without a word, a failover of the server among them, would otherwise hold a process for as long
as the system retransmits: a quarter of an hour. Nothing of it applies to a socket in the file system.
"""

_ROUND_TRIP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says about itself. `version` is like "18.4"."""

    version: str
    major: int
    fsync: bool
    checksums: bool


def parse_url(url: str) -> URL:
    """Read a PostgreSQL address in any usual spelling; another database is a UsageError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            "DATABASE_URL_INVALID",
            "The database address cannot be read.",
            hint="Write postgresql://user:password@host:5432/name.",
        ) from error
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise UsageError(
            "DATABASE_URL_INVALID",
            f"The database address names {parsed.get_backend_name()!r}; Pilotage runs on PostgreSQL only.",
            hint="Write postgresql://user:password@host:5432/name.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def psycopg_url(url: str) -> str:
    """Return an address as psycopg itself reads it, for asynchronous pools and listeners, with our signs of life.

    A parameter that the address names itself stays.
    """
    parsed = parse_url(url).set(drivername="postgresql")
    return parsed.update_query_dict(_signs_of_life(parsed)).render_as_string(hide_password=False)


def _signs_of_life(parsed: URL, *, silent_ms: int = 0) -> dict[str, str]:
    """Return what the address does not say itself. `silent_ms`: so long may a server that is well take nothing in."""
    patience = str(max(int(SIGNS_OF_LIFE["tcp_user_timeout"]), silent_ms))
    signs = {**SIGNS_OF_LIFE, "tcp_user_timeout": patience}
    return {name: value for name, value in signs.items() if name not in parsed.query}


def url_of(engine: Engine) -> str:
    """Return the address an engine uses, secret included."""
    return engine.url.render_as_string(hide_password=False)


def make_engine(url: str, *, pool_size: int = POOL_SIZE, statement_timeout_ms: int = CONTROL_TIMEOUT_MS) -> Engine:
    """Return an engine of at most `pool_size` connections; nothing is opened yet.

    The time zone is UTC and every statement ends after `statement_timeout_ms`. Both are set by statement and not by
    start-up option, which connection poolers refuse. A large write may wait for a lock as long as its statement may
    run: the system takes a window that stays full for a network that is gone, so it is given the same time.
    """
    parsed = parse_url(url)
    signs = _signs_of_life(parsed, silent_ms=statement_timeout_ms)
    engine = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # an error and its trace go to the log; what people typed does not
        connect_args={"connect_timeout": 10, "application_name": "pilotage", **signs},
    )
    configure_connections(engine, statement_timeout_ms)
    return engine


def configure_connections(engine: Engine, statement_timeout_ms: int) -> None:
    """Make every new connection of `engine` speak UTC and give up on a statement after the timeout."""

    @event.listens_for(engine, "connect")
    def configure(connection: psycopg.Connection[tuple[object, ...]], _record: object) -> None:
        autocommit = connection.autocommit
        connection.autocommit = True
        connection.execute(
            "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', %s, false)",
            (str(statement_timeout_ms),),
        )
        connection.autocommit = autocommit


def server_facts(engine: Engine) -> ServerFacts:
    """Ask the server what it is; Unavailable when it does not answer."""
    try:
        with engine.connect() as connection:
            row = connection.execute(
                text(
                    "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000,"
                    " current_setting('fsync') = 'on', current_setting('data_checksums') = 'on'"
                )
            ).one()
    except DBAPIError as error:
        raise unavailable(error, engine.url) from error
    return ServerFacts(version=str(row[0]).split(" ", 1)[0], major=row[1], fsync=row[2], checksums=row[3])


def check_server(engine: Engine) -> ServerFacts:
    """Return the server's facts, or refuse one that is older than PostgreSQL 15 or runs with `fsync` off."""
    facts = server_facts(engine)
    if facts.major < OLDEST_MAJOR:
        raise Unavailable(
            "STORE_TOO_OLD",
            f"The server at {address(engine.url)} is PostgreSQL {facts.version}; needed is {OLDEST_MAJOR} or newer.",
            hint="Upgrade it, or unset DATABASE_URL to use the embedded one.",
        )
    if not facts.fsync:
        raise Unavailable(
            "STORE_NOT_DURABLE",
            f"The server at {address(engine.url)} runs with fsync = off, so a power cut could lose commits.",
            hint="Set fsync = on in postgresql.conf and restart the server.",
        )
    return facts


def check_listening(url: str) -> None:
    """Refuse an address on which a notification sent does not come back: a pooler in transaction mode.

    Give `DATABASE_LISTEN_URL`, a direct address, for such a set-up; this check is made on that one.
    """
    channel = f"pilotage_probe_{secrets.token_hex(8)}"
    parsed = parse_url(url)
    try:
        with psycopg.connect(psycopg_url(url), autocommit=True, connect_timeout=10, prepare_threshold=None) as listener:
            listener.execute(f"LISTEN {channel}")
            # A second session sends: a pooler that moved the first one to another server connection loses it here.
            with psycopg.connect(psycopg_url(url), autocommit=True, connect_timeout=10) as sender:
                sender.execute("SELECT pg_notify(%s, '')", (channel,))
            heard = any(True for _ in listener.notifies(timeout=_ROUND_TRIP_SECONDS, stop_after=1))
    except psycopg.Error as error:
        raise unavailable(error, parsed) from error
    if not heard:
        raise Unavailable(
            "STORE_CANNOT_LISTEN",
            f"A notification sent through {address(parsed)} did not come back: it looks like a transaction pooler.",
            hint="Set DATABASE_LISTEN_URL to an address that reaches PostgreSQL directly.",
        )


def address(url: URL) -> str:
    """Name a server in a message, without user or password."""
    host = url.query.get("host") or url.host or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"{host if isinstance(host, str) else host[0]}{port}/{url.database or ''}"


def unavailable(error: Exception, url: URL) -> PilotageError:
    """Turn a driver's error into the message a person reads; the password is never part of it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    first_line = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return Unavailable(
        "STORE_UNREACHABLE",
        f"The database at {address(url)} does not answer: {first_line}",
        hint="Check that it runs and that DATABASE_URL is right.",
    )
