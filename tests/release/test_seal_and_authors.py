"""What may not be sealed is refused with every reason, and nobody's authorship is ever lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pilotage.core.canonical import parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import CorpusName, PersonId, WorkflowName
from pilotage.corpus.settings import DataStage
from pilotage.release.assemble import CorpusPin, Sources, assemble
from pilotage.release.authorship import UNKNOWN, Author, Commit, History, How, authors_of, persons
from pilotage.release.content import files_of, part_value, read_content
from pilotage.release.manifest import MAX_FILE_BYTES, MAX_FILES, Manifest, PartFile, PartKind, part_bytes
from pilotage.release.seal import Seal, Source, check_golden, check_manifest, check_parts, check_secrets

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


def test_a_release_reads_back_from_its_sealed_bytes_alone() -> None:
    manifest, bodies = sealed()
    content = read_content(manifest, bodies=bodies, prompt=PROMPT)
    assert content.digest == manifest.digest
    assert content.corpora == {DataStage.PRODUCTION: PIN}
    assert content.prompt.fill(passages="P", question="Q") == "Answer from P. Question: Q\n"
    assert [check.id for check in content.guard.checks][-1] == "citation"


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


def test_every_reason_against_the_parts_is_given_at_once() -> None:
    parts = assemble(sources()).parts[1:]
    big = PartFile(path="../golden/x", sha256="0" * 64, size=MAX_FILE_BYTES + 1)
    found = [reason.code for reason in check_parts(parts, {big.path: big}, where="w")]
    assert found == ["SEAL_PATH", "SEAL_TOO_LARGE", "SEAL_PART_MISSING"]
    many = {f"f{n}": PartFile(path=f"f{n}", sha256="0" * 64, size=1) for n in range(MAX_FILES + 1)}
    assert "SEAL_TOO_LARGE" in [reason.code for reason in check_parts(assemble(sources()).parts, many, where="w")]
    assert check_manifest(sealed()[0]) == []


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
