"""`pilotage gate request-changes | close-request | requests`: what somebody at a gate wants changed, and its end.

Rule: who may sign at the gate in the role asks, as far from the release as a vote demands; who asked closes. Fail mode:
a Refusal with every reason, nothing written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.gate_case import open_chain
from pilotage.control.inbox_task import Task
from pilotage.control.instance import Instance
from pilotage.control.preview_vote import view_in
from pilotage.control.record_entry import record
from pilotage.control.send_messages import Notice, send
from pilotage.control.sign_gate import vote_refusal
from pilotage.control.typed_text import checked_text
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, short
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.change_request import LEAST_CHARACTERS, ChangeRequest, closing_problem
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may, parse_role
from pilotage.ledger.entry import EntryKind
from pilotage.release.authorship import persons
from pilotage.release.manifest import read_manifest
from pilotage.rollout.transitions import Notify
from pilotage.store import change_requests
from pilotage.store.releases import StoredRelease, authors_of_parts, named_release, releases_by_digest
from pilotage.workspace.principals import roles_of

MOST_REQUESTS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants changed at which gate, in which role."""

    gate: str
    role: str
    text: str
    space: str | None = None


def request_changes(instance: Instance, *, actor: Principal, release: str, wish: Wish) -> ChangeRequest | Refusal:
    """Open a task for the release's authors."""
    role, words = parse_role(wish.role), checked_text(wish.text, "request")
    if len(words) < LEAST_CHARACTERS:
        raise UsageError("TEXT_MISSING", f"Say what is to be changed, in at least {LEAST_CHARACTERS} characters.")
    if wish.gate not in instance.workspace.gates:
        known = ", ".join(sorted(instance.workspace.gates)) or "none"
        raise NotFound("GATE_UNKNOWN", f"There is no gate {wish.gate!r}.", hint=f"Declared in gates/: {known}.")
    with instance.engine.begin() as connection:
        stored = named_release(connection, release)
        reasons = _asking_reasons(connection, instance, stored, actor, replace(wish, role=role.value))
        if reasons:
            return Refusal(reasons=reasons)
        now = instance.clock.now()
        one = ChangeRequest(
            id=new_ulid(now),
            release=stored.digest,
            workflow=stored.workflow,
            gate=wish.gate,
            role=role,
            person=PersonId(str(actor.person)),
            text=words,
            at=now,
        )
        change_requests.add_request(connection, one)
        data: dict[str, Json] = {"release": one.release, "gate": one.gate, "role": role.value}
        kind, opened = EntryKind.GATE_CHANGE_REQUESTED, {"text": words}
        record(connection, kind, actor=actor, at=now, subject=one.id, data=data, opened=opened)
        send(connection, instance, (Notify.OWNER,), _notice(connection, instance, stored, one), at=now)
    return one


def _notice(connection: Connection, instance: Instance, stored: StoredRelease, one: ChangeRequest) -> Notice:
    """Return what is told, with for whom it waits: who made the release and may seal the next one."""
    makers = _makers(connection, (stored,))[stored.digest]
    able = sorted(who for who in makers if may(roles_of(instance.workspace, who), Action.SEAL) is None)
    waits = f"It waits for {', '.join(able)}." if able else "Nobody who made it may seal the next one."
    return Notice(
        title=f"Changes are asked of release {short(one.release)}",
        text=f"{one.role.value} at gate {one.gate} wants something changed before signing. {waits}",
        links={"release": one.release},
        facts={
            "workflow": one.workflow,
            "release": one.release,
            "gate": one.gate,
            "request": one.id,
            "people": ", ".join(able),
        },
    )


def _asking_reasons(
    connection: Connection, instance: Instance, stored: StoredRelease, actor: Principal, wish: Wish
) -> tuple[Reason, ...]:
    problem = person_problem(actor, "asks for changes at a gate")
    if problem is not None:
        return (problem,)
    chain = open_chain(connection, instance, stored, instance.clock.now())
    view = view_in(chain, actor=actor, gate=wish.gate, space=wish.space)
    choice = next((one for one in view.choices if one.role.value == wish.role), None)
    if choice is not None:
        return choice.problems
    refusal = vote_refusal(actor.roles, wish.gate)
    asked = ", ".join(role.value for role in view.asked) or "nobody"
    text = f"Gate {wish.gate} asks for {asked}, and you act as {wish.role}."
    return (*(() if refusal is None else refusal.reasons), Reason(code="ROLE_NOT_ASKED", text=text, where=wish.role))


