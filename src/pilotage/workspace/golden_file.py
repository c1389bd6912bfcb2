"""Reads `golden/<name>.jsonl` with its `<name>.meta.yaml` (evaluation.md 2.1, 2.2).

Rule: one case a line; every case has an asker, its own or the file's default; ids are unique over the workflow.
Fail mode: all mistakes with file and line; an unknown field with the nearest known name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.core.fields import (
    ANY,
    BOOLEAN,
    TEXT,
    Fields,
    Reader,
    choice,
    integer,
    list_of,
    map_of,
    matching,
    read_record,
    record,
)
from pilotage.core.located import Located, Problems, from_plain
from pilotage.core.readers import DATE, PERSON, SPACE
from pilotage.core.yaml_source import load_yaml
from pilotage.workspace.choice_file import parse_choice, with_options
from pilotage.workspace.fact_file import FACT
from pilotage.workspace.golden import (
    Attack,
    AttackKind,
    Expect,
    Favourable,
    GoldenCase,
    GoldenFile,
    Member,
    Oracle,
    Purpose,
    RefusalReason,
    Split,
    Turn,
)

MAX_GOLDEN_BYTES = 50_000_000
MAX_CASES = 100_000
_CASE_ID = matching(re.compile(r"[A-Za-z0-9._-]{1,120}"), "letters, digits, dots, hyphens and underscores, at most 120")
_LOCALE = matching(re.compile(r"[a-z]{2}"), "a two-letter language such as en or de")
_TURN_ROLE = matching(re.compile("user|assistant"), "user or assistant")
_TAGS = list_of(TEXT, or_one=True)
_GROUP_NAME = re.compile(r"[A-Za-z0-9-]{1,40}")
_VALUES = list_of(TEXT, or_one=True, at_least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meta:
    purpose: Purpose = Purpose.RELEASE
    split: Split = Split.GATE
    steward: str | None = None
    asker: str | None = None
    tags: tuple[str, ...] = ()
    locale: str = "en"
    as_of: date | None = None
    required_tags: Mapping[str, int] = field(default_factory=dict)


def parse_golden(name: str, rows: bytes, meta: bytes | None, *, file: str, problems: Problems) -> GoldenFile:
    """Read one golden file; `file` is the path of its rows."""
    found = _read_meta(meta, file=file.removesuffix(".jsonl") + ".meta.yaml", problems=problems)
    cases = _read_rows(rows, found, file=file, problems=problems)
    return GoldenFile(
        name=name,
        purpose=found.purpose,
        split=found.split,
        steward=found.steward,
        locale=found.locale,
        required_tags=found.required_tags,
        cases=cases,
    )


def _read_meta(data: bytes | None, *, file: str, problems: Problems) -> _Meta:
    if data is None:
        return _Meta()
    at = load_yaml(data, file=file, problems=problems)
    return _Meta() if at is None else read_record(at, problems, _meta)


def _meta(fields: Fields) -> _Meta:
    asker, tags, locale, as_of = fields.get("defaults", record(_defaults), (None, (), "en", None))
    return _Meta(
        purpose=fields.get("purpose", choice(Purpose), Purpose.RELEASE),
        split=fields.get("split", choice(Split), Split.GATE),
        steward=fields.get("steward", PERSON, None),
        asker=asker,
        tags=tags,
        locale=locale,
        as_of=as_of,
        required_tags=fields.get("required_tags", map_of(integer(1)), {}),
    )


def _defaults(fields: Fields) -> tuple[str | None, tuple[str, ...], str, date | None]:
    return (
        fields.get("as", TEXT, None),
        fields.get("tags", _TAGS, ()),
        fields.get("locale", _LOCALE, "en"),
        fields.get("as_of", DATE, None),
    )


def _read_rows(data: bytes, meta: _Meta, *, file: str, problems: Problems) -> tuple[GoldenCase, ...]:
    if len(data) > MAX_GOLDEN_BYTES:
        hint = f"Keep a golden file at {MAX_GOLDEN_BYTES:,} bytes or fewer."
        problems.add_at(file, 0, f"The file has {len(data):,} bytes", hint)
        return ()
    cases: list[GoldenCase] = []
    for line, row in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not row.strip():
            continue
        if len(cases) >= MAX_CASES:
            problems.add_at(file, line, f"The file has more than {MAX_CASES:,} cases", "Split it, or remove cases.")
            break
        at = _row(row, file=file, line=line, problems=problems)
        if at is not None:
            cases += _cases(at, meta, problems)
    return tuple(cases)


def _cases(at: Located, meta: _Meta, problems: Problems) -> tuple[GoldenCase, ...]:
    """Return the case of a row, or every member of the family that a template row stands for."""
    if isinstance(at.node, Mapping) and "template" in at.node:
        return read_record(at, problems, lambda fields: _family(fields, meta))
    if isinstance(at.node, Mapping) and "options" in at.node:
        return (read_record(at, problems, lambda fields: _item(fields, meta)),)
    return (read_record(at, problems, lambda fields: _case(fields, meta)),)


def _row(row: bytes, *, file: str, line: int, problems: Problems) -> Located | None:
    try:
        return from_plain(parse_json(row, max_depth=20), file=file, line=line)
    except CanonicalError as error:
        problems.add_at(file, line, f"The row cannot be read: {error.message}", "Write one JSON object per line.")
        return None


def _asker(fields: Fields, meta: _Meta, identity: str) -> str:
    asker = fields.get("as", TEXT, meta.asker)
    if asker is None:
        fields.problem("as", f"The case {identity!r} has no asker", "Write `as`: a persona; nothing runs anonymously.")
    elif asker:
        fields.problems.refer("asker", asker, fields.place("as"))
    return asker or ""


def _family(fields: Fields, meta: _Meta) -> tuple[GoldenCase, ...]:
    """Expand a fairness template (evaluation.md 5): one member for each value of each group."""
    identity = fields.need("id", _CASE_ID)
    asker, attribute = _asker(fields, meta, identity), fields.need("attribute", TEXT)
    slot = f"{{{attribute}}}"
    template = unicodedata.normalize("NFC", fields.need("template", TEXT))
    if template and attribute and slot not in template:
        fields.problem("template", f"The template {identity!r} has no {slot}", f"Write {slot} where the value stands.")
    values = fields.need("values", map_of(_VALUES, key=_GROUP_NAME, form="letters, digits and hyphens, at most 40"))
    if len(values) < 2:
        fields.problem("values", f"The template {identity!r} has fewer than two groups", "Write two or more groups.")
    member = Member(
        family=identity,
        attribute=attribute,
        group="",
        favourable=fields.get("favourable", choice(Favourable), Favourable.ANSWERED),
    )
    common = GoldenCase(
        id=identity,
        question=template,
        asker=asker,
        space=fields.get("space", SPACE, None),
        as_of=fields.get("as_of", DATE, meta.as_of),
        expect=fields.get("expect", record(_expect), Expect()),
        tags=(*meta.tags, *fields.get("tags", _TAGS, ())),
        must_pass=fields.get("must_pass", BOOLEAN, default=False),
        cluster=identity,
        provenance=_plain(fields, "provenance"),
        line=fields.at.line,
    )
    return tuple(
        replace(
            common,
            id=f"{identity}.{group}.{number}",
            question=template.replace(slot, value),
            tags=(*common.tags, f"group:{attribute}={group}"),
            member=replace(member, group=group),
        )
        for group, words in values.items()
        for number, value in enumerate(words, 1)
    )


def _item(fields: Fields, meta: _Meta) -> GoldenCase:
    """Return the case of a bias item: its question with the options below it."""
    identity = fields.need("id", _CASE_ID)
    asker, choice_ = _asker(fields, meta, identity), parse_choice(fields, identity)
    return GoldenCase(
        id=identity,
        question=with_options(_question(fields), choice_.options),
        asker=asker,
        space=fields.get("space", SPACE, None),
        as_of=fields.get("as_of", DATE, meta.as_of),
        tags=(*meta.tags, *fields.get("tags", _TAGS, ())),
        cluster=choice_.family,
        provenance=_plain(fields, "provenance"),
        choice=choice_,
        line=fields.at.line,
    )


def _attack(fields: Fields) -> Attack:
    attack = Attack(
        kind=fields.need("kind", choice(AttackKind)),
        payload=fields.need("payload", TEXT),
        goal=fields.get("goal", TEXT, ""),
        oracle=fields.need("oracle", choice(Oracle)),
        carrier=fields.get("carrier", TEXT, None),
    )
    if attack.kind is AttackKind.INDIRECT and (attack.carrier is None or "{payload}" not in attack.carrier):
        hint = "Write carrier: the text of a document with {payload} in it."
        fields.problem("carrier", "An indirect attack has no document that carries it", hint)
    if attack.oracle is Oracle.NONCE and not ("{left}" in attack.payload and "{right}" in attack.payload):
        hint = "Write {left} and {right} for the two halves of the word it orders."
        fields.problem("payload", "The payload orders no word that the oracle could find", hint)
    return attack


def _case(fields: Fields, meta: _Meta) -> GoldenCase:
    identity = fields.need("id", _CASE_ID)
    asker = _asker(fields, meta, identity)
    expect = fields.get("expect", record(_expect), Expect())
    must_pass = fields.get("must_pass", BOOLEAN, default=False)
    if must_pass and not _is_deterministic(expect):
        what = f"The case {identity!r} must pass and expects nothing that code can check"
        fields.problem("must_pass", what, "Add facts, citations, refuse or forbid.")
    return GoldenCase(
        id=identity,
        question=_question(fields),
        history=fields.get("history", list_of(record(_turn)), ()),
        asker=asker,
        space=fields.get("space", SPACE, None),
        as_of=fields.get("as_of", DATE, meta.as_of),
        expect=expect,
        tags=(*meta.tags, *fields.get("tags", _TAGS, ())),
        must_pass=must_pass,
        cluster=fields.get("cluster", TEXT, None) or _first_document(expect) or identity,
        provenance=_plain(fields, "provenance"),
        unsupported=fields.get("unsupported", _TAGS, ()),
        attack=fields.get("attack", record(_attack), None),
        line=fields.at.line,
    )


def _plain(fields: Fields, key: str) -> Mapping[str, Json]:
    return {name: child.plain() for name, child in fields.get(key, map_of(ANY), {}).items()}


def _question(fields: Fields) -> str:
    text = unicodedata.normalize("NFC", fields.need("question", TEXT))
    if len(text) > 20_000:
        fields.problem("question", f"The question has {len(text):,} characters", "Write at most 20,000.")
    return text


def _turn(fields: Fields) -> Turn:
    return Turn(role=fields.need("role", _TURN_ROLE), content=fields.need("content", TEXT))


def _is_deterministic(expect: Expect) -> bool:
    return bool(
        expect.facts or expect.forbid or expect.citations or expect.forbid_documents or expect.refuse is not None
    )


def _first_document(expect: Expect) -> str | None:
    return expect.citations[0][0].partition("#")[0] if expect.citations and expect.citations[0] else None


def _expect(fields: Fields) -> Expect:
    refuse, reasons = fields.get("refuse", _REFUSE, (None, ()))
    facts = fields.get("facts", list_of(FACT), ())
    if refuse and facts:
        fields.problem("refuse", "A refusal is expected together with facts", "Remove the facts, or refuse.")
    citations = fields.get("citations", list_of(_CITATION), ())
    return Expect(
        facts=facts,
        forbid=fields.get("forbid", list_of(FACT), ()),
        citations=citations,
        retrieve=fields.get("retrieve", map_of(integer(1, 3)), {entry: 1 for one in citations for entry in one}),
        refuse=False if refuse is None and facts else refuse,
        refuse_reasons=reasons,
        answer=fields.get("answer", TEXT, None),
        forbid_documents=fields.get("forbid_documents", _TAGS, ()),
    )


def _read_refuse(at: Located, problems: Problems) -> tuple[bool | None, tuple[RefusalReason, ...]]:
    if isinstance(at.node, tuple):
        return True, list_of(choice(RefusalReason), at_least=1).read(at, problems)
    return BOOLEAN.read(at, problems), ()


_REFUSE: Reader[tuple[bool | None, tuple[RefusalReason, ...]]] = Reader(read=_read_refuse, stand_in=lambda: (None, ()))


def _read_citation(at: Located, problems: Problems) -> tuple[str, ...]:
    if isinstance(at.node, str):
        return (TEXT.read(at, problems),)
    return read_record(at, problems, lambda fields: fields.need("any", list_of(TEXT, at_least=1)))


_CITATION: Reader[tuple[str, ...]] = Reader(read=_read_citation, stand_in=tuple)
