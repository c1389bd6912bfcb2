"""The model behind a release is the one that answered first since its promotion, or its rollouts are held."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.emptied import empty
from tests.evaluation.test_runs_after_upgrade import PAID
from tests.evaluation.world import EVALUATION, World, make_world

from pilotage.control import watch_drift as drift_watch
from pilotage.control.scheduled_runs import ask_for_run
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.control.watch_drift import watch_drift
from pilotage.control.watch_models import CAUSE, watch_models
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.evaluation.answering_model import Identity
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.run import Cause, EvaluationRun
from pilotage.jobs.watches import WATCHES
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store import model_identity
from pilotage.store.drift import open_drift
from pilotage.store.evaluation_runs import find_run, runs_of
from pilotage.store.ledger_entries import append
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.model_identity import (
    FIRST,
    Identities,
    Place,
    answered_in,
    identities_of,
    identity_changed,
    known_identities,
    looked_at,
    put_identities,
)

pytestmark = pytest.mark.store
SANDBOX, ASSISTANT = SpaceName("sandbox"), WorkflowName("assistant")

_ASKED = text(
    "INSERT INTO interaction (id, at, space, workflow, arm, release, principal, kind, state, outcome, refused, detail)"
    " VALUES (:id, :at, :space, 'assistant', 'stable', :release, 'p', :kind, 'open', 'ok', false, '{}')"
)
_CLOSED = text(
    "INSERT INTO interaction_closing (interaction, at, state, outcome, refused, detail)"
    " VALUES (:id, :at, 'final', 'ok', false, CAST(:detail AS jsonb))"
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    with engine.begin() as connection:
        empty(
            connection,
            "release",
            "incident",
            "outbox",
            "drift",
            "interaction",
            "interaction_closing",
            "stated_fact",
            "run",
        )
        empty(connection, "model_identity", "model_look")
    world = make_world(engine, tmp_path, cases=2)
    world.write("workflows/assistant/model.yaml", PAID)
    world.write("workflows/assistant/evaluation.yaml", EVALUATION + "cost_cap: 2 USD\n")
    return world


def answer(
    world: World,
    release: Digest,
    model: str,
    fingerprint: str | None = None,
    *,
    space: str = SANDBOX,
    kind: str = "user",
    **more: object,
) -> str:
    """Record one answer, as a space does that writes its record before it answers: opened, closed, numbered."""
    world.clock.advance(timedelta(seconds=1))
    now, name = world.clock.now(), new_ulid(world.clock.now())
    named = {} if fingerprint is None else {"fingerprint_used": fingerprint}
    values = {"id": name, "at": now, "release": release, "space": space, "kind": kind}
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.INTERACTION_RECORDED,
        at=now,
        actor="system:test",
        subject=name,
        space=space,
        data={},
    )
    with world.instance.engine.begin() as connection:
        connection.execute(_ASKED, values)
        connection.execute(_CLOSED, values | {"detail": json.dumps({"model_used": model, **named, **more})})
        append(connection, entry)
    number_all(world.instance.engine)
    return name


def look(world: World) -> list[str]:
    """Look once at models, then at drift; return what is new, as a person reads it."""
    with world.instance.engine.begin() as connection:
        found = watch_models(connection, world.instance)
        watch_drift(connection, world.instance)
    return [str(change.identity) for change in found]


def in_service(world: World) -> Digest:
    release = world.seal()
    look(world)
    for _ in range(FIRST):
        answer(world, release, "m", "f1")
    assert look(world) == []
    return release


def holding(world: World, release: Digest) -> list[str]:
    with world.instance.engine.connect() as connection:
        of = Candidate(workflow=ASSISTANT, release=release)
        found = space_fitness(connection, [SANDBOX], of=of, now=world.clock.now()).holding
    return [reason.code for reason in found if reason.code == "MODEL_IDENTITY_CHANGED"]


def entries(world: World) -> Counter[str]:
    """Count the entries of each kind that a look can write."""
    query = text("SELECT kind FROM ledger_entry WHERE kind ~ '^deployment.(drift|identity)'")
    with world.instance.engine.connect() as connection:
        return Counter(connection.scalars(query))


def known_of(world: World, release: Digest) -> Identities:
    with world.instance.engine.connect() as connection:
        return identities_of(connection, Place(workflow=ASSISTANT, space=SANDBOX, release=release))


def end_run(world: World, release: Digest, verdict: Verdict, *, but: str = "", model: str | None = "m-2") -> None:
    """Let the release's runs end now, begun a second ago, answered by `model`; `but` changes more of them."""
    world.clock.advance(timedelta(seconds=1))
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE evaluation_task SET state = 'done', model = :model"), {"model": model})
        connection.execute(
            text(
                "UPDATE evaluation_run SET state = 'completed', verdict = :verdict, started_at = :at"
                f"{but} WHERE release = :release AND verdict IS NULL"
            ),
            {"verdict": verdict.value, "release": release, "at": world.clock.now()},
        )


