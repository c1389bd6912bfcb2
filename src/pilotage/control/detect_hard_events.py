"""Hard events that the machine finds by itself, and declares when it has read them twice (rollouts.md 8.1).

Breach: a cited document that the asker may not read, PII or a secret in a sent answer, a routed release that does not
verify. Loss: an answer the ledger does not know, a ledger that stopped. Legal: an answer outside the permitted region,
a document cited after its takedown. What two looks read is declared: the release leaves every space at once, with
incident and freeze. Rule: blocked before sending is no breach; regions that changed judge only answers begun since;
where no release is to blame only the incident opens. Fail mode: a look that fails is repeated from where the last whole
one ended; without whole looks for 180 s no traffic goes up, and one that finds other regions declared is not whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import Deed
from pilotage.control.verify_release import release_problems
from pilotage.control.wall_incidents import open_wall_incidents
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.errors import PilotageError
from pilotage.core.ids import PersonId, PrincipalId, SpaceName
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind, acl_names, local_principal_id
from pilotage.incident.records import HardKind
from pilotage.release.residency import fits_embedding, fits_model
from pilotage.space.digest import space_digest
from pilotage.space.failover import partner_reason
from pilotage.space.residency import fits
from pilotage.store.hard_signs import (
    Citation,
    Look,
    Place,
    Reading,
    Sign,
    Standing,
    Window,
    citations_in,
    forget_ended,
    leaks_in,
    ledger_stopped,
    looked_under,
    looked_until,
    mark_declared,
    mark_look,
    mark_whole_look,
    places_in,
    read_sign,
    unrecorded_between,
)
from pilotage.store.releases import find_release, load_release
from pilotage.store.routes import read_route
from pilotage.store.space_health import served_spaces, workflows_in
from pilotage.workspace.records import Workspace

LOG: Final = logging.getLogger("pilotage.hard_events")

MACHINE: Final = "system:hard-events"
MARGIN: Final = timedelta(seconds=60)
"""How far each look reaches back behind the last: what was written meanwhile, and a second reading."""
WIDE: Final = timedelta(seconds=60)
"""How often a look reaches back as far as the longest answer: for records whose writing had to wait."""
_WIDE: Final = "records wide"
SETTLED: Final = timedelta(seconds=60)
"""How old an answer is before a missing ledger entry is a loss: records are written in batches."""
FORGET: Final = timedelta(minutes=3)


def detect_in_records(connection: Connection, instance: Instance) -> tuple[Sign, ...]:
    """Look through the records since the last look; return what was declared now."""
    now = instance.clock.now()
    looked = looked_until(connection, Look.RECORDS) or now
    wide = looked_until(connection, _WIDE)
    is_wide = wide is None or now - wide >= WIDE
    window = _window(instance, (wide or looked) if is_wide else looked, now, is_wide=is_wide)
    under = looked_under(connection, _regions(instance.workspace), at=now)
    found = [
        *_cited(connection, instance, window),
        *_leaked(connection, window),
        *_misplaced(connection, instance, replace(window, since=max(window.since, under.since))),
        *_lost(connection, window.written - SETTLED, now - SETTLED),
        *_stopped(connection),
    ]
    open_wall_incidents(connection, instance, window, is_wide=is_wide)
    # Only a wide look sees that nothing is answered in a wrong place any more.
    standing = (Standing.PLACE, Standing.LEDGER) if is_wide else (Standing.LEDGER,)
    read = _read(connection, instance, found, now, standing=standing)
    if not under.is_other:
        mark_whole_look(connection, Look.RECORDS)
    if not read.first:  # what was read for the first time is read again from the same place
        for name in (Look.RECORDS, _WIDE) if is_wide else (Look.RECORDS,):
            mark_look(connection, name, until=now)
    return read.declared


def _window(instance: Instance, looked: datetime, now: datetime, *, is_wide: bool) -> Window:
    """Return the answers whose record may have been written since an earlier look; one is dated by its beginning."""
    limits = instance.workspace.gateway.limits
    since = looked - timedelta(seconds=max(limits.stream_s, limits.request_s)) - MARGIN
    return Window(since=since, until=now, written=since if is_wide else looked - MARGIN)


def detect_in_releases(connection: Connection, instance: Instance) -> tuple[Sign, ...]:
    """Verify every routed release against its digests and its seal; return what was declared now."""
    found = _unverified(connection, instance)
    read = _read(connection, instance, found, instance.clock.now(), standing=(Standing.RELEASE,))
    mark_whole_look(connection, Look.RELEASES)
    return read.declared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """What a look read for the first time, and what it declared."""

    first: tuple[Sign, ...]
    declared: tuple[Sign, ...]


def _read(
    connection: Connection,
    instance: Instance,
    found: Iterable[Sign],
    now: datetime,
    *,
    standing: tuple[Standing, ...],
) -> _Readings:
    """Note every sign once a look, whatever number of rows show it, and declare what was noted before."""
    noted = {(sign.kind, sign.subject): sign for sign in found}
    forget_ended(connection, before=now - FORGET, seen=list(noted.values()), standing=standing)
    seen = {sign: read_sign(connection, sign, at=now) for sign in noted.values()}
    declared = tuple(sign for sign, reading in seen.items() if reading is Reading.AGAIN)
    for sign in declared:
        _declare(connection, instance, sign, now)
        mark_declared(connection, sign, at=now)
    first = tuple(sign for sign, reading in seen.items() if reading is Reading.FIRST)
    return _Readings(first=first, declared=declared)


def _declare(connection: Connection, instance: Instance, sign: Sign, now: datetime) -> None:
    deed = Deed(actor=MACHINE, at=now, note=sign.summary)
    if sign.release is not None:
        request = RollbackRequest(
            workflow=sign.workflow, reason=sign.summary, space=sign.space, hard=sign.kind, release=sign.release
        )
        moved = take_out(connection, instance, request=request, deed=deed)
        if not isinstance(moved, Refusal) and moved:
            return
    # No release serves that is to blame, or it has left already: people still have to know.
    trouble = Trouble(
        workflow=sign.workflow,
        space=sign.space,
        spaces=(sign.space,),
        release=sign.release,
        cause=sign.kind.value,
        severity=sign.kind.severity,
        summary=sign.summary,
        freezes=True,
    )
    open_incident(connection, instance, trouble, deed)


def _cited(connection: Connection, instance: Instance, window: Window) -> Iterator[Sign]:
    people = _people(instance.workspace)
    for one in citations_in(connection, window):
        if one.is_taken_down:
            yield _sign_of(one, HardKind.COMPLIANCE_VIOLATION, "cites a document that had been taken down")
        elif one.principal and one.is_same_acl and one.acl.isdisjoint(_names(people, one.principal, one)):
            yield _sign_of(one, HardKind.SECURITY_BREACH, "cites a document that its asker may not read")


def _sign_of(one: Citation, kind: HardKind, what: str) -> Sign:
    return Sign(
        kind=kind,
        subject=one.interaction,
        workflow=one.workflow,
        space=one.space,
        release=one.release,
        summary=f"Interaction {one.interaction} {what}.",
    )


def _people(workspace: Workspace) -> Mapping[str, PersonId]:
    """Return the declared person behind each local id and account; the first who declares one has it."""
    found: dict[str, PersonId] = {}
    for who in workspace.people.values():
        for account in (local_principal_id(who.id), *who.accounts):
            found.setdefault(account, who.id)
    return found


def _names(people: Mapping[str, PersonId], principal: str, one: Citation) -> frozenset[str]:
    """Return the names an asker held, from the record and the declared people."""
    is_service = principal.startswith("key|")
    found = Principal(
        id=PrincipalId(principal),
        kind=PrincipalKind.SERVICE if is_service else PrincipalKind.PERSON,
        person=people.get(principal),
        groups=frozenset(one.groups),
        region=None,
        label="",
        via="record",
    )
    return acl_names(found)


def _leaked(connection: Connection, window: Window) -> Iterator[Sign]:
    for row in leaks_in(connection, window):
        kinds = ", ".join(str(kind) for kind in row["sent"])
        yield Sign(
            kind=HardKind.SECURITY_BREACH,
            subject=row["id"],
            workflow=row["workflow"],
            space=row["space"],
            release=Digest(row["release"]),
            summary=f"Interaction {row['id']} was sent with {kinds} in its text.",
        )


def _regions(workspace: Workspace) -> Digest:
    """Return the digest of what is declared of spaces and of where documents stand."""
    corpora: dict[str, Json] = {name: corpus.region for name, corpus in workspace.corpora.items()}
    spaces: dict[str, Json] = {name: space_digest(space) for name, space in workspace.spaces.items()}
    return digest_of_json({"corpora": corpora, "spaces": spaces})


def _misplaced(connection: Connection, instance: Instance, window: Window) -> Iterator[Sign]:
    for place in places_in(connection, window):
        why = _outside(connection, instance, place)
        if why is not None:
            names = (place.space, place.workflow, place.release, place.failover_from)
            yield Sign(
                kind=HardKind.COMPLIANCE_VIOLATION,
                subject=Standing.PLACE.subject(*(name for name in names if name)),
                workflow=place.workflow,
                space=place.space,
                release=place.release,
                summary=f"{place.release[:19]} answered in {place.space} {why}.",
            )


def _outside(connection: Connection, instance: Instance, place: Place) -> str | None:
    """Return how an answer was processed outside the permitted regions, or None.

    What this worker's workspace does not declare says nothing of regions: another process may hold a newer one.
    """
    spaces = instance.workspace.spaces
    space = spaces.get(SpaceName(place.space))
    if space is None:
        _unknown(place.space, place)
        return None
    if place.failover_from is not None:
        home = spaces.get(SpaceName(place.failover_from))
        if home is None:
            _unknown(place.failover_from, place)
            return None
        if partner_reason(home, space) is not None:
            return f"for askers of {place.failover_from}, which does not permit that region"
    try:
        content = load_release(connection, place.release)
    except PilotageError:
        return None  # `detect_in_releases` speaks of it
    if not fits_model(content.model, space):
        return f"with a model in {content.model.region or 'an unknown region'}"
    embedding = content.retrieval.embedding
    if embedding is not None and not fits_embedding(embedding, space):
        return f"with an embedding model in {embedding.region or 'an unknown region'}"
    pin = content.corpora.get(space.data_stage)
    corpus = None if pin is None else instance.workspace.corpora.get(pin.name)
    if pin is not None and corpus is None:
        _unknown(f"corpus {pin.name}", place)
        return None
    if corpus is not None and not fits(corpus.region, space):
        return f"from documents that stand in {corpus.region or 'an unknown region'}"
    return None


def _unknown(what: str, place: Place) -> None:
    text = "%s is not declared here, so nobody can tell whether %s answered in %s where it may. Reload the workspace."
    LOG.warning(text, what, place.release[:19], place.space)


def _lost(connection: Connection, since: datetime, until: datetime) -> Iterator[Sign]:
    for row in unrecorded_between(connection, since, until):
        yield Sign(
            kind=HardKind.DATA_LOSS,
            subject=row["id"],
            workflow=row["workflow"],
            space=row["space"],
            release=Digest(row["release"]),
            summary=f"Interaction {row['id']} was answered and the ledger holds no entry of it.",
        )


def _stopped(connection: Connection) -> Iterator[Sign]:
    """Yield a ledger that does not verify: a candidate leaves; what is stable is not made right by going back."""
    why = ledger_stopped(connection)
    if why is None:
        return
    for space in served_spaces(connection):
        for workflow in workflows_in(connection, space):
            route = read_route(connection, space, workflow)
            if route.candidate is None and route.stable is None:
                continue
            yield Sign(
                kind=HardKind.DATA_LOSS,
                subject=Standing.LEDGER.subject(space, workflow),
                workflow=workflow,
                space=space,
                release=route.candidate,
                summary=f"The ledger stopped: {why}",
            )


def _unverified(connection: Connection, instance: Instance) -> Iterator[Sign]:
    for digest, (workflow, space) in _routed(connection).items():
        stored = find_release(connection, digest)
        problems = () if stored is None else release_problems(connection, instance, stored)
        if problems:
            yield Sign(
                kind=HardKind.SECURITY_BREACH,
                subject=Standing.RELEASE.subject(digest),
                workflow=workflow,
                space=space,
                release=digest,
                summary=f"Release {digest[:19]} does not verify: {problems[0].text}",
            )


def _routed(connection: Connection) -> dict[Digest, tuple[str, str]]:
    """Return every routed release with a workflow and space that it is routed for: it is verified once, for all."""
    routes = [
        (workflow, space, read_route(connection, space, workflow))
        for space in served_spaces(connection)
        for workflow in workflows_in(connection, space)
    ]
    return {
        digest: (workflow, space)
        for workflow, space, route in routes
        for digest in (route.candidate, route.stable)
        if digest is not None
    }
