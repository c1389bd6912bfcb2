"""Gates and promotion ask where what was sealed stands, not where the workspace would put it by now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import PROMOTER, GateWorld, codes, gate_world

from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.promote_release import promote_release
from pilotage.control.risk_reports import risks_of
from pilotage.control.rollout_moves import Deed
from pilotage.core.digest import Digest
from pilotage.core.reason import Outcome, Refusal
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.gate.report import CriterionResult
from pilotage.incident.records import Severity
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.releases import named_release
from pilotage.testing.rollouts import EAST, EU, WORKFLOW
from pilotage.workspace.gate import Accept, Condition, Criterion, Gate, GateHalf, Operator, Trust

pytestmark = pytest.mark.store
_ALTER = text("UPDATE part SET body = :body WHERE digest = :part")
PLACE = Gate(
    name="place",
    guards="staging-deployment-space",
    trust=Trust.PUSHED,
    pre=GateHalf(
        criteria=(
            Criterion(
                id="residency",
                of=("fact.residency",),
                all=(Condition(claim="violations", operator=Operator.EQ, limit=0),),
                accept=Accept.NEVER,
                trust=Trust.PUSHED,
            ),
        ),
    ),
)


def remote(region: str) -> dict[str, Any]:
    return {
        "provider": "openai",
        "model": "m",
        "pin": {"kind": "dated", "id": "2026-01-01"},
        "base_url": "https://models.example/v1",
        "region": region,
    }


@pytest.fixture
def world(engine: Engine) -> GateWorld:
    made = gate_world(engine)
    made.declare(gates={PLACE.name: PLACE})
    return made


def criterion(world: GateWorld) -> CriterionResult:
    (found,) = world.status("place").criteria
    return found


def sealed(world: GateWorld, region: str) -> Digest:
    world.release = world.inner.seal(f"A model in {region}.", model=remote(region))
    listing(world, region)
    return world.release


def listing(world: GateWorld, *regions: str, host: str = "models.example") -> Evidence:
    """Bring a document of subprocessors that lists a host in these regions."""
    front = f"subprocessors: [{{name: Models, host: {host}, regions: [{', '.join(regions)}]}}]"
    body = f"---\nowner: ruth.adeyemi\nversion: '1.0'\nvalid_until: 2027-05-31\n{front}\n---\n# Subprocessors\n"
    data = (body + "Each is reviewed once a year by vendor risk. " * 30).encode()
    world.inner.clock.advance(timedelta(seconds=1))
    (found,) = world.attach(("document.subprocessors", data))
    return found


def refusals(world: GateWorld, space: str) -> set[str]:
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=space)
    return codes(done) if isinstance(done, Refusal) else set()


def test_a_model_outside_a_space_fails_the_gate_and_the_promotion_there(world: GateWorld) -> None:
    assert criterion(world).state == "ok"
    sealed(world, "us-east-1")
    found = criterion(world)
    assert (found.state, found.checks[0].observed) == ("not_ok", "1")
    assert "RESIDENCY" in refusals(world, EU)
    assert "RESIDENCY" not in refusals(world, EAST)


def embedding(region: str, **changed: Any) -> dict[str, Any]:
    endpoint = "https://vectors.example/v1/embeddings"
    return {"model": "e", "dimension": 3, "endpoint": endpoint, "region": region, **changed}


def test_an_embedding_model_is_asked_what_the_model_is_at_gates_and_promotion(world: GateWorld) -> None:
    pin = {"kind": "dated", "id": "2026-01-01"}
    world.release = world.inner.seal("By vectors.", embedding=embedding("us-east-1", pin=pin))
    reason = criterion(world).checks[0].reason
    assert reason is not None
    assert f"{EU}: embedding model in us-east-1" in reason.text
    assert "vectors.example is not listed as a subprocessor" in reason.text
    assert {"RESIDENCY", "MODEL_NOT_PINNED"} & refusals(world, EAST) == {"RESIDENCY"}
    world.release = world.inner.seal("By vectors anywhere.", embedding=embedding("global", pin=pin))
    listing(world, "global", host="vectors.example")
    assert criterion(world).state == "ok"
    assert "RESIDENCY" not in refusals(world, EU)
    world.release = world.inner.seal("By an alias.", embedding=embedding("global"))
    assert "MODEL_NOT_PINNED" in refusals(world, EU)
    assert "model:floating" in {one.id for one in risks_of(world.instance, world.release)}


def test_a_sealed_retrieval_that_cannot_be_read_leaves_residency_unknown(world: GateWorld) -> None:
    world.release = world.inner.seal("By damaged settings.", embedding=embedding("global"))
    with world.instance.engine.begin() as connection:
        manifest = read_manifest(named_release(connection, world.release).manifest, digest=world.release)
        part = manifest.parts[PartKind.RETRIEVAL]
        kept = connection.execute(text("SELECT body FROM part WHERE digest = :part"), {"part": part}).scalar_one()
        connection.execute(_ALTER, {"body": b"{}", "part": part})
    try:
        assert criterion(world).outcome is Outcome.INCONCLUSIVE
    finally:
        with world.instance.engine.begin() as connection:
            connection.execute(_ALTER, {"body": kept, "part": part})


@pytest.mark.feature("DP.1", "DP.2")
def test_no_release_is_promoted_while_an_incident_freezes_or_after_it_was_rolled_back(
    world: GateWorld, engine: Engine
) -> None:
    sealed(world, "us-east-1")
    assert refusals(world, EAST).isdisjoint({"FREEZE", "RELEASE_QUARANTINED"})
    trouble = Trouble(
        workflow=WORKFLOW,
        space=EU,  # a freeze is for the workflow in all its spaces
        spaces=(EU,),
        release=None,
        cause="rolled back by a person",
        severity=Severity.SEV2,
        summary="Out.",
        freezes=True,
    )
    query = "INSERT INTO space_quarantine (space, workflow, release, reason, at) VALUES (:s, :w, :r, 'x', now())"
    with engine.begin() as connection:
        at = world.inner.clock.now()
        open_incident(connection, world.inner.instance, trouble, Deed(actor="system:test", at=at))
        connection.execute(text(query), {"s": EU, "w": WORKFLOW, "r": world.release})
    assert {"FREEZE", "RELEASE_QUARANTINED"} <= refusals(world, EAST)


def test_a_provider_that_no_current_document_lists_fails_the_gate_and_every_promotion(world: GateWorld) -> None:
    sealed(world, "global")
    assert criterion(world).state == "ok"
    listing(world, "global", host="other.example")
    found = criterion(world)
    assert (found.state, found.checks[0].observed) == ("not_ok", "1")
    assert found.checks[0].reason is not None
    assert "models.example is not listed as a subprocessor" in found.checks[0].reason.text
    assert "RESIDENCY" in refusals(world, EU)
    listing(world, "us-east-1")
    assert "models.example is listed for us-east-1" in str(criterion(world).checks[0].reason)
    listing(world, "us-east-1", "global")
    assert criterion(world).state == "ok"
    assert "RESIDENCY" not in refusals(world, EU)


def test_a_list_that_cannot_be_read_is_rejected_and_lists_nobody(world: GateWorld) -> None:
    world.release = world.inner.seal("A model elsewhere.", model=remote("global"))
    assert criterion(world).state == "not_ok", "no document lists the provider"
    found = listing(world, host="https://models.example/v1")
    assert found.reason is not None
    assert (found.state, found.reason.code) == (EvidenceState.REJECTED, "EV_MALFORMED")
    assert criterion(world).state == "not_ok"


def test_what_the_workflow_declares_by_now_moves_nothing_that_was_sealed(world: GateWorld) -> None:
    sealed(world, "us-east-1")
    declared = world.workspace.workflows[WORKFLOW]
    world.declare(
        workflows={**world.workspace.workflows, WORKFLOW: replace(declared, model=replace(declared.model, region="eu"))}
    )
    assert criterion(world).state == "not_ok"
    assert "RESIDENCY" in refusals(world, EU)


def test_a_part_that_is_altered_in_the_store_leaves_the_fact_unknown(world: GateWorld) -> None:
    release = sealed(world, "eu-central-1")
    with world.instance.engine.begin() as connection:
        stored = named_release(connection, release)
        part = read_manifest(stored.manifest, digest=stored.digest).parts[PartKind.MODEL]
        body = connection.scalar(text("SELECT body FROM part WHERE digest = :part"), {"part": part})
        connection.execute(_ALTER, {"part": part, "body": b"{}"})
    try:
        assert criterion(world).state not in {"ok", "n/a"}
    finally:
        with world.instance.engine.begin() as connection:
            connection.execute(_ALTER, {"part": part, "body": body})
