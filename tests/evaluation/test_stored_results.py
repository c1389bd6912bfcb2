"""What a run stores reads back as it was; keys move with everything that matters, digests with what is meant."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.evaluation.scoring import CONTEXT, make_case, make_citation, make_passage

from pilotage.core.canonical import canonical_bytes, parse_json
from pilotage.core.digest import digest_of
from pilotage.core.ids import WorkflowName
from pilotage.evaluation.assessment import Assessment, Status
from pilotage.evaluation.candidate import OVERDUE, Candidate, CandidateState, Origin, equal_persona
from pilotage.evaluation.digests import case_digest, input_digest, row_of
from pilotage.evaluation.generation import Generation, ScoringContext, TargetFailure, generation_json
from pilotage.evaluation.run import RunState, backoff
from pilotage.evaluation.stored import (
    GenerationKey,
    assessment_subject,
    context_json,
    read_assessment,
    read_context,
    read_generation,
)
from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action
from pilotage.workspace.golden import (
    Attack,
    AttackKind,
    Expect,
    Fact,
    FactForm,
    Favourable,
    Member,
    Oracle,
    RefusalReason,
    Turn,
)

DIGEST = digest_of(b"x")
WHOLE = Generation(
    answer="It is $25,000 [1].",
    citations=(make_citation(text="It is $25,000.", valid=False),),
    passages=(make_passage(text="It is $25,000.", allowed=False),),
    prompt_sha256="ab",
    findings=(Finding(check="pii_out", type="US_SSN", count=1, action=Action.REDACT, where="answer"),),
    latency_ms=12.345,
    ttft_ms=1.5,
    tokens_in=10,
    tokens_out=20,
    cost_nano=30,
)
FAILED = Generation(answer="", refused=True, refusal_reason="guard", error=TargetFailure.TIMEOUT)


def through_a_store(value: Any) -> Any:
    return parse_json(canonical_bytes(value))


@pytest.mark.parametrize("generation", [WHOLE, FAILED], ids=["whole", "failed"])
def test_a_generation_reads_back_under_its_own_digest(generation: Generation) -> None:
    again = read_generation(through_a_store(generation_json(generation)))
    assert again == generation
    assert again.digest == generation.digest


@pytest.mark.parametrize("lost", ["answer", "citations", "error", "latency_us"])
def test_a_stored_generation_with_a_field_lost_is_not_guessed(lost: str) -> None:
    stored = generation_json(WHOLE)
    del stored[lost]
    with pytest.raises(KeyError):
        read_generation(stored)


@pytest.mark.parametrize(
    "context", [CONTEXT, ScoringContext(as_of=date(2026, 2, 1), locale="de", readable=frozenset({"b", "a"}))]
)
def test_a_scoring_context_reads_back(context: ScoringContext) -> None:
    assert read_context(through_a_store(context_json(context))) == context


def test_an_assessment_reads_back_and_a_bad_status_does_not() -> None:
    made = Assessment(
        case_id="c",
        case_digest=DIGEST,
        generation_digest=DIGEST,
        scorer="s",
        version="1",
        status=Status.PASS,
        value=1.0,
        details={"a": [1]},
    )
    stored = through_a_store(made.as_json())
    assert read_assessment(stored) == made
    with pytest.raises(ValueError, match="perhaps"):
        read_assessment({**stored, "status": "perhaps"})


KEY = GenerationKey(
    release=DIGEST,
    space="",
    input_digest=DIGEST,
    permissions=DIGEST,
    day="2026-03-02",
    overlay="",
    repeat=0,
    fingerprint="",
)


@pytest.mark.parametrize("name", [one.name for one in fields(GenerationKey)])
def test_a_generation_is_found_by_everything_that_may_change_it(name: str) -> None:
    changed: Any = {"repeat": 1}.get(name, "other")
    assert replace(KEY, **{name: changed}).digest != KEY.digest


def test_an_assessment_is_found_by_its_case_and_context() -> None:
    base = assessment_subject(DIGEST, CONTEXT)
    others = [
        assessment_subject(digest_of(b"y"), CONTEXT),
        assessment_subject(DIGEST, replace(CONTEXT, locale="de")),
        assessment_subject(DIGEST, replace(CONTEXT, readable=frozenset())),
    ]
    assert base == assessment_subject(DIGEST, replace(CONTEXT))
    assert len({base, *others}) == 4


# Digests of cases

NUMBER = Fact(form=FactForm.NUMBER, value={"number": 30, "unit": None, "abs": 0.0, "rel": 0.0, "rounding": 3})


@pytest.mark.parametrize(
    ("changed", "asks", "expects"),
    [
        ({"history": (Turn(role="user", content="Hi"),)}, True, True),
        ({"space": "east"}, True, True),
        ({"as_of": date(2026, 1, 1)}, True, True),
        ({"asker": "ben"}, True, True),
        ({"must_pass": True}, False, True),
        ({"expect": Expect(answer="Yes")}, False, True),
        ({"expect": Expect(refuse=True, refuse_reasons=tuple(RefusalReason)[:1])}, False, True),
        (
            {"attack": Attack(kind=AttackKind.DIRECT, payload="p", goal="g", oracle=next(iter(Oracle)), carrier="c")},
            False,
            True,
        ),
        ({"tags": ("a",)}, False, False),
        ({"cluster": "k"}, False, False),
        ({"provenance": {"origin": "imported"}}, False, False),
        ({"unsupported": ("imported:x",)}, False, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_case_s_digests_move_with_what_is_asked_and_what_is_expected(
    changed: dict[str, Any], asks: bool, expects: bool
) -> None:
    base = make_case()
    other = replace(base, **changed)
    assert (input_digest(base) != input_digest(other)) is asks
    assert (case_digest(base) != case_digest(other)) is expects
    assert row_of(base) != row_of(other)


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        (Fact(form=FactForm.TEXT, value="x"), "x"),
        (Fact(form=FactForm.TEXT, value="x", id="f"), {"id": "f", "text": "x"}),
        (Fact(form=FactForm.ANY, value=["a", "b"], weight=2.0), {"weight": 2.0, "any": ["a", "b"]}),
        (Fact(form=FactForm.PATTERN, value="a+", allow_negated=True), {"allow_negated": True, "pattern": "a+"}),
        (NUMBER, {"number": 30}),
        (replace(NUMBER, value={"number": 30, "unit": "days", "abs": 1.0}), {"number": 30, "unit": "days", "abs": 1.0}),
    ],
)
def test_a_fact_is_written_in_its_shortest_form(fact: Fact, row: Any) -> None:
    written: Any = row_of(make_case(facts=(fact,)))
    assert written["expect"]["facts"] == [row]


def test_a_row_leaves_out_what_follows_from_the_rest() -> None:
    cited = make_case(citations=(("a.md#x",), ("b.md", "c.md")), retrieve={"a.md#x": 1, "b.md": 1, "c.md": 1})
    written: Any = row_of(replace(cited, cluster="a.md"))
    assert written["expect"] == {"citations": ["a.md#x", {"any": ["b.md", "c.md"]}]}
    assert "cluster" not in written
    graded: Any = row_of(make_case(citations=(("a.md",),), retrieve={"a.md": 3}))
    assert graded["expect"]["retrieve"] == {"a.md": 3}
    answered: Any = row_of(make_case(facts=(NUMBER,), refuse=False))
    assert "refuse" not in answered["expect"]
    member: Any = row_of(replace(make_case(), member=Member(family="f", attribute="a", group="g")))
    assert member["member"] == {"attribute": "a", "favourable": Favourable.ANSWERED.value}


# Runs and candidates


def test_a_failed_task_waits_longer_each_time() -> None:
    assert [backoff(failures).total_seconds() for failures in (1, 2, 3)] == [1, 4, 16]


def test_a_run_is_over_when_nothing_follows() -> None:
    assert {state for state in RunState if not state.is_over} == {RunState.QUEUED, RunState.RUNNING}


NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("state", list(CandidateState))
def test_a_candidate_that_waits_too_long_is_overdue(state: CandidateState) -> None:
    waiting = Candidate(
        id="x",
        workflow=WorkflowName("w"),
        state=state,
        origin=Origin.FEEDBACK,
        row={"question": "Why?"},
        sources=(),
        asked_by=(),
        at=NOW,
    )
    assert waiting.question == "Why?"
    assert not waiting.is_overdue(NOW + OVERDUE - timedelta(seconds=1))
    assert waiting.is_overdue(NOW + OVERDUE) is (state in {CandidateState.OPEN, CandidateState.BLOCKED})


def test_the_first_persona_that_may_see_the_same_is_chosen_and_none_is_made_up() -> None:
    assert equal_persona("x", {"c": "x", "b": "x", "a": "y"}) == "b"
    assert equal_persona("z", {"c": "x"}) is None
