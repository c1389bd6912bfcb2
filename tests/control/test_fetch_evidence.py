"""Evidence that is fetched from a declared tool stands as a file that somebody brings does, and only that is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.adapters.doubles import Double
from tests.control.gate_world import BUILD, GateWorld, gate_world

from pilotage.control.attach_evidence import Bringer
from pilotage.control.evidence_reports import list_evidence
from pilotage.control.fetch_evidence import fetch_evidence
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.errors import NotFound, Unavailable, UsageError
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Refusal
from pilotage.evidence.records import Evidence, EvidenceState, SubjectKind
from pilotage.testing.rollouts import WORKFLOW
from pilotage.workspace.evidence_sources import EvidenceSource, SourceKind
from pilotage.workspace.gate import Trust

pytestmark = pytest.mark.store
AUTHOR = "maria.chen"
COMMIT, TREE = "c" * 40, "7" * 40
SOURCE = {"repo": "", "commit": COMMIT, "tree": TREE, "dirty": False}
PROJECTS = {
    "quality": {WORKFLOW: ("shop",), WorkflowName("other"): ("vault",)},
    "code": {WORKFLOW: ("bank/assistant",)},
    "issues": {WORKFLOW: ("66666666-7777-8888-9999-000000000000",)},
}
ANALYSIS = {"key": "a1", "date": "2026-03-02T09:00:00+0000", "revision": COMMIT}


@pytest.fixture
def sonar() -> Iterator[Double]:
    made = Double()
    made.on("/api/project_analyses/search", {"analyses": [ANALYSIS]})
    made.on("/api/qualitygates/project_status", {"projectStatus": {"status": "OK"}})
    made.on("/api/measures/component", {"component": {"measures": [{"metric": "reliability_rating", "value": "1.0"}]}})
    yield made
    made.close()


@pytest.fixture
def world(engine: Engine, sonar: Double) -> GateWorld:
    made = gate_world(engine)
    made.declare(
        evidence_sources={
            name: EvidenceSource(
                name=name, kind=kind, url=sonar.url, organisation=organisation, projects=PROJECTS[name]
            )
            for name, kind, organisation in (
                ("quality", SourceKind.SONARQUBE, ""),
                ("code", SourceKind.GITHUB, ""),
                ("issues", SourceKind.SNYK, "11111111-2222-3333-4444-555555555555"),
            )
        }
    )
    from_git(made, SOURCE)
    return made


def from_git(world: GateWorld, source: Mapping[str, Any]) -> None:
    """Let the release have been sealed from this commit."""
    with world.instance.engine.begin() as connection:
        seal = canonical_bytes({"source": dict(source)})
        connection.execute(
            text("UPDATE release SET seal = :seal WHERE digest = :release"), {"seal": seal, "release": world.release}
        )


def fetch(world: GateWorld, source: str = "quality", item: str = "shop@main", **how: Any) -> Evidence | Refusal:
    bringer = how.pop("bringer", Bringer(actor=world.person(AUTHOR)))
    return fetch_evidence(
        world.instance, bringer=bringer, release=how.pop("release", world.release), source=source, item=item, **how
    )


def counted(world: GateWorld) -> int:
    with world.instance.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM evidence")).scalar_one())


def test_what_the_tool_says_is_evidence_of_the_release_and_says_where_it_is_from(
    world: GateWorld, sonar: Double
) -> None:
    found = fetch(world)
    assert isinstance(found, Evidence)
    assert (found.kind, found.trust) == ("quality", Trust.CLAIMED)
    assert (found.subject_kind, found.subject) == (SubjectKind.SOURCE, TREE)
    assert found.reason is None
    assert (found.state, found.refs["fetched_from"]) == (EvidenceState.ACCEPTED, "quality: shop@main")
    assert all("branch=main" in path for path, _ in sonar.seen if "project=" in path)
    with world.instance.engine.connect() as connection:
        kinds = connection.execute(text("SELECT kind FROM ledger_entry WHERE subject = :id"), {"id": found.id})
        assert list(kinds.scalars()) == ["evidence.attached"]


def test_an_analysis_of_the_sealed_tree_may_be_older_than_the_seal(world: GateWorld, sonar: Double) -> None:
    sonar.on("/api/project_analyses/search", {"analyses": [ANALYSIS | {"date": "2026-03-01T08:00:00+0000"}]})
    found = fetch(world)
    assert isinstance(found, Evidence)
    assert (found.state, found.reason) == (EvidenceState.ACCEPTED, None)
    world.release = world.resealed()
    from_git(world, SOURCE)
    about = list_evidence(world.instance, world.release)
    assert [one["id"] for one in about if one["kind"] == "quality"] == [found.id], (
        "whatever is sealed from the tree has it"
    )


def test_only_who_may_bring_evidence_makes_a_tool_be_asked(world: GateWorld, sonar: Double) -> None:
    before = counted(world)
    refused = fetch(world, bringer=Bringer(actor=replace(world.person(AUTHOR), roles=frozenset())))
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "NOT_PERMITTED"
    assert (sonar.seen, counted(world)) == ([], before)


def test_a_key_makes_no_tool_be_asked_for_a_kind_it_does_not_list(world: GateWorld, sonar: Double) -> None:
    refused = fetch(world, bringer=Bringer(actor=BUILD, pushed_kinds=frozenset({"tests.*"})))
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "EV_TRUST"
    assert sonar.seen == []
    found = fetch(world, bringer=Bringer(actor=BUILD, pushed_kinds=frozenset({"quality"})))
    assert isinstance(found, Evidence)
    assert found.trust is Trust.PUSHED


@pytest.mark.parametrize(
    ("asked", "error", "code"),
    [
        ({"source": "elsewhere"}, NotFound, "SOURCE_UNKNOWN"),
        ({"release": "sha256:" + "0" * 64}, NotFound, "RELEASE_UNKNOWN"),
        ({"item": "shop main"}, UsageError, "SOURCE_PROJECT"),
        ({"source": "code", "item": "bank/assistant"}, UsageError, "SOURCE_PULL"),
        ({"source": "code", "item": "bank/assistant#0"}, UsageError, "SOURCE_PULL"),
    ],
    ids=["no such source", "no such release", "no project", "no number", "number zero"],
)
def test_what_cannot_be_asked_is_refused_before_it_is(
    world: GateWorld, sonar: Double, asked: Mapping[str, Any], error: type[Exception], code: str
) -> None:
    with pytest.raises(error) as refused:
        fetch(world, **asked)
    assert getattr(refused.value, "code", None) == code
    assert sonar.seen == []


def test_a_tool_that_does_not_answer_whole_leaves_nothing(world: GateWorld, sonar: Double) -> None:
    before = counted(world)
    del sonar.routes["/api/measures/component"]
    with pytest.raises(Unavailable) as refused:
        fetch(world)
    assert refused.value.code == "source_status"
    assert counted(world) == before


@pytest.mark.parametrize(
    ("source", "item"),
    [
        ("quality", "vault"),
        ("quality", "shop2"),
        ("quality", "Shop@main"),
        ("code", "bank/other#12"),
        ("code", "elsewhere/assistant#12"),
        ("issues", "77777777-7777-8888-9999-000000000000"),
    ],
    ids=["of another workflow", "a longer key", "another case", "another name", "another owner", "another id"],
)
def test_a_project_that_is_not_this_workflows_is_never_asked_about(
    world: GateWorld, sonar: Double, source: str, item: str
) -> None:
    before = counted(world)
    refused = fetch(world, source, item, kind="scan.deps" if source == "issues" else None)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["SOURCE_NOT_ALLOWED"]
    assert (sonar.seen, counted(world)) == ([], before)


def refused_subject(found: Evidence | Refusal) -> str:
    assert isinstance(found, Evidence)
    assert found.reason is not None, "it counts"
    assert (found.state, found.reason.code) == (EvidenceState.REJECTED, "EV_WRONG_SUBJECT")
    return found.reason.text


def test_an_analysis_of_another_or_of_no_commit_is_kept_as_rejected(world: GateWorld, sonar: Double) -> None:
    sonar.on("/api/project_analyses/search", {"analyses": [ANALYSIS | {"revision": "d" * 40}]})
    assert COMMIT in refused_subject(fetch(world))
    sonar.on("/api/project_analyses/search", {"analyses": [ANALYSIS | {"revision": ""}]})
    assert "names no commit" in refused_subject(fetch(world))


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"dirty": True}, "uncommitted changes"), ({"commit": "", "tree": ""}, "outside Git")],
    ids=["uncommitted", "no repository"],
)
def test_a_release_of_no_known_commit_takes_nothing_that_is_fetched(
    world: GateWorld, changed: Mapping[str, Any], told: str
) -> None:
    from_git(world, SOURCE | dict(changed))
    assert told in refused_subject(fetch(world))


def pull(sonar: Double, tree: str) -> None:
    path = "/repos/bank/assistant/pulls/12"
    sonar.on(path, {"head": {"sha": "h"}, "user": {"login": "maria"}, "commits": 1})
    commit: Json = {"tree": {"sha": tree}, "author": {"email": "maria@bank.example"}, "message": "m"}
    sonar.on(f"{path}/commits", [{"sha": "h", "author": {"login": "maria"}, "commit": commit}])
    review = {"state": "APPROVED", "commit_id": "h", "submitted_at": "2026-03-02T09:00:00Z"}
    sonar.on(f"{path}/reviews", [{**review, "user": {"login": "felix", "type": "User"}}])


@pytest.mark.feature("D5.1", "D5.4")
def test_a_review_counts_when_it_is_of_the_sealed_tree(world: GateWorld, sonar: Double) -> None:
    pull(sonar, "8" * 40)
    assert "head tree" in refused_subject(fetch(world, "code", "bank/assistant#12"))
    pull(sonar, TREE)
    found = fetch(world, "code", "bank/assistant#12")
    assert isinstance(found, Evidence)
    assert (found.reason, found.state) == (None, EvidenceState.ACCEPTED)


def test_a_file_somebody_brings_is_of_the_sealed_commit_where_it_names_one(world: GateWorld) -> None:
    def quality(revision: str) -> bytes:
        status: Json = {"projectStatus": {"status": "OK"}}
        analyses: list[Json] = [ANALYSIS | {"revision": revision}]
        return canonical_bytes({"project_status": status, "analyses": {"analyses": analyses}})

    refused_subject(world.attach(("quality", quality("d" * 40)))[0])
    for revision in (COMMIT, ""):
        (found,) = world.attach(("quality", quality(revision)))
        assert found.state is EvidenceState.ACCEPTED
