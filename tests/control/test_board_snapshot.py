"""The board that decides is the one that sat when the evidence was first complete (gates.md 4.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import SEATS, GateWorld, codes, gate_world, junit

from pilotage.control.sign_gate import Signed
from pilotage.control.watch_boards import watch_boards
from pilotage.core.ids import PersonId
from pilotage.identity.roles import Role
from pilotage.release.seal import ReleaseState

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


def watch(world: GateWorld) -> tuple[str, ...]:
    with world.instance.engine.begin() as connection:
        return watch_boards(connection, world.instance)


def test_a_board_whose_evidence_is_complete_is_kept_by_the_worker_though_nobody_looks(world: GateWorld) -> None:
    assert world.release in watch(world)
    assert len(kept(world)) == 1
    assert world.release not in watch(world), "it is kept, and never read again"
    reseat(world)
    assert AFTER not in str(kept(world))


def test_the_worker_keeps_no_board_while_evidence_is_missing(world: GateWorld) -> None:
    world.release = world.inner.seal("Nothing was brought for this one either.")
    assert world.release in watch(world)
    assert kept(world) == []
    world.attach(("tests.regression", junit()))
    watch(world)
    assert len(kept(world)) == 1


def test_a_release_that_is_out_is_not_looked_at(world: GateWorld) -> None:
    world.release = world.inner.seal("Out.", state=ReleaseState.QUARANTINED)
    assert world.release not in watch(world)
