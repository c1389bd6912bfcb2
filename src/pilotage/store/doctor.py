"""Examining the store: what stands, how large it is, what is late, failed or out of step.

Rule: queries look, small functions judge, and every judgement carries its number. Fail mode: a query that fails raises;
a report is whole or there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Final

from sqlalchemy import Connection, Table, text

from pilotage.core.clock import to_text
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason
from pilotage.corpus.settings import CorpusSettings
from pilotage.space.health import HealthState
from pilotage.store.corpora import last_confirmed
from pilotage.store.disk import REFUSE_BYTES, free_bytes, low_room
from pilotage.store.doctor_report import AclAge, DoctorReport, LedgerHealth, ServerHealth, WorkHealth
from pilotage.store.drift import open_drift
from pilotage.store.engine import OLDEST_MAJOR
from pilotage.store.processes import SKEW_MS, Process, list_processes, skew_reason
from pilotage.store.runs import MAX_FAILURES
from pilotage.store.space_health import StoredHealth, list_health
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

LATE_AFTER: Final = timedelta(seconds=60)
MERGE_DELAY: Final = timedelta(seconds=10)


def _tables_of(room: ModuleType) -> tuple[str, ...]:
    """Return the names of a room's tables."""
    return tuple(value.name for value in vars(room).values() if isinstance(value, Table))


GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "corpora": _tables_of(corpora),
    "releases": _tables_of(releases),
    "serving": _tables_of(serving),
    "ledger": _tables_of(ledger),
    "runs": _tables_of(runs),
    "gates": _tables_of(gates),
    "evaluation": _tables_of(evaluation),
    "rollouts": _tables_of(rollouts),
    "console": _tables_of(console),
    "shadow": _tables_of(shadow),
    "spaces": _tables_of(spaces),
    "queue": ("procrastinate.procrastinate_jobs", "procrastinate.procrastinate_events"),
}
"""Which tables belong to which room."""


def doctor(
    connection: Connection,
    *,
    now: datetime,
    wall_clock: datetime,
    schema: tuple[str | None, str],
    embedded_home: Path | None,
    declared: Mapping[CorpusName, CorpusSettings],
) -> DoctorReport:
    """Examine the store behind `connection`.

    `now` is the product's clock, to which `due_at` belongs; `wall_clock` the machine's, read just before the call;
    `schema` the revision found and the one expected; `embedded_home` PILOTAGE_HOME when its server is the embedded one;
    `declared` the corpora of the workspace.
    """
    server = _server(connection, embedded_home)
    skew_ms = connection.execute(_SKEW, {"now": wall_clock}).scalar_one()
    work, tree, processes = _work(connection, now), _ledger(connection), list_processes(connection)
    health, drift, acls = list_health(connection), open_drift(connection), _acls(connection, declared)
    findings = (
        *_server_findings(server, embedded_home),
        *_schema_findings(schema),
        *_work_findings(work),
        *_ledger_findings(tree),
        *_clock_findings(skew_ms, processes),
        *_space_findings(health),
        *(row.reason for row in drift if row.counts(now)),
        *_acl_findings(acls, now),
    )
    return DoctorReport(
        at=now,
        server=server,
        schema=schema[0],
        schema_expected=schema[1],
        sizes_bytes=_sizes(connection),
        work=work,
        ledger=tree,
        processes=processes,
        clock_skew_ms=skew_ms,
        spaces=health,
        drift=drift,
        acls=acls,
        findings=findings,
    )


