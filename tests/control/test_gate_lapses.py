"""The gates of a release that serves are decided again: told once, acted upon once (gates.md 4.5, 4.9)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import QA, RISK_OFFICER, GateWorld, gate_world, junit, with_gates
from tests.control.test_gate_loopholes import risk_file

from pilotage.control.accept_risk import Accepted, RiskText, accept_risk
from pilotage.control.emergency_change import EmergencyRequest, declare_emergency
from pilotage.control.gate_case import Chain
from pilotage.control.gate_chain import live_reports
from pilotage.control.gate_withdrawals import revoke_named
from pilotage.control.manage_incident import open_by_person
from pilotage.control.watch_lapses import NEVER_CAUSE, RISK_CAUSE, watch_lapses
from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import SpaceName
from pilotage.gate.emergency import Emergency
from pilotage.gate.records import GateInput
from pilotage.gate.report import GateReport
from pilotage.incident.records import Severity
from pilotage.jobs.handlers import Registry
from pilotage.jobs.lapses import KIND, look_at_lapses, schedule_lapses
from pilotage.jobs.reconciler import Reconciler
from pilotage.release.seal import ReleaseState
from pilotage.space.settings import Space
from pilotage.store.incidents import StoredIncident
from pilotage.store.releases import find_release
from pilotage.store.routes import read_route
from pilotage.store.runs import find_run
from pilotage.testing.kills import lives_past
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW
from pilotage.workspace.gate import Accept, Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLANNED = f"[{EAST}, {WEST}, {EU}]"
OLDER = "The smoke suite moves to the new runner this week; the same paths run in regression, as before. " * 2


def criterion(name: str, kind: str, accept: Accept) -> Criterion:
    """Return a criterion that nothing failed in tests of a kind."""
    none = Condition(claim="failed", operator=Operator.EQ, limit=0)
    return Criterion(id=name, of=(kind,), all=(none,), accept=accept, trust=Trust.PUSHED)


ENTRY = Gate(
    name="entry",
    guards=EAST,
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(
            criterion("smoke", "tests.smoke", Accept.MEDIUM),
            criterion("authorisation", "tests.security", Accept.NEVER),
        ),
        ttl_s=30 * 86_400,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A release that serves in the east, with what it goes back to."""

    gates: GateWorld
    old: Digest

    @property
    def release(self) -> Digest:
        return self.gates.release

    def look(self, by: timedelta = timedelta()) -> None:
        """Let time pass and a worker look, whenever its next look was to be."""
        self.gates.inner.clock.advance(by)
        self.gates.inner.follow()
        schedule_lapses(self.gates.instance)
        Reconciler(self.gates.instance, Registry(steps={KIND: look_at_lapses})).turn()

    def due_at(self) -> datetime:
        with self.gates.inner.engine.connect() as connection:
            run = find_run(connection, KIND, "all")
        assert run is not None
        return run.due_at

    def stable(self, space: str = EAST) -> Digest | None:
        with self.gates.inner.engine.connect() as connection:
            return read_route(connection, space, WORKFLOW).stable

    def state(self) -> ReleaseState:
        with self.gates.inner.engine.connect() as connection:
            found = find_release(connection, self.release)
        assert found is not None
        return found.state

    def told(self, title: str) -> list[dict[str, Any]]:
        """Return the messages about it, of the release that serves at first."""
        query = "SELECT payload FROM outbox WHERE payload->>'title' LIKE :title AND payload->'links'->>'release' = :new"
        with self.gates.inner.engine.connect() as connection:
            return list(connection.scalars(text(query), {"title": f"%{title}%", "new": self.release}))

    def rows(self, query: str) -> list[Any]:
        with self.gates.inner.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), {"release": self.release})]

    def rollbacks(self) -> list[Any]:
        return self.rows("SELECT state, flipped, target FROM rollout WHERE release = :release")

    def accept(self, *, days: int = 1, **changed: Any) -> Accepted:
        now = self.gates.inner.clock.now()
        expires = f"{now + days * DAY:%Y-%m-%d}"
        data = risk_file(self.gates, **{"spaces": PLANNED, "expires": expires, **changed})
        actor = self.gates.person(RISK_OFFICER)
        done = accept_risk(
            self.gates.instance, actor=actor, release=self.release, gate="entry", text=RiskText(data=data)
        )
        assert isinstance(done, Accepted), done
        return done


