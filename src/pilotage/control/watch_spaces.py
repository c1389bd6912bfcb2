"""Judging the health of spaces, and sending their askers to the partner and back (rollouts.md 10).

Each look judges every routed space from its processes' reports, in the caller's transaction. Unhealthy: the rows that
no process is fit for go down, to the partner that is declared, permitted and healthy, else to nobody; they stay down
until the space is healthy. Healthy again: without a partner at once, from a partner by a person or after 15 minutes.
Rule: state, rows, ledger and incident commit together. Fail mode: an unknown space sends nobody away and proves
nothing; after a gap in which nobody judged, silence sends nobody away for as long as two checks take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident, write_line
from pilotage.control.record_entry import record
from pilotage.control.rollout_moves import Deed, reasons_json
from pilotage.core.canonical import Json
from pilotage.core.errors import Conflict
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.incident.records import IncidentState, Severity
from pilotage.ledger.entry import EntryKind
from pilotage.space.failover import FAIL_BACK_AFTER, failover_target
from pilotage.space.health import FORGET_AFTER, HealthState, blind_until, failing_rows, judge_health, resumed
from pilotage.space.settings import Space, Tier
from pilotage.store.incidents import list_incidents, save_incident
from pilotage.store.routes import Route, read_route, write_route
from pilotage.store.space_health import (
    StoredHealth,
    forget_reports,
    read_health,
    reports_of,
    save_health,
    served_spaces,
    workflows_in,
)

MACHINE = "system:space-watch"
CAUSE = "space unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Where the askers of a space are sent now: down or not, and to whom. `why` stands against a partner."""

    down: bool
    partner: SpaceName | None = None
    why: Reason | None = None


def watch_spaces(connection: Connection, instance: Instance) -> tuple[StoredHealth, ...]:
    """Judge every routed space and move its askers where they belong; return what was found."""
    forget_reports(connection, FORGET_AFTER)
    deed = Deed(actor=MACHINE, at=instance.clock.now())
    spaces = instance.workspace.spaces
    names = [name for name in served_spaces(connection) if name in spaces]
    # All are judged before any is moved: a partner that fell ill in the same moment takes nobody.
    judged = {name: _judged(connection, spaces[name], deed) for name in names}
    return tuple(_moved(connection, instance, judged, name, deed) for name in names)


def _judged(connection: Connection, space: Space, deed: Deed) -> StoredHealth:
    stored = read_health(connection, space.name, lock=True)
    before = stored or StoredHealth(space=space.name, state=HealthState.UNKNOWN, since=deed.at)
    reports, interval_s = reports_of(connection, space.name), space.availability.health_check_interval_s
    blind = blind_until(before.reasons, deed.at)
    if not before.is_fresh:
        blind = resumed(before.age_s, deed.at, interval_s=interval_s)
    found = judge_health(before.state, reports, interval_s=interval_s, blind=blind)
    is_same = found.state is before.state
    after = replace(
        before, state=found.state, since=before.since if is_same else deed.at, age_s=0.0, reasons=found.reasons
    )
    save_health(connection, after)
    if not is_same:
        data: dict[str, Json] = {
            "from": before.state.value,
            "to": after.state.value,
            "reasons": reasons_json(after.reasons),
        }
        record_space(connection, space.name, EntryKind.SPACE_HEALTH_CHANGED, deed, data=data)
    return after


def _moved(
    connection: Connection, instance: Instance, judged: dict[SpaceName, StoredHealth], name: SpaceName, deed: Deed
) -> StoredHealth:
    found = judged[name]
    wanted = _wanted(instance, judged, found, deed.at)
    return move_askers(connection, instance, found, wanted, deed)


def _wanted(
    instance: Instance, judged: dict[SpaceName, StoredHealth], found: StoredHealth, now: datetime
) -> Moved | None:
    """Return where the askers belong, None to leave them where they are."""
    match found.state:
        case HealthState.UNHEALTHY:
            target = failover_target(instance.workspace.spaces[found.space], instance.workspace.spaces)
            if isinstance(target, Reason):
                return Moved(down=True, why=target)
            partner = judged.get(target)
            if partner is None or partner.state is not HealthState.HEALTHY:
                text = f"The partner {target} is not healthy either."
                return Moved(down=True, why=Reason(code="PARTNER_UNHEALTHY", text=text, where=target))
            return Moved(down=True, partner=target)
        case HealthState.HEALTHY:
            is_stable = not found.is_blind and now - found.since >= FAIL_BACK_AFTER
            return Moved(down=False) if found.failover is None or is_stable else None
        case HealthState.UNKNOWN:
            return None


