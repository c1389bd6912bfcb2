"""Votes of one moment stand in one order: each counts once, and a double click is one vote."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import FELIX, KEIKO, GateWorld, gate_world

from pilotage.control.preview_vote import view_gate
from pilotage.control.sign_gate import Signed
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import GateStatus
from pilotage.identity.roles import Role

pytestmark = pytest.mark.store


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def at_once(*acts: Callable[[], Signed | Refusal]) -> list[Signed | Refusal]:
    """Let each act begin at the same moment; return what came of them."""
    ready, found = threading.Barrier(len(acts)), list[Signed | Refusal]()

    def run(act: Callable[[], Signed | Refusal]) -> None:
        ready.wait()
        found.append(act())

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def vote(world: GateWorld, who: str, nonce: str, decision: str = "approve") -> Callable[[], Signed | Refusal]:
    return lambda: world.sign(who, "code-review", Role.SENIOR_ENGINEER, decision, nonce=nonce)


def test_the_last_two_votes_of_one_moment_complete_the_gate_once(world: GateWorld) -> None:
    done = at_once(vote(world, FELIX, "a"), vote(world, KEIKO, "b"))
    assert all(isinstance(one, Signed) for one in done), done
    approved = [one for one in done if isinstance(one, Signed) and one.report.status is GateStatus.APPROVED]
    assert len(approved) == 1
    assert world.status("code-review").status is GateStatus.APPROVED


def test_a_double_click_is_one_vote(world: GateWorld) -> None:
    done = at_once(vote(world, FELIX, "click"), vote(world, FELIX, "click"))
    assert sorted(one.repeated for one in done if isinstance(one, Signed)) == [False, True]
    assert world.rows()["gate_vote"] == 1


def test_a_vote_that_is_not_taken_opens_no_attempt(world: GateWorld) -> None:
    world.authored(FELIX)
    assert isinstance(vote(world, FELIX, "a")(), Refusal)
    with world.inner.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM gate_attempt")) == 0


def test_votes_of_one_moment_are_read_in_the_order_of_their_ids(world: GateWorld) -> None:
    done = [vote(world, who, nonce)() for who, nonce in ((FELIX, "a"), (KEIKO, "b"))]
    ids = sorted(one.vote.id for one in done if isinstance(one, Signed))
    with world.inner.engine.begin() as connection:
        connection.execute(text("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM gate_vote"))
        connection.execute(text("DELETE FROM gate_vote"))
        connection.execute(text("INSERT INTO gate_vote SELECT * FROM kept ORDER BY id DESC"))
    seen = view_gate(world.instance, actor=world.person(FELIX), release=world.release, gate="code-review")
    assert len({one.at for one in seen.votes}) == 1
    assert [one.id for one in seen.votes] == ids
