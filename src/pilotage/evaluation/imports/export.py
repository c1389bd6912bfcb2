"""Golden cases in the formats of other tools, and what of each case such a format cannot hold.

Rule: promptfoo gets the row itself beside its assertions, so that a round trip keeps the case digest; the others keep
the question and what they have a field for. Fail mode: none; the losses are listed, case by case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import yaml

from pilotage.core.canonical import Json
from pilotage.evaluation.digests import row_of
from pilotage.evaluation.imports.promptfoo import ROW
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A file, and what was lost: (case, what)."""

    data: bytes
    lossy: tuple[tuple[str, str], ...]


def export_promptfoo(cases: Sequence[GoldenCase]) -> Exported:
    """Write promptfoo tests."""
    lossy: list[tuple[str, str]] = []
    tests: list[Json] = []
    for case in cases:
        checks, lost = _assertions(case.expect)
        lossy += [(case.id, what) for what in lost]
        tests.append(
            {
                "description": case.id,
                "vars": {"question": case.question},
                "assert": checks,
                "metadata": {ROW: row_of(case), "assert": checks},
            }
        )
    body = {"prompts": ["{{question}}"], "tests": tests}
    # Without aliases: the reader counts each use of one.
    text = yaml.dump(body, Dumper=_NoAliases, allow_unicode=True, sort_keys=False)
    return Exported(data=text.encode(), lossy=tuple(lossy))


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Write every value where it stands."""
        del data
        return True


def _assertions(expect: Expect) -> tuple[list[Json], list[str]]:
    checks: list[Json] = []
    lost: list[str] = []
    for prefix, facts in (("", expect.facts), ("not-", expect.forbid)):
        for fact in facts:
            made = _assertion(fact, prefix)
            if made is None:
                lost.append(f"fact {json.dumps(fact.value)[:80]}")
            else:
                checks.append(made)
    if expect.refuse is not None and not (expect.refuse is False and expect.facts):
        checks.append({"type": "is-refusal" if expect.refuse else "not-is-refusal"})
    others = ("citations", "retrieve", "answer", "forbid_documents", "refuse_reasons")
    lost += [name for name in others if getattr(expect, name)]
    return checks, lost


def _assertion(fact: Fact, prefix: str) -> Json | None:
    match fact.form:
        case FactForm.TEXT:
            return {"type": f"{prefix}icontains", "value": fact.value}
        case FactForm.ANY:
            return {"type": f"{prefix}icontains-any", "value": fact.value}
        case FactForm.ALL:
            return {"type": f"{prefix}icontains-all", "value": fact.value}
        case FactForm.PATTERN:
            return {"type": f"{prefix}regex", "value": fact.value}
        case FactForm.NUMBER | FactForm.DATE | FactForm.AT_LEAST:
            return None
    assert_never(fact.form)


def export_ragas(cases: Sequence[GoldenCase]) -> Exported:
    """Write Ragas samples as JSON Lines."""
    return _lines(cases, _ragas, kept={"answer", "retrieve"})


def export_mlflow(cases: Sequence[GoldenCase]) -> Exported:
    """Write MLflow evaluation records as JSON Lines."""
    return _lines(cases, _mlflow, kept={"answer", "retrieve", "facts"})


def export_deepeval(cases: Sequence[GoldenCase]) -> Exported:
    """Write DeepEval goldens as JSON Lines."""
    return _lines(cases, _deepeval, kept={"answer"})


def _turns(case: GoldenCase) -> list[Json]:
    earlier: list[Json] = [{"role": turn.role, "content": turn.content} for turn in case.history]
    return [*earlier, {"role": "user", "content": case.question}]


def _ragas(case: GoldenCase) -> dict[str, Json]:
    found: dict[str, Json] = {"user_input": _turns(case) if case.history else case.question}
    if case.expect.answer is not None:
        found["reference"] = case.expect.answer
    if case.expect.retrieve:
        found["reference_context_ids"] = sorted(case.expect.retrieve)
    return found


def _mlflow(case: GoldenCase) -> dict[str, Json]:
    wanted: dict[str, Json] = {}
    plain: list[Json] = [fact.value for fact in case.expect.facts if fact.form is FactForm.TEXT]
    if plain:
        wanted["expected_facts"] = plain
    if case.expect.answer is not None:
        wanted["expected_response"] = case.expect.answer
    if case.expect.retrieve:
        wanted["expected_retrieved_context"] = [{"doc_uri": one} for one in sorted(case.expect.retrieve)]
    inputs: dict[str, Json] = {"messages": _turns(case)} if case.history else {"question": case.question}
    return {"dataset_record_id": case.id, "inputs": inputs, "expectations": wanted}


def _deepeval(case: GoldenCase) -> dict[str, Json]:
    asked: dict[str, Json] = {"turns": _turns(case)} if case.history else {"input": case.question}
    answer: dict[str, Json] = {} if case.expect.answer is None else {"expected_output": case.expect.answer}
    return {"name": case.id, **asked, **answer}


def _lines(
    cases: Sequence[GoldenCase], write: Callable[[GoldenCase], Mapping[str, Json]], *, kept: set[str]
) -> Exported:
    lossy: list[tuple[str, str]] = []
    for case in cases:
        expected = case.expect
        lost = [name for name in ("facts", "forbid", "citations", "retrieve", "answer", "forbid_documents")
                if name not in kept and getattr(expected, name)]  # fmt: skip
        if "facts" in kept and any(fact.form is not FactForm.TEXT for fact in expected.facts):
            lost.append("facts that are no text")
        if "retrieve" in kept and any(grade != 1 for grade in expected.retrieve.values()):
            lost.append("grades")
        if expected.refuse:
            lost.append("refuse")
        lossy += [(case.id, what) for what in lost]
    rows = [json.dumps(write(case), ensure_ascii=False, sort_keys=True) for case in cases]
    return Exported(data="".join(f"{row}\n" for row in rows).encode(), lossy=tuple(lossy))
