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
from pilotage.control.fetch_evidence import fetch_evidence
from pilotage.core.errors import NotFound, Unavailable, UsageError
from pilotage.core.reason import Refusal
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.workspace.evidence_sources import EvidenceSource, SourceKind
from pilotage.workspace.gate import Trust

pytestmark = pytest.mark.store
AUTHOR = "maria.chen"


@pytest.fixture
def sonar() -> Iterator[Double]:
    made = Double()
    made.on("/api/project_analyses/search", {"analyses": [{"key": "a1", "date": "2026-03-02T09:00:00+0000"}]})
    made.on("/api/qualitygates/project_status", {"projectStatus": {"status": "OK"}})
    made.on("/api/measures/component", {"component": {"measures": [{"metric": "reliability_rating", "value": "1.0"}]}})
    yield made
    made.close()


@pytest.fixture
def world(engine: Engine, sonar: Double) -> GateWorld:
    made = gate_world(engine)
    made.declare(
        evidence_sources={
            "quality": EvidenceSource(name="quality", kind=SourceKind.SONARQUBE, url=sonar.url),
            "code": EvidenceSource(name="code", kind=SourceKind.GITHUB, url=sonar.url),
        }
    )
    return made


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
    assert (found.kind, found.subject, found.trust) == ("quality", world.release, Trust.CLAIMED)
    assert found.reason is None
    assert (found.state, found.refs["fetched_from"]) == (EvidenceState.ACCEPTED, "quality: shop@main")
    assert all("branch=main" in path for path, _ in sonar.seen if "project=" in path)
    with world.instance.engine.connect() as connection:
        kinds = connection.execute(text("SELECT kind FROM ledger_entry WHERE subject = :id"), {"id": found.id})
        assert list(kinds.scalars()) == ["evidence.attached"]


def test_an_analysis_from_before_the_release_was_sealed_is_kept_as_rejected(world: GateWorld, sonar: Double) -> None:
    sonar.on("/api/project_analyses/search", {"analyses": [{"key": "a1", "date": "2026-03-01T08:00:00+0000"}]})
    found = fetch(world)
    assert isinstance(found, Evidence)
    assert found.reason is not None
    assert (found.state, found.reason.code) == (EvidenceState.REJECTED, "EV_BEFORE_SEAL")


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
