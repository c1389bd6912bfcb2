"""What may not be sealed is refused with every reason, and nobody's authorship is ever lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pilotage.core.canonical import Json, canonical_bytes, parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError, InvalidFiles
from pilotage.core.ids import CorpusName, PersonId, WorkflowName
from pilotage.corpus.settings import DataStage
from pilotage.guard.policy import CacheMode
from pilotage.release.assemble import CorpusPin, Sources, assemble
from pilotage.release.authorship import UNKNOWN, Author, Commit, History, How, authors_of, persons
from pilotage.release.content import files_of, part_value, read_content, sealed_model, sealed_pins
from pilotage.release.fingerprint import fingerprints
from pilotage.release.manifest import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    Manifest,
    PartFile,
    PartKind,
    ValuePart,
    part_bytes,
)
from pilotage.release.seal import Seal, Source, check_golden, check_manifest, check_parts, check_secrets, source_of

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PROMPT = b"Answer from {passages}. Question: {question}\n"
PIN = CorpusPin(name=CorpusName("policies"), version=3, digest=digest_of(b"v3"), documents=2, chunks=5)


def sources(**changes: object) -> Sources:
    fields: dict[str, object] = {
        "prompt": PROMPT,
        "model": {"provider": "extractive", "pin": {"kind": "builtin", "id": "1"}, "prices": {"unmetered": "inside"}},
        "retrieval": {"corpus": {"production": "policies"}},
        "guard": {
            "version": 1,
            "stream": "buffer",
            "checks": [
                {"id": "secrets", "stage": "input", "action": "redact", "fail": "closed"},
                {"id": "pii_in", "stage": "input", "action": "redact", "threshold": 0.5, "fail": "closed"},
                {"id": "pii_out", "stage": "output", "action": "redact", "fail": "closed"},
                {"id": "citation", "stage": "output", "action": "block", "threshold": 1.0, "fail": "closed"},
            ],
            "tools": [],
            "egress": [],
        },
        "golden": {"golden/a.jsonl": b'{"id":"a"}\n', "evaluation.yaml": b"alpha: 0.05\n"},
        "corpora": {DataStage.PRODUCTION: PIN},
        "detectors": {"pii": "1"},
        "scorers": {},
    }
    return Sources(**(fields | changes))  # type: ignore[arg-type]


def sealed(**changes: object) -> tuple[Manifest, dict[PartKind, bytes]]:
    bodies = {part.kind: part_bytes(part) for part in assemble(sources(**changes)).parts}
    parts = {kind: digest_of(body) for kind, body in bodies.items()}
    return Manifest(workflow=WorkflowName("desk"), parent=None, parts=parts), bodies


def test_in_no_space_it_answers_from_its_uat_documents_where_it_has_them() -> None:
    manifest, bodies = sealed()
    content = read_content(manifest, bodies=bodies, prompt=PROMPT)
    for stages, stage in (
        ((), DataStage.UAT),
        ((DataStage.PRODUCTION,), DataStage.PRODUCTION),
        ((DataStage.PRODUCTION, DataStage.UAT), DataStage.UAT),
    ):
        assert replace(content, corpora=dict.fromkeys(stages, PIN)).headless_stage is stage
    model = content.model
    assert model.fingerprint == f"{model.provider}/{model.model}/{model.pin_kind}:{model.pin}"


@pytest.mark.feature("D1.1")
def test_a_release_reads_back_from_its_sealed_bytes_alone() -> None:
    manifest, bodies = sealed()
    content = read_content(manifest, bodies=bodies, prompt=PROMPT)
    assert content.digest == manifest.digest
    assert content.corpora == {DataStage.PRODUCTION: PIN}
    assert content.prompt.fill(passages="P", question="Q") == "Answer from P. Question: Q\n"
    assert [check.id for check in content.guard.checks][-1] == "citation"


@pytest.mark.feature("D1.10", "R2.4")
def test_a_price_is_not_behaviour_and_everything_else_is() -> None:
    base = sealed()[0]
    model = {"provider": "extractive", "pin": {"kind": "builtin", "id": "1"}}
    assert sealed(model=model)[0].digest == base.digest
    changes: tuple[dict[str, object], ...] = (
        {"prompt": PROMPT + b"x"},
        {"model": model | {"max_tokens": 9}},
        {"retrieval": {"corpus": {"production": "policies"}, "top_k": 7}},
        {"golden": {"golden/a.jsonl": b'{"id":"b"}\n'}},
        {"detectors": {"pii": "2"}},
        {"corpora": {}},
    )
    for changed in changes:
        assert sealed(**changed)[0].parts_digest != base.parts_digest


@pytest.mark.parametrize("kind", list(PartKind))
def test_one_flipped_byte_in_any_part_is_never_served(kind: PartKind) -> None:
    manifest, bodies = sealed()
    body = bytearray(bodies[kind])
    body[-2] ^= 1
    with pytest.raises(IntegrityError):
        read_content(manifest, bodies=bodies | {kind: bytes(body)}, prompt=PROMPT)


def test_another_prompt_or_a_part_of_another_kind_is_never_served() -> None:
    manifest, bodies = sealed()
    with pytest.raises(IntegrityError, match="prompt"):
        read_content(manifest, bodies=bodies, prompt=PROMPT + b" ")
    with pytest.raises(IntegrityError, match="not a part"):
        part_value(bodies[PartKind.TOOLS], digest=manifest.parts[PartKind.TOOLS], kind=PartKind.EGRESS)
    assert files_of("text") == ()


@pytest.mark.parametrize(
    "value",
    [
        None,
        ["policies"],
        {"production": "policies"},
        {"elsewhere": PIN.as_json()},
        {"production": {**PIN.as_json(), "digest": "sha256:short"}},
        {"production": {**PIN.as_json(), "version": "three"}},
        {"production": {"name": "policies"}},
    ],
    ids=["nothing", "a list", "no pin", "no stage", "no digest", "no number", "half a pin"],
)
def test_a_corpus_part_that_names_no_versions_is_never_read_as_no_documents(value: Json) -> None:
    body = part_bytes(ValuePart(kind=PartKind.CORPUS, value=value))
    with pytest.raises(IntegrityError, match="names no corpus version"):
        sealed_pins(body, digest_of(body))


def test_the_parts_of_a_release_are_read_one_by_one_too() -> None:
    manifest, bodies = sealed()
    assert sealed_pins(bodies[PartKind.CORPUS], manifest.parts[PartKind.CORPUS]) == {DataStage.PRODUCTION: PIN}
    found = sealed_model(bodies[PartKind.MODEL], manifest.parts[PartKind.MODEL])
    assert found == read_content(manifest, bodies=bodies, prompt=PROMPT).model
    bad = part_bytes(ValuePart(kind=PartKind.MODEL, value={"provider": "nobody"}))
    with pytest.raises(InvalidFiles):
        sealed_model(bad, digest_of(bad))


@pytest.mark.parametrize("value", [[], {}, {"policy": []}])
def test_a_guard_part_without_a_policy_is_never_served(value: Json) -> None:
    manifest, bodies = sealed()
    body = part_bytes(ValuePart(kind=PartKind.GUARD, value=value))
    other = replace(manifest, parts={**manifest.parts, PartKind.GUARD: digest_of(body)})
    with pytest.raises(IntegrityError, match="holds no policy"):
        read_content(other, bodies=bodies | {PartKind.GUARD: body}, prompt=PROMPT)


@pytest.mark.parametrize(
    ("changed", "moved"),
    [
        ({"prompt": PROMPT + b"Be brief."}, {"prompt"}),
        ({"model": {"provider": "extractive", "max_tokens": 9}}, {"model"}),
        ({"retrieval": {"corpus": {"production": "policies"}, "top_k": 7}}, {"retrieval"}),
        ({"corpora": {}}, {"retrieval"}),
        ({"golden": {"golden/a.jsonl": b'{"id":"b"}\n'}}, set()),
    ],
    ids=["prompt", "model", "retrieval", "documents", "golden cases"],
)
def test_a_fingerprint_moves_with_the_part_that_decides_an_answer(changed: dict[str, object], moved: set[str]) -> None:
    (was, bodies), (now, others) = sealed(), sealed(**changed)
    before = fingerprints(read_content(was, bodies=bodies, prompt=PROMPT))
    after = fingerprints(read_content(now, bodies=others, prompt=bytes(changed.get("prompt", PROMPT))))  # type: ignore[call-overload]
    assert {name for name in before if before[name] != after[name]} == moved


def test_whose_answers_may_be_given_again_is_sealed_and_an_older_release_gives_none() -> None:
    older, bodies = sealed()
    assert read_content(older, bodies=bodies, prompt=PROMPT).guard.cache is CacheMode.OFF
    guard = sources().guard
    for mode in CacheMode:
        manifest, others = sealed(guard={**guard, "cache": mode.value})
        assert manifest.digest != older.digest
        moved = {kind for kind in PartKind if manifest.parts[kind] != older.parts[kind]}
        assert moved == {PartKind.GUARD}
        content = read_content(manifest, bodies=others, prompt=PROMPT)
        assert content.guard.cache is mode
        held, was = (fingerprints(one)["guard"] for one in (content, read_content(older, bodies=bodies, prompt=PROMPT)))
        assert (held == was) is (mode is CacheMode.OFF)


def test_every_reason_against_the_parts_is_given_at_once() -> None:
    parts = assemble(sources()).parts[1:]
    big = PartFile(path="../golden/x", sha256="0" * 64, size=MAX_FILE_BYTES + 1)
    found = [reason.code for reason in check_parts(parts, {big.path: big}, where="w")]
    assert found == ["SEAL_PATH", "SEAL_TOO_LARGE", "SEAL_PART_MISSING"]
    many = {f"f{n}": PartFile(path=f"f{n}", sha256="0" * 64, size=1) for n in range(MAX_FILES + 1)}
    assert "SEAL_TOO_LARGE" in [reason.code for reason in check_parts(assemble(sources()).parts, many, where="w")]
    assert check_manifest(sealed()[0]) == []
    wide = replace(sealed()[0], workflow=WorkflowName("w" * MAX_MANIFEST_BYTES))
    assert [reason.code for reason in check_manifest(wide)] == ["SEAL_TOO_LARGE"]


def test_secrets_and_leaked_or_missing_golden_cases_are_refused() -> None:
    found = check_secrets({"a": b"key", "b": b"plain"}, has_secret=lambda text: text == "key")
    assert [reason.where for reason in found] == ["a"]
    assert [reason.code for reason in check_golden({}, "prompt")] == ["SEAL_GOLDEN_EMPTY"]
    question = "What is the daily wire transfer limit for a retail customer?"
    leaked = check_golden({"wire": question, "short": "Why?"}, f"Example:  {question.upper()} Why?")
    assert [(reason.code, reason.where) for reason in leaked] == [("SEAL_GOLDEN_LEAK", "wire")]


def test_the_seal_is_canonical_and_says_who_when_and_from_where() -> None:
    digest = Digest("sha256:" + "0" * 64)
    seal = Seal(
        digest=digest, parts_digest=digest, sealed_at=NOW, sealed_by="p_x", note="e\u0301", source=Source(), engine="1"
    )
    value = parse_json(seal.to_bytes())
    assert isinstance(value, dict)
    assert (value["note"], value["sealed_at"]) == ("\u00e9", "2026-03-02T09:00:00.000Z")
    assert value["source"] == {"repo": "", "commit": "", "tree": "", "dirty": True}


@pytest.mark.parametrize(
    ("said", "source"),
    [
        (
            {"repo": "r", "commit": "c", "tree": "t", "dirty": False},
            Source(repo="r", commit="c", tree="t", dirty=False),
        ),
        ({"repo": "r", "commit": "c", "tree": "t"}, Source(repo="r", commit="c", tree="t")),
        ({"repo": 7, "commit": None, "dirty": "no"}, Source()),
        ({}, Source()),
        (None, Source()),
        ("main", Source()),
    ],
    ids=["whole", "dirty unless it says not", "of another type", "empty", "nothing", "a text"],
)
def test_a_seal_that_does_not_say_where_its_files_are_from_says_nothing_clean(said: Json, source: Source) -> None:
    assert source_of(canonical_bytes({"source": said})) == source


def test_a_seal_that_is_no_record_has_no_source() -> None:
    assert source_of(b"[]") == Source()


def test_authors_committers_and_co_authors_count_and_an_unknown_address_is_not_dropped() -> None:
    commit = Commit(
        sha="c1",
        author_email="Ada@bank.example",
        committer_email="bot@elsewhere.example",
        message="Prompt\n\nCo-authored-by: Ben <ben@bank.example>\n",
        at=NOW,
    )
    people = {"ada@bank.example": PersonId("ada"), "ben@bank.example": PersonId("ben")}
    clean = authors_of(History(commits=(commit,), is_clean=True), people=people, sealer=PersonId("zoe"), at=NOW)
    assert persons(clean) == {"ada", "ben", UNKNOWN}
    dirty = authors_of(History(commits=(), is_clean=False), people=people, sealer=PersonId("zoe"), at=NOW)
    assert dirty == (Author(person=PersonId("zoe"), how=How.SEALED, ref="", at=NOW),)
