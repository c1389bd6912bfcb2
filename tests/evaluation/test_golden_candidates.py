"""A correction becomes a case through a steward only, holds no person, and leaves its trace (evaluation.md 2.6)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from tests.evaluation.world import World, make_world

from pilotage.adapters.files import put_file
from pilotage.app import Joined
from pilotage.cli.runtime import Question
from pilotage.control import golden_folder, golden_import, golden_review
from pilotage.control.give_feedback import Rating, give_feedback
from pilotage.control.golden_candidates import candidates_of
from pilotage.control.golden_import import Brought, ExportFormat, ImportFormat, export_cases, import_cases
from pilotage.control.golden_review import Acceptance, Decided, accept_candidate, reject_candidate
from pilotage.control.load_workspace import load_workspace
from pilotage.core.errors import Conflict, InvalidFiles, NotFound, UsageError
from pilotage.core.reason import Refusal
from pilotage.evaluation.candidate import TAKEN_DOWN, Candidate
from pilotage.evaluation.imports.export import Exported
from pilotage.evaluation.twins import Twins
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.ledger.entry import decode_entry
from pilotage.store.ledger_entries import entries_of
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.workspace.golden_file import parse_golden

pytestmark = pytest.mark.store
PEOPLE = """  - {id: cara, name: Cara Example, email: cara@example.com, groups: [staff], roles: [qa-lead]}
  - {id: dan, name: Dan Example, email: dan@example.com, groups: [staff, lending], roles: [test-engineer]}
  - {id: eva, name: Eva Example, email: eva@example.com, groups: [], roles: [qa-lead]}