def test_the_first_twenty_answers_fix_the_reference_and_the_same_model_changes_nothing(world: World) -> None:
    before, release = entries(world), world.seal()
    look(world)
    for _ in range(FIRST - 1):
        answer(world, release, "m", "f1")
    look(world)
    assert (known_of(world, release).answers, entries(world)) == (FIRST - 1, before)
    answer(world, release, "m", "f2")
    assert look(world) == []
    assert sorted(map(str, known_of(world, release).reference)) == ["m (f1)", "m (f2)"]
    for fingerprint in ("f1", "f2"):
        answer(world, release, "m", fingerprint)
    answer(world, release, "other", cached=True)
    answer(world, release, "other", kind="synthetic")
    answer(world, release, "other", space="elsewhere")
    assert look(world) == [], "the same two, one from the cache, one that no person asked, one of another space"
    assert entries(world) - before == {"deployment.identity_fixed": 1}
    assert holding(world, release) == []


def test_another_model_holds_the_release_pages_and_asks_for_a_run(world: World) -> None:
    before, release = entries(world), in_service(world)
    interaction = answer(world, release, "m", "f9")
    assert look(world) == ["m (f9)"]
    assert look(world) == [], "said once"
    assert holding(world, release) == ["MODEL_IDENTITY_CHANGED"]
    world.write("workflows/assistant/prompt.md", "Answer shortly.\n{passages}\n{question}\n")
    assert holding(world, world.seal()) == [], "what replaces it is not held"
    assert entries(world) - before == {
        "deployment.identity_fixed": 1,
        "deployment.identity_changed": 1,
        "deployment.drift_found": 1,
    }
    with world.instance.engine.connect() as connection:
        (run,) = runs_of(connection, release=release)
        (row,) = open_drift(connection, space=SANDBOX)
        (cause, summary) = connection.execute(text("SELECT cause, summary FROM incident")).one()
        told = connection.scalar(text("SELECT count(*) FROM outbox WHERE payload ->> 'title' LIKE '%model changed%'"))
        graded = text("SELECT DISTINCT payload -> 'facts' ->> 'severity' FROM outbox WHERE payload ->> 'kind' = 'page'")
        assert list(connection.scalars(graded)) == ["SEV3"]
    assert (run.cause, run.space) == (Cause.SCHEDULE, SANDBOX)
    assert row.reason.text == f"m (f9) answers for {release[:19]} in sandbox; its first answers were m (f1)."
    assert (cause, row.evicts) == (CAUSE, False)
    assert interaction in summary
    assert "is GO and answered by m (f9)" in summary, "a run that the first model answers ends nothing"
    assert told