@pytest.fixture
def live(engine: Engine, request: pytest.FixtureRequest) -> Live:
    world = gate_world(engine)
    world.release = world.inner.seal(f"First, where {request.node.name}.")  # the ledger holds those of earlier worlds
    world.inner.workspace = with_gates(world.workspace, ENTRY)
    world.status("entry")
    old = world.inner.seal("Old.")
    world.inner.serve(old, [EAST])
    world.inner.clock.advance(timedelta(minutes=1))
    world.attach(("tests.security", junit()))
    world.inner.serve(world.release, [EAST])
    return Live(gates=world, old=old)


def until_end(live: Live, done: Accepted) -> timedelta:
    return done.risk.expires.astimezone(UTC) - live.gates.inner.clock.now()


LAPSED = "no longer covered"


@pytest.mark.feature("DE.2")
def test_an_accepted_risk_that_ends_pages_its_owner_once_and_three_days_later_the_release_leaves(live: Live) -> None:
    done = live.accept()
    live.look()
    assert live.told(LAPSED) == []
    assert live.due_at() <= live.gates.inner.clock.now() + HOUR
    live.look(until_end(live, done))
    (page, ticket) = live.told(LAPSED)
    assert {page["kind"], ticket["kind"]} == {"page", "ticket"}
    assert page["facts"]["owner"] == "nadia.brooks"
    assert f"{done.risk.expires + 3 * DAY:%Y-%m-%d %H:%M} UTC" in page["text"]
    live.look(3 * DAY - timedelta(seconds=1))
    assert (live.stable(), len(live.told(LAPSED)), live.rollbacks()) == (live.release, 2, [])
    assert live.due_at() == done.risk.expires + 3 * DAY
    live.look(timedelta(seconds=1))
    assert (live.stable(), live.rollbacks()) == (live.old, [("rolling_back", [EAST], live.old)])
    incidents = "SELECT cause, severity FROM incident WHERE release = :release"
    assert live.rows(incidents) == [(RISK_CAUSE, "SEV2")]
    live.look(HOUR)
    live.look(HOUR)
    assert (len(live.rollbacks()), live.rows(incidents), len(live.told(LAPSED))) == (1, [(RISK_CAUSE, "SEV2")], 2)


def test_a_floating_model_leaves_production_three_days_after_its_acceptance_ended(live: Live) -> None:
    floating = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    floating |= {"pin": {"kind": "floating", "id": "latest"}}  # type: ignore[dict-item]
    before = live.release
    live.gates.release = live.gates.inner.seal("By an alias, live.", model=floating)
    live.gates.attach(("tests.smoke", junit()), ("tests.security", junit()))
    live.gates.inner.serve(live.release, [EAST])
    live.look()
    (warned,) = live.told(GONE)
    assert "named by a floating alias" in warned["text"]
    done = live.accept(criteria="[]", findings="[MODEL_NOT_PINNED]")
    live.look(HOUR)
    assert (len(live.told(GONE)), live.told(LAPSED)) == (1, [])
    assert live.due_at() <= done.risk.expires
    live.look(until_end(live, done))
    (page, _) = live.told(LAPSED)
    assert page["facts"]["owner"] == "nadia.brooks"
    live.look(3 * DAY - timedelta(seconds=1))
    assert (live.stable(), live.rollbacks()) == (live.release, [])
    live.look(timedelta(seconds=1))
    assert (live.stable(), live.rollbacks()) == (before, [("rolling_back", [EAST], before)])