def move_askers(
    connection: Connection, instance: Instance, found: StoredHealth, wanted: Moved | None, deed: Deed
) -> StoredHealth:
    """Write the rows of a space as wanted, with ledger entry and incident; nothing when they stand so already."""
    if wanted is None:
        return found
    reason = f"failed over to {wanted.partner or 'nobody'}" if wanted.down else "failed back"
    written = _rows(connection, instance, found, wanted, reason, deed)
    if not written:
        return found
    after = replace(
        found,
        failover=wanted.partner,
        failover_at=deed.at if wanted.down else None,
    )
    save_health(connection, after)
    kind = EntryKind.SPACE_FAILED_OVER if wanted.down else EntryKind.SPACE_FAILED_BACK
    data: dict[str, Json] = {
        "partner": wanted.partner or found.failover,
        "workflows": [route.workflow for route in written],
        "generations": [route.generation for route in written],
        "reasons": reasons_json((*found.reasons, *((wanted.why,) if wanted.why else ()))),
    }
    record_space(connection, found.space, kind, deed, data=data)
    if wanted.down:
        _open(connection, instance, after, wanted, written, deed)
    else:
        _mitigate(connection, found.space, deed)
    return after


def _rows(
    connection: Connection, instance: Instance, found: StoredHealth, wanted: Moved, reason: str, deed: Deed
) -> tuple[Route, ...]:
    space, workflows = found.space, workflows_in(connection, found.space)
    failing = _failing(connection, instance, found, workflows) if wanted.down else frozenset()
    written: list[Route] = []
    for workflow in workflows:
        # Only a row that is to be written is locked: a look each second must not stand in the way of a rollback.
        if not _differs(read_route(connection, space, workflow), wanted, failing):
            continue
        before = read_route(connection, space, workflow, lock=True)
        if not _differs(before, wanted, failing):
            continue
        wish = replace(before, down=wanted.down, failover=wanted.partner, reason=reason)
        after = write_route(connection, before, wish, fence=before.fence, at=deed.at)
        if after is None:
            message = f"The routing row of {workflow} in {space} moved; read it again."
            raise Conflict("ROUTE_MOVED", message, hint="Try again.")
        written.append(after)
    return tuple(written)


def _failing(
    connection: Connection, instance: Instance, found: StoredHealth, workflows: tuple[str, ...]
) -> frozenset[str]:
    reports = reports_of(connection, found.space)
    interval_s = instance.workspace.spaces[found.space].availability.health_check_interval_s
    return failing_rows(reports, workflows, interval_s=interval_s, is_blind=found.is_blind)


def _differs(route: Route, wanted: Moved, failing: frozenset[str]) -> bool:
    """Whether a row is to be written; one that is down already follows the space, a fit one stays up."""
    is_meant = not wanted.down or route.down or route.workflow in failing
    return is_meant and (route.down, route.failover) != (wanted.down, wanted.partner)


def _open(
    connection: Connection,
    instance: Instance,
    found: StoredHealth,
    wanted: Moved,
    written: tuple[Route, ...],
    deed: Deed,
) -> None:
    """Open an incident for each workflow that is served there: SEV3 with a partner, SEV1 where production is down."""
    space = instance.workspace.spaces[found.space]
    if space.tier is not Tier.PRODUCTION:
        return
    why = " ".join(reason.text for reason in found.reasons[:3])
    went = f"{wanted.partner} answers for it" if wanted.partner else "nobody answers for it"
    for route in written:
        if route.stable is None:
            continue
        trouble = Trouble(
            workflow=route.workflow,
            space=space.name,
            spaces=(space.name,) if wanted.partner is None else (space.name, wanted.partner),
            release=route.stable,
            cause=CAUSE,
            severity=Severity.SEV1 if wanted.partner is None else Severity.SEV3,
            summary=f"{space.name} is unhealthy; {went}. {why}".strip(),
        )
        open_incident(connection, instance, trouble, deed)


def _mitigate(connection: Connection, space: SpaceName, deed: Deed) -> None:
    for found in list_incidents(connection, only_open=True):
        if found.space != space or found.cause != CAUSE:
            continue
        after = found
        if found.state in {IncidentState.OPEN, IncidentState.ACKNOWLEDGED}:
            after = replace(found, state=IncidentState.MITIGATED, mitigated_at=deed.at)
            save_incident(connection, after)
        write_line(connection, after, deed, f"{space} answers for itself again.")


def record_space(
    connection: Connection, space: SpaceName, kind: EntryKind, deed: Deed, *, data: dict[str, Json]
) -> None:
    """Append one entry about a space."""
    record(connection, kind, actor=deed.actor, at=deed.at, subject=space, space=space, data=data)
