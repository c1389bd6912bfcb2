"""The store's health in one record, and what it looks like as JSON.

Rule: every finding is a Reason with its number and its limit, and the outcome follows from the findings alone. Fail
mode: one grave finding makes the whole report NOT_OK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pilotage.core.clock import to_text
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Outcome, Reason
from pilotage.store.drift import StoredDrift
from pilotage.store.processes import Process
from pilotage.store.space_health import StoredHealth

# Findings that stop writes, lose durability or mean that decisions are stuck; everything else warns.
_GRAVE: Final = frozenset(
    {"store_too_old", "fsync_off", "schema_mismatch", "disk_full", "clock_skew", "ledger_stopped", "ledger_late"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth:
    """The server itself. `free_bytes` is known for the embedded one only."""

    version: str
    embedded: bool
    fsync: bool
    checksums: bool
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkHealth:
    """Runs and messages. Late: due for more than 60 s and free. Failing: of those that are never given up."""

    due: int
    late: int
    failed: tuple[str, ...]
    failing: tuple[str, ...]
    messages_waiting: int
    messages_dead: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHealth:
    """The ledger's sequencing. `oldest_unnumbered_s` is 0 when every entry has its number."""

    size: int
    unnumbered: int
    oldest_unnumbered_s: float
    stopped: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AclAge:
    """When ACLs of a corpus were last confirmed, and how long these stand; None: until they change."""

    confirmed_at: datetime
    stale_after: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What `pilotage doctor` shows. `outcome` is NOT_OK with a grave finding, INCONCLUSIVE with any, else OK."""

    at: datetime
    server: ServerHealth
    schema: str | None
    schema_expected: str
    sizes_bytes: Mapping[str, int]
    work: WorkHealth
    ledger: LedgerHealth
    processes: tuple[Process, ...]
    clock_skew_ms: int
    spaces: tuple[StoredHealth, ...]
    drift: tuple[StoredDrift, ...]
    acls: Mapping[CorpusName, AclAge]
    findings: tuple[Reason, ...]

    @property
    def outcome(self) -> Outcome:
        """The report in one word."""
        if any(finding.code in _GRAVE for finding in self.findings):
            return Outcome.NOT_OK
        return Outcome.INCONCLUSIVE if self.findings else Outcome.OK

    def as_json(self) -> dict[str, Any]:
        """Return the whole report for the CLI and the API."""
        return {
            "at": to_text(self.at),
            "outcome": self.outcome.value,
            "server": {
                "version": self.server.version,
                "embedded": self.server.embedded,
                "fsync": self.server.fsync,
                "checksums": self.server.checksums,
                "free_bytes": self.server.free_bytes,
            },
            "schema": {"found": self.schema, "expected": self.schema_expected},
            "sizes_bytes": dict(self.sizes_bytes),
            "work": {
                "due": self.work.due,
                "late": self.work.late,
                "failed": list(self.work.failed),
                "failing": list(self.work.failing),
                "messages_waiting": self.work.messages_waiting,
                "messages_dead": list(self.work.messages_dead),
            },
            "ledger": {
                "size": self.ledger.size,
                "unnumbered": self.ledger.unnumbered,
                "oldest_unnumbered_s": round(self.ledger.oldest_unnumbered_s, 3),
                "stopped": self.ledger.stopped,
            },
            "processes": [_process_json(process) for process in self.processes],
            "clock_skew_ms": self.clock_skew_ms,
            "spaces": [one.as_json() for one in self.spaces],
            "drift": [one.as_json() for one in self.drift],
            "acls_confirmed_at": {name: to_text(one.confirmed_at) for name, one in self.acls.items()},
            "acls_stale_after": {
                name: to_text(one.stale_after) for name, one in self.acls.items() if one.stale_after is not None
            },
            "findings": [finding.as_json() for finding in self.findings],
        }


def _process_json(process: Process) -> dict[str, Any]:
    """Return one process for the report."""
    return {
        "id": process.id,
        "kind": process.kind,
        "host": process.host,
        "pid": process.pid,
        "alive": process.alive,
        "started_at": to_text(process.started_at),
        "seen_at": to_text(process.seen_at),
        "clock_skew_ms": process.clock_skew_ms,
    }