"""
GOLDEN = "workflows/assistant/golden/first.jsonl"


@pytest.fixture(scope="module")
def bank(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "candidates"
    folder.mkdir()
    world = make_world(engine, folder, cases=4)
    declared = (world.root / "pilotage.yaml").read_text()
    world.write("pilotage.yaml", declared.replace("spaces:\n", PEOPLE + "spaces:\n", 1))
    world.seal()
    return world


@pytest.fixture
def world(bank: World) -> World:
    """The bank with no candidate, and its golden file as it was."""
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM golden_candidate"))
    rows = (bank.root / GOLDEN).read_text().splitlines(keepends=True)[:4]
    bank.write(GOLDEN, "".join(rows))
    bank.clock.advance(timedelta(minutes=1))
    return bank


def redact(world: World) -> Callable[[str], str]:
    return Joined().redact(world.instance)


def correct(world: World, question: str, correction: str | None, *, by: str = "ben") -> str:
    """Ask, say that the answer was wrong, and return the interaction."""
    world.clock.advance(timedelta(seconds=1))
    asker = world.person(by)
    asked = Question(workflow="assistant", text=question, space="sandbox")
    interaction = str(Joined().ask(world.instance, asker, asked)["interaction"])
    give_feedback(
        world.instance,
        actor=asker,
        interaction=interaction,
        rating=Rating.DOWN,
        redact=redact(world),
        correction=correction,
    )
    return interaction


def waiting(world: World, by: str = "cara", **asked: Any) -> list[dict[str, Any]]:
    found = candidates_of(world.instance, actor=world.person(by), **asked)
    assert not isinstance(found, Refusal), found
    return list(found["candidates"])


def accept(world: World, candidate: str, by: str = "cara", **given: Any) -> Decided | Refusal:
    return accept_candidate(
        world.instance,
        actor=world.person(by),
        identifier=candidate,
        acceptance=Acceptance(**given),
        redact=redact(world),
    )


def codes(done: object) -> list[str]:
    assert isinstance(done, Refusal), done
    return [one.code for one in done.reasons]


def test_candidates_hold_no_person(world: World) -> None:
    correct(world, "What is the Kelso fee for jo.bloggs@example.com?", "51 dollars, said jo.bloggs@example.com")
    [found] = waiting(world)
    assert found["row"]["as"] == "clerk"
    with world.instance.engine.connect() as connection:
        stored = str(connection.execute(text("SELECT row::text FROM golden_candidate")).scalars().all())
        mine = pseudonym_of(connection, str(world.person("ben").id))
    for text_ in (json.dumps(found), stored):
        assert "jo.bloggs" not in text_
        assert "ben" not in json.dumps(found)
        assert mine not in text_


def test_the_persona_may_see_what_the_asker_saw(world: World) -> None:
    correct(world, "What is the Kelso parking fee?", "61 dollars", by="dan")
    assert [one["row"]["as"] for one in waiting(world)] == ["lender"]


def test_without_an_equal_persona_a_candidate_is_blocked_until_there_is_one(world: World) -> None:
    correct(world, "When do branches open?", "At nine.", by="eva")
    [found] = waiting(world)
    assert (found["state"], found["blocked_by"], found["row"]["as"]) == ("blocked", "no_equivalent_persona", None)
    assert codes(accept(world, found["candidate"])) == ["NO_EQUIVALENT_PERSONA"]
    settings = (world.root / "workflows/assistant/evaluation.yaml").read_text()
    world.write(
        "workflows/assistant/evaluation.yaml", settings.replace("personas:\n", "personas:\n  - {name: visitor}\n")
    )
    rows = (world.root / GOLDEN).read_text()
    done = accept(world, found["candidate"], facts=("nine",))
    last = _golden(world)[-1]
    (world.root / GOLDEN).write_text(rows)
    world.write("workflows/assistant/evaluation.yaml", settings)
    assert isinstance(done, Decided)
    assert last["as"] == "visitor"


def test_a_candidate_whose_words_a_takedown_removed_is_never_a_case(world: World) -> None:
    correct(world, "When is the Selkirk office open?", "From nine to five.")
    [found] = [one for one in waiting(world) if "Selkirk" in one["row"]["question"]]
    with world.instance.engine.begin() as connection:
        connection.execute(
            text("UPDATE golden_candidate SET state = 'blocked', blocked_by = :why WHERE id = :id"),
            {"id": found["candidate"], "why": TAKEN_DOWN},
        )
    before = (world.root / GOLDEN).read_bytes()
    assert codes(accept(world, found["candidate"], facts=("nine",))) == ["TAKEN_DOWN"]
    assert (world.root / GOLDEN).read_bytes() == before


@pytest.mark.feature("RC.4")
def test_an_accepted_case_has_its_line_its_row_and_its_ledger_entry(world: World) -> None:
    interaction = correct(world, "What is the Marlow fee?", "64 dollars")
    [found] = waiting(world)
    done = accept(world, found["candidate"], facts=("64 dollars",), citations=("marlow-locker.md",), reason="right")
    assert isinstance(done, Decided)
    [case] = [row for row in _golden(world) if row["id"] == done.case]
    assert case["question"] == "What is the Marlow fee?"
    assert case["expect"] == {"answer": "64 dollars", "facts": ["64 dollars"], "citations": ["marlow-locker.md"]}
    assert case["provenance"]["source"] == interaction
    assert case["provenance"]["reviewer"] == "cara"
    with world.instance.engine.connect() as connection:
        [entry] = entries_of(connection, found["candidate"])
    data = decode_entry(entry.bytes).data
    assert (data["decision"], data["case"], data["golden"]) == ("accepted", done.case, "first")
    assert waiting(world) == []
    assert [one["state"] for one in waiting(world, decided=True)] == ["accepted"]
    load_workspace(world.root)


def _golden(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (world.root / GOLDEN).read_text().splitlines()]


def test_neither_asker_nor_prompt_author_nor_a_stranger_reviews(world: World) -> None:
    correct(world, "What is the Oakham fee?", "68 dollars", by="dan")
    [found] = waiting(world)
    before = (world.root / GOLDEN).read_bytes()
    assert codes(accept(world, found["candidate"], by="dan")) == ["OWN_CANDIDATE"]
    assert codes(accept(world, found["candidate"], by="ada")) == ["NOT_PERMITTED", "PROMPT_AUTHOR"]
    assert codes(accept(world, found["candidate"], by="ben")) == ["NOT_PERMITTED"]
    done = reject_candidate(
        world.instance, actor=world.person("dan"), identifier=found["candidate"], reason="mine, so no"
    )
    assert codes(done) == ["OWN_CANDIDATE"]
    assert (world.root / GOLDEN).read_bytes() == before
    assert [one["state"] for one in waiting(world)] == ["open"]


def test_a_second_account_of_the_asker_is_the_asker(world: World) -> None:
    correct(world, "What is the Upton fee?", "80 dollars", by="dan")
    [found] = waiting(world)
    twin = replace(world.person("dan"), id="https://login.example.com|dan-2", via="oidc")  # type: ignore[arg-type]
    done = accept_candidate(
        world.instance,
        actor=twin,
        identifier=found["candidate"],
        acceptance=Acceptance(),
        redact=redact(world),
    )
    assert codes(done) == ["OWN_CANDIDATE"]


def test_a_named_steward_alone_decides(world: World) -> None:
    correct(world, "What is the Selby fee?", "76 dollars", by="dan")
    [found] = waiting(world)
    meta = world.root / "workflows/assistant/golden/first.meta.yaml"
    meta.write_text("steward: eva\n")
    try:
        assert codes(accept(world, found["candidate"], by="cara")) == ["NOT_STEWARD"]
        assert isinstance(accept(world, found["candidate"], by="eva"), Decided)
    finally:
        meta.unlink()


@pytest.mark.parametrize(
    ("named", "decides"), [(("eva", "ben"), "ben"), (("eva", None), "eva"), ((None, "eva"), "eva")]
)
def test_nobody_rejects_past_the_stewards_however_many_there_are(
    world: World, named: tuple[str | None, str | None], decides: str
) -> None:
    correct(world, "What is the Settle fee?", "92 dollars", by="dan")
    [found] = waiting(world)
    folder = world.root / "workflows/assistant/golden"
    written = [folder / "second.jsonl"]
    written[0].write_bytes(b"")
    for name, steward in zip(("first", "second"), named, strict=True):
        if steward is not None:
            written.append(folder / f"{name}.meta.yaml")
            written[-1].write_text(f"steward: {steward}\n")

    def reject(by: str) -> Decided | Refusal:
        return reject_candidate(
            world.instance, actor=world.person(by), identifier=found["candidate"], reason="not a case"
        )

    try:
        assert codes(reject("cara")) == ["NOT_STEWARD"]
        assert [one["state"] for one in waiting(world)] == ["open"]
        assert isinstance(reject(decides), Decided)
    finally:
        for file in written:
            file.unlink()


def test_the_same_question_joins_the_candidate_that_waits(world: World) -> None:
    correct(world, "What is the Whitby locker fee, please?", "84 dollars")
    correct(world, "What is the Whitby locker fee please?", "84 dollars a month", by="cara")
    correct(world, "Is there a desk?", "No.")
    found = waiting(world)
    assert [one["asked"] for one in found] == [2, 1]
    assert codes(accept(world, found[0]["candidate"], by="cara")) == ["OWN_CANDIDATE"]


def test_a_rating_without_a_correction_makes_no_candidate(world: World) -> None:
    correct(world, "What is the Yarm fee?", None)
    assert waiting(world) == []


def test_a_decision_stands(world: World) -> None:
    correct(world, "What is the Frome fee?", "98 dollars", by="dan")
    [found] = waiting(world)
    with pytest.raises(UsageError, match="reason"):
        reject_candidate(world.instance, actor=world.person("cara"), identifier=found["candidate"], reason=" ")
    done = reject_candidate(world.instance, actor=world.person("cara"), identifier=found["candidate"], reason="vague")
    assert isinstance(done, Decided)
    with pytest.raises(Conflict, match="rejected"):
        accept(world, found["candidate"])
    with pytest.raises(NotFound, match="no candidate"):
        accept(world, "01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_line_whose_transaction_was_lost_is_not_doubled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(world, "What is the Jarrow fee?", "58 dollars", by="dan")
    [found] = waiting(world)
    cut_short(world, monkeypatch, found["candidate"], facts=("58 dollars",))
    assert [one["state"] for one in waiting(world)] == ["open"]
    assert isinstance(accept(world, found["candidate"], facts=("58 dollars",)), Decided)
    rows = [row["id"] for row in _golden(world)]
    assert len(rows) == len(set(rows)) == 5


def cut_short(world: World, monkeypatch: pytest.MonkeyPatch, candidate: str, **given: Any) -> None:
    """Accept a candidate so that its line is written and its transaction is lost."""

    def dies_after(path: Path, data: bytes) -> None:
        put_file(path, data)
        message = "The disk is gone."
        raise OSError(message)

    with monkeypatch.context() as dying:
        dying.setattr(golden_review, "put_file", dies_after)
        with pytest.raises(OSError, match="disk"):
            accept(world, candidate, **given)


def test_a_line_found_again_is_the_candidates_own_wherever_it_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    correct(world, "What is the Evesham fee?", "96 dollars", by="dan")
    [found] = waiting(world)
    cut_short(world, monkeypatch, found["candidate"], facts=("96 dollars",))
    with (world.root / GOLDEN).open("a") as file:
        file.write(json.dumps({"id": "later", "question": "And?", "as": "clerk", "expect": {"refuse": True}}) + "\n")
    done = accept(world, found["candidate"], facts=("96 dollars",))
    assert isinstance(done, Decided)
    assert done.case == found["row"]["id"]
    assert [row["id"] for row in _golden(world)][4:] == [found["row"]["id"], "later"]


def test_a_line_that_was_left_behind_outlives_no_other_decision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(world, "What is the Verwood fee?", "82 dollars", by="dan")
    [found] = waiting(world)
    cut_short(world, monkeypatch, found["candidate"], facts=("82 dollars",))
    with pytest.raises(Conflict, match=r"first\.jsonl:5 holds a case of this candidate"):
        reject_candidate(world.instance, actor=world.person("cara"), identifier=found["candidate"], reason="no")
    with pytest.raises(Conflict, match=r"first\.jsonl:5 holds a case of this candidate"):
        accept(world, found["candidate"], facts=("82 dollars a month",))
    rows = (world.root / GOLDEN).read_text().splitlines(keepends=True)
    world.write(GOLDEN, "".join(rows[:4]))
    done = reject_candidate(world.instance, actor=world.person("cara"), identifier=found["candidate"], reason="no")
    assert isinstance(done, Decided)


def test_an_acceptance_reads_every_file_once_and_the_joined_one_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = {"id": "other", "question": "Which form is it?", "as": "clerk", "expect": {"refuse": True}}
    other = "workflows/assistant/golden/second.jsonl"
    world.write(other, json.dumps(case) + "\n")
    correct(world, "What is the Ripon fee?", "79 dollars", by="dan")
    [found] = waiting(world)
    read: list[str] = []

    def watch(name: str, *given: Any, **more: Any) -> Any:
        read.append(name)
        return parse_golden(name, *given, **more)

    monkeypatch.setattr(golden_folder, "parse_golden", watch)
    try:
        done = accept(world, found["candidate"], golden="first", facts=("79 dollars",))
    finally:
        (world.root / other).unlink()
    assert isinstance(done, Decided)
    assert read == ["first", "second", "first"]


def test_a_line_is_on_the_disk_before_its_decision_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    correct(world, "What is the Thirsk fee?", "78 dollars", by="dan")
    [found] = waiting(world)
    synced: list[str] = []
    honest = os.fsync

    def watch(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append("folder" if is_folder else "file")
        assert not is_folder or found["row"]["id"] in (world.root / GOLDEN).read_text()
        assert [one["state"] for one in waiting(world)] == ["open"]
        honest(descriptor)

    with monkeypatch.context() as watched:
        watched.setattr(os, "fsync", watch)
        assert isinstance(accept(world, found["candidate"], facts=("78 dollars",)), Decided)
    assert synced == ["file", "folder"]


def test_a_decision_locks_in_the_order_that_feedback_does(world: World) -> None:
    correct(world, "What is the Redcar fee?", "74 dollars", by="dan")
    [found] = waiting(world)
    order: list[str] = []

    def watch(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "golden/" in statement and "advisory" in statement:
            order.append("workflow")
        elif "golden_candidate" in statement and ("FOR UPDATE" in statement or statement.startswith("UPDATE")):
            order.append("candidate")

    event.listen(world.instance.engine, "before_cursor_execute", watch)
    try:
        reject_candidate(world.instance, actor=world.person("cara"), identifier=found["candidate"], reason="no")
    finally:
        event.remove(world.instance.engine, "before_cursor_execute", watch)
    assert order[:2] == ["workflow", "candidate"]


def test_an_account_of_no_declared_person_brings_and_decides_nothing(world: World) -> None:
    correct(world, "What is the Quorn fee?", "72 dollars", by="dan")
    [found] = waiting(world)
    linked = world.person("dan")
    stranger = replace(linked, id="https://login.example.com|dan-3", person=None, via="oidc")  # type: ignore[arg-type]
    service = replace(linked, id="key|loader", kind=PrincipalKind.SERVICE)  # type: ignore[arg-type]
    for actor, code in ((stranger, "SOD_CONFLICT"), (service, "SOD_SERVICE")):
        accepted = accept_candidate(
            world.instance,
            actor=actor,
            identifier=found["candidate"],
            acceptance=Acceptance(facts=("72 dollars",)),
            redact=redact(world),
        )
        assert codes(accepted) == [code]
        assert codes(reject_candidate(world.instance, actor=actor, identifier=found["candidate"], reason="no")) == [
            code
        ]
        brought = Brought(
            workflow="assistant", form=ImportFormat.OPENAI_EVALS, asker="clerk", data=b'{"input": "q?", "ideal": "a"}'
        )
        assert codes(import_cases(world.instance, actor=actor, brought=brought, redact=redact(world))) == [code]
    assert [one["state"] for one in waiting(world)] == ["open"]


def test_a_row_that_holds_a_person_becomes_no_case(world: World) -> None:
    correct(world, "What is the Penrith fee?", "70 dollars", by="dan")
    [found] = waiting(world)
    for place in ('{"tags": ["jo.bloggs@example.com"]}', '{"expect": {"retrieve": {"jo.bloggs@example.com": 1}}}'):
        with world.instance.engine.begin() as connection:
            connection.execute(text("UPDATE golden_candidate SET row = row || CAST(:more AS jsonb)"), {"more": place})
        with pytest.raises(UsageError, match="personal data"):
            accept(world, found["candidate"], facts=("70 dollars",))
    assert "bloggs" not in (world.root / GOLDEN).read_text()


def test_a_fact_with_a_person_in_it_is_refused_and_a_bad_one_names_its_line(world: World) -> None:
    correct(world, "What is the Bewdley fee?", "88 dollars", by="dan")
    [found] = waiting(world)
    with pytest.raises(UsageError, match="personal data"):
        accept(world, found["candidate"], facts=("mail jo.bloggs@example.com",))
    with pytest.raises(InvalidFiles, match=r"first\.jsonl:5"):
        accept(world, found["candidate"], facts=("88 dollars",), refuse=True)
    assert [one["state"] for one in waiting(world)] == ["open"]


def test_a_candidate_of_two_weeks_is_overdue(world: World) -> None:
    correct(world, "What is the Corbridge fee?", "90 dollars", by="dan")
    assert [one["overdue"] for one in waiting(world)] == [False]
    world.clock.advance(timedelta(days=14))
    assert [one["overdue"] for one in waiting(world)] == [True]


def bring(world: World, *rows: object, by: str = "dan", asker: str = "clerk") -> dict[str, Any] | Refusal:
    data = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    brought = Brought(workflow="assistant", form=ImportFormat.OPENAI_EVALS, asker=asker, data=data)
    return import_cases(world.instance, actor=world.person(by), brought=brought, redact=redact(world))


def test_imported_cases_are_candidates_that_another_person_accepts(world: World) -> None:
    done = bring(
        world,
        {"input": "What is the Linton fee of jo.bloggs@example.com?", "ideal": "62 dollars"},
        {"input": "What is the Ashford locker fee?", "ideal": "40 dollars"},
        {"ideal": "alone"},
    )
    assert not isinstance(done, Refusal)
    assert (done["read"], done["imported"], done["converted"], done["candidates"]) == (3, 0, 1, 1)
    assert [one["reason"] for one in done["skipped"]] == ["It has no question.", "It asks the same as a golden case."]
    assert [one["lost"] for one in done["lossy"]] == ["personal data"]
    [found] = waiting(world)
    assert "jo.bloggs" not in json.dumps(found)
    assert codes(accept(world, found["candidate"], by="dan")) == ["OWN_CANDIDATE"]
    assert isinstance(accept(world, found["candidate"], by="cara"), Decided)
    assert _golden(world)[-1]["expect"]["facts"] == [{"any": ["62 dollars"]}]
    load_workspace(world.root)


def test_who_may_not_edit_golden_sets_imports_nothing(world: World) -> None:
    assert codes(bring(world, {"input": "q?", "ideal": "a"}, by="ben")) == ["NOT_PERMITTED"]
    with pytest.raises(UsageError, match="persona"):
        bring(world, {"input": "q?", "ideal": "a"}, asker="nobody")
    assert waiting(world) == []


def upload(world: World, form: ImportFormat, rows: object, by: str = "dan") -> dict[str, Any]:
    brought = Brought(workflow="assistant", form=form, asker="clerk", data=json.dumps(rows).encode())
    done = import_cases(world.instance, actor=world.person(by), brought=brought, redact=redact(world))
    assert not isinstance(done, Refusal), done
    return done


def test_names_and_ids_of_imported_cases_hold_no_person(world: World) -> None:
    mail = "jo.bloggs@example.com"
    done = upload(
        world,
        ImportFormat.DEEPEVAL,
        [
            {"name": f"mail of {mail}", "input": "What is the Alnwick fee?", "source_file": f"{mail}.md"},
            {"name": "plain", "input": "What is the Driffield fee?", "source_file": "driffield.md"},
        ],
    )
    assert [one["lost"] for one in done["lossy"]] == ["personal data"]
    rows = {one["row"]["question"]: one["row"] for one in waiting(world)}
    assert rows["What is the Driffield fee?"]["id"] == "plain"
    assert rows["What is the Driffield fee?"]["expect"] == {"retrieve": {"driffield.md": 1}}
    assert rows["What is the Alnwick fee?"]["id"].startswith("imported-")
    with world.instance.engine.connect() as connection:
        stored = str(connection.execute(text("SELECT row::text || sources::text FROM golden_candidate")).all())
    assert "bloggs" not in stored
    for one in waiting(world):
        assert isinstance(accept(world, one["candidate"], facts=("a fee",)), Decided)
    load_workspace(world.root)


def test_an_exported_row_that_somebody_rewrote_is_read_from_its_assertions(world: World) -> None:
    own: dict[str, Any] = {"id": "own", "as": "lender"}
    rewritten = {
        "What is the Alnwick fee?": own,
        "Who pays for lost keys?": own | {"as": ["a"]},
        "When do branches open?": own | {"as": "root"},
        "Is there a desk?": own | {"id": None},
        "Where may I park?": {},
    }
    tests = [
        {"vars": {"question": asked}, "assert": [], "metadata": {"pilotage": {"question": asked, **row}, "assert": []}}
        for asked, row in rewritten.items()
    ]
    done = upload(world, ImportFormat.PROMPTFOO, {"tests": tests})
    assert done["lossy"] == [{"case": "own", "lost": "asker"}]
    rows = {one["row"]["question"]: one["row"] for one in waiting(world)}
    assert [rows[asked]["as"] for asked in rewritten] == ["lender", "clerk", "clerk", "clerk", "clerk"]
    assert [rows[asked]["id"] == "own" for asked in rewritten] == [True, False, True, False, False]


def test_a_case_that_was_just_accepted_is_not_imported_again(world: World) -> None:
    row = {"input": "What is the Bewdley locker fee?", "ideal": "88 dollars"}
    bring(world, row)
    [found] = waiting(world)
    assert isinstance(accept(world, found["candidate"]), Decided)
    done = bring(world, row)
    assert not isinstance(done, Refusal)
    assert [one["reason"] for one in done["skipped"]] == ["It asks the same as a golden case."]


def test_feedback_waits_for_no_import_that_compares(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []
    lock = text("SELECT pg_try_advisory_xact_lock(hashtextextended('golden/assistant', 0))")

    class Watched(Twins):
        def find(self, candidate: Candidate) -> Candidate | None:
            with world.instance.engine.begin() as other:
                free.append(other.execute(lock).scalar_one())
            return super().find(candidate)

    correct(world, "What is the Frome fee, please?", "98 dollars", by="cara")
    with monkeypatch.context() as watched:
        watched.setattr(golden_import, "Twins", Watched)
        done = bring(world, {"input": "What is the Frome fee please?", "ideal": "98"}, {"input": "Who?", "ideal": "I"})
    assert not isinstance(done, Refusal)
    assert done["candidates"] == 1
    assert free[:2] == [True, True]


def test_only_who_works_with_golden_cases_or_audits_them_exports_them(world: World) -> None:
    def export(actor: Principal) -> object:
        return export_cases(world.instance, actor=actor, workflow="assistant", form=ExportFormat.RAGAS)

    reader = world.person("ben")
    assert codes(export(replace(reader, roles=frozenset()))) == ["NOT_PERMITTED"]
    service = replace(reader, kind=PrincipalKind.SERVICE, roles=frozenset({Role.SERVICE}))
    assert codes(export(service)) == ["NOT_PERMITTED"]
    for role in (Role.QA_LEAD, Role.REVIEWER, Role.AUDITOR):
        assert isinstance(export(replace(reader, roles=frozenset({role}))), Exported)
