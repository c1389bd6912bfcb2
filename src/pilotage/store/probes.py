"""What each serving process found when it asked a release its critical questions.

Fail mode: None when no process has asked this release in this generation, which never counts as passed.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from pilotage.rollout.validation import ProbeResult

_FOUND = text(
    "SELECT DISTINCT ON (p.process) p.process, p.asked, p.passed, p.right_release FROM route_probe p"
    " JOIN route_ack a ON a.process = p.process AND a.space = p.space AND a.workflow = p.workflow"
    " WHERE p.space = :space AND p.workflow = :workflow AND p.generation >= :generation AND p.release = :release"
    " AND a.at > clock_timestamp() - interval '30 s' ORDER BY p.process, p.generation DESC"
)


def read_probes(
    connection: Connection, *, space: str, workflow: str, generation: int, release: str | None
) -> tuple[ProbeResult, ...] | None:
    """Return each live process's last result about a release since a generation (`control.rollout_ports.Prober`)."""
    values = {"space": space, "workflow": workflow, "generation": generation, "release": release}
    found = tuple(ProbeResult(**row) for row in connection.execute(_FOUND, values).mappings())
    return found or None


_FAILED = text(
    "SELECT p.process, p.asked, p.passed, p.right_release FROM route_probe p"
    " JOIN route_ack a ON a.process = p.process AND a.space = p.space AND a.workflow = p.workflow"
    " WHERE p.space = :space AND p.workflow = :workflow AND p.generation = :generation AND p.release = :release"
    " AND (p.passed < p.asked OR NOT p.right_release) AND p.at > clock_timestamp() - interval '150 s'"
    " AND a.at > clock_timestamp() - interval '30 s' ORDER BY p.process"
)


def failed_rounds(
    connection: Connection, *, space: str, workflow: str, generation: int, release: str
) -> tuple[ProbeResult, ...]:
    """Return the live processes whose last word on a release, in this very generation, is a failed round."""
    values = {"space": space, "workflow": workflow, "generation": generation, "release": release}
    return tuple(ProbeResult(**row) for row in connection.execute(_FAILED, values).mappings())