def test_a_rollout_that_compares_with_a_stable_release_whose_model_changed_meanwhile_is_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = world.seal()
    world.write("workflows/assistant/prompt.md", "Answer shortly.\n{passages}\n{question}\n")
    stable, began = in_service(world), world.clock.now()

    def held_since(at: datetime | None) -> list[str]:
        of = Candidate(workflow=ASSISTANT, release=release, since=at)
        with world.instance.engine.connect() as connection:
            found = space_fitness(connection, [SANDBOX], of=of, now=world.clock.now()).holding
        return [reason.text for reason in found if reason.code == "MODEL_IDENTITY_CHANGED"]

    assert held_since(began) == []
    answer(world, stable, "m", "f9")
    look(world)
    (text_of,) = held_since(began)
    assert text_of.startswith(f"m (f9) answers for the stable {stable[:19]} in sandbox since this rollout began")
    world.clock.advance(timedelta(seconds=1))
    meanwhile = world.clock.now()
    assert (held_since(meanwhile), held_since(None)) == ([], []), "one that begins now compares what answers now"
    answer(world, stable, "m", "f10")
    look(world)
    assert held_since(began), "whichever of several changes came since"
    end_run(world, stable, Verdict.GO, but=", space = 'sandbox'", model="m")
    assert held_since(began), "a run of the first model judges no change"
    assert held_since(meanwhile)
    accepted = frozenset({Identity(model="m", fingerprint="f10")})
    monkeypatch.setattr(drift_watch, "accepted_models", lambda *_: accepted)
    look(world)
    assert (held_since(meanwhile), len(held_since(began))) == ([], 1), "what is accepted holds nothing beside another"


def test_what_somebody_accepts_holds_nothing_while_it_is_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = in_service(world)
    for fingerprint in ("f9", "f10"):
        answer(world, release, "m", fingerprint)
    look(world)
    rare, other = (Identity(model="m", fingerprint=one) for one in ("f9", "f10"))
    seen = list[tuple[list[str], list[str]]]()
    for accepted in ({rare}, {rare, other}, set[Identity]()):
        monkeypatch.setattr(drift_watch, "accepted_models", lambda *_, now=frozenset(accepted): now)
        look(world)
        with world.instance.engine.connect() as connection:
            rows = [row.observed for row in open_drift(connection, space=SANDBOX)]
        seen.append((rows, holding(world, release)))
    held = ["MODEL_IDENTITY_CHANGED"]
    assert seen == [(["m (f10)"], held), ([], []), (["m (f9), m (f10)"], held)]


def test_what_a_run_of_another_space_is_still_to_judge_is_unknown_elsewhere(world: World) -> None:
    release = in_service(world)
    answer(world, release, "m-2")
    look(world)

    def known(space: str | None) -> set[str]:
        with world.instance.engine.connect() as connection:
            found = known_identities(connection, release, None if space is None else SpaceName(space))
        return {str(one) for one in found or ()}

    assert known(SANDBOX) == {"m (f1)", "m-2"}
    assert known("elsewhere") == known(None) == {"m (f1)"}
    end_run(world, release, Verdict.GO)
    look(world)
    assert known("elsewhere") == known(None) == {"m (f1)", "m-2"}


@pytest.mark.anyio
async def test_a_run_whose_baseline_another_model_answered_counts_for_nothing(world: World) -> None:
    world.restore()
    baseline = world.seal()
    world.restore(max_tokens=300)
    release = world.seal()
    known = Identities(
        place=Place(workflow=ASSISTANT, space=SANDBOX, release=baseline),
        answers=FIRST,
        reference=frozenset({Identity(model="m")}),
    )
    with world.instance.engine.begin() as connection:
        put_identities(connection, known)
    world.forget_answers()
    run = (await world.evaluate(release, baseline=baseline)).run
    assert (run.verdict, run.is_gating, run.evidence) == ("inconclusive", False, None)
    reasons = world.result(run.id)["reasons"]
    assert isinstance(reasons, list)
    (reason,) = reasons
    assert (reason["code"], baseline[:19] in reason["text"]) == ("MODEL_IDENTITY_CHANGED", True)


