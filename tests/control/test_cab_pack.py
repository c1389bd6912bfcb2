"""The board's pack: frozen once, outdated by what it says, never by a vote on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from tests.control.rollout_world import bank, make_world, small_plan, with_plan
from tests.gate import builders

from pilotage.control.attach_own import OwnRun, attach_own_run
from pilotage.control.change_state import change_of
from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import input_of
from pilotage.control.instance import Instance
from pilotage.control.make_cab_pack import CabPack, make_cab_pack
from pilotage.control.risk_reports import risks_of
from pilotage.core.digest import Digest, digest_of, digest_of_json
from pilotage.core.errors import IntegrityError, NotFound, UsageError
from pilotage.core.reason import Refusal
from pilotage.evidence.records import SubjectKind
from pilotage.gate.pack import MISSING
from pilotage.gate.records import GateInput
from pilotage.gate.servicenow import ChangeState
from pilotage.identity.roles import Role
from pilotage.incident.duty import on_duty
from pilotage.ledger.entry import decode_entry
from pilotage.release.manifest import read_manifest
from pilotage.store.cab_packs import StoredPack, find_pack
from pilotage.store.evidence import add_evidence
from pilotage.store.gate_votes import add_vote
from pilotage.store.ledger_entries import entries_of
from pilotage.store.releases import find_release
from pilotage.testing.rollouts import EAST, EU, WORKFLOW, RolloutWorld
from pilotage.workspace.records import Workspace

pytestmark = pytest.mark.store


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    return make_world(engine)


def pack(world: RolloutWorld, release: Digest) -> CabPack:
    """Make the pack; it must not be refused."""
    made = make_cab_pack(world.instance, actor=world.person("luis.ortega"), release=release)
    assert isinstance(made, CabPack)
    return made


def board(instance: Instance, release: Digest) -> GateInput:
    """Return what the board's gate would be decided from now."""
    with instance.engine.begin() as connection:
        stored = find_release(connection, release)
        assert stored is not None
        return input_of(open_chain(connection, instance, stored, instance.clock.now()), "cab")


def stored_pack(world: RolloutWorld, digest: Digest) -> StoredPack:
    with world.engine.connect() as connection:
        found = find_pack(connection, digest)
    assert found is not None
    return found


def packs_of_attempts(connection: Connection, release: Digest) -> list[str | None]:
    """The pack of each attempt at the board."""
    query = "SELECT pack FROM gate_attempt WHERE release = :release AND gate = 'cab' ORDER BY attempt"
    return list(connection.execute(text(query), {"release": release}).scalars())


def test_a_pack_is_stored_under_the_digest_of_its_facts_frozen_and_recorded(world: RolloutWorld) -> None:
    release = world.seal("One.")
    made = pack(world, release)
    assert made.created
    assert made.digest == digest_of_json(dict(made.facts))
    with world.engine.begin() as connection:
        assert packs_of_attempts(connection, release) == [made.digest]
        entry = entries_of(connection, made.digest)[-1]
    assert entry.kind == "gate.pack_frozen"
    data = decode_entry(entry.bytes).data
    assert data["release"] == release
    assert data["sections_missing"] == len(made.missing)
    assert board(world.instance, release).facts.cab_pack == made.digest
    assert stored_pack(world, made.digest).facts == made.facts


def test_what_nobody_knows_is_listed_as_missing_and_counted_by_the_gate(world: RolloutWorld) -> None:
    release = world.seal("One.")
    made = pack(world, release)
    assert "rollback" in made.missing  # no drill was measured
    assert board(world.instance, release).facts.claims["fact.cab_pack"] == {
        "generated": 1.0,
        "sections_missing": float(len(made.missing)),
    }


@pytest.mark.parametrize(
    ("sealed", "told"),
    [
        ({}, ("inside the process", "none")),
        ({"base_url": "http://127.0.0.1:9/v1", "region": "eu-west-1"}, ("eu-west-1", "none")),
        ({"base_url": "https://models.example/v1", "region": "eu-west-1"}, ("eu-west-1", MISSING)),
        ({"base_url": "https://models.example/v1"}, (MISSING, MISSING)),
    ],
    ids=["built in", "on this machine", "outside", "outside, nobody knows where"],
)
def test_the_pack_tells_of_the_sealed_model_and_never_that_one_outside_is_inside(
    world: RolloutWorld, sealed: dict[str, Any], told: tuple[str, str]
) -> None:
    hosted = {"provider": "openai", "model": "m-2", "pin": {"kind": "dated", "id": "2026-01-01"}, **sealed}
    release = world.seal("One.", model=hosted) if sealed else world.seal("One.")
    sections: Any = pack(world, release).facts["sections"]
    found = sections["architecture"]["model"]
    assert (found["region"], found["subprocessor"]) == told
    assert (found["model"] == "m-2") == bool(sealed), "the workflow declares another"


