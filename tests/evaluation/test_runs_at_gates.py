"""A run that is no GO keeps its release out of the space behind the gate, whatever it counted; a GO lets it in."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.evaluation.world import World, facts, make_world

from pilotage.control.evaluation_status import Voided, void_run
from pilotage.control.gate_status import gate_status
from pilotage.control.promote_release import promote_release
from pilotage.core.digest import Digest
from pilotage.core.reason import Refusal
from pilotage.gate.report import CriterionResult

pytestmark = [pytest.mark.anyio, pytest.mark.store]

CASES = 25
GATE = """gate: quality-run
guards: dev
trust: attested
criteria:
  - {id: accuracy, of: evaluation, all: ["must_pass_failed = 0", "unscored = 0"]}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    made = make_world(engine, tmp_path, cases=CASES)
    (made.root / "gates").mkdir()
    (made.root / "gates/quality-run.yaml").write_text(GATE)
    sandbox = (made.root / "spaces/sandbox.yaml").read_text()
    (made.root / "spaces/dev.yaml").write_text(sandbox.replace("auto_promote: sealed\n", "").replace("sandbox", "dev"))
    settings = (made.root / "pilotage.yaml").read_text()
    settings = settings.replace("tier: sandbox}\n", "tier: sandbox}\n  - {name: dev, tier: dev}\n")
    made.write(
        "pilotage.yaml", settings.replace("roles: [data-governance", "roles: [platform-engineer, data-governance")
    )
    made.restore()
    return made


def accuracy(world: World, release: Digest) -> CriterionResult:
    (report,) = gate_status(world.instance, release, gate="quality-run")
    (found,) = report.criteria
    return found


def refused(world: World, release: Digest) -> set[str]:
    done = promote_release(world.instance, actor=world.person("ben"), release=release, space="dev")
    return {one.code for one in done.reasons} if isinstance(done, Refusal) else set()


@pytest.mark.feature("R3.4", "RM.3")
async def test_a_no_go_run_keeps_its_release_out_though_every_claim_of_the_gate_holds(world: World) -> None:
    for document in list(facts())[:12]:
        name, amount = facts()[document]
        world.write_fact(document, name, amount + 7)
    world.publish()
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 5\n")
    release = world.seal()
    assert refused(world, release) == {"GATE_NOT_MET", "EV_MISSING"}, "no run, no pass"
    run = (await world.evaluate(release)).run
    assert run.verdict == "no_go"
    found = accuracy(world, release)
    assert [(one.condition, one.observed) for one in found.checks if one.outcome == "ok"] == [
        ("must_pass_failed = 0", "0"),
        ("unscored = 0", "0"),
    ]
    (against,) = [one for one in found.checks if one.outcome != "ok"]
    assert (against.condition, against.observed, against.outcome) == ("verdict = go", "no_go", "not_ok")
    assert refused(world, release) == {"GATE_NOT_MET", "CRITERION_NOT_MET"}
    world.clock.advance(timedelta(hours=1))
    assert (await world.evaluate(release)).run.verdict == "no_go"
    assert refused(world, release) == {"GATE_NOT_MET", "CRITERION_NOT_MET"}


@pytest.mark.feature("RM.3")
async def test_a_go_run_opens_the_gate(world: World) -> None:
    release = world.seal()
    assert (await world.evaluate(release)).run.verdict == "go"
    assert accuracy(world, release).holds
    assert refused(world, release) == set()


async def test_a_second_run_that_met_only_kept_answers_leaves_the_times_of_the_first(world: World) -> None:
    world.write("gates/quality-run.yaml", GATE.replace('"unscored = 0"', '"p95_ms <= 60000"'))
    world.restore(max_tokens=2_000)
    release = world.seal()
    assert (await world.evaluate(release)).run.verdict == "go"
    assert accuracy(world, release).holds
    world.clock.advance(timedelta(hours=1))
    again = await world.evaluate(release)
    assert (again.run.verdict, again.progress.cached) == ("go", again.progress.total)
    assert accuracy(world, release).holds


async def test_a_voided_run_opens_nothing(world: World) -> None:
    world.restore(max_tokens=1_000)  # a release of its own: another run of the same would still hold
    release = world.seal()
    run = (await world.evaluate(release)).run
    assert run.verdict == "go"
    for name in ("ada", "ben"):
        done = void_run(world.instance, actor=world.person(name), identifier=run.id, reason="Another golden set.")
        assert isinstance(done, Voided), done
        assert accuracy(world, release).holds is not done.is_voided
    assert refused(world, release) == {"GATE_NOT_MET", "EV_MISSING"}
