"""What other tools' files may hold and the golden format cannot: refused, skipped or named, and never guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotage.core.errors import UsageError
from pilotage.evaluation.imports import rows as row_form
from pilotage.evaluation.imports.export import export_mlflow, export_promptfoo
from pilotage.evaluation.imports.promptfoo import import_promptfoo
from pilotage.evaluation.imports.record import Account, RowBuilder
from pilotage.evaluation.imports.tables import import_deepeval, import_mlflow, import_openai, import_ragas
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase


def promptfoo(*tests: object, **config: Any) -> Account:
    whole: dict[str, Any] = {"tests": tests, **config}
    return import_promptfoo(json.dumps(whole).encode())


def read_as(*asserts: dict[str, Any], **variables: Any) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """Return what became of assertions: the expectation, what was lost, and what nobody checks."""
    told: dict[str, Any] = {"question": "q?", **variables}
    (case,) = promptfoo({"vars": told, "assert": list(asserts)}).cases
    return case.row.get("expect"), case.lossy, case.unsupported


@pytest.mark.parametrize(
    ("found", "expect", "lossy"),
    [
        ({"type": "equals", "value": "x"}, {"facts": [{"any": ["x"]}], "answer": "x"}, ("equality",)),
        ({"type": "not-equals", "value": "x"}, {"forbid": [{"any": ["x"]}]}, ("equality",)),
        ({"type": "contains", "value": "x"}, {"facts": [{"any": ["x"]}]}, ("letter case",)),
        ({"type": "not-contains-any", "value": ["x", "y"]}, {"forbid": [{"any": ["x"]}, {"any": ["y"]}]}, ()),
        ({"type": "not-contains-all", "value": ["x", "y"]}, {"forbid": [{"all": ["x", "y"]}]}, ()),
        ({"type": "regex", "value": "a+"}, {"facts": [{"pattern": "a+"}]}, ("pattern on normal form",)),
        ({"type": "not-regex", "value": "a+"}, {"forbid": [{"pattern": "a+"}]}, ("pattern on normal form",)),
        ({"type": "starts-with", "value": " Yes ("}, {"facts": [{"pattern": "^yes \\("}]}, ()),
        ({"type": "not-starts-with", "value": "No"}, {"forbid": [{"pattern": "^no"}]}, ()),
        ({"type": "not-is-refusal"}, {"refuse": False}, ()),
        ({"type": "icontains", "value": "x", "threshold": 1}, {"facts": [{"any": ["x"]}]}, ("icontains threshold",)),
    ],
)
def test_an_assertion_becomes_what_the_golden_format_can_say_and_the_rest_is_named(
    found: dict[str, Any], expect: Any, lossy: tuple[str, ...]
) -> None:
    assert read_as(found) == (expect, lossy, ())


@pytest.mark.parametrize(
    "found",
    [
        {"type": "equals", "value": " "},
        {"type": "contains", "value": ""},
        {"type": "icontains", "value": 7},
        {"type": "contains-any", "value": []},
        {"type": "contains-all", "value": ["x", ""]},
        {"type": "regex", "value": "(?=a)b"},
        {"type": "regex", "value": ""},
        {"type": "starts-with", "value": " "},
        {"type": "icontains", "value": "file://facts.txt"},
        {"type": "icontains", "value": "{{ amount | upper }}"},
        {"type": "icontains-any", "value": ["x", "file://facts.txt"]},
    ],
    ids=json.dumps,
)
def test_an_assertion_without_a_plain_value_stays_unchecked_on_its_case(found: dict[str, Any]) -> None:
    assert read_as(found) == (None, (), (f"imported:{found['type']}",))


def test_an_assertion_without_a_type_is_unknown() -> None:
    assert read_as({"value": "x"}) == (None, (), ("imported:unknown",))


def test_a_refusal_that_contradicts_what_was_said_stays_unchecked() -> None:
    expect, _, unsupported = read_as({"type": "icontains", "value": "x"}, {"type": "is-refusal"})
    assert (expect, unsupported) == ({"facts": [{"any": ["x"]}]}, ("imported:is-refusal",))
    expect, _, unsupported = read_as({"type": "is-refusal"}, {"type": "not-is-refusal"})
    assert (expect, unsupported) == ({"refuse": True}, ("imported:not-is-refusal",))


def test_what_is_said_twice_is_kept_once() -> None:
    twice = {"type": "icontains", "value": "{{a}}"}
    odd = {"type": "latency"}
    assert read_as(twice, twice, odd, odd, a="x") == ({"facts": [{"any": ["x"]}]}, (), ("imported:latency",))


def test_thresholds_of_sets_and_tests_are_named_as_lost() -> None:
    inner = {"type": "assert-set", "threshold": 0.5, "assert": [{"type": "icontains", "value": "x"}]}
    (case,) = promptfoo({"vars": {"question": "q?"}, "assert": [inner], "threshold": 0.5, "provider": "p"}).cases
    assert case.lossy == ("assert-set threshold", "threshold", "provider")


@pytest.mark.parametrize(
    ("test", "prompts", "question"),
    [
        ({"vars": {"query": "q?"}}, [], "q?"),
        ({"vars": {"anything": "q?"}}, [], "q?"),
        ({"vars": {"a": "x", "b": "y"}}, ["What of {{a}}?"], "What of x?"),
    ],
)
def test_the_question_is_the_variable_that_names_it_the_only_one_or_the_only_prompt(
    test: dict[str, Any], prompts: list[str], question: str
) -> None:
    (case,) = promptfoo(test, prompts=prompts).cases
    assert case.row["question"] == question


@pytest.mark.parametrize(
    ("test", "prompts", "reason"),
    [
        ("file://tests.yaml", [], "It is no mapping"),
        ({"vars": {}}, [], "no variable that is the question"),
        ({"vars": {"a": "x", "b": "y"}}, ["one", "two"], "no variable that is the question"),
        ({"vars": {"a": "x", "b": "y"}}, ["file://prompt.txt"], "no variable that is the question"),
        ({"vars": {"question": "file://question.txt"}}, [], "another file, which is never opened"),
        ({"vars": {"question": "{{ env.KEY }}"}}, [], "a template with code"),
        ({"vars": {"a": "x", "b": "y"}}, ["What of {{c}}?"], "a template with code or a missing variable"),
    ],
)
def test_a_test_without_a_question_that_could_be_asked_is_skipped_with_its_reason(
    test: object, prompts: list[str], reason: str
) -> None:
    account = promptfoo(test, prompts=prompts)
    assert account.cases == []
    ((_, told),) = account.skipped
    assert reason in told


@pytest.mark.parametrize(
    "own",
    [
        {"question": "q?"},
        {"id": "a", "question": "q?", "as": "p", "template": "t"},
        {"id": "a", "question": "q?", "as": "p", "expect": {"facts": 7}},
        {"id": "a", "question": "q?", "as": "p", "number": 1e400},
    ],
    ids=["no id", "a template", "no facts", "no JSON"],
)
def test_a_row_that_somebody_wrote_into_a_test_counts_only_as_a_golden_case(own: dict[str, Any]) -> None:
    (case,) = promptfoo({"vars": {"question": "q?"}, "metadata": {"pilotage": own}}).cases
    assert case.row["provenance"] == {"origin": "imported", "source": "promptfoo"}


@pytest.mark.parametrize("data", [b"tests: [", b"tests: file://tests.yaml", b"prompts: [a]", b"[]"])
def test_a_file_without_tests_of_its_own_is_no_promptfoo_file(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        import_promptfoo(data)
    assert caught.value.code == "IMPORT_UNREADABLE"
    assert caught.value.hint


# Tables


@pytest.mark.parametrize(
    ("read", "data", "told"),
    [
        (import_mlflow, b'[{"inputs": ', "Write one JSON list"),
        (import_ragas, b"user_input\n\xff\n", "Save it as CSV in UTF-8."),
        (import_ragas, b'user_input,reference\n"q?,x\n', "Quote cells"),
    ],
    ids=["a list cut short", "not UTF-8", "an open quote"],
)
def test_a_table_that_cannot_be_read_is_refused_with_what_to_write(read: Any, data: bytes, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(data)
    assert caught.value.code == "IMPORT_UNREADABLE"
    assert told in caught.value.hint


def test_a_file_beyond_the_limit_is_refused_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_form, "MAX_BYTES", 10)
    for read in (import_mlflow, import_ragas):
        with pytest.raises(UsageError, match="it has 11 bytes"):
            read(b"user_input\n")


def test_a_line_that_is_no_json_or_no_mapping_is_skipped_alone() -> None:
    account = import_openai(b'{"input": "q?", "ideal": "x"}\n\nnonsense\n7\n')
    assert [case.row["question"] for case in account.cases] == ["q?"]
    assert [name for name, _ in account.skipped] == ["line 3", "row 2"]


@pytest.mark.parametrize(
    ("turns", "question", "lossy"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a", True),
        ([{"role": "tool", "content": "t"}, {"role": "human", "content": "a"}], "a", True),
        ([{"content": "x"}, {"type": "human", "content": "a"}], "a", True),
        ([{"role": "user", "content": "a"}], "a", False),
        ([{"role": "assistant", "content": "b"}], None, False),
        ([], None, False),
    ],
)
def test_a_conversation_ends_in_its_last_question_or_asks_nothing(
    turns: list[Any], question: str | None, lossy: bool
) -> None:
    account = import_deepeval(json.dumps([{"turns": turns}]).encode())
    assert [case.row["question"] for case in account.cases] == ([] if question is None else [question])
    assert all(bool(case.lossy) is lossy for case in account.cases)
    assert bool(account.skipped) is (question is None)


@pytest.mark.parametrize(
    ("cell", "documents"), [("d1", {"d1": 1}), ("['d1']", {"d1": 1}), ("[d1", {'"[d1"': 1}), ("", None)]
)
def test_documents_in_a_cell_are_a_list_or_one_name(cell: str, documents: Any) -> None:
    (case,) = import_ragas(f'user_input,reference,reference_context_ids\nq?,r,"{cell}"\n'.encode()).cases
    expect: Any = case.row["expect"]
    assert expect.get("retrieve") == documents


def test_empty_facts_are_no_facts() -> None:
    (case,) = import_mlflow(
        json.dumps({"inputs": {"question": "q?"}, "expectations": {"expected_facts": ["f", " ", 7]}}).encode()
    ).cases
    assert case.row["expect"] == {"facts": ["f"]}


def test_a_case_of_nothing_but_a_question_gets_an_id_from_it() -> None:
    one, two = (RowBuilder(question="q?", named=name).finish("x") for name in ("", "***"))
    assert one.row["id"] == two.row["id"] != RowBuilder(question="r?").finish("x").row["id"]


# Exports


def exported(**expect: Any) -> GoldenCase:
    return GoldenCase(id="c", question="q?", asker="p", cluster="c", line=1, expect=Expect(**expect))


@pytest.mark.parametrize(
    ("form", "value", "kind"),
    [
        (FactForm.TEXT, "x", "icontains"),
        (FactForm.ANY, ["x"], "icontains-any"),
        (FactForm.ALL, ["x"], "icontains-all"),
        (FactForm.PATTERN, "x+", "regex"),
        (FactForm.NUMBER, {"number": 1}, None),
        (FactForm.DATE, {"date": "2026-01-01"}, None),
        (FactForm.AT_LEAST, {"at_least": 1, "of": ["x"]}, None),
    ],
)
def test_a_fact_is_exported_as_an_assertion_or_named_as_lost(form: FactForm, value: Any, kind: str | None) -> None:
    found = export_promptfoo([exported(facts=(Fact(form=form, value=value),), refuse=False)])
    assert (f"type: {kind}" in found.data.decode()) is (kind is not None)
    assert [what for _, what in found.lossy] == ([] if kind else [f"fact {json.dumps(value)}"])


def test_grades_and_refusals_are_lost_on_tables_that_have_none() -> None:
    lost = [what for _, what in export_mlflow([exported(retrieve={"a.md": 3}, refuse=True)]).lossy]
    assert lost == ["grades", "refuse"]
    assert export_mlflow([exported(retrieve={"a.md": 1})]).lossy == ()
