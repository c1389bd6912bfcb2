"""A risk acceptance covers what was open when it was given, at gates and at a promotion (gates.md 4.5, 5.2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import CAB, REVIEW, TESTED, GateWorld, codes, gate_world, junit, told
from tests.control.loophole_situations import FLOATING
from tests.control.test_gate_loopholes import accept

from pilotage.control.accept_risk import Accepted
from pilotage.control.promote_release import promote_release
from pilotage.control.risk_reports import risks_of
from pilotage.workspace.gate import Gate, GateHalf, Trust

pytestmark = pytest.mark.store
STAGING = "staging-deployment-space"
INTO_STAGING = Gate(
    name="uat",
    guards=STAGING,
    trust=Trust.PUSHED,
    pre=GateHalf(criteria=REVIEW.pre.criteria),
)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    made.declare(gates={one.name: one for one in (REVIEW, TESTED, INTO_STAGING, CAB)})
    return made


def test_tests_that_were_missing_when_the_risk_was_accepted_may_not_fail_later(world: GateWorld) -> None:
    done = accept(world)
    assert isinstance(done, Accepted)
    assert "smoke" in {one.id for one in world.status("qa").criteria if one.accepted_by == done.risk.id}
    world.attach(("tests.smoke", junit(failed=1)), space="dev-deployment-space")
    assert not {one.id for one in world.status("qa").criteria if one.accepted_by == done.risk.id}
    assert "CRITERION_NOT_MET" in told(world.status("qa"))


def test_an_accepted_number_of_failures_covers_no_more(world: GateWorld) -> None:
    def covered(*, passed: int = 3, failed: int) -> bool:
        world.inner.clock.advance(timedelta(minutes=1))
        world.attach(("tests.smoke", junit(passed=passed, failed=failed)), space="dev-deployment-space")
        return any(one.accepted_by for one in world.status("qa").criteria)

    assert not covered(failed=1)
    assert isinstance(accept(world), Accepted)
    assert covered(passed=4, failed=1)
    assert not covered(failed=2)


def into_staging(world: GateWorld) -> set[str]:
    done = promote_release(world.instance, actor=world.person("hanna.virtanen"), release=world.release, space=STAGING)
    return codes(done)


def test_a_floating_model_enters_staging_where_a_medium_acceptance_names_it(world: GateWorld) -> None:
    world.release = world.inner.seal("Floating.", model=FLOATING)
    world.attach(("tests.unit", junit()))
    named = {"criteria": "[]", "findings": "[MODEL_NOT_PINNED]", "gate": "uat", "spaces": f"[{STAGING}]"}

    def treatment() -> str:
        return {one.id: one.treatment for one in risks_of(world.instance, world.release)}["model:floating"]

    assert "MODEL_NOT_PINNED" in into_staging(world)
    assert treatment() == ""
    low = accept(world, "nadia.brooks", **{**named, "owner": "amara.diallo", "severity": "low", "risk": "Low"})
    assert isinstance(low, Accepted), low
    assert "MODEL_NOT_PINNED" in into_staging(world)
    done = accept(world, **named)
    assert isinstance(done, Accepted), done
    assert "MODEL_NOT_PINNED" not in into_staging(world)
    assert treatment() == "accept"
    world.inner.clock.advance(done.risk.expires - world.inner.clock.now())
    assert "MODEL_NOT_PINNED" in into_staging(world)