_SKEW = text(f"SELECT {SKEW_MS}")
_SETTINGS = text(
    "SELECT current_setting('server_version'), current_setting('fsync') = 'on',"
    " current_setting('data_checksums') = 'on'"
)
_SIZE = text(
    "WITH named AS (SELECT to_regclass(name) AS id FROM unnest(CAST(:tables AS text[])) AS name),"
    " every AS (SELECT id FROM named UNION SELECT part.relid FROM named, pg_partition_tree(named.id) AS part)"
    " SELECT COALESCE(sum(pg_total_relation_size(id)), 0) FROM every"
)
_RUNS = text(
    "SELECT count(*) FILTER (WHERE state = 'due' AND due_at <= :now),"
    " count(*) FILTER (WHERE state = 'due' AND due_at <= :late"
    " AND (lease_until IS NULL OR lease_until < clock_timestamp())) FROM run"
)
_FAILED = text(
    "SELECT kind || ':' || key || ': ' || COALESCE(last_error, '') FROM run WHERE state = 'failed' ORDER BY 1"
)
_FAILING = text(
    "SELECT kind || ':' || key || ': ' || COALESCE(last_error, '') || ' ' || attempt || ' failures in a row.' FROM run"
    " WHERE state = 'due' AND attempt >= :most ORDER BY 1"
)
_WAITING = text("SELECT count(*) FROM outbox WHERE state = 'waiting'")
_DEAD = text("SELECT kind || ' ' || id FROM outbox WHERE state = 'dead' ORDER BY seq")
_LEDGER = text(
    "SELECT size, stopped, (SELECT count(*) FROM ledger_entry WHERE seq IS NULL) AS unnumbered,"
    " (SELECT COALESCE(extract(epoch FROM clock_timestamp() - min(inserted_at)), 0)"
    " FROM ledger_entry WHERE seq IS NULL) AS oldest FROM ledger_head"
)


def _server(connection: Connection, home: Path | None) -> ServerHealth:
    """Ask the server about itself."""
    version, fsync, checksums = connection.execute(_SETTINGS).one()
    return ServerHealth(
        version=version.split(" ", 1)[0],
        embedded=home is not None,
        fsync=fsync,
        checksums=checksums,
        free_bytes=None if home is None else free_bytes(home),
    )


def _sizes(connection: Connection) -> dict[str, int]:
    """Return the bytes of each room's tables with their indexes, partitions included."""
    return {
        group: int(connection.execute(_SIZE, {"tables": list(tables)}).scalar_one()) for group, tables in GROUPS.items()
    }


def _work(connection: Connection, now: datetime) -> WorkHealth:
    """Count runs and messages."""
    due, late = connection.execute(_RUNS, {"now": now, "late": now - LATE_AFTER}).one()
    return WorkHealth(
        due=due,
        late=late,
        failed=tuple(connection.execute(_FAILED).scalars()),
        failing=tuple(connection.execute(_FAILING, {"most": MAX_FAILURES}).scalars()),
        messages_waiting=connection.execute(_WAITING).scalar_one(),
        messages_dead=tuple(connection.execute(_DEAD).scalars()),
    )


def _ledger(connection: Connection) -> LedgerHealth:
    """Look at the ledger's head and what waits for a number."""
    row = connection.execute(_LEDGER).one()
    return LedgerHealth(
        size=row.size, unnumbered=row.unnumbered, oldest_unnumbered_s=float(row.oldest), stopped=row.stopped
    )


def _acls(connection: Connection, declared: Mapping[CorpusName, CorpusSettings]) -> dict[CorpusName, AclAge]:
    """Return how old the ACLs of the corpora are."""
    found = {}
    for name, moment in last_confirmed(connection, declared).items():
        limit = declared[name].acl_max_age
        found[name] = AclAge(confirmed_at=moment, stale_after=None if limit is None else moment + limit)
    return found


