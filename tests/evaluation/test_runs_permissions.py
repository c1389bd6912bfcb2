"""The permission suite is silent on the honest system and names each planted defect."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import Bent, World, make_world
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.evaluate import _quiet
from pilotage.cli.main import make_app
from pilotage.cli.options import Options
from pilotage.control import withdrawn_permissions
from pilotage.control.driven_run import Driven
from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.run import Progress, RunKind, RunState
from pilotage.incident.records import Severity
from pilotage.serving.context import Embedded, Retrieval
from pilotage.serving.evaluation_target import Ground, LaidOver
from pilotage.serving.overlay_retriever import OverlayRetriever
from pilotage.serving.ports import Breach, Retriever
from pilotage.serving.refusal import Refusal
from pilotage.store.incidents import list_incidents

pytestmark = [pytest.mark.anyio, pytest.mark.store]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "permissions"
    folder.mkdir()
    world = make_world(engine, folder, cases=6)
    acl = world.root / "corpora/handbook/documents/acl.yaml"
    acl.write_text(acl.read_text().replace('"*-locker.md": [group:staff]', '"*-locker.md": [group:lending]'))
    world.publish()
    return world


@pytest.fixture(scope="module")
def release(world: World) -> Digest:
    return world.seal()


Plant = Callable[[OverlayRetriever], None]


def planted(plant: Plant) -> Callable[[LaidOver], LaidOver]:
    """Return retrievers with a defect, for what is laid over the corpus; the visible part alone stays honest."""

    def over(honest: LaidOver) -> LaidOver:
        async def make(overlay: Overlay, only: frozenset[int] | None, ground: Ground) -> Retriever:
            retriever = await honest(overlay, only, ground)
            assert isinstance(retriever, OverlayRetriever)
            if only is None:
                plant(retriever)
            return retriever

        return make

    return over


async def suite(world: World, release: Digest, plant: Plant | None = None) -> tuple[str, Mapping[str, Any]]:
    world.clock.advance(timedelta(minutes=1))
    bent = Bent() if plant is None else Bent(overlaid=planted(plant))
    driven = await world.evaluate(release, bent, kind=RunKind.PERMISSIONS)
    return driven.run.verdict or "", world.result(driven.run.id)


def surfaces(result: Mapping[str, Any]) -> set[str]:
    return {one["surface"] for part in ("leaked", "differences", "withheld") for one in result[part]}


@pytest.mark.feature("D10.25")
async def test_the_honest_system_leaks_nothing_and_its_bound_is_exact(world: World, release: Digest) -> None:
    verdict, result = await suite(world, release)
    assert (verdict, result["leaks"], surfaces(result)) == ("go", 0, set())
    assert result["over_restriction"] == 0
    assert result["pairs_hidden"] > 0
    assert result["compared"] > 0
    assert result["answers"] > 0
    assert result["withdrawn"] > 0
    assert result["leak_rate"]["upper"] == pytest.approx(1 - 0.05 ** (1 / result["cases"]), abs=1e-9)
    with world.instance.engine.connect() as connection:
        claims = connection.execute(
            text("SELECT e.claims FROM evidence e JOIN evaluation_run r ON r.evidence = e.id WHERE r.verdict = 'go'")
        ).scalar_one()
        held = connection.execute(
            text("SELECT count(*) FROM document WHERE id LIKE 'overlay/%' OR title LIKE 'Vault register%'")
        ).scalar_one()
    assert claims["leaks"] == 0
    assert claims["scored"] == result["scored"]
    assert held == 0, "an overlay never reaches the corpus"


def ranks_before_it_filters(retriever: OverlayRetriever) -> None:
    """The classic: rank everything, then drop what the asker may not see."""
    honest = retriever._rank

    def rank(context: Embedded, *given: Any) -> Any:
        ranked = honest(context, *given)
        assert not isinstance(ranked, Refusal)
        everybody = frozenset(ranked.snapshot.visibility.principals)
        wide = replace(context.asker, acl_names=everybody)
        loose = honest(_with_asker(context, wide), *given)
        assert not isinstance(loose, Refusal)
        visible = {(hit.rev, hit.ordinal) for hit in ranked.ranking.hits}
        kept = tuple(hit for hit in loose.ranking.hits if (hit.rev, hit.ordinal) in visible)
        return replace(ranked, ranking=replace(ranked.ranking, hits=kept))

    retriever._rank = rank  # type: ignore[assignment, method-assign]


def _with_asker(context: Embedded, asker: Any) -> Embedded:
    return replace(context, asker=asker)


def counts_hidden_documents(retriever: OverlayRetriever) -> None:
    """Scores with the number of all documents, the hidden ones too."""
    honest = retriever.retrieve

    async def retrieve(context: Embedded) -> Retrieval | Refusal | Breach:
        found = await honest(context)
        if not isinstance(found, Retrieval):
            return found
        snapshot = retriever._indexes.snapshot(found.corpus)  # type: ignore[arg-type]
        assert snapshot is not None
        everything = len(snapshot.visibility.documents) + len(retriever._laid)
        scored = tuple(replace(one, score=one.score * (1 + everything / 1000)) for one in found.found)
        return replace(found, found=scored)

    retriever.retrieve = retrieve  # type: ignore[method-assign]


def shares_a_cache(retriever: OverlayRetriever) -> None:
    """Remembers what a question found, and forgets who had asked."""
    honest = retriever.retrieve

    async def retrieve(context: Embedded) -> Retrieval | Refusal | Breach:
        key = context.question.text
        if key not in _SHARED:
            _SHARED[key] = await honest(context)
        return _SHARED[key]

    retriever.retrieve = retrieve  # type: ignore[method-assign]


_SHARED: dict[str, Retrieval | Refusal | Breach] = {}


def warns_of_what_it_laid(retriever: OverlayRetriever) -> None:
    """Writes the text of documents for withdrawal into a warning of serving."""
    honest = retriever.retrieve

    async def retrieve(context: Embedded) -> Retrieval | Refusal | Breach:
        words = " ".join(one.text for one in retriever._laid.values() if one.id.startswith("overlay/withdrawn"))
        logging.getLogger("pilotage.serving.retriever").warning("retrieving %s", words)
        return await honest(context)

    retriever.retrieve = retrieve  # type: ignore[method-assign]


def logs_what_it_laid(retriever: OverlayRetriever) -> None:
    """Writes hidden text into an attribute of a log line."""
    honest = retriever.retrieve

    async def retrieve(context: Embedded) -> Retrieval | Refusal | Breach:
        text_ = " ".join(document.text for document in retriever._laid.values())
        logging.getLogger("pilotage.test").warning("retrieving", extra={"laid": text_})
        return await honest(context)

    retriever.retrieve = retrieve  # type: ignore[method-assign]


def withholds(retriever: OverlayRetriever) -> None:
    """Denies everybody one document that they may read."""
    honest = retriever._rank

    def rank(context: Embedded, *given: Any) -> Any:
        asker = replace(context.asker, acl_names=context.asker.acl_names - {"group:staff"})
        return honest(_with_asker(context, asker), *given)

    retriever._rank = rank  # type: ignore[assignment, method-assign]


def trusts_its_index(retriever: OverlayRetriever) -> None:
    """Reads texts by the permissions of when the index was made."""
    early = dict(retriever._laid)
    honest = retriever._fetch

    async def fetch(corpus: Any, places: Any, reader: Any) -> Any:
        now, retriever._laid = retriever._laid, early
        try:
            return await honest(corpus, places, reader)
        finally:
            retriever._laid = now

    retriever._fetch = fetch  # type: ignore[method-assign]


def shows_only(kind: str) -> Plant:
    """Return the defect of `trusts_its_index` for one kind of withdrawal; the others are honest."""

    def plant(retriever: OverlayRetriever) -> None:
        if all(document.id == f"overlay/withdrawn-{kind}" for document in retriever._laid.values()):
            trusts_its_index(retriever)

    return plant


def keeps_for_ever(retriever: OverlayRetriever) -> None:
    """Neither reads nor follows what is withdrawn."""
    trusts_its_index(retriever)
    never_follows(retriever)


def never_follows(retriever: OverlayRetriever) -> None:
    """Keeps an index that nobody tells of withdrawn permissions."""
    retriever.settle = lambda: None  # type: ignore[method-assign]


@pytest.mark.feature("D10.25")
@pytest.mark.parametrize(
    ("plant", "surface"),
    [
        (ranks_before_it_filters, "non-interference"),
        (counts_hidden_documents, "non-interference"),
        (shares_a_cache, "passage"),
        (logs_what_it_laid, "log"),
        (withholds, "filter"),
        (trusts_its_index, "revoked"),
        (trusts_its_index, "demoted"),
        (trusts_its_index, "taken down"),
        (warns_of_what_it_laid, "log"),
        (keeps_for_ever, "revoked in the index"),
        (keeps_for_ever, "demoted in the index"),
        (keeps_for_ever, "taken down in the index"),
    ],
)
async def test_a_planted_defect_is_a_no_go_and_is_named(
    world: World, release: Digest, plant: Plant, surface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _SHARED.clear()
    monkeypatch.setattr(withdrawn_permissions, "CLEAN_AFTER_S", 0.05)
    verdict, result = await suite(world, release, plant)
    assert verdict == "no_go"
    assert surface in surfaces(result)
    if result["leaks"]:
        with world.instance.engine.connect() as connection:
            (found,) = list_incidents(connection, workflow="assistant", only_open=True)
        assert (found.cause, found.release, found.severity) == ("permission leak", release, Severity.SEV3)


@pytest.mark.feature("D10.25")
@pytest.mark.parametrize("kind", list(withdrawn_permissions.Withdrawal))
async def test_a_defect_of_one_kind_of_withdrawal_is_not_hidden_by_the_others(
    world: World, release: Digest, kind: withdrawn_permissions.Withdrawal
) -> None:
    verdict, result = await suite(world, release, shows_only(kind.name.lower()))
    assert (verdict, surfaces(result)) == ("no_go", {kind.value})


async def test_an_index_that_does_not_follow_is_no_leak_and_no_pass(
    world: World, release: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawn_permissions, "CLEAN_AFTER_S", 0.05)
    verdict, result = await suite(world, release, never_follows)
    assert (verdict, surfaces(result)) == ("inconclusive", set())
    assert (result["scored"], result["unscored"]) == (result["cases"], result["withdrawn"])
    (reason,) = result["reasons"]
    assert reason["text"].endswith(" withdrawals failed: the index did not follow in 0.05 s.")


def fails_after(calls: int) -> Plant:
    """Return an index that follows at once, and that breaks so many questions after a withdrawal."""

    def plant(retriever: OverlayRetriever) -> None:
        commit, honest, left = retriever.withdraw, retriever.retrieve, [-1]

        def withdraw(readers: Mapping[str, frozenset[str] | None]) -> None:
            commit(readers)
            retriever.settle()
            left[0] = calls

        async def retrieve(context: Embedded) -> Retrieval | Refusal | Breach:
            left[0] -= 1
            if left[0] == -1:
                raise RuntimeError("planted")
            return await honest(context)

        left[0] = 10**6
        retriever.withdraw = withdraw  # type: ignore[method-assign]
        retriever.retrieve = retrieve  # type: ignore[method-assign]

    return plant


@pytest.mark.parametrize(("calls", "code"), [(0, "internal"), (1, "target_error")], ids=["look", "answer"])
async def test_a_question_that_fails_after_a_withdrawal_is_no_pass(
    world: World, release: Digest, calls: int, code: str
) -> None:
    verdict, result = await suite(world, release, fails_after(calls))
    assert (verdict, surfaces(result)) == ("inconclusive", set())
    (reason,) = result["reasons"]
    assert reason["text"].endswith(f" withdrawals failed: {code}.")


def is_down(retriever: OverlayRetriever) -> None:
    """Answers nobody."""

    async def retrieve(_context: Embedded) -> Retrieval | Refusal | Breach:
        raise OSError("planted")

    retriever.retrieve = retrieve  # type: ignore[method-assign,assignment]


async def test_a_suite_whose_index_is_down_has_failed_and_runs_again_whole(world: World) -> None:
    world.write("workflows/assistant/model.yaml", "provider: extractive\nmax_tokens: 400\n")
    release = world.seal()
    world.clock.advance(timedelta(minutes=1))
    driven = await world.evaluate(release, Bent(overlaid=planted(is_down)), kind=RunKind.PERMISSIONS)
    assert (driven.run.state, driven.run.verdict, driven.run.evidence) == (RunState.FAILED, None, None)
    assert f"pilotage evaluate resume {driven.run.id}" in driven.run.note
    again = await world.drive(driven.run.id)
    assert (again.run.state, again.run.verdict) == (RunState.COMPLETED, "go")


@dataclass(frozen=True, slots=True, kw_only=True)
class Driving(Joined):
    """The joined rooms, with a world's planted retrievers."""

    world: World
    bent: Bent

    def drive(self, instance: Instance, run: str, progress: Callable[[Progress], None]) -> Driven:
        del instance, progress
        return asyncio.run(self.world.drive(run, self.bent))


def test_the_command_hears_a_warning_of_serving_too(
    world: World, release: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.clock.advance(timedelta(minutes=1))
    monkeypatch.setattr(Options, "open", lambda _options, _command, **_: nullcontext(world.instance))
    runtime = Driving(world=world, bent=Bent(overlaid=planted(warns_of_what_it_laid)))
    words = ["suite", "permission", release, "--json", "--as", "ada"]
    result = CliRunner().invoke(make_app(runtime), words)
    assert (result.exit_code, json.loads(result.stdout)["verdict"]) == (1, "no_go"), result.output
    assert surfaces(world.result(json.loads(result.stdout)["run"])) == {"log"}


def test_failures_of_single_questions_stay_off_the_terminal_and_in_the_loggers(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        with _quiet():
            logging.getLogger("pilotage.serving.headless").warning("one")
            logging.getLogger("pilotage.serving").error("two")
            logging.getLogger("pilotage.store").warning("three")
        logging.getLogger("pilotage.serving.headless").warning("four")
    finally:
        root.removeHandler(handler)
    assert capsys.readouterr().err.split() == ["two", "three", "four"]
    assert caplog.messages == ["one", "two", "three", "four"]