def close_request(instance: Instance, *, actor: Principal, request: str, reason: str) -> ChangeRequest | Refusal:
    """Close what one asked for: it is no longer wanted, or was settled without another release."""
    words = checked_text(reason, "reason")
    if not words:
        raise UsageError("REASON", "Say why the request ends.", hint="Write --reason TEXT.")
    with instance.engine.begin() as connection:
        one = change_requests.find_request(connection, request)
        if one is None:
            message = f"There is no request for changes {request[:80]!r}."
            raise NotFound("REQUEST_UNKNOWN", message, hint="See `pilotage gate requests DIGEST`.")
        problem = closing_problem(one, actor.person)
        if problem is not None:
            return Refusal(reasons=(problem,))
        now = instance.clock.now()
        change_requests.close(connection, one.id, at=now, reason=words)
        data: dict[str, Json] = {"release": one.release, "gate": one.gate}
        kind, opened = EntryKind.GATE_CHANGE_CLOSED, {"reason": words}
        record(connection, kind, actor=actor, at=now, subject=one.id, data=data, opened=opened)
    return replace(one, closed_at=now, closed_reason=words)


def list_requests(instance: Instance, *, release: str, gate: str | None = None) -> tuple[ChangeRequest, ...]:
    """Return what was asked about a release, oldest first."""
    with instance.engine.connect() as connection:
        found = change_requests.requests_about(connection, named_release(connection, release).digest)
    return tuple(one for one in found if gate in {None, one.gate})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestList:
    """A page of requests, oldest first; `more` is the key of the next page."""

    requests: tuple[ChangeRequest, ...]
    more: str | None

    def as_json(self) -> dict[str, Json]:
        """Return the documented result."""
        return {"requests": [one.as_json() for one in self.requests], "next_page": self.more}


def list_request_page(
    instance: Instance, *, release: str, gate: str | None = None, after: str | None = None
) -> RequestList:
    """Return at most 50 of what was asked about a release, oldest first, behind `after`."""
    with instance.engine.connect() as connection:
        digest = named_release(connection, release).digest
        if after and not change_requests.is_about(connection, after, digest):
            raise UsageError("PAGE", f"{after[:80]!r} is the key of no page.", hint="Leave it out for the first page.")
        found = change_requests.requests_after(
            connection, digest, gate=gate or "", after=after or "", most=MOST_REQUESTS + 1
        )
    shown = found[:MOST_REQUESTS]
    return RequestList(requests=shown, more=shown[-1].id if len(found) > MOST_REQUESTS else None)


def change_tasks(connection: Connection, instance: Instance, actor: Principal) -> list[Task]:
    """Return what is asked of releases this person made or sealed, where they may seal the next one."""
    if actor.person is None or may(actor.roles, Action.SEAL) is not None:
        return []
    found = change_requests.open_requests(connection)
    makers = _makers(connection, releases_by_digest(connection, {one.release for one in found}))
    return [
        _task(instance, one, makers[one.release] - {actor.person})
        for one in found
        if actor.person in makers[one.release]
    ]


def _makers(connection: Connection, releases: Sequence[StoredRelease]) -> dict[Digest, frozenset[PersonId]]:
    """Return by release who made a part of it or sealed it."""
    parts = {one.digest: read_manifest(one.manifest, digest=one.digest).parts.values() for one in releases}
    authors = authors_of_parts(connection, {part for found in parts.values() for part in found}) if parts else {}
    return {
        one.digest: persons(author for part in parts[one.digest] for author in authors[part])
        | {PersonId(one.sealed_by)}
        for one in releases
    }


def _task(instance: Instance, one: ChangeRequest, others: Iterable[PersonId]) -> Task:
    asker = instance.workspace.people.get(one.person)
    able = {who for who in others if may(roles_of(instance.workspace, who), Action.SEAL) is None}
    return Task(
        key=f"change/{one.id}",
        sentence=f"Change release {short(one.release)} for gate {one.gate}: {one.text}",
        path=f"/releases/{short(one.release)}/gates/{one.gate}#changes",
        since=one.at,
        why=f"{one.person if asker is None else asker.name} asked as {one.role.value}; your next release answers it.",
        minutes=60,
        others=tuple(sorted(able)),
    )
