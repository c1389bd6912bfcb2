"""An upgrade of Pilotage is noticed, and asks for a run of each release within a day (gates.md 1.2, 5.4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import GateWorld, gate_world, told

from pilotage import __version__
from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.gate_roster import notice_changes
from pilotage.core.reason import Outcome
from pilotage.evidence.records import Evidence
from pilotage.gate.report import CriterionResult
from pilotage.store.evidence import good_under
from pilotage.workspace.gate import Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store
SCORED = Condition(claim="unscored", operator=Operator.EQ, limit=0)
RUN = Criterion(id="accuracy", of=("evaluation",), all=(SCORED,), trust=Trust.ATTESTED)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    gate = Gate(name="quality-run", guards="dev-deployment-space", trust=Trust.ATTESTED, pre=GateHalf(criteria=(RUN,)))
    made.declare(gates={**made.workspace.gates, "quality-run": gate})
    return made


def evaluated(world: GateWorld, verdict: str = "go") -> Evidence:
    with world.inner.engine.begin() as connection:
        run = OwnRun(
            kind="evaluation",
            claims={"unscored": 0.0, "scored": 60.0},
            body=world.inner.clock.now().isoformat().encode(),
            produced_at=world.inner.clock.now(),
            summary="60 cases",
            refs={"verdict": verdict},
        )
        return attach_own_run(connection, world.instance, release=world.release, run=run)


def accuracy(world: GateWorld) -> CriterionResult:
    (found,) = world.status("quality-run").criteria
    return found


def upgrade(world: GateWorld, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Let another version of Pilotage run from here on."""
    for where in ("attach_own", "gate_inputs", "gate_roster"):
        monkeypatch.setattr(f"pilotage.control.{where}.__version__", version)
    with world.inner.engine.begin() as connection:
        notice_changes(connection, world.instance, world.inner.clock.now())


def seen(world: GateWorld) -> list[str]:
    query = text("SELECT detail ->> 'version' FROM stated_fact WHERE kind = 'engine' ORDER BY at, id")
    with world.inner.engine.connect() as connection:
        return list(connection.execute(query).scalars())


def test_an_upgrade_is_noticed_once_and_asks_for_a_run_within_a_day(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(world)
    assert accuracy(world).outcome is Outcome.OK
    world.inner.clock.advance(timedelta(days=2))
    assert accuracy(world).outcome is Outcome.OK, "the same version asks for nothing"
    upgrade(world, monkeypatch, "99.0")
    upgrade(world, monkeypatch, "99.0")
    assert seen(world)[-2:] == [__version__, "99.0"]
    assert accuracy(world).outcome is Outcome.OK
    world.inner.clock.advance(timedelta(hours=24, minutes=1))
    assert accuracy(world).outcome is Outcome.INCONCLUSIVE
    assert "ENGINE_CHANGED" in told(world.status("quality-run"))
    evaluated(world)
    assert accuracy(world).outcome is Outcome.OK


def test_going_back_to_an_older_version_counts_anew(world: GateWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade(world, monkeypatch, "99.0")
    evaluated(world)
    world.inner.clock.advance(timedelta(days=2))
    upgrade(world, monkeypatch, "98.0")
    assert accuracy(world).outcome is Outcome.OK
    world.inner.clock.advance(timedelta(days=1, minutes=1))
    assert accuracy(world).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("verdict", "is_good"), [("go", True), ("no_go", False), ("inconclusive", False)])
def test_a_good_run_alone_stands_for_the_version_that_made_it(world: GateWorld, verdict: str, is_good: bool) -> None:
    evaluated(world, verdict)
    with world.inner.engine.connect() as connection:
        assert (world.release in good_under(connection, [world.release], __version__)) is is_good
        assert not good_under(connection, [world.release], "99.0")


def test_the_verdict_and_version_of_a_run_are_compared_with_the_ledger(world: GateWorld, engine: Engine) -> None:
    run = evaluated(world, "no_go")
    edit = text(
        "UPDATE evidence SET reading = jsonb_set(reading, CAST(:path AS text[]), CAST(:to AS jsonb)) WHERE id = :id"
    )
    for path, was, becomes in (("{refs,verdict}", '"no_go"', '"go"'), ("{refs,engine}", f'"{__version__}"', '"99.0"')):
        with engine.begin() as connection:
            connection.execute(edit, {"path": path, "to": becomes, "id": run.id})
        assert "LEDGER_MISMATCH" in told(world.status("quality-run")), path
        with engine.begin() as connection:
            connection.execute(edit, {"path": path, "to": was, "id": run.id})
        assert "LEDGER_MISMATCH" not in told(world.status("quality-run")), path
