"""Verification names the first thing that does not hold, and trusts no key it was not led to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.ids import new_ulid
from pilotage.ledger.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey, parse_verifier_key, signed
from pilotage.ledger.commitment import Disclosure, commitments_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.ledger.handover import Handover, parse_handover, statement, trusted_keys
from pilotage.ledger.proof import InclusionProof, ProofError, parse_proof
from pilotage.ledger.tree import inclusion_proof, leaf_hash, root_of
from pilotage.ledger.verify import (
    DisclosedField,
    LogEntry,
    Trust,
    Verdict,
    Verification,
    verify_extract,
    verify_log,
)

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ORIGIN = "ledger.bank"
SECRET = Disclosure(field="comment", salt=bytes(32), value="because")


def private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"key {number}".encode()).digest())


def public(number: int, origin: str = ORIGIN) -> VerifierKey:
    return VerifierKey(name=origin, public=private(number).public_key().public_bytes_raw())


def handover(old: int, new: int, size: int, root: bytes) -> Handover:
    said = statement(old=public(old), new=public(new), size=size, root=root)
    return Handover(
        old=public(old),
        new=public(new),
        size=size,
        root=root,
        signed_by_old=private(old).sign(said),
        signed_by_new=private(new).sign(said),
    )


@dataclass(slots=True)
class Log:
    """A log in memory, written as the product writes it."""

    data: list[bytes] = field(default_factory=list)
    notes: list[SignedCheckpoint] = field(default_factory=list)

    def add(self, kind: EntryKind = EntryKind.CORPUS_CREATED, **data: Json) -> None:
        number = len(self.data)
        entry = encode_entry(
            id=new_ulid(AT, entropy=number.to_bytes(10, "big")),
            kind=kind,
            at=AT,
            actor="system:test",
            subject=f"thing-{number}",
            data=data,
            commit=commitments_of([SECRET]),
        )
        self.data.append(entry.bytes)

    def sign(self, key: int = 1, *, size: int | None = None) -> None:
        leaves = [leaf_hash(data) for data in self.data[:size]]
        tree = Checkpoint(origin=ORIGIN, size=len(leaves), root=root_of(leaves))
        self.notes.append(signed(tree, public(key), private(key).sign(tree.text())))

    def entries(self) -> list[LogEntry]:
        return [LogEntry(seq, leaf_hash(data), data) for seq, data in enumerate(self.data)]

    def verify(self, *keys: int, disclosed: Sequence[DisclosedField] = ()) -> Verification:
        trust = Trust(given=tuple(public(key) for key in keys))
        return verify_log(self.entries(), checkpoints=self.notes, trust=trust, disclosed=disclosed)

    def proven(self, *places: int) -> list[LogEntry]:
        leaves = [leaf_hash(data) for data in self.data]
        return [self.entries()[place]._replace(proof=inclusion_proof(leaves, place)) for place in places]


def make_log(size: int = 9) -> Log:
    log = Log()
    for number in range(size):
        log.add(number=number)
        if number % 3 == 1:
            log.sign()
    log.sign()
    return log


def rotated_log(*, lost: bool = False) -> Log:
    log = Log()
    log.add()
    log.add()
    log.sign(1)
    met = handover(1, 2, 2, log.notes[-1].checkpoint.root)
    if lost:
        log.add(EntryKind.LEDGER_KEY_LOST, old=str(public(1)), new=str(public(2)), size=2)
    else:
        log.sign(2)
        log.add(EntryKind.LEDGER_KEY_ROTATED, **met.as_json())
    log.add()
    log.sign(2)
    return log


def code_of(result: Verification) -> str:
    assert result.failure is not None
    return result.failure.code


def test_an_untouched_log_verifies_and_says_how_much() -> None:
    log = make_log()
    result = log.verify(1)
    assert (result.verdict, result.entries, result.checkpoints) == (Verdict.VERIFIED, 9, 4)
    assert result.root == root_of([leaf_hash(data) for data in log.data])
    assert result.as_json()["verified"] is True
    assert result.verdict.exit_code == 0


@given(st.integers(0, 8), st.integers(0, 10_000))
def test_a_changed_entry_is_named_by_its_hash_or_by_the_next_checkpoint(place: int, byte: int) -> None:
    log = make_log()
    data = bytearray(log.data[place])
    data[byte % len(data)] ^= 1
    entries = log.entries()
    entries[place] = entries[place]._replace(data=bytes(data))
    trust = Trust(given=(public(1),))
    result = verify_log(entries, checkpoints=log.notes, trust=trust)
    assert (result.verdict, code_of(result)) == (Verdict.FAILED, "LEDGER_HASH")
    assert result.failure is not None
    assert result.failure.where == f"seq {place}"
    entries[place] = entries[place]._replace(hash=leaf_hash(bytes(data)))
    assert code_of(verify_log(entries, checkpoints=log.notes, trust=trust)) == "LEDGER_ROOT"


Change = Callable[[list[LogEntry]], list[LogEntry]]


@pytest.mark.parametrize(
    ("change", "code", "verdict"),
    [
        (lambda e: [*e[:4], *e[5:]], "LEDGER_GAP", Verdict.FAILED),
        (lambda e: e[:-1], "LEDGER_GAP", Verdict.FAILED),
        (lambda e: [e[0], e[2], e[1], *e[3:]], "LEDGER_GAP", Verdict.FAILED),
        (lambda e: [*e[:3], e[2], *e[3:]], "LEDGER_DUPLICATE", Verdict.UNREADABLE),
        (lambda e: [*e, e[0]._replace(seq=9)], "LEDGER_UNSIGNED", Verdict.FAILED),
        (lambda e: e[:0], "LEDGER_GAP", Verdict.FAILED),
        (
            lambda e: [e[0]._replace(data=e[1].data, hash=e[1].hash), *e[1:]],
            "LEDGER_ROOT",
            Verdict.FAILED,
        ),
    ],
)
def test_removed_swapped_doubled_and_added_entries_are_found(change: Change, code: str, verdict: Verdict) -> None:
    log = make_log()
    result = verify_log(change(log.entries()), checkpoints=log.notes, trust=Trust(given=(public(1),)))
    assert (result.verdict, code_of(result)) == (verdict, code)
    assert result.as_json()["verified"] is False
    assert result.verdict.exit_code == (2 if verdict is Verdict.UNREADABLE else 1)


def test_checkpoints_out_of_order_or_of_another_tree_are_found() -> None:
    log = make_log()
    log.notes.reverse()
    assert code_of(log.verify(1)) == "LEDGER_CHECKPOINT_ORDER"
    other = Log(data=[b"x"])
    other.sign()
    assert code_of(verify_log([], checkpoints=other.notes, trust=Trust(given=(public(1),)))) == "LEDGER_GAP"


def test_nothing_signed_is_never_verified_unless_size_zero_is_signed() -> None:
    assert code_of(Log().verify(1)) == "LEDGER_UNSIGNED"
    empty = Log()
    empty.sign()
    assert empty.verify(1).verdict is Verdict.VERIFIED
    grown = Log(notes=empty.notes)
    grown.add()
    assert code_of(grown.verify(1)) == "LEDGER_UNSIGNED"


def test_a_checkpoint_of_another_key_fails() -> None:
    result = make_log().verify(2)
    assert code_of(result) == "LEDGER_SIGNATURE"
    assert result.keys == ()


def test_a_key_from_the_export_counts_only_when_the_caller_says_so() -> None:
    log = make_log()
    exported = Trust(exported=(public(1),))
    assert code_of(verify_log(log.entries(), checkpoints=log.notes, trust=exported)) == "LEDGER_KEY_NOT_GIVEN"
    accepted = verify_log(log.entries(), checkpoints=log.notes, trust=replace(exported, accept_exported=True))
    assert accepted.verdict is Verdict.VERIFIED
    assert [notice.code for notice in accepted.notices] == ["LEDGER_KEY_FROM_EXPORT"]


def test_an_export_that_names_a_stranger_s_key_fails_under_the_given_one() -> None:
    log = make_log()
    trust = Trust(given=(public(1),), exported=(public(1), public(5)))
    assert code_of(verify_log(log.entries(), checkpoints=log.notes, trust=trust)) == "LEDGER_KEY"


@pytest.mark.parametrize("given_key", [1, 2])
def test_trust_passes_over_a_rotation_in_both_directions(given_key: int) -> None:
    result = rotated_log().verify(given_key)
    assert result.verdict is Verdict.VERIFIED
    assert set(result.keys) == {public(1), public(2)}
    assert result.breaks == ()


@pytest.mark.parametrize("given_key", [1, 2])
def test_trust_does_not_pass_over_a_lost_key_and_the_break_is_told(given_key: int) -> None:
    log = rotated_log(lost=True)
    assert code_of(log.verify(given_key)) == "LEDGER_SIGNATURE"
    both = log.verify(1, 2)
    assert both.verdict is Verdict.VERIFIED
    assert [reason.code for reason in both.breaks] == ["LEDGER_BREAK"]
    assert "ledger.key_lost at 2 entries" in both.breaks[0].text


def test_an_opened_epoch_is_no_handover_passes_no_trust_and_is_told_as_a_break() -> None:
    log = make_log()
    log.add(EntryKind.LEDGER_EPOCH_OPENED, size=9)
    log.add(EntryKind.LEDGER_EXPORTED)
    log.sign()
    found = log.verify(1)
    assert found.verdict is Verdict.VERIFIED
    assert [reason.text for reason in found.breaks] == ["Entry 9 records a break: ledger.epoch_opened at 9 entries."]
    log.sign(2)
    assert code_of(log.verify(1)) == "LEDGER_SIGNATURE"


def test_a_handover_signed_by_one_side_only_passes_no_trust() -> None:
    met = handover(1, 2, 7, bytes(32))
    assert met.is_valid()
    forged = replace(met, signed_by_old=met.signed_by_new)
    assert trusted_keys([public(1)], [forged]) == (public(1),)
    assert set(trusted_keys([public(3)], [handover(2, 3, 7, bytes(32)), met])) == {public(1), public(2), public(3)}
    assert trusted_keys([public(9)], [met]) == (public(9),)


def test_a_handover_reads_back_and_anything_else_is_none() -> None:
    met = handover(1, 2, 7, bytes(32))
    assert parse_handover(met.as_json()) == met
    assert parse_handover({}) is None
    assert parse_handover({**met.as_json(), "old": "nobody"}) is None
    assert parse_handover({**met.as_json(), "root": "!"}) is None


def test_an_own_entry_that_is_no_entry_is_named() -> None:
    log = Log(data=[b'{"kind":"ledger.key_lost"}'])
    log.sign()
    assert code_of(log.verify(1)) == "LEDGER_ENTRY"


def test_a_retired_key_signs_no_history_of_its_own_under_a_genuine_handover() -> None:
    """Whoever steals the old key has the handover as well: it stands in every export."""
    genuine = rotated_log()
    forged = Log()
    forged.add(stolen=True)
    forged.add()
    forged.data.append(genuine.data[2])
    forged.sign(1, size=2)
    forged.sign(1)
    assert code_of(forged.verify(2)) == "LEDGER_SIGNATURE"
    early = Log(data=[genuine.data[2]])
    early.sign(1)
    assert code_of(early.verify(2)) == "LEDGER_SIGNATURE"


@pytest.mark.parametrize("given_key", [1, 2])
@pytest.mark.parametrize("at", ["before the handover is read", "after it"])
def test_a_retired_key_signs_nothing_larger_than_where_it_was_handed_over(given_key: int, at: str) -> None:
    log = rotated_log()
    assert log.verify(given_key).verdict is Verdict.VERIFIED
    kept = [*log.notes]
    log.notes = []
    log.sign(1, size=3 if at.startswith("before") else 4)
    log.notes = sorted([*kept, *log.notes], key=lambda note: note.checkpoint.size)
    assert code_of(log.verify(given_key)) == "LEDGER_SIGNATURE"


def test_a_new_key_signs_nothing_smaller_than_where_it_took_over() -> None:
    log = rotated_log()
    log.notes = [log.notes[0], *log.notes]
    tree = Checkpoint(origin=ORIGIN, size=1, root=root_of([leaf_hash(log.data[0])]))
    log.notes[0] = signed(tree, public(2), private(2).sign(tree.text()))
    assert code_of(log.verify(1)) == "LEDGER_SIGNATURE"


def disclosed(seq: int, **changes: str) -> DisclosedField:
    return DisclosedField(seq, changes.get("field", "comment"), SECRET.salt, changes.get("value", SECRET.value))


def test_disclosed_values_are_opened_against_their_commitments() -> None:
    result = make_log().verify(1, disclosed=[disclosed(2), disclosed(2), disclosed(5)])
    assert (result.verdict, result.disclosed) == (Verdict.VERIFIED, 3)


@pytest.mark.parametrize(
    "items",
    [
        [disclosed(2, value="another")],
        [disclosed(2, field="another")],
        [disclosed(9)],
        [disclosed(5), disclosed(2)],
    ],
)
def test_a_disclosed_value_that_opens_nothing_here_fails(items: list[DisclosedField]) -> None:
    assert code_of(make_log().verify(1, disclosed=items)) == "LEDGER_DISCLOSED"


def test_a_disclosure_of_bytes_that_are_no_entry_fails() -> None:
    log = Log(data=[b"x"])
    log.sign()
    assert code_of(log.verify(1, disclosed=[disclosed(0)])) == "LEDGER_ENTRY"


def test_an_extract_verifies_by_its_proofs_alone() -> None:
    log = make_log()
    trust = Trust(given=(public(1),))
    result = verify_extract(
        log.proven(2, 5, 8), checkpoint=log.notes[-1], trust=trust, disclosed=[disclosed(5), disclosed(5)]
    )
    assert (result.verdict, result.entries, result.disclosed) == (Verdict.VERIFIED, 3, 2)


def test_an_extract_of_nothing_proves_nothing() -> None:
    log = make_log()
    found = verify_extract([], checkpoint=log.notes[-1], trust=Trust(given=(public(1),)))
    assert (code_of(found), found.verdict.exit_code) == ("LEDGER_EMPTY", 1)


def test_a_rotated_log_s_extract_carries_the_handover() -> None:
    log = rotated_log()
    trust = Trust(given=(public(1),))
    assert verify_extract(log.proven(0, 2), checkpoint=log.notes[-1], trust=trust).verdict is Verdict.VERIFIED
    assert code_of(verify_extract(log.proven(0), checkpoint=log.notes[-1], trust=trust)) == "LEDGER_SIGNATURE"


def test_a_tampered_extract_fails() -> None:
    log = make_log()
    good = log.proven(2, 5)
    for entries, code in (
        ([good[1], good[0]], "LEDGER_DUPLICATE"),
        ([good[0]._replace(data=good[1].data)], "LEDGER_HASH"),
        ([good[0]._replace(data=good[1].data, hash=good[1].hash)], "LEDGER_PROOF"),
        ([good[0]._replace(seq=3)], "LEDGER_PROOF"),
        ([good[0]._replace(proof=good[1].proof)], "LEDGER_PROOF"),
    ):
        result = verify_extract(entries, checkpoint=log.notes[-1], trust=Trust(given=(public(1),)))
        assert code_of(result) == code
    left = verify_extract(good, checkpoint=log.notes[-1], trust=Trust(given=(public(1),)), disclosed=[disclosed(8)])
    assert code_of(left) == "LEDGER_DISCLOSED"


def test_a_proof_document_verifies_offline_and_no_changed_one_does() -> None:
    log = make_log()
    entry = log.proven(4)[0]
    proof = InclusionProof(seq=4, data=entry.data, path=entry.proof, note=log.notes[-1])
    again = parse_proof(proof.as_bytes())
    assert again == proof
    assert again.is_valid_under(public(2), public(1))
    assert not again.is_valid_under(public(2))
    assert not replace(again, seq=5).is_valid_under(public(1))
    assert not replace(again, data=entry.data + b" ").is_valid_under(public(1))
    document = proof.as_json()
    for change in (
        {"format": "other"},
        {"seq": True},
        {"seq": "4"},
        {"path": "x"},
        {"entry": "!"},
        {"checkpoint": "x"},
    ):
        with pytest.raises(ProofError):
            parse_proof(canonical_bytes({**document, **change}))
    for data in (b"", b"[]"):
        with pytest.raises(ProofError):
            parse_proof(data)
    assert parse_verifier_key(str(public(1))) == public(1)
