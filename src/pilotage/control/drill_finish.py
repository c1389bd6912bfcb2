"""How a drill ends: its row, its incident closed, the ledger entry, and the report as evidence; in one transaction.

One that passed resolves the incident that said that none counts any more. A drill whose process died is ended by the
worker: what it had moved goes back, and it has failed. Rule: a row that somebody else moved meanwhile is left as it is.
Fail mode: none of its own; it writes in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.drill_measures import LONGEST
from pilotage.control.drill_routes import hand_back
from pilotage.control.instance import Instance
from pilotage.control.open_incident import write_line
from pilotage.control.record_entry import record
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import PageEvent, follow_page
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.ids import SpaceName
from pilotage.incident.records import UNRESOLVED, IncidentState
from pilotage.ledger.entry import EntryKind
from pilotage.space.digest import space_digest
from pilotage.space.settings import Tier
from pilotage.store.drills import StoredDrill, find_drill, find_drill_incident, running_drills, save_drill
from pilotage.store.incidents import find_incident, list_incidents, save_incident

MACHINE = "system:drills"
OVERDUE = "rollback drill overdue"
"""The cause of the incident that says that no drill counts."""
PRODUCTION_DAYS, STAGING_DAYS = 90, 30


def finish_drill(
    connection: Connection, instance: Instance, drill: StoredDrill, report: Mapping[str, Any], deed: Deed
) -> StoredDrill:
    """End a drill with its report; `passed` in it decides. One that was ended meanwhile stays as it was ended."""
    current = find_drill(connection, drill.id, lock=True)
    if current is not None and current.state != "running":
        return current
    space = instance.workspace.spaces.get(SpaceName(drill.space))
    days = PRODUCTION_DAYS if space is not None and space.tier is Tier.PRODUCTION else STAGING_DAYS
    passed = report["passed"] is True
    done = replace(
        drill,
        state="passed" if passed else "failed",
        finished_at=deed.at,
        valid_until=deed.at + timedelta(days=days) if passed else None,
        incident=_close_incident(connection, instance, drill, deed),
        report=report,
    )
    save_drill(connection, done)
    record(
        connection,
        EntryKind.INCIDENT_DRILL_FINISHED,
        actor=deed.actor,
        at=deed.at,
        subject=done.incident or done.id,
        space=done.space,
        data=_facts(done),
    )
    attach_own_run(connection, instance, release=done.release, run=_evidence(done))
    if passed and done.kind == "rollback" and space is not None and done.space_digest == space_digest(space):
        _resolve_overdue(connection, instance, done, deed)
    return done


def end_lost_drills(connection: Connection, instance: Instance) -> tuple[StoredDrill, ...]:
    """End every drill that runs longer than any can: its process died; return them."""
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    return tuple(
        give_up(connection, instance, drill, deed)
        for drill in running_drills(connection, before=deed.at - LONGEST, lock=True)
    )


def give_up(connection: Connection, instance: Instance, drill: StoredDrill, deed: Deed) -> StoredDrill:
    """End a drill that was broken off: what it moved goes back, and it has failed."""
    drill = find_drill(connection, drill.id, lock=True) or drill
    home = hand_back(connection, drill, deed)
    against = ["the drill was broken off before everything was measured"]
    if drill.report.get("away") is not None and home.stable != drill.release:
        against.append("users were not brought home: the row moved, or what served before was withdrawn")
    report = {**unmeasured(drill.kind), **drill.report, "against": against, "passed": False}
    return finish_drill(connection, instance, drill, report, deed)


def unmeasured(kind: str) -> dict[str, Any]:
    """Return the times a drill reports, none of them measured."""
    if kind == "failover":
        return dict.fromkeys(("seconds_to_detect", "seconds_to_redirect", "wrong_region_answers"))
    return dict.fromkeys(("seconds_to_load", "seconds_to_zero_traffic", "seconds_to_validation"))


def _close_incident(connection: Connection, instance: Instance, drill: StoredDrill, deed: Deed) -> str | None:
    """Close the drill's own incident; a drill leaves nothing open."""
    opened = find_drill_incident(connection, drill.id)
    found = None if opened is None else find_incident(connection, opened, lock=True)
    if found is not None:
        closed = replace(
            found, state=IncidentState.CLOSED, mitigated_at=deed.at, resolved_at=deed.at, closed_at=deed.at
        )
        save_incident(connection, closed)
        if found.state in UNRESOLVED:
            follow_page(connection, instance, PageEvent.RESOLVE, incident=found.id, at=deed.at)
    return opened


def _resolve_overdue(connection: Connection, instance: Instance, done: StoredDrill, deed: Deed) -> None:
    """Resolve what was opened because no drill of the workflow counted in this space."""
    for one in list_incidents(connection, workflow=done.workflow, only_open=True):
        found = (
            find_incident(connection, one.id, lock=True) if (one.cause, one.space) == (OVERDUE, done.space) else None
        )
        if found is None or found.state not in UNRESOLVED:
            continue
        mitigated_at = found.mitigated_at or deed.at
        after = replace(found, state=IncidentState.RESOLVED, mitigated_at=mitigated_at, resolved_at=deed.at)
        save_incident(connection, after)
        follow_page(connection, instance, PageEvent.RESOLVE, incident=after.id, at=deed.at)
        write_line(connection, after, deed, f"Drill {done.id} passed.")


def _facts(done: StoredDrill) -> dict[str, Json]:
    """Return what the ledger keeps of a drill."""
    time = _main_time(done)
    return {
        "drill": done.id,
        "kind": done.kind,
        "workflow": done.workflow,
        "release": done.release,
        "state": done.state,
        "full": done.report.get("full") is True,
        f"milliseconds_to_{_AIM[done.kind]}": None if time is None else round(1000 * time),
        "verdict": done.report.get("verdict"),
    }


_AIM: Mapping[str, str] = {"rollback": "zero_traffic", "failover": "redirect"}


def _main_time(done: StoredDrill) -> float | None:
    found = done.report.get(f"seconds_to_{_AIM[done.kind]}")
    return None if found is None else float(found)


def _evidence(done: StoredDrill) -> OwnRun:
    report = {name: _text(value) for name, value in done.report.items()}
    body: Json = {"drill": done.kind, "id": done.id, "space": done.space, "space_config": done.space_digest, **report}
    time, name = _main_time(done), f"seconds_to_{_AIM[done.kind]}"
    claims = {"verified": 1.0 if done.state == "passed" else 0.0}
    if time is not None:
        claims[name] = time
    for other in ("seconds_to_detect", "wrong_region_answers"):
        found = done.report.get(other)
        if found is not None:
            claims[other] = float(found)
    shown = "never" if time is None else f"after {time:.3f} s"
    return OwnRun(
        kind=f"drill.{done.kind}",
        claims=claims,
        body=canonical_bytes(body),
        produced_at=done.finished_at or done.started_at,
        summary=f"{done.kind.capitalize()} drill in {done.space}: {done.state}, {_AIM[done.kind]} {shown}.".replace(
            "_", " "
        ),
        space=SpaceName(done.space),
    )


def _text(value: object) -> Json:
    match value:
        case float():
            return f"{value:.6f}"
        case Mapping():
            return {str(name): _text(item) for name, item in value.items()}
        case list() | tuple():
            return [_text(item) for item in value]
        case None | bool() | int() | str():
            return value
    return str(value)