def test_a_pack_that_says_what_is_true_is_returned_unchanged_though_time_passes(world: RolloutWorld) -> None:
    release = world.seal("One.")
    first = pack(world, release)
    world.clock.advance(timedelta(hours=5))
    again = pack(world, release)
    assert (again.digest, again.created) == (first.digest, False)
    assert board(world.instance, release).facts.pack_outdated == ()


def test_a_vote_on_the_boards_gate_does_not_outdate_the_pack(world: RolloutWorld) -> None:
    release = world.seal("One.")
    first = pack(world, release)
    given = builders.empty(builders.board_gate())
    vote = replace(builders.vote(given, Role.IT_DIRECTOR), release=release)
    with world.engine.begin() as connection:
        assert add_vote(connection, vote, digest_of(b"parts"))
    found = board(world.instance, release)
    assert [one.id for one in found.votes] == [vote.id]
    assert found.facts.pack_outdated == ()
    assert pack(world, release).digest == first.digest


def _plan(workspace: Workspace) -> Workspace:
    return with_plan(workspace, small_plan())


def _policy(workspace: Workspace) -> Workspace:
    gate = workspace.gates["qa"]
    changed = replace(gate, pre=replace(gate.pre, ttl_s=60))
    return replace(workspace, gates={**workspace.gates, "qa": changed})


def _space(workspace: Workspace) -> Workspace:
    space = workspace.spaces[EAST]
    return replace(workspace, spaces={**workspace.spaces, EAST: replace(space, rto_s=1)})


def _risks(workspace: Workspace) -> Workspace:
    flow = workspace.workflows[WORKFLOW]
    assessment = flow.documents["risk-assessment"]
    risks: Any = [{"id": "R9", "title": "New", "likelihood": 5, "impact": 5, "owner": "mei.lin"}]
    changed = replace(assessment, notes=MappingProxyType({**assessment.notes, "risks": risks}))
    documents = {**flow.documents, "risk-assessment": changed}
    return replace(workspace, workflows={**workspace.workflows, WORKFLOW: replace(flow, documents=documents)})


@pytest.mark.parametrize(
    ("change", "what"), [(_plan, "plan"), (_policy, "policy"), (_space, "spaces"), (_risks, "risks")]
)
def test_what_moves_outdates_the_pack_by_name_and_a_new_one_is_made(
    world: RolloutWorld, change: Callable[[Workspace], Workspace], what: str
) -> None:
    release = world.seal("One.")
    first = pack(world, release)
    world.workspace = change(bank())
    assert what in board(world.instance, release).facts.pack_outdated
    second = pack(world, release)
    assert second.created
    assert second.digest != first.digest
    assert board(world.instance, release).facts.pack_outdated == ()


def test_new_evidence_outdates_the_pack(world: RolloutWorld) -> None:
    release = world.seal("One.")
    pack(world, release)
    item = builders.evidence(
        "tests.unit", builders.GOOD_TESTS, at=world.clock.now(), subject=(SubjectKind.RELEASE, release)
    )
    body = b"junit"
    with world.engine.begin() as connection:
        add_evidence(connection, replace(item, sha256=digest_of(body)), body)
    assert "evidence" in board(world.instance, release).facts.pack_outdated
    assert pack(world, release).created


def test_a_pack_changed_in_the_database_is_refused(world: RolloutWorld) -> None:
    release = world.seal("One.")
    made = pack(world, release)
    with world.engine.begin() as connection:
        connection.execute(
            text("UPDATE cab_pack SET facts = :facts WHERE digest = :digest"), {"facts": b"{}", "digest": made.digest}
        )
    with pytest.raises(IntegrityError, match="changed in the database"):
        stored_pack(world, made.digest)


def test_who_may_read_nothing_makes_no_pack(world: RolloutWorld) -> None:
    release = world.seal("One.")
    nobody = replace(world.person("luis.ortega"), roles=frozenset({Role.SERVICE}))
    done = make_cab_pack(world.instance, actor=nobody, release=release)
    assert isinstance(done, Refusal)
    with world.engine.connect() as connection:
        assert packs_of_attempts(connection, release) == []


def test_a_gate_that_binds_no_pack_or_does_not_exist_is_named(world: RolloutWorld) -> None:
    release = world.seal("One.")
    actor = world.person("luis.ortega")
    with pytest.raises(UsageError, match="bind no pack"):
        make_cab_pack(world.instance, actor=actor, release=release, gate="qa")
    with pytest.raises(NotFound, match="no gate"):
        make_cab_pack(world.instance, actor=actor, release=release, gate="nope")


