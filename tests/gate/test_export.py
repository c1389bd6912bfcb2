"""An exported decision: the documented vector, public verifiers, and a replay that finds every change."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.gate import builders

from pilotage.adapters.decision_form import input_digest, input_from, input_json
from pilotage.control.replay_decision import replay_decision
from pilotage.core.canonical import Form, canonical_bytes
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest, digest_of
from pilotage.gate.decide import decide
from pilotage.gate.export import (
    Envelope,
    ExportError,
    pae,
    payload_of,
    predicate_of,
    read_envelope,
    read_predicate,
    statement,
)
from pilotage.gate.records import GateInput
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.ledger.checkpoint import Checkpoint, VerifierKey, signed
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.ledger.proof import InclusionProof
from pilotage.ledger.tree import leaf_hash

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RELEASE = Digest("sha256:e92a0f8183519a26ffbef1e35d3800b7be7171d15a9fbb2821c627df5c566600")
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def vector() -> bytes:
    """Return the payload of the documented vector."""
    predicate = {"gate": "cab", "status": "approved"}
    return payload_of(statement(name="loan-assistant", release=RELEASE, predicate=predicate))


def test_the_documented_vector_holds() -> None:
    payload = vector()
    assert len(payload) == 263
    assert (
        hashlib.sha256(pae(payload)).hexdigest() == "299eac2a78b146f69aca1a24083a7b1b9ea067ab487c157619313657242d7333"
    )
    assert base64.b64encode(KEY.sign(pae(payload))).decode() == (
        "D92JJbclcksd2swafxKqSP6DtQWuiacTxSqgNBGer7QtJ6QpC18VyhXtCExZuHX+Me06LQaxi66FKtJjYqv/CA=="
    )


def test_an_envelope_is_read_back_and_its_signature_is_over_the_encoding_not_the_payload() -> None:
    payload = vector()
    made = Envelope(payload=payload, signature=KEY.sign(pae(payload)), keyid="k")
    read = read_envelope(made.as_json())
    assert read == made
    KEY.public_key().verify(read.signature, b"DSSEv1 28 application/vnd.in-toto+json 263 " + payload)
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(read.signature, payload)
    assert read_predicate(read) == (RELEASE, {"gate": "cab", "status": "approved"})


def test_a_public_dsse_verifier_accepts_it_and_refuses_a_changed_one() -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    signer = pytest.importorskip("securesystemslib.signer", reason="securesystemslib is not installed")
    payload = vector()
    keyid = "instance"
    made = Envelope(payload=payload, signature=KEY.sign(pae(payload)), keyid=keyid).as_json()
    key = signer.SSlibKey(keyid, "ed25519", "ed25519", {"public": PUBLIC.hex()})
    envelope = dsse.Envelope.from_dict({**made, "signatures": [dict(one) for one in _rows(made["signatures"])]})
    assert keyid in envelope.verify([key], 1)
    changed = {**made, "payload": base64.b64encode(payload.replace(b"approved", b"rejected")).decode()}
    other = dsse.Envelope.from_dict({**changed, "signatures": [dict(one) for one in _rows(made["signatures"])]})
    with pytest.raises(Exception, match="signature"):
        other.verify([key], 1)


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return list(value)


@pytest.mark.parametrize(
    "changed",
    [
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": "no"},
        {"signatures": ["no"]},
        {"payload": "!"},
    ],
)
def test_what_is_no_envelope_is_refused(changed: dict[str, Any]) -> None:
    payload = vector()
    made = Envelope(payload=payload, signature=b"s", keyid="k").as_json()
    with pytest.raises(ExportError):
        read_envelope({**made, **changed})


@pytest.mark.parametrize("payload", [b"{", b"{}", b'{"_type":"https://in-toto.io/Statement/v1"}'])
def test_a_payload_that_is_no_statement_is_refused(payload: bytes) -> None:
    with pytest.raises(ExportError):
        read_predicate(Envelope(payload=payload, signature=b"", keyid=""))


def inputs() -> list[GateInput]:
    """Return a gate of every outcome: approved, signed by roles, ready, under review, accepted, rejected."""
    board = builders.board_gate()
    half_voted = builders.voted(builders.empty(board), Role.IT_DIRECTOR)
    rejected = builders.voted(builders.empty(board), Role.IT_DIRECTOR, decision=VoteDecision.REJECT)
    return [
        builders.approved_board(),
        builders.approved_roles(),
        builders.empty(board),
        half_voted,
        rejected,
        builders.swap(builders.empty(board)),
    ]


@pytest.mark.parametrize("number", range(6))
def test_an_input_is_read_back_equal_and_decides_the_same(number: int) -> None:
    given = inputs()[number]
    again = input_from(input_json(given))
    assert again == given
    assert input_json(again) == input_json(given)
    assert decide(again, builders.NOW) == decide(given, builders.NOW)


def test_a_damaged_input_is_refused() -> None:
    plain = dict(_object(input_json(builders.approved_board())))
    del plain["roster"]
    with pytest.raises(ExportError, match="damaged"):
        input_from(plain)


def _object(value: Any) -> Mapping[str, Any]:
    assert isinstance(value, Mapping)
    return value


def bundle(given: GateInput | None = None) -> dict[str, Any]:
    """Return a bundle of an approved board, its ledger a tree of one entry per proof."""
    given = given or builders.approved_board()
    bodies = {item.id: item.id.encode() for item in given.evidence}
    given = _with_bodies(given, bodies)
    report = decide(given, builders.NOW)
    plain = input_json(given)
    predicate = predicate_of(report, given, input_digest=input_digest(plain), engine="0", at=to_text(builders.NOW))
    payload = payload_of(statement(name=given.release.workflow, release=given.release.digest, predicate=predicate))
    entries = [entry(EntryKind.RELEASE_SEALED, given.release.digest, {})]
    entries += [
        entry(EntryKind.GATE_SIGNED_OFF, vote.id, {"bind": vote.bind, "decision": vote.decision.value})
        for vote in given.votes
    ]
    proofs, keys = prove(entries)
    return {
        "format": "pilotage.gate-decision/1",
        "envelope": Envelope(payload=payload, signature=KEY.sign(pae(payload)), keyid="k").as_json(),
        "key": base64.b64encode(PUBLIC).decode(),
        "input": plain,
        "evidence": {digest_of(body): base64.b64encode(body).decode() for body in bodies.values()},
        "ledger": {"keys": keys, "proofs": proofs},
    }


def _with_bodies(given: GateInput, bodies: Mapping[str, bytes]) -> GateInput:
    """Return the input with evidence whose digests are those of the bytes, and the votes given anew on it."""
    items = tuple(replace(item, sha256=digest_of(bodies[item.id])) for item in given.evidence)
    bare = replace(given, evidence=items, votes=())
    voted = builders.with_seats(
        bare, dict.fromkeys(builders.SEATS, VoteDecision.APPROVE), at=builders.NOW - builders.HOUR
    )
    return builders.voted(voted, Role.EXECUTIVE_SPONSOR, at=builders.NOW - builders.HOUR + builders.MINUTE)


def entry(kind: EntryKind, subject: str, data: Mapping[str, Any]) -> bytes:
    """Return the bytes of a ledger entry."""
    return encode_entry(
        id="01J00000000000000000000000",
        kind=kind,
        at=builders.NOW,
        actor="system:test",
        subject=subject,
        data=data,
        commit={},
    ).bytes


def prove(entries: list[bytes]) -> tuple[list[Any], list[str]]:
    """Return a proof of each entry under a checkpoint of its own."""
    key = VerifierKey(name="northlake/ledger", public=PUBLIC)
    proofs: list[Any] = []
    for data in entries:
        tree = Checkpoint(origin="northlake/ledger", size=1, root=leaf_hash(data))
        note = signed(tree, key, KEY.sign(tree.text()))
        proofs.append(InclusionProof(seq=0, data=data, path=(), note=note).as_json())
    return proofs, [str(key)]


def document(value: Mapping[str, Any]) -> bytes:
    """Return the bundle's bytes."""
    return canonical_bytes(dict(value), form=Form.PLAIN)


