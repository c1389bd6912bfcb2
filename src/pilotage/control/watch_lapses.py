"""The gates of releases that serve, decided again (gates.md 4.5, 4.9): what lapsed is told once and acted upon once.

A gate that is no longer approved at a steady 100 % of production tells the owner. A risk nobody covers any more pages
its owner, and three days later the release leaves that production space. A failure nobody may accept, read by two
looks, quarantines the release everywhere. Rule: rows, entries, messages and rollback commit together. Fail mode: a
release whose gates cannot be read keeps its rows as they are; a rollback that cannot begin is tried again in a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import gates_into, input_of, live_reports, report_of
from pilotage.control.gate_inputs import is_floating
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.roll_back import RollbackRequest, take_out
from pilotage.control.rollout_moves import Deed
from pilotage.control.send_messages import Notice, send
from pilotage.control.withdraw_release import Withdrawing, quarantine_content
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.errors import PilotageError
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Refusal
from pilotage.gate.emergency import standing
from pilotage.gate.lapse import GRACE, Lapse, lapses_at, unpinned
from pilotage.gate.promotion import PINNED_IN
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.rollout.transitions import Notify
from pilotage.space.settings import Space, Tier
from pilotage.store.lapses import Key, StoredLapse, came_back_at, close_lapse, open_lapses, put_lapse
from pilotage.store.releases import find_release, named_with_same_content
from pilotage.store.routes import read_route
from pilotage.store.space_health import served_spaces, workflows_in

LOG: Final = logging.getLogger("pilotage.gates")
MACHINE: Final = "system:gate-lapses"
EVERY: Final = timedelta(hours=1)
AGAIN: Final = timedelta(minutes=1)
RISK_CAUSE: Final = "accepted risk lapsed"
NEVER_CAUSE: Final = "never acceptable"
_WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a release serves. `is_steady`: everybody in the space is served by it."""

    space: SpaceName
    workflow: str
    release: Digest
    is_steady: bool