@pytest.mark.parametrize(("verdict", "held"), [(Verdict.GO, []), (Verdict.NO_GO, ["MODEL_IDENTITY_CHANGED"])])
def test_only_a_run_that_is_go_makes_the_new_model_good(world: World, verdict: Verdict, held: list[str]) -> None:
    release = in_service(world)
    answer(world, release, "m-2")
    look(world)
    before = entries(world)
    end_run(world, release, verdict)
    answer(world, release, "m-2")
    assert look(world) == []
    assert holding(world, release) == held
    assert entries(world) - before == ({} if held else {"deployment.drift_ended": 1, "deployment.identity_accepted": 1})


@pytest.mark.parametrize("but", [", is_gating = false", ", space = ''", ", voided_at = now()"])
def test_a_run_that_cannot_speak_for_the_place_makes_nothing_good(world: World, but: str) -> None:
    release = in_service(world)
    answer(world, release, "m-2")
    look(world)
    end_run(world, release, Verdict.GO, but=but)
    look(world)
    assert holding(world, release) == ["MODEL_IDENTITY_CHANGED"]


def test_a_run_begun_before_the_change_makes_nothing_good_and_its_answers_are_not_used_again(world: World) -> None:
    release = in_service(world)
    world.start(release, space=SANDBOX)
    end_run(world, release, Verdict.GO)
    answer(world, release, "m-2")
    look(world)
    look(world)
    assert holding(world, release) == ["MODEL_IDENTITY_CHANGED"]
    with world.instance.engine.connect() as connection:
        assert identity_changed(connection, release) == world.clock.now()
        assert identity_changed(connection, Digest("sha256:" + "0" * 64)) is None


def test_a_run_that_waited_when_the_model_changed_judges_it_once_it_begins(world: World) -> None:
    release = in_service(world)
    with world.instance.engine.begin() as connection:
        assert ask_for_run(connection, world.instance, release, SANDBOX) is None
    answer(world, release, "m-2")
    look(world)
    end_run(world, release, Verdict.GO)
    look(world)
    assert holding(world, release) == []


def test_a_record_that_comes_late_is_seen_and_a_second_change_pages_again(world: World) -> None:
    release = in_service(world)
    answer(world, release, "m-2")
    assert look(world) == ["m-2"]
    world.clock.advance(timedelta(hours=9))
    late = answer(world, release, "m-3")
    with world.instance.engine.begin() as connection:
        connection.execute(text("UPDATE interaction SET at = at - interval '8 h' WHERE id = :id"), {"id": late})
    assert look(world) == ["m-3"]
    with world.instance.engine.connect() as connection:
        told = connection.scalars(
            text("SELECT payload ->> 'text' FROM outbox WHERE payload ->> 'title' LIKE '%model%'")
        )
        said = set(told)
    assert {model for model in ("m-2", "m-3") if any(model in one for one in said)} == {"m-2", "m-3"}


def test_a_change_right_behind_the_first_answers_is_found_in_the_same_look(world: World) -> None:
    release = world.seal()
    look(world)
    for _ in range(FIRST):
        answer(world, release, "m", "f1")
    answer(world, release, "m-2")
    answer(world, release, "m-2")
    assert look(world) == ["m-2"]
    assert WATCHES["model_watch"].look is watch_models


@pytest.mark.parametrize("model", ["m", None], ids=["the first model", "nobody knows which"])
def test_a_run_that_another_model_answered_judges_no_change(world: World, model: str | None) -> None:
    release = in_service(world)
    answer(world, release, "m-2")
    look(world)
    end_run(world, release, Verdict.GO, model=model)
    look(world)
    assert holding(world, release) == ["MODEL_IDENTITY_CHANGED"]


