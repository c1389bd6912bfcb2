"""A secret in the sealed bytes keeps a release out: found by our own scan, and no file of anybody's takes its place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.control.gate_world import DEV, PROMOTER, GateWorld, codes, gate_world
from tests.control.test_gate_loopholes import accept

from pilotage.control.own_evidence import attach_own
from pilotage.control.promote_release import promote_release
from pilotage.core.reason import Outcome, Refusal
from pilotage.gate.report import CriterionResult
from pilotage.workspace.gate import Accept, Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store
KEY = "AKIA" + "Z7Q2MX9AB4CD3EF1"
ZERO = [Condition(claim=name, operator=Operator.EQ, limit=0) for name in ("verified", "unverified")]
NO_SECRETS = Criterion(
    id="no-secrets",
    of=("scan.secrets",),
    all=(*ZERO, Condition(claim="files_scanned", operator=Operator.GT, limit=0)),
    accept=Accept.NEVER,
    trust=Trust.PUSHED,
)
CLEAN = b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gitleaks", "rules": []}}, "results": []}]}'


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    gate = Gate(name="code-review", guards=DEV, trust=Trust.PUSHED, pre=GateHalf(criteria=(NO_SECRETS,)))
    made.declare(gates={**made.workspace.gates, "code-review": gate})
    return made


def scanned(world: GateWorld, prompt: str) -> CriterionResult:
    """Return the criterion after a release with this prompt was sealed and searched."""
    world.release = world.inner.seal(prompt)
    done = attach_own(world.instance, actor=world.person("maria.chen"), release=world.release)
    assert not isinstance(done, Refusal), done
    return secrets(world)


def secrets(world: GateWorld) -> CriterionResult:
    (found,) = world.status("code-review").criteria
    return found


def into_dev(world: GateWorld) -> set[str]:
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=DEV)
    return codes(done) if isinstance(done, Refusal) else set()


def test_a_release_nobody_searched_does_not_enter(world: GateWorld) -> None:
    world.release = world.inner.seal("Not searched.")
    assert secrets(world).state == "missing"
    assert "GATE_NOT_MET" in into_dev(world)


def test_a_clean_release_enters(world: GateWorld) -> None:
    assert scanned(world, "Answer from the passages.").outcome is Outcome.OK
    assert "GATE_NOT_MET" not in into_dev(world)


@pytest.mark.feature("D5.9")
def test_a_key_in_the_sealed_prompt_keeps_it_out_whatever_scan_is_handed_in(world: GateWorld) -> None:
    found = scanned(world, f"aws_access_key_id = {KEY}")
    assert found.outcome is Outcome.NOT_OK
    assert KEY not in str(found)
    assert "GATE_NOT_MET" in into_dev(world)
    world.inner.clock.advance(timedelta(minutes=5))
    world.attach(("scan.secrets", CLEAN))
    assert secrets(world).outcome is Outcome.NOT_OK
    assert "GATE_NOT_MET" in into_dev(world)
    refused = accept(world, gate="code-review", criteria="[no-secrets]", severity="high", spaces=f"[{DEV}]")
    assert codes(refused) == {"RISK_NOT_ACCEPTABLE"}
