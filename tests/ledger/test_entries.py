"""An entry has one spelling, closed fields, and no room for a person's name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.ledger.commitment import commitment, commitments_of, disclosures_of, is_opened_by
from pilotage.ledger.entry import EntryError, EntryKind, decode_entry, encode_entry
from pilotage.ledger.kinds import is_signed_at_once
from pilotage.ledger.tree import leaf_hash

AT = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
ID = "01JD0000000000000000000001"
SALT = bytes(range(32))
QUESTION = "What is the refund limit?"


def example() -> bytes:
    return encode_entry(
        id=ID,
        kind=EntryKind.GATE_SIGNED_OFF,
        at=AT,
        actor="p_7f3k2q9w",
        subject="sha256:" + "ab" * 32,
        space="production-us-east-space",
        data={"decision": "approve", "gate": "cab", "role": "security-director"},
        commit={"comment": commitment(SALT, QUESTION)},
    ).bytes


def test_the_example_of_the_specification_has_its_403_bytes_and_leaf_hash() -> None:
    assert len(example()) == 403
    assert leaf_hash(example()).hex() == "f957f7fd340ffa3d209659ff3627f909844f863cd7c832799bb8200bef512f57"


def test_a_commitment_has_the_value_of_the_specification() -> None:
    assert commitment(SALT, QUESTION) == "sha256:bdc671fd84b2fb32e75d3589661d8328416d446d4bea18c25186ba07464a4960"


def test_a_decoded_entry_says_what_was_encoded() -> None:
    entry = decode_entry(example())
    assert (entry.id, entry.kind, entry.at, entry.actor) == (ID, "gate.signed_off", AT, "p_7f3k2q9w")
    assert entry.data["role"] == "security-director"
    assert is_opened_by(entry.commit["comment"], salt=SALT, value=QUESTION)
    assert not is_opened_by(entry.commit["comment"], salt=SALT, value="something else")
    assert not is_opened_by(entry.commit["comment"], salt=SALT[:31], value=QUESTION)


@pytest.mark.parametrize("actor", ["maria.chen", "local|maria.chen", "p_", "system:", "p_UPPERCASE1", ""])
def test_an_actor_is_a_pseudonym_or_a_job_never_a_name(actor: str) -> None:
    with pytest.raises(EntryError, match="neither a pseudonym nor system"):
        encode_entry(id=ID, kind=EntryKind.RELEASE_SEALED, at=AT, actor=actor, subject="x")


def test_a_plain_value_cannot_stand_where_a_commitment_belongs() -> None:
    with pytest.raises(EntryError, match="is not a commitment"):
        encode_entry(
            id=ID, kind=EntryKind.RELEASE_SEALED, at=AT, actor="system:x", subject="x", commit={"note": Digest("hello")}
        )


@pytest.mark.parametrize(("entry", "subject"), [("not-a-ulid", "x"), (ID, "")])
def test_an_entry_needs_a_ulid_and_a_subject(entry: str, subject: str) -> None:
    with pytest.raises(EntryError):
        encode_entry(id=entry, kind=EntryKind.RELEASE_SEALED, at=AT, actor="system:x", subject=subject)


def test_fractions_and_unnormalised_text_are_refused_with_the_entry_named() -> None:
    for value in (0.5, "e\u0301"):
        with pytest.raises(EntryError, match=ID):
            encode_entry(
                id=ID, kind=EntryKind.RELEASE_SEALED, at=AT, actor="system:x", subject="x", data={"value": value}
            )


def test_more_than_64_kib_is_refused_and_64_kib_are_not() -> None:
    def size_of(text: int) -> int:
        data: dict[str, Json] = {"v": "x" * text}
        return len(
            encode_entry(id=ID, kind=EntryKind.RELEASE_SEALED, at=AT, actor="system:x", subject="x", data=data).bytes
        )

    overhead = size_of(0)
    assert size_of(65_536 - overhead) == 65_536
    with pytest.raises(EntryError, match="more than 65536"):
        size_of(65_537 - overhead)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"a":1',
        example().replace(b'"v":1', b'"v":2'),
        example().replace(b'","kind', b'", "kind'),
        example().replace(b'"space":"production-us-east-space"', b'"space":null'),
        example().replace(b'"data":{"decision":"approve","gate":"cab","role":"security-director"}', b'"data":[]'),
        example().replace(b"2026-03-02T09:15:00.000Z", b"2026-03-02T09:15:00.000"),
        example().replace(b'"v":1}', b'"v":1,"w":1}'),
    ],
)
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    with pytest.raises(EntryError):
        decode_entry(data)


def test_an_entry_of_a_newer_version_of_the_product_still_decodes() -> None:
    assert decode_entry(example().replace(b"gate.signed_off", b"gate.sung_aloud")).kind == "gate.sung_aloud"


@given(st.dictionaries(st.text("abc", min_size=1), st.text("xyz"), max_size=4))
def test_disclosures_open_their_commitments_and_no_two_share_a_salt(values: dict[str, str]) -> None:
    counter = iter(range(1_000))
    opened = disclosures_of(values, entropy=lambda size: next(counter).to_bytes(size, "big"))
    commits = commitments_of(opened)
    assert commits.keys() == values.keys()
    assert all(is_opened_by(commits[item.field], salt=item.salt, value=item.value) for item in opened)
    assert len({item.salt for item in opened}) == len(values)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        commitment(b"short", "value")


def test_every_kind_is_a_noun_and_a_verb() -> None:
    assert all(kind.value.count(".") == 1 and kind.noun for kind in EntryKind)


def test_decisions_are_signed_at_once_and_interactions_are_not() -> None:
    assert is_signed_at_once(EntryKind.GATE_SIGNED_OFF)
    assert is_signed_at_once(EntryKind.DEPLOYMENT_PROMOTED)
    assert is_signed_at_once(EntryKind.DEPLOYMENT_ROLLED_BACK)
    assert is_signed_at_once(EntryKind.TAKEDOWN_REQUESTED)
    assert not is_signed_at_once(EntryKind.INTERACTION_RECORDED)
