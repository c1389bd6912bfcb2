"""Sessions as they are looked at: all of them with what could be submitted, and one with every release on its agenda.

Rule: every release is decided from one snapshot, in a number of statements that does not grow with the agenda. Fail
mode: NotFound for a session nobody called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.call_session import known_session
from pilotage.control.gate_case import Chain, open_all_to_look
from pilotage.control.gate_chain import input_of, is_reached, report_of
from pilotage.control.instance import Instance
from pilotage.control.preview_vote import GateView, view_in
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.gate.minutes import Closing, Discussed, minutes_of, results_in
from pilotage.gate.report import GateReport
from pilotage.gate.session import AgendaItem, Session, SessionState, board_problems, seated
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.principal import Principal
from pilotage.incident.duty import on_duty
from pilotage.store.board_sessions import newest_sessions, open_sessions, read_minutes
from pilotage.store.cab_packs import StoredPack, find_packs
from pilotage.store.releases import StoredRelease, heads_of, releases_named

MOST_SESSIONS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """One release of the agenda. `pack` None: none was made; `duty` is who is on call when the session begins."""

    item: AgendaItem
    release: StoredRelease
    report: GateReport
    pack: StoredPack | None
    outdated: tuple[str, ...]
    problems: tuple[Reason, ...]
    duty: tuple[PersonId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A session with its agenda. `chosen` is the item that is taken now, `gate` what may be decided about it.

    `decided`: what the minutes of a closed session say of each release; `unread`: why they cannot be told.
    """

    session: Session
    state: SessionState
    items: tuple[ItemView, ...]
    chosen: ItemView | None = None
    gate: GateView | None = None
    decided: Mapping[Digest, GateStatus] = field(default_factory=dict)
    unread: Reason | None = None

    def as_json(self, now: datetime) -> dict[str, Json]:
        """Return the session for CLI and API, with where every release stands."""
        items: list[Json] = [
            {
                "position": one.item.position,
                "digest": one.release.digest,
                "workflow": one.release.workflow,
                "status": one.report.status.value,
                "cab_pack": None if one.pack is None else one.pack.digest,
                "outdated": list(one.outdated),
                "seats": [{"role": seat.role.value, "said": seated(seat).value} for seat in one.report.signoffs],
                "problems": [dict(reason.as_json()) for reason in one.problems],
            }
            for one in self.items
        ]
        return {**self.session.as_json(now), "items": items}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    """Sessions, the last called first; `more` is the key of the next page, `candidates` what could be submitted.

    `sessions` are those of one page; `waiting` all that are not closed, whatever page they stand on.
    """

    sessions: tuple[Session, ...]
    waiting: tuple[Session, ...] = ()
    candidates: tuple[tuple[StoredRelease, GateReport], ...] = ()
    more: str | None = None
    at: datetime = field(kw_only=True)

    @property
    def next(self) -> Session | None:
        """The session that is open or comes first."""
        return min(self.waiting, key=lambda one: (one.starts_at, one.id), default=None)

    def as_json(self) -> dict[str, Json]:
        """Return the list for CLI and API."""
        rows: list[Json] = [
            {"digest": stored.digest, "workflow": stored.workflow, "gate": report.gate, "status": report.status.value}
            for stored, report in self.candidates
        ]
        return {"sessions": [one.as_json(self.at) for one in self.sessions], "candidates": rows, "next_page": self.more}


