"""Three planted regressions are found and named, a neutral change passes, and no rerun makes a verdict better."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import Bent, World, drive_ticking, facts, make_world, quoting

from pilotage.control.evaluation_status import describe_run, void_run
from pilotage.core.digest import Digest
from pilotage.core.errors import Unavailable
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import RunState
from pilotage.ledger.entry import EntryKind, decode_entry
from pilotage.release.generation import GenerationRequest, Model
from pilotage.release.model import Provider
from pilotage.serving.routing import Release
from pilotage.store.evaluation_facts import version_facts
from pilotage.testing.models import FakeModel

pytestmark = [pytest.mark.anyio, pytest.mark.store]

DOCUMENTS = list(facts())[:40]
_BEFORE_IT_FAILS = 3


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "regressions"
    folder.mkdir()
    return make_world(engine, folder)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def good(world: World) -> Digest:
    """A first release with a GO of its own."""
    world.restore()
    release = world.seal()
    driven = await world.evaluate(release)
    assert driven.run.verdict == "go", world.result(driven.run.id)["reasons"]
    return release


def texts(result: Mapping[str, Any], part: str) -> str:
    return " ".join(str(one["text"]) for one in result[part])


@pytest.mark.feature("D1.2", "D1.9", "D6.12")
async def test_a_first_release_is_judged_absolutely_and_becomes_evidence(world: World, good: Digest) -> None:
    with world.instance.engine.connect() as connection:
        row = connection.execute(
            text("SELECT kind, trust, producer, claims FROM evidence WHERE subject = :r AND kind = 'evaluation'"),
            {"r": good},
        ).one()
        kinds = [
            decode_entry(bytes(one)).kind
            for one in connection.execute(
                text("SELECT bytes FROM ledger_entry ORDER BY inserted_at"),
            ).scalars()
        ]
        recorded = connection.execute(text("SELECT count(*) FROM interaction")).scalar_one()
    assert (row.trust, row.producer) == ("attested", "instance")
    assert row.claims["scored"] == 40.0
    assert row.claims["answer_accuracy"] == 1.0
    assert row.claims["answer_accuracy_lcb"] < 1.0
    assert row.claims["p95_ms"] > 0
    assert "regressions" not in row.claims
    assert {EntryKind.EVALUATION_STARTED, EntryKind.EVALUATION_FINISHED} <= set(kinds)
    assert recorded == 0, "evaluation stands apart from interactions"


async def test_a_neutral_change_passes(world: World, good: Digest) -> None:
    world.restore(max_tokens=500)
    release = world.seal()
    world.clock.advance(timedelta(minutes=1))
    driven = await world.evaluate(release)
    result = world.result(driven.run.id)
    assert driven.run.baseline == good
    assert (driven.run.verdict, result["regressions"]) == ("go", [])


@pytest.mark.feature("D10.10")
async def test_a_wrong_fact_in_the_corpus_is_found_and_its_cases_are_named(world: World, good: Digest) -> None:
    world.restore()
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 5\n")
    wrong = DOCUMENTS[:12]
    for document in wrong:
        name, amount = facts()[document]
        world.write_fact(document, name, amount + 7)
    world.publish()
    world.clock.advance(timedelta(minutes=1))
    driven = await world.evaluate(world.seal(), baseline=good)
    result: Mapping[str, Any] = world.result(driven.run.id)
    [accuracy] = [one for one in result["comparison"]["differences"] if one["metric"] == "answer_accuracy"]
    assert driven.run.verdict == "no_go"
    assert set(accuracy["losses"]) == {document.removesuffix(".md") for document in wrong}
    assert "answer_accuracy is worse" in texts(result, "regressions")


async def test_retrieval_that_loses_documents_is_found_by_its_citations(world: World, good: Digest) -> None:
    lost = set(DOCUMENTS[20:30])
    with world.instance.engine.connect() as connection:
        held = version_facts(connection, "handbook", 1)  # type: ignore[arg-type]
    kept = frozenset(one.rev for name, found in held.documents.items() if name not in lost for one in found.revisions)
    world.restore(max_tokens=400)
    release = world.seal()
    world.clock.advance(timedelta(minutes=1))
    bent = Bent(only=lambda digest: kept if digest == release else None)
    driven = await world.evaluate(release, bent, baseline=good)
    result: Mapping[str, Any] = world.result(driven.run.id)
    assert driven.run.verdict == "no_go"
    assert "citation_recall_gold is worse" in texts(result, "regressions")
    [recall] = [one for one in result["comparison"]["differences"] if one["metric"] == "citation_recall_gold"]
    assert {document.removesuffix(".md") for document in lost} == set(recall["losses"])


async def test_a_worse_prompt_is_found(world: World, good: Digest) -> None:
    world.restore()
    prompt = (world.root / "workflows/assistant/prompt.md").read_text()
    world.write("workflows/assistant/prompt.md", prompt.replace("Cite each passage you use as [n].", "Be brief."))
    release = world.seal()
    world.forget_answers()
    world.clock.advance(timedelta(minutes=1))
    bent = Bent(model=lambda _release: FakeModel(reply=quoting))
    driven = await world.evaluate(release, bent, baseline=good, repeats=1)
    result: Mapping[str, Any] = world.result(driven.run.id)
    assert driven.run.verdict == "no_go"
    assert "answer_accuracy is worse" in texts(result, "regressions")


async def test_a_target_that_is_down_never_passes_and_uses_up_no_attempt(world: World, good: Digest) -> None:
    del good
    world.restore(max_tokens=300)
    release = world.seal()
    world.clock.advance(timedelta(minutes=1))
    asked = 0

    def broken(found: Release) -> Model:
        def fail(request: GenerationRequest) -> str:
            nonlocal asked
            asked += 1
            if asked <= _BEFORE_IT_FAILS:
                return quoting(request)
            raise Unavailable("upstream_failed", "the provider is away")

        return FakeModel(reply=fail) if found.digest == release else found.model

    world.forget_answers()
    run = world.start(release)
    driven = await drive_ticking(world, run.id, Bent(model=broken))
    progress, found = driven.progress, driven.run
    assert (found.state, found.verdict, found.evidence) == (RunState.FAILED, None, None)
    assert (progress.done, progress.answers) == (progress.total, _BEFORE_IT_FAILS)
    (reason,) = describe_run(world.instance, run.id)["reasons"]
    assert f"pilotage evaluate resume {run.id}" in reason["text"]
    later: list[str] = []

    def answering(request: GenerationRequest) -> str:
        later.append(request.messages[-1].content)
        return quoting(request)

    again = await world.drive(run.id, Bent(model=lambda _release: FakeModel(reply=answering)))
    assert (again.run.state, again.run.verdict, again.progress.errors) == (RunState.COMPLETED, "go", 0)
    assert again.progress.answers == progress.answers + progress.errors
    assert len(later) == progress.errors, "what was answered is not asked again"
    world.clock.advance(timedelta(minutes=1))
    last = await world.evaluate(release, Bent(model=lambda _release: FakeModel(reply=quoting)))
    assert last.run.verdict == "go"
    for one in (run.id, last.run.id):  # the next test's baseline is the good release again
        await _void(world, one)


async def _void(world: World, run: str) -> None:
    ada, ben = world.person("ada"), world.person("ben")
    first = void_run(world.instance, actor=ada, identifier=run, reason="The provider was away.")
    same = void_run(world.instance, actor=ada, identifier=run, reason="Again.")
    assert not isinstance(first, Refusal)
    assert not isinstance(same, Refusal)
    assert (first.is_voided, same.is_voided) == (False, False), "voiding takes two people"
    second = void_run(world.instance, actor=ben, identifier=run, reason="I saw it too.")
    assert not isinstance(second, Refusal)
    assert second.is_voided


def test_the_builtin_model_is_the_one_under_test(world: World) -> None:
    assert world.instance.workspace.workflows["assistant"].model.provider is Provider.EXTRACTIVE  # type: ignore[index]
