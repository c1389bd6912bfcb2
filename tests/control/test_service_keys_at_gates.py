"""A service seals, pushes, promotes and rolls back what its key names, as a gate lets it; nothing else (gates.md 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import BUILD, DEV, GateWorld, codes, gate_world, junit

from pilotage.control.attach_evidence import Bringer, Upload, attach_evidence
from pilotage.control.promote_release import promote_release
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.control.seal_release import seal_release
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.testing.rollouts import EAST, WEST, WORKFLOW

pytestmark = pytest.mark.store
ELSEWHERE = replace(BUILD, workflows=frozenset({"another"}))
IN_DEV = replace(BUILD, spaces=frozenset({DEV}), workflows=frozenset({WORKFLOW}))


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    return gate_world(engine)


def promoted(world: GateWorld, actor: Principal, space: str) -> set[str]:
    done = promote_release(world.instance, actor=actor, release=world.release, space=space)
    return codes(done) if isinstance(done, Refusal) else set()


def pushed(world: GateWorld, actor: Principal, space: str | None = None) -> set[str]:
    bringer = Bringer(actor=actor, pushed_kinds=frozenset({"tests.*"}), space=space)
    upload = Upload(name="unit.xml", data=junit(), kind="tests.unit")
    done = attach_evidence(world.instance, bringer=bringer, release=world.release, uploads=[upload])
    return codes(done) if isinstance(done, Refusal) else set()


def test_a_key_promotes_into_the_spaces_it_names_and_gates_apply(world: GateWorld) -> None:
    assert promoted(world, ELSEWHERE, DEV) == {"NOT_PERMITTED"}
    assert promoted(world, IN_DEV, EAST) == {"NOT_PERMITTED"}
    assert "GATE_NOT_MET" in promoted(world, IN_DEV, DEV)
    world.review()
    assert promoted(world, IN_DEV, DEV) == set()


def test_a_key_pushes_evidence_about_what_it_names(world: GateWorld) -> None:
    assert pushed(world, ELSEWHERE) == {"NOT_PERMITTED"}
    assert pushed(world, IN_DEV, EAST) == {"NOT_PERMITTED"}
    assert pushed(world, IN_DEV) == pushed(world, IN_DEV, DEV) == set()


def test_a_key_seals_the_workflows_it_names(world: GateWorld) -> None:
    done = seal_release(world.instance, actor=ELSEWHERE, workflow=WORKFLOW)
    assert isinstance(done, Refusal)
    assert codes(done) == {"NOT_PERMITTED"}


def test_a_key_rolls_back_where_it_may_and_never_everywhere_by_a_key_of_one_space(world: GateWorld) -> None:
    world.inner.serve(world.inner.seal("Before."), [EAST])
    world.inner.serve(world.release, [EAST])
    key = replace(BUILD, spaces=frozenset({EAST}))

    def out(actor: Principal, space: str | None) -> set[str]:
        request = RollbackRequest(workflow=WORKFLOW, reason="The check of the night failed.", space=space)
        done = roll_back(world.instance, actor=actor, request=request)
        return codes(done) if isinstance(done, Refusal) else set()

    assert out(ELSEWHERE, EAST) == out(key, WEST) == out(key, None) == {"NOT_PERMITTED"}
    assert "NOT_PERMITTED" not in out(key, EAST)
