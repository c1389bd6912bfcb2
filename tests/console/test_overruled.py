"""Two persons overrule an undecided step by the form alone: the first signature waits, the second moves the rollout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.asking import FakeAsking
from tests.console.conftest import Bank
from tests.control.rollout_world import DECIDER
from tests.control.test_overrule_and_incidents import deciding

from pilotage.adapters.keyring import Keyring
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.rollout.states import State
from pilotage.store.rollouts import find_rollout

pytestmark = pytest.mark.store
SECOND = "bruno.silva"


def state(engine: Engine, rollout: str) -> State | None:
    with engine.connect() as connection:
        found = find_rollout(connection, rollout)
    return None if found is None else found.state


def test_an_undecided_step_goes_on_when_two_persons_signed_the_same_form(engine: Engine, tmp_path: Path) -> None:
    world, stored = deciding(engine, 400_000.0)
    assert (stored.state, stored.decision_outcome) == (State.DECIDING, "inconclusive")
    instance = replace(world.instance, keyring=Keyring.open(tmp_path, {}, create=True))
    asking = FakeAsking(world.clock)
    services = Services(instance=instance, reading=instance, redact=str, asking=asking, ports=world.ports)
    site = Bank(instance=instance, clock=world.clock, asking=asking, console=Console(services))
    where, path = f"/rollouts/{stored.id}", f"/rollouts/{stored.id}/overrules"
    typed = {
        "bound": "errors < 0.2 %",
        "severity": "medium",
        "owner": "nadia.brooks",
        "reason": "Month end: the fixes are needed.",
        "expires_at": f"{world.clock.now() + timedelta(days=10):%Y-%m-%d %H:%M}",
        "confirmed": stored.release.removeprefix("sha256:")[:8],
    }
    first = site.browser(DECIDER)
    answers = [first.post(path, first.get(where).fields(path) | typed | {"key": "overruled-once-1"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303], answers[0].words
    told = first.get(answers[0].header("location"))
    assert "Signed. A second person has to sign the same acceptance." in told.words
    assert state(engine, stored.id) is State.DECIDING

    alone = first.post(path, told.fields(path) | {"confirmed": typed["confirmed"], "key": "overruled-once-2"})
    assert alone.header("location").endswith("?said=signed"), "one person is not two"
    assert state(engine, stored.id) is State.DECIDING

    second = site.browser(SECOND)
    shown = second.get(where)
    assert "Month end: the fixes are needed." in shown.words
    fields = shown.fields(path)
    assert {name: fields[name] for name in ("bound", "owner", "severity", "reason")} == {
        name: typed[name] for name in ("bound", "owner", "severity", "reason")
    }
    done = second.post(path, fields | {"confirmed": typed["confirmed"]})
    assert (done.status, done.header("location")) == (303, where), done.words
    assert state(engine, stored.id) is State.ADVANCING
    with engine.connect() as connection:
        signed = connection.execute(
            text("SELECT person FROM rollout_signature WHERE rollout = :id AND kind = 'overrule' ORDER BY person"),
            {"id": stored.id},
        ).scalars()
        assert list(signed) == sorted([DECIDER, SECOND])
        entries = text("SELECT count(*) FROM ledger_entry WHERE kind = 'rollout.overruled' AND subject = :id")
        assert connection.execute(entries, {"id": stored.id}).scalar_one() >= 1
    assert second.get(where).status == 200
