"""Ragas, MLflow, DeepEval and OpenAI evals data: rows of a question with what is known about its answer.

Rule: reference answers become `answer`, named documents `retrieve`, facts `facts`; guidelines, tools and graders that
only a model can judge stay unsupported. An answer and contexts that come along are a transcript of another system:
named as lost. Fail mode: a row without a question is skipped with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.evaluation.imports.record import Account, RowBuilder, items, table, words
from pilotage.evaluation.imports.rows import csv_rows, json_rows

_NO_QUESTION: Final = "It has no question."
_DOCUMENT_KEYS: Final = ("doc_uri", "id", "source", "document")


def import_ragas(data: bytes) -> Account:
    """Read Ragas samples as JSON Lines, a JSON list, or CSV."""
    account = Account()
    rows: Iterable[Json] = (
        json_rows(data, "Ragas", account) if data.lstrip()[:1] in {b"{", b"["} else csv_rows(data, "Ragas", account)
    )
    return _each(rows, account, "ragas", _ragas)


def import_mlflow(data: bytes) -> Account:
    """Read MLflow evaluation records as JSON Lines or a JSON list."""
    account = Account()
    return _each(json_rows(data, "MLflow", account), account, "mlflow", _mlflow)


def import_deepeval(data: bytes) -> Account:
    """Read DeepEval goldens as a JSON list or JSON Lines."""
    account = Account()
    return _each(json_rows(data, "DeepEval", account), account, "deepeval", _deepeval)


def import_openai(data: bytes) -> Account:
    """Read OpenAI evals samples (`input` and `ideal`, or `item`) as JSON Lines."""
    account = Account()
    return _each(json_rows(data, "OpenAI evals", account), account, "openai-evals", _openai)


def _each(
    rows: Iterable[Json], account: Account, source: str, read: Callable[[Mapping[str, Json]], RowBuilder | str]
) -> Account:
    for number, found in enumerate(rows, 1):
        row = read(table(found)) if isinstance(found, Mapping) else "It is no mapping."
        if isinstance(row, str):
            account.skip(f"row {number}", row)
        else:
            account.cases.append(row.finish(source))
    return account


def _ragas(found: Mapping[str, Json]) -> RowBuilder | str:
    row = _asked(found.get("user_input") or found.get("question"))
    if isinstance(row, str):
        return row
    reference = words(found.get("reference") or found.get("ground_truth"))
    if reference:
        row.expect["answer"] = reference
    _retrieve(row, [words(one) for one in _listed(found.get("reference_context_ids"))])
    _lose(row, found, ("response", "answer", "retrieved_contexts", "contexts", "reference_contexts", "rubrics"))
    return row


def _mlflow(found: Mapping[str, Json]) -> RowBuilder | str:
    inputs = table(found.get("inputs"))
    asked = next((inputs[name] for name in ("messages", "question", "query", "input") if inputs.get(name)), None)
    row = _asked(asked if asked is not None or len(inputs) != 1 else next(iter(inputs.values())))
    if isinstance(row, str):
        return row
    row.named = words(found.get("dataset_record_id"))
    wanted = {**table(found.get("expectations")), **{k: v for k, v in found.items() if k.startswith("expected_")}}
    for fact in items(wanted.get("expected_facts")):
        if words(fact).strip():
            row.add("facts", fact)
    answer = words(wanted.get("expected_response"))
    if answer:
        row.expect["answer"] = answer
    documents = [table(one) for one in items(wanted.get("expected_retrieved_context"))]
    _retrieve(row, [next((words(one[key]) for key in _DOCUMENT_KEYS if key in one), "") for one in documents])
    if "guidelines" in wanted or "guidelines" in found:
        row.cannot("guidelines")
    _lose(row, found, ("outputs", "trace"))
    return row


def _deepeval(found: Mapping[str, Json]) -> RowBuilder | str:
    turns = [table(one) for one in items(found.get("turns"))]
    row = _asked(turns or found.get("input"))
    if isinstance(row, str):
        return row
    row.named = words(found.get("name"))
    answer = words(found.get("expected_output") or found.get("expected_outcome"))
    if answer:
        row.expect["answer"] = answer
    _retrieve(row, [words(found.get("source_file"))])
    if items(found.get("expected_tools")):
        row.cannot("expected_tools")
    _lose(row, found, ("actual_output", "context", "retrieval_context", "scenario", "user_description"))
    return row


def _openai(found: Mapping[str, Json]) -> RowBuilder | str:
    item = table(found.get("item"))
    plain = item or found
    row = _asked(next((plain[name] for name in ("input", "question", "prompt") if plain.get(name)), None))
    if isinstance(row, str):
        return row
    names = ("ideal", "reference", "answer", "correct_label", "label", "expected")
    ideal = [words(one) for one in items(next((plain[name] for name in names if plain.get(name)), None))]
    ideal = [one for one in ideal if one.strip()]
    if ideal:
        row.add("facts", {"any": list(ideal)})
        row.expect["answer"] = ideal[0]
    for grader in items(found.get("graders") or found.get("grader")):
        kind = words(table(grader).get("type")) or "grader"
        if kind != "string_check":
            row.cannot(kind)
    return row


def _asked(value: Json) -> RowBuilder | str:
    """Return a row for a question, or for a conversation that ends in one."""
    if isinstance(value, str):
        return RowBuilder(question=value) if value.strip() else _NO_QUESTION
    turns = [(words(one.get("role") or one.get("type")), words(one.get("content"))) for one in map(table, items(value))]
    known = {"human": "user", "ai": "assistant", "user": "user", "assistant": "assistant"}
    lost = [role or "turn without a role" for role, _ in turns if role not in known]
    said = [(known[role], content) for role, content in turns if role in known and content.strip()]
    while said and said[-1][0] != "user":
        said.pop()
        lost.append("answer behind the last question")
    if not said:
        return _NO_QUESTION
    row = RowBuilder(question=said[-1][1])
    row.history = [{"role": role, "content": content} for role, content in said[:-1]]
    row.lossy += dict.fromkeys(lost)
    return row


def _listed(value: Json) -> Iterable[Json]:
    """Return a list; in a CSV cell it is written as JSON."""
    text = words(value).strip()
    if not text:
        return items(value)
    if not text.startswith("["):
        return (text,)
    try:
        return items(parse_json(text.replace("'", '"').encode(), max_depth=4))
    except CanonicalError:
        return (json.dumps(text),)


def _retrieve(row: RowBuilder, documents: Iterable[str]) -> None:
    wanted: dict[str, Json] = {one: 1 for one in documents if one.strip()}
    if wanted:
        row.expect["retrieve"] = wanted


def _lose(row: RowBuilder, found: Mapping[str, Json], names: Iterable[str]) -> None:
    row.lossy += [name for name in names if found.get(name)]