def list_sessions(instance: Instance, *, before: str | None = None) -> SessionList:
    """Return a page of sessions, and each workflow's newest release that a board could decide about."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = newest_sessions(connection, most=MOST_SESSIONS + 1, before=before)
        shown = found[:MOST_SESSIONS]
        waiting = open_sessions(connection)
        on_agenda = {item.release for one in waiting for item in one.agenda}
        heads = [
            one for one in heads_of(connection, sorted(instance.workspace.workflows)) if one.digest not in on_agenda
        ]
        chains = open_all_to_look(connection, instance, heads, now)
        boards = sorted(gate.name for gate in instance.workspace.gates.values() if gate.pre.board is not None)
        candidates = [
            (chain.stored, report_of(chain, gate)) for chain in chains for gate in boards if is_reached(chain, gate)
        ]
    return SessionList(
        sessions=shown,
        waiting=waiting,
        candidates=tuple((stored, report) for stored, report in candidates if _is_for_the_board(report)),
        more=shown[-1].id if len(found) > MOST_SESSIONS else None,
        at=now,
    )


def _is_for_the_board(report: GateReport) -> bool:
    return not report.status.is_approved and report.status is not GateStatus.BLOCKED


def view_session(instance: Instance, *, actor: Principal, session: str, item: int | None = None) -> SessionView:
    """Return a session; of `item` (from 1, else the first that is not decided) also what the person may decide."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session)
        chains = chains_of(connection, instance, found, now)
        packs = find_packs(connection, [pack for chain in chains if (pack := _pack_of(chain, found.gate)) is not None])
        items = tuple(_item(chain, at, found, packs) for at, chain in zip(found.agenda, chains, strict=True))
        chosen = _chosen(items, item)
        gate = None if chosen is None else view_in(chains[chosen.item.position - 1], actor=actor, gate=found.gate)
        view = SessionView(session=found, state=found.state(now), items=items, chosen=chosen, gate=gate)
        return view if found.closed_at is None else _minuted(connection, view)


def _minuted(connection: Connection, view: SessionView) -> SessionView:
    try:
        return replace(view, decided=results_in(read_minutes(connection, view.session)))
    except IntegrityError as broken:  # the rest of the session can still be looked at
        return replace(view, unread=Reason(code=broken.code, text=str(broken), where=view.session.id))


def find_named(instance: Instance, name: str) -> Session:
    """Return a session with its agenda and questions; raise NotFound."""
    with instance.engine.connect() as connection:
        return known_session(connection, name)


def session_minutes(instance: Instance, session: str) -> dict[str, Json]:
    """Return the minutes of a closed session as they were recorded; of another, a draft of what they would be now."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session)
        if found.closed_at is not None:
            return dict(read_minutes(connection, found))
        return gathered(connection, instance, found, now, closing=None)


def gathered(
    connection: Connection, instance: Instance, session: Session, now: datetime, *, closing: Closing | None
) -> dict[str, Json]:
    """Return the minutes of a session as things stand now."""
    items = [
        Discussed(
            workflow=chain.stored.workflow,
            release=chain.stored.digest,
            sealed_by=PersonId(chain.stored.sealed_by),
            report=report_of(chain, session.gate),
            pack=_pack_of(chain, session.gate),
            votes=input_of(chain, session.gate).votes,
            acceptances=input_of(chain, session.gate).acceptances,
            questions=session.about(chain.stored.digest),
        )
        for chain in chains_of(connection, instance, session, now)
    ]
    organisation = instance.workspace.organisation
    return minutes_of(session, items, organisation=organisation, as_of=now, closing=closing)


def chains_of(connection: Connection, instance: Instance, session: Session, now: datetime) -> tuple[Chain, ...]:
    """Return what is read for each release of the agenda, in its order, and compared with the ledger: it is minuted."""
    stored = releases_named(connection, [one.release for one in session.agenda])
    wanted = [stored[one.release] for one in session.agenda]
    return open_all_to_look(connection, instance, wanted, now, compared=True)


def _pack_of(chain: Chain, gate: str) -> Digest | None:
    attempt = chain.attempts.get(gate)
    return None if attempt is None else attempt.pack


def _item(chain: Chain, item: AgendaItem, session: Session, packs: dict[Digest, StoredPack]) -> ItemView:
    workspace = chain.instance.workspace
    report, given = report_of(chain, session.gate), input_of(chain, session.gate)
    rota = workspace.operations.rotas.get(chain.workflow.on_call)
    pack = _pack_of(chain, session.gate)
    board, begins = given.rules.board, max(session.starts_at, chain.now)
    return ItemView(
        item=item,
        release=chain.stored,
        report=report,
        pack=None if pack is None else packs.get(pack),
        outdated=given.facts.pack_outdated,
        problems=() if board is None else board_problems(board, report.signoffs),
        duty=() if rota is None else tuple(one for one in on_duty(rota, begins) if one is not None),
    )


def _chosen(items: tuple[ItemView, ...], wanted: int | None) -> ItemView | None:
    named = [one for one in items if one.item.position == wanted]
    waiting = [one for one in items if not one.report.status.is_approved]
    return next(iter((*named, *waiting, *items)), None)