def test_a_renewal_within_three_days_keeps_the_release_and_its_own_end_begins_three_days_anew(live: Live) -> None:
    first = live.accept()
    live.look(until_end(live, first))
    live.look(DAY)
    second = live.accept(rationale=f'"{OLDER}"')
    live.look()
    assert live.rows("SELECT count(*) FROM gate_lapse WHERE release = :release AND ended_at IS NULL") == [(0,)]
    live.look(until_end(live, second))
    live.look(2 * DAY)
    assert (live.stable(), len(live.told(LAPSED))) == (live.release, 4)
    live.look(DAY)
    assert live.stable() == live.old


def test_one_withdrawn_early_counts_from_then(live: Live) -> None:
    done = live.accept(days=20)
    live.look()
    actor = live.gates.person(RISK_OFFICER)
    assert (
        revoke_named(live.gates.instance, actor=actor, name=done.risk.id, reason="The runner is late.") == "acceptance"
    )
    live.look(HOUR)
    assert len(live.told(LAPSED)) == 2
    live.look(3 * DAY - HOUR)
    assert live.stable() == live.old


def test_of_an_acceptance_that_ended_with_nothing_open_the_three_days_begin_when_something_is(live: Live) -> None:
    done = live.accept()
    live.gates.attach(("tests.smoke", junit(passed=4)))
    first = until_end(live, done)
    live.look(first)
    live.look(14 * DAY - first)  # tests count for 14 days
    assert live.told(LAPSED) == []
    live.look(HOUR)
    assert (live.stable(), len(live.told(LAPSED)), live.rollbacks()) == (live.release, 2, [])
    live.look(3 * DAY - HOUR - timedelta(seconds=1))
    assert live.stable() == live.release
    live.look(timedelta(seconds=1))
    assert live.stable() == live.old


def test_what_a_rollback_brought_back_has_three_days_of_its_own(live: Live) -> None:
    done = live.accept()
    live.look(until_end(live, done) + 2 * DAY)
    query = (
        "INSERT INTO rollout (id, workflow, release, plan, plan_digest, salt, state, state_at, started_by, flipped_at,"
        " flipped, target, created_at) SELECT 'r', workflow, :old, '{}', '', '', 'rolled_back', now(), 'p', :now,"
        " ARRAY[space], :release, :now FROM routing WHERE space = :space"
    )
    now = live.gates.inner.clock.now()
    with live.gates.inner.engine.begin() as connection:
        connection.execute(text(query), {"old": live.old, "release": live.release, "now": now, "space": EAST})
    live.look(DAY)
    assert live.stable() == live.release
    live.look(2 * DAY)
    assert live.stable() == live.old


def test_a_failure_nobody_may_accept_read_twice_quarantines_the_release_everywhere_once(live: Live) -> None:
    live.accept(days=20)
    live.gates.inner.serve(live.release, [WEST])
    live.look()
    live.gates.inner.clock.advance(timedelta(minutes=1))
    live.gates.attach(("tests.security", junit(failed=1)))
    live.look(HOUR)
    assert (live.state(), live.stable()) == (ReleaseState.SEALED, live.release)
    assert live.due_at() == live.gates.inner.clock.now() + timedelta(minutes=1)
    live.look(timedelta(minutes=1))
    assert (live.state(), live.stable()) == (ReleaseState.QUARANTINED, live.old)
    before = live.rollbacks()
    assert {space for _, spaces, _ in before for space in spaces} == {EAST, WEST}
    assert {row[0] for row in live.rows("SELECT cause FROM incident WHERE release = :release")} == {NEVER_CAUSE}
    live.look(HOUR)
    assert live.rollbacks() == before


def test_one_reading_that_is_gone_again_takes_nothing_out(live: Live) -> None:
    live.accept(days=20)
    live.gates.inner.clock.advance(timedelta(minutes=1))
    live.gates.attach(("tests.security", junit(failed=1)))
    live.look(timedelta(minutes=1))
    assert live.rows("SELECT about FROM gate_lapse WHERE release = :release AND about <> ''") == [
        ("never:authorisation",)
    ]
    live.gates.attach(("tests.security", junit(passed=4)))
    live.look(timedelta(minutes=1))
    live.look(timedelta(minutes=1))
    assert (live.state(), live.stable()) == (ReleaseState.SEALED, live.release)


