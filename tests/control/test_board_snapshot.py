"""The board that decides is the one that sat when the evidence was first complete (gates.md 4.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import SEATS, GateWorld, codes, gate_world, junit

from pilotage.control.sign_gate import Signed
from pilotage.core.ids import PersonId
from pilotage.identity.roles import Role

pytestmark = pytest.mark.store
ROLE, BEFORE, AFTER = Role.IT_DIRECTOR, SEATS[0], "victor.lindqvist"


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def kept(world: GateWorld) -> list[object]:
    query = text("SELECT snapshot FROM gate_attempt WHERE gate = 'cab' AND release = :release")
    with world.inner.engine.connect() as connection:
        return list(connection.execute(query, {"release": world.release}).scalars())


def reseat(world: GateWorld) -> None:
    """Give the first seat to somebody else."""
    seats = tuple(
        replace(seat, holder=PersonId(AFTER), alternates=()) if seat.role is ROLE else seat
        for seat in world.workspace.seats
    )
    world.declare(seats=seats)
    world.appoint(ROLE, AFTER, BEFORE)


def test_the_board_is_kept_when_somebody_sees_its_evidence_complete(world: GateWorld) -> None:
    assert kept(world) == []
    world.status("cab")
    assert len(kept(world)) == 1
    reseat(world)
    world.status("cab")
    assert codes(world.sign(AFTER, "cab", ROLE)) >= {"ROSTER_CHANGED"}
    assert isinstance(world.sign(BEFORE, "cab", ROLE), Signed)


def test_while_evidence_is_missing_no_board_is_kept(world: GateWorld) -> None:
    world.release = world.inner.seal("Nothing was brought for this one.")
    world.status("cab")
    assert kept(world) == []
    reseat(world)
    world.status("cab")
    world.attach(("tests.regression", junit()))
    world.status("cab")
    assert AFTER in str(kept(world))
