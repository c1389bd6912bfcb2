"""A gate is reached when all before it are approved, found without deciding the gates behind the first that is not."""

from __future__ import annotations

import pytest

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import is_reached, report_of
from pilotage.control.gate_status import ordered_gates
from pilotage.gate.vocabulary import GateStatus
from pilotage.store.releases import named_release

from .conftest import Bank

pytestmark = pytest.mark.store


def test_what_is_not_reached_is_blocked_and_is_found_by_deciding_the_first_gates_alone(bank: Bank) -> None:
    instance, now = bank.instance, bank.clock.now()
    with instance.engine.connect() as connection:
        stored = named_release(connection, bank.release)
        lazy, whole = (open_chain(connection, instance, stored, now) for _ in range(2))
        gates = [name for name in ordered_gates(instance) if instance.workspace.gates[name].guards != "production"]
        reached = {name: is_reached(lazy, name) for name in gates}
        blocked = {name: report_of(whole, name).status is GateStatus.BLOCKED for name in gates}
    assert set(reached.values()) == {True, False}
    assert [name for name in gates if reached[name] is blocked[name]] == []
    assert len(lazy.reports) < len(whole.reports)