def test_an_exported_decision_replays_to_the_same_status() -> None:
    found = replay_decision(document(bundle()), key=PUBLIC)
    assert [one.reason for one in found.checks if one.reason] == []
    assert found.is_verified
    assert found.trusted
    assert found.status == GateStatus.APPROVED


def test_an_exported_decision_says_which_acceptances_it_used() -> None:
    latency = builders.evidence("load.peak", {**builders.GOOD_LOAD, "p95": 2_500.0})
    covers = builders.Accepting(criteria=("latency",)).made()
    over = replace(covers, id="risk-2", expires=builders.NOW)
    given = replace(builders.swap(builders.empty(builders.board_gate()), latency), acceptances=(covers, over))
    report = decide(given, builders.NOW)
    told: Any = predicate_of(report, given, input_digest=digest_of(b""), engine="0", at=to_text(builders.NOW))
    assert [(one["id"], one["used"]) for one in told["acceptances"]] == [("risk-1", True), ("risk-2", False)]
    assert told["acceptances"][0]["covers"] == ["latency"]
    assert [one["role"] for one in told["acceptances"][0]["approvers"]] == ["risk-management", "executive-sponsor"]


def test_a_key_that_came_with_the_bundle_is_not_called_trusted() -> None:
    assert not replay_decision(document(bundle())).trusted