def _server_findings(server: ServerHealth, home: Path | None) -> list[Reason]:
    """Judge the server."""
    found = []
    if int(server.version.split(".", 1)[0]) < OLDEST_MAJOR:
        text_ = f"PostgreSQL {server.version} is older than {OLDEST_MAJOR}: upgrade it."
        found.append(Reason(code="store_too_old", text=text_, observed=server.version, limit=str(OLDEST_MAJOR)))
    if not server.fsync:
        found.append(Reason(code="fsync_off", text="fsync is off: a power cut can lose commits. Set fsync = on."))
    if not server.checksums:
        found.append(Reason(code="checksums_off", text="Data checksums are off: damaged pages would not be noticed."))
    if home is not None and (low := low_room(home)) is not None:
        full = server.free_bytes is not None and server.free_bytes < REFUSE_BYTES
        found.append(
            Reason(code="disk_full" if full else low.code, text=low.text, observed=low.observed, limit=low.limit)
        )
    return found


def _schema_findings(schema: tuple[str | None, str]) -> list[Reason]:
    """Judge the schema's revision."""
    found, expected = schema
    if found == expected:
        return []
    text_ = f"The schema is at {found or '(empty)'}, this version needs {expected}: run `pilotage migrate`."
    return [Reason(code="schema_mismatch", text=text_, observed=found or "", limit=expected)]


def _work_findings(work: WorkHealth) -> list[Reason]:
    """Judge runs and messages."""
    found = []
    if work.late:
        text_ = f"{work.late} runs are due for more than {LATE_AFTER.seconds} s: is a worker running?"
        found.append(Reason(code="runs_late", text=text_, observed=str(work.late), limit="0"))
    found += [Reason(code="run_failed", text=f"{name} Failed for good; it waits for a person.") for name in work.failed]
    found += [Reason(code="run_failing", text=f"{name} It is tried again until it works.") for name in work.failing]
    found += [
        Reason(code="message_dead", text=f"Message {name} was given up; replay it.") for name in work.messages_dead
    ]
    return found


def _ledger_findings(tree: LedgerHealth) -> list[Reason]:
    """Judge the ledger's sequencing."""
    found = []
    if tree.stopped is not None:
        found.append(Reason(code="ledger_stopped", text=f"The ledger is stopped: {tree.stopped}"))
    if tree.oldest_unnumbered_s > MERGE_DELAY.total_seconds():
        text_ = f"{tree.unnumbered} ledger entries have no number, the oldest for {tree.oldest_unnumbered_s:.0f} s."
        observed = f"{tree.oldest_unnumbered_s:.0f} s"
        found.append(Reason(code="ledger_late", text=text_, observed=observed, limit=f"{MERGE_DELAY.seconds} s"))
    return found


def _space_findings(health: tuple[StoredHealth, ...]) -> list[Reason]:
    """Judge the spaces: unhealthy by a judgement that still holds, or with their askers elsewhere."""
    found = []
    for one in health:
        if one.is_fresh and one.state is HealthState.UNHEALTHY:
            why = " ".join(reason.text for reason in one.reasons[:3])
            text_ = f"{one.space} is unhealthy. {why}".strip()
            found.append(Reason(code="space_unhealthy", text=text_, where=one.space))
        if one.failover is not None:
            text_ = f"{one.failover} answers for {one.space}; see `pilotage space status`."
            found.append(Reason(code="space_failed_over", text=text_, where=one.space))
    return found


def _acl_findings(acls: Mapping[CorpusName, AclAge], now: datetime) -> list[Reason]:
    """Judge the age of ACLs."""
    return [
        Reason(
            code="acl_stale",
            text=f"ACLs of {name} are past their age, so nobody sees its documents: `pilotage corpus refresh {name}`.",
            where=name,
            observed=to_text(now),
            limit=to_text(one.stale_after),
        )
        for name, one in acls.items()
        if one.stale_after is not None and now > one.stale_after
    ]


def _clock_findings(skew_ms: int, processes: tuple[Process, ...]) -> list[Reason]:
    """Judge this machine's clock and those of live processes."""
    reasons = [skew_reason(skew_ms, "this machine")]
    reasons += [skew_reason(process.clock_skew_ms, process.id) for process in processes if process.alive]
    return [reason for reason in reasons if reason is not None]