def watch_lapses(connection: Connection, instance: Instance, *, due_at: datetime) -> datetime:
    """Decide every gate of what serves, once; return when to look again. `due_at`: when this look was to be."""
    now = instance.clock.now()
    notice_changes(connection, instance, now)
    look = _Look(
        connection=connection,
        instance=instance,
        deed=Deed(actor=MACHINE, at=now),
        looked_at=due_at - EVERY,
        due=[now + EVERY],
    )
    look.run()
    return min(look.due)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look. `looked_at`: when the one before was, at the earliest; what it did not find lapsed after it."""

    connection: Connection
    instance: Instance
    deed: Deed
    looked_at: datetime
    due: list[datetime]
    unread: set[str] = field(default_factory=set)

    def run(self) -> None:
        known = {one.key: one for one in open_lapses(self.connection)}
        places = tuple(_places(self.connection, self.instance))
        found = {row.key: (row, lapse) for row, lapse in self._found(places, known)}
        fresh = [one for key, one in found.items() if key not in known]
        for row, _ in fresh:
            put_lapse(self.connection, row)
            self._record(EntryKind.GATE_LAPSED, row)
        for key, row in known.items():
            if key not in found and row.release not in self.unread:
                close_lapse(self.connection, row, self.deed.at)
                self._record(EntryKind.GATE_LAPSE_ENDED, row)
        self._tell(fresh)
        for row, lapse in found.values():
            if row.acted_at is None and self._is_due(row, lapse, is_fresh=row.key not in known):
                self._act(row, lapse)

    def _found(
        self, places: tuple[_Place, ...], known: Mapping[Key, StoredLapse]
    ) -> Iterator[tuple[StoredLapse, Lapse]]:
        for release in dict.fromkeys(one.release for one in places):
            found = self._of(release, [one for one in places if one.release == release], known)
            if found is None:
                self.unread.add(release)
            yield from found or ()

    def _of(
        self, release: Digest, places: list[_Place], known: Mapping[Key, StoredLapse]
    ) -> list[tuple[StoredLapse, Lapse]] | None:
        """Return what lapsed of a release; None where its gates cannot be read."""
        stored = find_release(self.connection, release)
        if stored is None:
            return None
        try:
            with self.connection.begin_nested():
                chain = open_chain(self.connection, self.instance, stored, self.deed.at)
                found = [one for place in places for one in self._at(chain, place, known)]
        except PilotageError as error:
            LOG.warning("The gates of %s, which serves, cannot be read: %s", release[:19], error.code)
            return None
        self.due.extend(risk.expires for risk in chain.acceptances if risk.expires > self.deed.at)
        return found

    def _at(self, chain: Chain, place: _Place, known: Mapping[Key, StoredLapse]) -> Iterator[tuple[StoredLapse, Lapse]]:
        space = self.instance.workspace.spaces.get(place.space)
        if space is None or standing(chain.emergencies, place.space, self.deed.at) is not None:
            return  # `end_emergency` settles what an emergency let in
        for lapse in self._lapses(chain, space):
            is_live = place.is_steady and space.tier is Tier.PRODUCTION
            if not (is_live or lapse.risk or lapse.is_never):
                continue  # nobody is served yet, or its rollout is held by the same gate and says so
            row = StoredLapse(
                space=place.space,
                workflow=place.workflow,
                release=place.release,
                gate=lapse.gate,
                about=lapse.about,
                since=max(lapse.since or self.deed.at, self.looked_at),
                noticed_at=self.deed.at,
            )
            yield known.get(row.key, row), lapse

    def _lapses(self, chain: Chain, space: Space) -> Iterator[Lapse]:
        """Yield what lapsed behind a release in a space, an alias that nobody accepts any more with it."""
        for report, given in live_reports(chain, space):
            yield from lapses_at(report, given, self.deed.at)
        if space.tier in PINNED_IN and is_floating(chain):
            names = gates_into(chain, space)
            gates = [(report_of(chain, one, space=space.name), input_of(chain, one, space=space.name)) for one in names]
            found = unpinned(gates, space.name, self.deed.at)
            yield from () if found is None else (found,)

    def _tell(self, fresh: list[tuple[StoredLapse, Lapse]]) -> None:
        """Tell what is new: once a release, whatever the number of its spaces."""
        risks: dict[tuple[str, str], list[tuple[StoredLapse, Lapse]]] = {}
        gates: dict[str, list[tuple[StoredLapse, Lapse]]] = {}
        for row, lapse in fresh:
            if lapse.risk is not None:
                risks.setdefault((row.release, row.about), []).append((row, lapse))
            elif not lapse.is_never:
                gates.setdefault(row.release, []).append((row, lapse))
        for of_risk in risks.values():
            self._page(of_risk)
        for of_release in gates.values():
            self._warn(of_release)

    def _page(self, told: list[tuple[StoredLapse, Lapse]]) -> None:
        row, lapse = told[0]
        spaces = list(dict.fromkeys(one.space for one, _ in told))
        leaves = [self._leaves_at(one) for one, _ in told if self._is_production(one)]
        until = f" Without renewal the release leaves on {min(leaves):%Y-%m-%d %H:%M} UTC." if leaves else ""
        notice = Notice(
            title=f"{row.workflow}: an accepted risk is no longer covered",
            text=f"{lapse.reason.text}{until}",
            links={"release": row.release},
            facts={"owner": lapse.owner, "gate": row.gate, "acceptance": lapse.reason.observed, "spaces": spaces},
        )
        send(self.connection, self.instance, (Notify.PAGE, Notify.OWNER), notice, at=self.deed.at)

    def _warn(self, told: list[tuple[StoredLapse, Lapse]]) -> None:
        row = told[0][0]
        spaces = list(dict.fromkeys(one.space for one, _ in told))
        gates = {one.gate: lapse.reason.text for one, lapse in told}
        notice = Notice(
            title=f"{row.workflow}: gates of the release that serves no longer hold",
            text=f"{' '.join(gates.values())} Its traffic stays, and goes up nowhere.",
            links={"release": row.release},
            facts={"gates": list(gates), "spaces": spaces},
        )
        send(self.connection, self.instance, (Notify.OWNER,), notice, at=self.deed.at)

    def _is_due(self, row: StoredLapse, lapse: Lapse, *, is_fresh: bool) -> bool:
        """Tell whether the release has to go now; else note when to look again."""
        if lapse.is_never:
            if is_fresh:
                self.due.append(self.deed.at + AGAIN)
            return not is_fresh
        if lapse.risk is None or not self._is_production(row):
            return False
        leaves = self._leaves_at(row)
        if leaves > self.deed.at:
            self.due.append(leaves)
        return leaves <= self.deed.at

    def _leaves_at(self, row: StoredLapse) -> datetime:
        back = came_back_at(self.connection, row.space, row.workflow, row.release)
        return max(row.since, back or row.since) + GRACE

    def _is_production(self, row: StoredLapse) -> bool:
        space = self.instance.workspace.spaces.get(SpaceName(row.space))
        return space is not None and space.tier is Tier.PRODUCTION

    def _act(self, row: StoredLapse, lapse: Lapse) -> None:
        if self._quarantine(row, lapse) if lapse.is_never else self._roll_back(row, lapse):
            put_lapse(self.connection, replace(row, acted_at=self.deed.at))
        else:
            self.due.append(self.deed.at + AGAIN)

    def _quarantine(self, row: StoredLapse, lapse: Lapse) -> bool:
        _, same = named_with_same_content(self.connection, row.release)
        wanted = Withdrawing(
            state=ReleaseState.QUARANTINED,
            cause=NEVER_CAUSE,
            note=lapse.reason.text,
            data={"code": lapse.reason.code, "gate": row.gate},
        )
        quarantine_content(self.connection, self.instance, same, wanted, self.deed)
        return True

    def _roll_back(self, row: StoredLapse, lapse: Lapse) -> bool:
        request = RollbackRequest(
            workflow=row.workflow,
            reason=f"{lapse.reason.text} Nobody renewed it in {GRACE.days} days.",
            space=row.space,
            release=Digest(row.release),
            cause=RISK_CAUSE,
        )
        return not isinstance(take_out(self.connection, self.instance, request=request, deed=self.deed), Refusal)

    def _record(self, kind: EntryKind, row: StoredLapse) -> None:
        data: dict[str, Json] = {
            "release": row.release,
            "workflow": row.workflow,
            "gate": row.gate,
            "about": row.about,
            "since": to_text(row.since),
        }
        subject = f"{row.release}/{row.gate}"
        record(self.connection, kind, actor=MACHINE, at=self.deed.at, subject=subject, space=row.space, data=data)


def _places(connection: Connection, instance: Instance) -> Iterator[_Place]:
    """Yield every release that serves a declared workflow, and where."""
    for space in served_spaces(connection):
        for workflow in workflows_in(connection, space):
            if WorkflowName(workflow) not in instance.workspace.workflows:
                continue
            route = read_route(connection, space, workflow)
            if route.stable is not None:
                is_steady = route.candidate is None or route.fraction_ppm < _WHOLE
                yield _Place(space=space, workflow=workflow, release=route.stable, is_steady=is_steady)
            if route.candidate is not None and route.fraction_ppm:
                is_steady = route.fraction_ppm >= _WHOLE
                yield _Place(space=space, workflow=workflow, release=route.candidate, is_steady=is_steady)