@pytest.mark.anyio
async def test_a_run_that_another_model_answered_is_neither_evidence_nor_attempt(world: World) -> None:
    world.restore()
    release = world.seal()
    place = Place(workflow=ASSISTANT, space=SANDBOX, release=release)

    async def ended(*known: str, answers: int = FIRST) -> tuple[EvaluationRun, list[object]]:
        names = frozenset(Identity(model=name) for name in known)
        with world.instance.engine.begin() as connection:
            put_identities(connection, Identities(place=place, answers=answers, reference=names))
        world.clock.advance(timedelta(minutes=1))
        world.forget_answers()
        run = (await world.evaluate(release)).run
        with world.instance.engine.connect() as connection:
            found = find_run(connection, run.id)
            said = answered_in(connection, run.id)
        assert found is not None
        assert {one.model for one in said} == {"extractive"}
        reasons = world.result(run.id)["reasons"]
        assert isinstance(reasons, list)
        return found, [one["code"] for one in reasons]

    run, codes = await ended("m")
    assert (run.verdict, run.is_gating, run.evidence, codes) == (
        "inconclusive",
        False,
        None,
        ["MODEL_IDENTITY_CHANGED"],
    )
    for known, answers in ((["m", "extractive"], FIRST), (["m"], FIRST - 1)):
        run, codes = await ended(*known, answers=answers)
        assert (run.is_gating, run.evidence is not None) == (True, True)
        assert "MODEL_IDENTITY_CHANGED" not in codes


def test_where_nobody_looks_at_models_any_more_what_a_provider_answers_is_unknown(world: World) -> None:
    release = in_service(world)

    def unknown(*, after: timedelta) -> list[str]:
        world.clock.advance(after)
        with world.instance.engine.begin() as connection:
            watch_drift(connection, world.instance)
            return [row.reason.text for row in open_drift(connection, space=SANDBOX) if row.process == "model watch"]

    assert unknown(after=timedelta(seconds=170)) == []
    assert unknown(after=timedelta(seconds=30)) == ["model watch in sandbox has not said what it serves: for 200 s."]
    with world.instance.engine.connect() as connection:
        of = Candidate(workflow=ASSISTANT, release=release)
        found = space_fitness(connection, [SANDBOX], of=of, now=world.clock.now()).holding
    assert "DRIFT_UNKNOWN" in {reason.code for reason in found}
    look(world)
    assert unknown(after=timedelta()) == []


def test_a_look_that_did_not_come_to_the_end_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    release = in_service(world)
    for _ in range(2):
        answer(world, release, "m", "f1")

    def last() -> datetime | None:
        look(world)
        with world.instance.engine.connect() as connection:
            return looked_at(connection)

    with world.instance.engine.connect() as connection:
        before = looked_at(connection)
    monkeypatch.setattr(model_identity, "_AT_ONCE", 1)
    assert last() == before, "an answer is left that nobody looked at"
    monkeypatch.undo()
    assert last() == world.clock.now()


@pytest.mark.anyio
async def test_what_another_model_answered_is_kept_for_no_later_run(world: World) -> None:
    world.restore()
    release = world.seal()
    place = Place(workflow=ASSISTANT, space=SANDBOX, release=release)
    with world.instance.engine.begin() as connection:
        known = Identities(place=place, answers=FIRST, reference=frozenset({Identity(model="m")}))
        put_identities(connection, known)
    world.forget_answers()
    for _ in range(2):
        world.clock.advance(timedelta(minutes=1))
        run = (await world.evaluate(release)).run
        with world.instance.engine.connect() as connection:
            found = find_run(connection, run.id)
        assert found is not None
        assert (found.is_gating, found.evidence) == (False, None)


def test_a_worker_that_comes_back_looks_at_models_before_it_holds_for_them(world: World) -> None:
    in_service(world)
    world.clock.advance(timedelta(seconds=200))

    def held() -> list[str]:
        with world.instance.engine.begin() as connection:
            watch_drift(connection, world.instance)
            return [row.process for row in open_drift(connection, space=SANDBOX) if row.process == "model watch"]

    with world.instance.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO space_health (space, state, since, checked_at, drift_at) VALUES"
                " ('sandbox', 'healthy', now(), now(), clock_timestamp() - interval '200 s')"
                " ON CONFLICT (space) DO UPDATE SET drift_at = EXCLUDED.drift_at"
            )
        )
    assert held() == [], "nobody looked at anything; the look at models is as late, and due now"
    assert held() == ["model watch"]
