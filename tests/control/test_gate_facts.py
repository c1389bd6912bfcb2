"""Facts that Pilotage states itself: what is wrong counts, and what nobody can know is never fine (gates.md 3, 5.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import PROMOTER, GateWorld, codes, gate_world

from pilotage.control.evidence_context import OPERATORS
from pilotage.control.gate_status import gate_status
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.promote_release import promote_release
from pilotage.control.rollout_moves import Deed
from pilotage.core.reason import Outcome
from pilotage.gate.report import CriterionResult
from pilotage.identity.roles import Role
from pilotage.incident.duty import rota_people
from pilotage.incident.records import Severity
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.releases import named_release
from pilotage.testing.rollouts import EAST, EU, WORKFLOW
from pilotage.workspace.gate import Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store


def asks(kind: str, claim: str, limit: float) -> Criterion:
    condition = Condition(claim=claim, operator=Operator.EQ, limit=limit)
    return Criterion(id=kind, of=(kind,), all=(condition,), trust=Trust.ATTESTED)


GO_LIVE = Gate(
    name="go-live",
    guards="production",
    trust=Trust.ATTESTED,
    pre=GateHalf(
        criteria=(
            asks("fact.incident", "open_critical", 0),
            asks("fact.drift", "open", 0),
            asks("fact.monitoring", "exporters_ok", 1),
            asks("fact.corpus", "without_retention", 0),
            Criterion(
                id="training",
                of=("training",),
                all=(Condition(claim="share", operator=Operator.EQ, limit=1),),
                trust=Trust.CLAIMED,
            ),
        )
    ),
)


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    made.declare(gates={**made.workspace.gates, "go-live": GO_LIVE})
    return made


def found(world: GateWorld, kind: str, space: str = EAST) -> CriterionResult:
    (report,) = gate_status(world.instance, world.release, gate="go-live", space=space)
    (result,) = [one for one in report.criteria if one.id == kind]
    return result


def trouble(world: GateWorld, severity: Severity = Severity.SEV2, **where: object) -> str:
    values = {"workflow": WORKFLOW, "space": "", "spaces": (), "release": None, "cause": "leak", **where}
    with world.inner.engine.begin() as connection:
        deed = Deed(actor="system:test", at=world.inner.clock.now())
        one = Trouble(severity=severity, summary="Something is wrong.", **values)  # type: ignore[arg-type]
        return open_incident(connection, world.instance, one, deed).id


@pytest.mark.parametrize(
    ("where", "counts"),
    [
        ({"space": EAST, "spaces": (EAST,)}, True),
        ({}, True),
        ({"space": EU, "spaces": (EU,)}, False),
        ({"workflow": "another", "space": EU, "spaces": (EU, EAST)}, True),
        ({"workflow": "another"}, False),
        ({"severity": Severity.SEV3, "space": EAST, "spaces": (EAST,)}, False),
        ({"is_drill": True, "space": EAST, "spaces": (EAST,)}, False),
    ],
)
def test_a_critical_incident_of_the_space_or_of_no_space_keeps_a_release_out(
    world: GateWorld, where: dict[str, object], counts: bool
) -> None:
    trouble(world, **where)  # type: ignore[arg-type]
    assert found(world, "fact.incident").holds is not counts
    refused = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=EAST)
    assert ("INCIDENT_OPEN" in codes(refused)) is counts


def test_drift_of_content_stands_against_going_live(world: GateWorld) -> None:
    world.inner.serve(world.inner.seal("Old."), (EAST,))
    assert found(world, "fact.drift").holds
    for part, release, counts in (("engine", "sha256:other", False), ("prompt", "sha256:other", True)):
        with world.inner.engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO drift (process, space, workflow, release, part, observed, approved, opened_at,"
                    " report_at) VALUES ('g', :space, :workflow, :release, :part, 'a', 'b', :at, :at)"
                ),
                {
                    "space": EAST,
                    "workflow": WORKFLOW,
                    "release": release,
                    "part": part,
                    "at": world.inner.clock.now(),
                },
            )
        assert found(world, "fact.drift").holds is not counts, part
    assert found(world, "fact.drift", EU).holds


def test_a_serving_space_that_nobody_looked_at_has_drifted(world: GateWorld) -> None:
    world.inner.serve(world.inner.seal("Old."), (EAST,))
    with world.inner.engine.begin() as connection:
        connection.execute(text("UPDATE space_health SET drift_at = clock_timestamp() - interval '181 s'"))
    assert not found(world, "fact.drift").holds
    assert found(world, "fact.drift", EU).holds, "nothing was ever routed there"


def test_a_space_without_exporter_is_not_known_to_be_watched(world: GateWorld) -> None:
    assert found(world, "fact.monitoring").holds
    spaces = world.workspace.spaces
    east = replace(spaces[EAST], monitoring=replace(spaces[EAST].monitoring, metrics_export=(), destinations=()))
    world.declare(spaces={**spaces, EAST: east})
    assert not found(world, "fact.monitoring").holds


def test_a_corpus_that_is_no_longer_declared_keeps_nothing_for_any_time(world: GateWorld) -> None:
    assert found(world, "fact.corpus").holds
    world.declare(corpora={})
    assert not found(world, "fact.corpus").holds


@pytest.mark.feature("D8.8")
def test_a_corpus_that_only_the_sealed_release_names_still_needs_a_time_to_be_kept(world: GateWorld) -> None:
    policies = next(name for name in world.workspace.corpora if name == "policies")
    kept = world.workspace.corpora[policies]
    flow = world.workspace.workflows[WORKFLOW]
    bare = replace(flow, retrieval=replace(flow.retrieval, corpora={}))
    world.declare(workflows={**world.workspace.workflows, WORKFLOW: bare})
    assert found(world, "fact.corpus").holds
    world.declare(corpora={**world.workspace.corpora, policies: replace(kept, retention_days=None)})
    assert not found(world, "fact.corpus").holds
    world.declare(corpora={})
    assert not found(world, "fact.corpus").holds


def test_a_sealed_corpus_that_cannot_be_read_leaves_its_retention_unknown(world: GateWorld, engine: Engine) -> None:
    with engine.begin() as connection:
        stored = named_release(connection, world.release)
        part = read_manifest(stored.manifest, digest=stored.digest).parts[PartKind.CORPUS]
        connection.execute(text("UPDATE part SET body = '{}' WHERE digest = :part"), {"part": part})
    result = found(world, "fact.corpus")
    assert result.outcome is Outcome.INCONCLUSIVE


@pytest.mark.feature("D11.45", "R4.7")
def test_whoever_comes_to_a_role_that_runs_the_service_must_be_trained_too(world: GateWorld) -> None:
    rota = world.workspace.operations.rotas[world.workspace.workflows[WORKFLOW].on_call]
    people = sorted({*rota_people(rota), *(who for role in OPERATORS for who in world.workspace.roster.get(role, ()))})
    rows = "".join(f"{who},operations,2026-01-01\n" for who in people)
    world.attach(("training", f"person,course,completed_at\n{rows}".encode()))
    assert found(world, "training").holds
    world.appoint(Role.SUPPORT_ENGINEER, "noor.rahman")
    assert not found(world, "training").holds


@pytest.mark.feature("D9.30")
def test_a_deployment_is_healthy_where_live_processes_serve_the_very_release_and_answers_where_it_did(
    world: GateWorld,
) -> None:
    limits = {"healthy": 1, "digest_match": 1, "ready_instances": 0, "answering": 0}
    asked = [replace(asks("fact.deployment", claim, limit), id=claim) for claim, limit in limits.items()]
    world.declare(gates={**world.workspace.gates, "go-live": replace(GO_LIVE, pre=GateHalf(criteria=tuple(asked)))})

    def holding() -> set[str]:
        return {claim for claim in limits if found(world, claim).holds}

    assert holding() == {"ready_instances", "answering"}, "nothing serves, nobody is ready, nothing was answered"
    world.inner.serve(world.release, (EAST,))
    assert holding() == {"healthy", "digest_match", "answering"}, "processes are ready, and nothing was answered"
    world.inner.serve(world.inner.seal("Another."), (EAST,))
    assert "digest_match" not in holding()