@pytest.mark.feature("D12.8")
def test_the_register_shows_declared_and_generated_risks_worst_first(world: RolloutWorld) -> None:
    found = risks_of(world.instance, world.seal("One."))
    assert {"R1", "R4"} <= {one.id for one in found}
    assert any(one.generated for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_region_in_which_nothing_was_tested_is_a_risk_until_something_was(world: RolloutWorld) -> None:
    release = world.seal("One.")

    def is_a_risk() -> bool:
        return "region:us-east-1" in {one.id for one in risks_of(world.instance, release)}

    assert is_a_risk()
    for space, kind, remains in (
        (EAST, "fairness", True),
        (EU, "drill.rollback", True),
        (EAST, "drill.rollback", False),
    ):
        run = OwnRun(kind=kind, claims={}, body=b"{}", produced_at=world.clock.now(), summary="A run", space=space)
        with world.engine.begin() as connection:
            attach_own_run(connection, world.instance, release=release, run=run)
        assert is_a_risk() is remains, (space, kind)


def test_a_release_no_gate_has_moved_yet_is_a_new_or_assessed_change(world: RolloutWorld) -> None:
    assert change_of(world.instance, world.seal("One.")).state in {ChangeState.NEW, ChangeState.ASSESS}


@pytest.mark.feature("D12.5", "D12.8", "D12.14", "D12.15", "D12.19")
def test_each_section_says_what_is_declared_and_sealed(world: RolloutWorld) -> None:
    release = world.seal("One.")
    told: Any = pack(world, release).facts["sections"]
    flow = world.workspace.workflows[WORKFLOW]
    assert (told["overview"]["title"], told["overview"]["owner"]) == (flow.title, flow.owner)
    assert [(one["id"], one["baseline"], one["target"]) for one in told["justification"]["kpis"]] == [
        (kpi.id, kpi.baseline, kpi.target) for kpi in flow.kpis
    ]
    with world.engine.connect() as connection:
        stored = find_release(connection, release)
    assert stored is not None
    parts = read_manifest(stored.manifest, digest=release).parts
    assert {one["part"]: one["digest"] for one in told["overview"]["parts"]} == {str(one): parts[one] for one in parts}
    assert {(one["stage"], one["corpus"]) for one in told["architecture"]["data"]} == {
        (str(stage), str(ref.name)) for stage, ref in flow.retrieval.corpora.items()
    }
    register = {one["id"]: one for one in told["risks"]["register"]}
    assert (register["R1"]["residual"], register["R1"]["rating"]) == (5, "medium")
    assert flow.rollout is not None
    plan = flow.rollout.plans[flow.rollout.default_plan]
    assert [(one["space"], one["step"], one["weight"], one["bake_h"]) for one in told["rollout"]["steps"]] == [
        (wave.space, step.name, step.weight, step.bake_s / 3600) for wave in plan.waves for step in wave.steps
    ]
    begins = [one["begins_after_h"] for one in told["rollout"]["steps"]]
    assert begins[:4] == [0, 24, 72, 84], "each step begins when the one before it has baked"
    held = [(one["name"], one["from"], one["every"]) for one in told["rollout"]["freezes"]]
    assert held == [("year-end", "2026-12-18T00:00", "once"), ("payroll-friday", "2026-01-02T12:00", "week")]
    assert {one["step"] for one in told["rollout"]["preflight"]} == {step.name for step in plan.waves[0].steps}
    first, second = on_duty(world.workspace.operations.rotas[flow.on_call], world.clock.now())
    resources = told["resources"]
    assert (resources["primary"], resources["secondary"], resources["days_covered"] >= 30) == (first, second, True)
    assert (resources["approved_by"], resources["monthly_limit"]) == ("george.hale", "10000.00")


@pytest.mark.feature("D12.12")
def test_the_way_back_is_told_with_the_seconds_of_its_last_drill(world: RolloutWorld) -> None:
    before, release = world.seal("Before."), world.seal("One.")
    world.serve(before, [EAST])
    claims = {"verified": 1.0, "seconds_to_zero_traffic": 12.5}
    at = world.clock.now()
    run = OwnRun(kind="drill.rollback", claims=claims, body=b"{}", produced_at=at, summary="A run", space=EAST)
    with world.engine.begin() as connection:
        attach_own_run(connection, world.instance, release=release, run=run)
    told: Any = pack(world, release).facts["sections"]
    (drill,) = told["rollback"]["drills"]
    assert (drill["space"], drill["verified"], drill["seconds_to_zero_traffic"]) == (EAST, 1.0, 12.5)
    back = {one["space"]: one["to"] for one in told["rollback"]["goes_back"]}
    assert back[EAST] == f"back on {before}"
    assert back[EU].startswith("nothing was released there before")
    assert len(told["rollback"]["triggers"]) == len(world.workspace.workflows[WORKFLOW].rollback_triggers)