def _another_key(value: dict[str, Any]) -> None:
    value["key"] = base64.b64encode(bytes(32)).decode()


def _changed_evidence(value: dict[str, Any]) -> None:
    first = next(iter(value["evidence"]))
    value["evidence"][first] = base64.b64encode(b"other").decode()


def _no_evidence(value: dict[str, Any]) -> None:
    value["evidence"] = {}


def _lost_vote(value: dict[str, Any]) -> None:
    value["input"]["votes"] = value["input"]["votes"][:-1]


def _no_proof(value: dict[str, Any]) -> None:
    value["ledger"]["proofs"] = value["ledger"]["proofs"][:-1]


def _no_seal(value: dict[str, Any]) -> None:
    value["ledger"]["proofs"] = value["ledger"]["proofs"][1:]


def _other_ledger(value: dict[str, Any]) -> None:
    value["ledger"]["keys"] = [str(VerifierKey(name="northlake/ledger", public=bytes(range(32))))]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (_another_key, {"signature"}),
        (_changed_evidence, {"evidence"}),
        (_no_evidence, {"evidence"}),
        (_lost_vote, {"input", "decision"}),
        (_no_proof, {"ledger"}),
        (_no_seal, {"ledger"}),
        (_other_ledger, {"ledger"}),
    ],
)
def test_every_change_of_a_bundle_is_found(change: Callable[[dict[str, Any]], None], fails: set[str]) -> None:
    value = bundle()
    change(value)
    found = replay_decision(document(value))
    assert {one.name for one in found.checks if one.reason is not None} == fails
    assert not found.is_verified


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "rejected"),
        ("bind", "sha256:0"),
        ("criteria", []),
        ("signoffs", []),
        ("votes", []),
        ("acceptances", [{"id": "r"}]),
        ("evidence", []),
        ("reasons", [{"code": "X"}]),
        ("policy", "sha256:0"),
        ("roster", "sha256:0"),
        ("attempt", 2),
        ("inputs", {"evidence_set": "sha256:0"}),
        ("note", "One more thing."),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" not in value else "",
)
def test_a_statement_that_says_anything_else_than_its_input_is_found_though_it_is_signed(name: str, value: Any) -> None:
    made = bundle()
    said = json.loads(base64.b64decode(made["envelope"]["payload"]))
    kept = said["predicate"].get(name)
    said["predicate"][name] = {**kept, **value} if isinstance(value, dict) else value
    payload = canonical_bytes(said, form=Form.PLAIN)
    made["envelope"] = Envelope(payload=payload, signature=KEY.sign(pae(payload)), keyid="k").as_json()
    found = replay_decision(document(made), key=PUBLIC)
    assert {one.name for one in found.checks if one.reason is not None} == {"decision"}


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"format":"other"}'])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(ExportError):
        replay_decision(data)