def test_a_release_whose_gates_cannot_be_read_hides_nothing_of_another(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(chain: Chain, space: Space) -> tuple[tuple[GateReport, GateInput], ...]:
        if chain.stored.digest == live.old:
            raise IntegrityError("PART_UNREADABLE", "The golden set of it does not read.")
        return live_reports(chain, space)

    monkeypatch.setattr("pilotage.control.watch_lapses.live_reports", read)
    live.gates.inner.serve(live.old, [WEST])
    done = live.accept()
    live.look(until_end(live, done))
    assert len(live.told(LAPSED)) == 2


GONE = "no longer hold"


def entries(live: Live) -> Counter[str]:
    kinds = "SELECT kind FROM ledger_entry WHERE subject = :release || '/entry'"
    return Counter(kind for (kind,) in live.rows(kinds))


def test_a_gate_that_lapses_tells_the_owner_once_and_moves_nothing_until_it_lapses_again(live: Live) -> None:
    live.accept(days=80)
    live.look()
    assert live.told(GONE) == []
    live.look(15 * DAY)  # tests count for 14 days
    (ticket,) = live.told(GONE)
    assert (ticket["kind"], ticket["facts"]) == ("ticket", {"gates": ["entry"], "spaces": [EAST]})
    live.look(DAY)
    assert (len(live.told(GONE)), live.stable()) == (1, live.release)
    live.gates.attach(("tests.security", junit(passed=4)))
    live.look(HOUR)
    live.look(15 * DAY)
    assert (len(live.told(GONE)), live.rollbacks()) == (2, [])
    assert entries(live) == {"gate.lapsed": 2, "gate.lapse_ended": 1}


def test_where_nobody_is_served_yet_an_old_gate_tells_nothing(live: Live) -> None:
    live.gates.inner.workspace = with_gates(live.gates.workspace, ENTRY, replace(ENTRY, name="trial", guards=QA))
    live.gates.inner.serve(live.release, [SpaceName(QA)])
    live.accept(days=80)
    live.look(15 * DAY)
    (ticket,) = live.told(GONE)
    assert ticket["facts"] == {"gates": ["entry"], "spaces": [EAST]}
    assert live.rows("SELECT DISTINCT gate FROM gate_lapse WHERE release = :release") == [("entry",)]


def test_what_an_emergency_let_in_is_settled_by_its_own_end(live: Live) -> None:
    reported = open_by_person(
        live.gates.instance,
        actor=live.gates.person("joseph.mbeki"),
        workflow=WORKFLOW,
        space=EAST,
        severity=Severity.SEV2,
        summary="Wrong rates.",
    )
    assert isinstance(reported, StoredIncident)
    request = EmergencyRequest(incident=reported.id, spaces=(EAST,), reason="Customers are told wrong rates.")
    for who in ("dina.kowalski", "yusuf.demir"):
        done = declare_emergency(
            live.gates.instance, actor=live.gates.person(who), release=live.release, request=request
        )
        assert isinstance(done, Emergency), done
    live.look(HOUR)
    assert live.told(GONE) == []
    assert live.rows("SELECT about FROM gate_lapse WHERE release = :release") == []


def test_killed_at_any_statement_the_look_is_done_by_the_next_one_once(live: Live) -> None:
    done = live.accept()
    live.look(until_end(live, done))
    live.gates.inner.clock.advance(3 * DAY)
    live.gates.inner.follow()
    deaths = 0

    def look(engine: Engine) -> None:
        with engine.begin() as connection:
            now = live.gates.inner.clock.now()
            watch_lapses(connection, replace(live.gates.instance, engine=engine), due_at=now)

    while not lives_past(1 + 7 * deaths, live.gates.inner.engine, look):
        deaths += 1
        assert (live.stable(), live.rollbacks()) == (live.release, [])
    assert deaths > 3
    assert (live.stable(), len(live.rollbacks()), len(live.told(LAPSED))) == (live.old, 1, 2)
