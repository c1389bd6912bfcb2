"""What a release is told to stand on: its documents, their owners and origins, and personal data nothing replaces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, text
from tests.evaluation.world import HANDBOOK, World, make_world

from pilotage.control.own_evidence import attach_own
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.core.digest import Digest
from pilotage.core.reason import Refusal
from pilotage.serving.guarding import inspect_document

pytestmark = pytest.mark.store
GUARD = "workflows/assistant/guard.yaml"


@pytest.fixture
def world(engine: Engine, open_folder: Path, request: pytest.FixtureRequest) -> World:
    folder = open_folder / request.node.name
    folder.mkdir()
    return make_world(engine, folder)


def claims(world: World, release: Digest, kind: str = "classification") -> dict[str, float]:
    done = attach_own(world.instance, actor=world.person("ada"), release=release)
    assert not isinstance(done, Refusal), done
    (found,) = [one for one in done if one.kind == kind]
    return dict(found.claims)


def with_persons(world: World) -> None:
    """Publish a document with two values of persons, looked at as a worker looks at it."""
    body = "# Contacts\n\nThe vault officer is reached at vera.lund@bank.example, her number is 536-90-8726.\n"
    (world.root / "corpora/handbook/documents/contacts.md").write_text(body)
    tools = RefreshTools(inspect=inspect_document)
    done = refresh_corpus(
        world.instance, actor=world.person("ben"), corpus=HANDBOOK, source=None, accept=True, tools=tools
    )
    assert isinstance(done, RefreshResult), done
    retrieval = (world.root / "workflows/assistant/retrieval.yaml").read_text()
    world.write("workflows/assistant/retrieval.yaml", retrieval.replace("handbook@1", f"handbook@{done.version}"))


@pytest.mark.feature("D6.6", "D8.7")
def test_personal_data_is_handled_where_the_sealed_guard_replaces_it_and_nowhere_else(world: World) -> None:
    with_persons(world)
    assert claims(world, world.seal())["pii_unhandled"] == 0
    guard = (world.root / GUARD).read_text()
    line = next(one for one in guard.splitlines() if "pii_out" in one)
    world.write(GUARD, guard.replace(line, line.replace("action: redact", "action: redact, types: {EMAIL: allow}")))
    assert claims(world, world.seal())["pii_unhandled"] == 1


@pytest.mark.feature("D6.6")
@pytest.mark.parametrize(("threshold", "unhandled"), [(0.5, 0), (0.9, 1), (0.99, 2)], ids=["usual", "number", "both"])
@pytest.mark.parametrize("check", ["pii_in", "pii_out"])
def test_what_the_sealed_guards_threshold_leaves_in_place_is_not_handled(
    world: World, check: str, threshold: float, unhandled: int
) -> None:
    with_persons(world)
    guard = yaml.safe_load((world.root / GUARD).read_text())
    for line in guard["checks"]:
        if line["id"] == check:
            line["threshold"] = threshold
    world.write(GUARD, yaml.safe_dump(guard))
    assert claims(world, world.seal())["pii_unhandled"] == unhandled


def test_where_nobody_looked_for_personal_data_none_is_claimed(world: World) -> None:
    release = world.seal()
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE corpus_version SET summary = summary - 'quality'"))
    assert "pii_unhandled" not in claims(world, release)


@pytest.mark.feature("D6.6")
def test_documents_without_an_owner_a_label_or_an_origin_are_counted(world: World) -> None:
    release = world.seal()
    whole = claims(world, release, "lineage")
    assert whole["documents"] > 0
    assert (whole["without_owner"], whole["unlabelled"], whole["without_lineage"]) == (0, 0, 0)
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE revision SET lineage = '{}' WHERE rev = (SELECT min(rev) FROM revision)"))
        connection.execute(text("UPDATE document SET classification = '' WHERE id = (SELECT min(id) FROM document)"))
    found = claims(world, release, "lineage")
    assert (found["without_lineage"], found["unlabelled"]) == (1, 1)
    world.instance = replace(world.instance, workspace=replace(world.instance.workspace, corpora={}))
    assert claims(world, release, "lineage")["without_owner"] == whole["documents"]
