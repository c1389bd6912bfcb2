"""Digests of golden cases (evaluation.md 2.5): what is asked, what is expected, the whole row, the whole set.

Rule: a case is written back in its shortest form, without what is a default, and digested as canonical JSON; the order
of lines, spaces and spelled-out defaults change nothing, every field with a meaning does. Fail mode: none; pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pilotage.core.canonical import Form, Json, in_nfc
from pilotage.core.digest import Digest, digest_of_json
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase, GoldenFile

_NUMBER_DEFAULTS: Mapping[str, Json] = {"unit": None, "abs": 0.0, "rel": 0.0, "rounding": 3}


def input_digest(case: GoldenCase) -> Digest:
    """Return the digest of question, history, asker, space and day: of those that the case names."""
    return _digest(_input(case))


def case_digest(case: GoldenCase) -> Digest:
    """Return the digest of the input with everything expected of the answer."""
    return _digest({**_input(case), **_expected(case)})


def row_digest(case: GoldenCase) -> Digest:
    """Return the digest of the whole row, its file's defaults filled in."""
    return _digest(row_of(case))


def golden_digest(files: Iterable[GoldenFile], evaluation: Json) -> Digest:
    """Return the digest of a golden set with its meta and the evaluation settings it is judged by."""
    chosen = sorted(files, key=lambda file: file.name)
    cases: list[Json] = [
        list(pair) for pair in sorted((case.id, row_digest(case)) for one in chosen for case in one.cases)
    ]
    return _digest({"cases": cases, "meta": {one.name: _meta(one) for one in chosen}, "evaluation": evaluation})


def row_of(case: GoldenCase) -> dict[str, Json]:
    """Return a case as the row of a golden file, in its shortest form."""
    row: dict[str, Json] = {"id": case.id, **_input(case), **_expected(case)}
    optional: dict[str, Json] = {
        "tags": list(case.tags),
        "cluster": case.cluster if case.cluster not in {case.id, _first_document(case.expect)} else None,
        "provenance": dict(case.provenance),
        "unsupported": list(case.unsupported),
    }
    if case.member is not None:
        optional["member"] = {"attribute": case.member.attribute, "favourable": case.member.favourable.value}
    return row | {name: value for name, value in optional.items() if value}


def _input(case: GoldenCase) -> dict[str, Json]:
    value: dict[str, Json] = {"question": case.question, "as": case.asker}
    if case.history:
        value["history"] = [{"role": turn.role, "content": turn.content} for turn in case.history]
    if case.space is not None:
        value["space"] = case.space
    if case.as_of is not None:
        value["as_of"] = case.as_of.isoformat()
    return value


def _expected(case: GoldenCase) -> dict[str, Json]:
    value: dict[str, Json] = {}
    expect = _expect(case.expect)
    if expect:
        value["expect"] = expect
    if case.must_pass:
        value["must_pass"] = True
    if case.choice is not None:
        value["choice"] = {
            "family": case.choice.family,
            "attribute": case.choice.attribute,
            "condition": case.choice.condition.value,
            "polarity": case.choice.polarity.value,
            "options": list(case.choice.options),
            **{name: getattr(case.choice, name) for name in ("correct", "unknown", "target")},
        }
    if case.attack is not None:
        attack = case.attack
        value["attack"] = {
            "kind": attack.kind.value,
            "payload": attack.payload,
            "goal": attack.goal,
            "oracle": attack.oracle.value,
            **({} if attack.carrier is None else {"carrier": attack.carrier}),
        }
    return value


def _expect(expect: Expect) -> dict[str, Json]:
    wanted = {entry: 1 for one in expect.citations for entry in one}
    refuse: Json = [reason.value for reason in expect.refuse_reasons] or expect.refuse
    if expect.refuse is False and expect.facts:
        refuse = None
    found: dict[str, Json] = {
        "facts": [_fact(fact) for fact in expect.facts],
        "forbid": [_fact(fact) for fact in expect.forbid],
        "citations": [one[0] if len(one) == 1 else {"any": list(one)} for one in expect.citations],
        "retrieve": dict(expect.retrieve) if dict(expect.retrieve) != wanted else None,
        "refuse": refuse,
        "answer": expect.answer,
        "forbid_documents": list(expect.forbid_documents),
    }
    return {name: value for name, value in found.items() if value is not None and value not in ([], {})}


def _fact(fact: Fact) -> Json:
    body: dict[str, Json] = {}
    if fact.id is not None:
        body["id"] = fact.id
    if fact.weight != 1.0:
        body["weight"] = fact.weight
    if fact.allow_negated:
        body["allow_negated"] = True
    if fact.form is FactForm.TEXT and not body:
        return fact.value
    if isinstance(fact.value, Mapping):
        return body | {
            name: value
            for name, value in fact.value.items()
            if name not in _NUMBER_DEFAULTS or value != _NUMBER_DEFAULTS[name]
        }
    return body | {fact.form.value: fact.value}


def _first_document(expect: Expect) -> str | None:
    return expect.citations[0][0].partition("#")[0] if expect.citations and expect.citations[0] else None


def _meta(file: GoldenFile) -> dict[str, Json]:
    value: dict[str, Json] = {"purpose": file.purpose.value, "split": file.split.value, "locale": file.locale}
    return value | ({"required_tags": dict(file.required_tags)} if file.required_tags else {})


def _digest(value: Json) -> Digest:
    return digest_of_json(in_nfc(value), form=Form.PLAIN)
