"""Checkpoints are C2SP signed notes: the vector byte for byte, and verifiers that share no line with ours."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from pilotage.ledger.checkpoint import (
    Checkpoint,
    NoteError,
    SignedCheckpoint,
    VerifierKey,
    parse_note,
    parse_verifier_key,
    signed,
)

NAME = "ledger.sample-bank.example"
PRIVATE = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"pilotage test key 1").digest())
KEY = VerifierKey(name=NAME, public=PRIVATE.public_key().public_bytes_raw())
ROOT = bytes.fromhex("ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c")
VKEY = "ledger.sample-bank.example+3918c5d8+AQ3Xn5q7HpGh3Zvbq8AEr6tlpF3Y9QBvnD1ZAsqyVVto"
NOTE = """ledger.sample-bank.example
7
3bib5AOAnjJXUNPSY814kpwpQreUKjS3fhIslZSnTIw=

— ledger.sample-bank.example ORjF2FRYyBFETvZ/UoM4H1hY3U+oJuMaYtl9QCiVe9q516Y3loJx4a6CB3X+Qg3ONjSYASGdvxui+rJ+mk3\
gsVrJbws=
""".encode()


def sign(checkpoint: Checkpoint) -> SignedCheckpoint:
    return signed(checkpoint, KEY, PRIVATE.sign(checkpoint.text()))


def is_accepted_independently(note: bytes, vkey: str) -> bool:
    """Follow https://c2sp.org/signed-note and tlog-checkpoint with nothing but a base64 and an Ed25519 routine."""
    name, key_id, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    if key[0] != 1 or hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() != key_id:
        return False
    text, separator, signatures = note.decode().rpartition("\n\n")
    if not separator or not note.endswith(b"\n"):
        return False
    for line in signatures.splitlines():
        dash, signer, blob = line.split(" ")
        raw = base64.b64decode(blob, validate=True)
        if dash == "\u2014" and signer == name and raw[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], (text + "\n").encode())
            except InvalidSignature:
                return False
            origin, size, root = text.split("\n")
            return origin == name and size.isdecimal() and len(base64.b64decode(root)) == 32
    return False


def test_the_note_is_the_one_of_the_specification_byte_for_byte() -> None:
    note = sign(Checkpoint(origin=NAME, size=7, root=ROOT)).note()
    assert note == NOTE
    assert len(note) == 199
    assert hashlib.sha256(note).hexdigest() == "b8eec7de1cc87575239c500a38939303fdce3047445463bc2585bbc382adc2f0"
    assert str(KEY) == VKEY


def test_an_independent_verifier_accepts_the_note_and_no_changed_one() -> None:
    assert is_accepted_independently(NOTE, VKEY)
    assert not is_accepted_independently(NOTE.replace(b"\n7\n", b"\n8\n"), VKEY)


@given(st.integers(0, 2**60), st.binary(min_size=32, max_size=32))
def test_an_independent_verifier_accepts_every_note_we_sign(size: int, root: bytes) -> None:
    assert is_accepted_independently(sign(Checkpoint(origin=NAME, size=size, root=root)).note(), VKEY)


def test_parsing_gives_back_the_same_bytes() -> None:
    note = parse_note(NOTE)
    assert note.note() == NOTE
    assert note.checkpoint == Checkpoint(origin=NAME, size=7, root=ROOT)
    assert note.is_signed_by(parse_verifier_key(VKEY))


def test_a_witness_may_sign_too_and_is_kept() -> None:
    witnessed = NOTE + "\u2014 witness.example AAAAAAECAwQ=\n".encode()
    note = parse_note(witnessed)
    assert note.note() == witnessed
    assert note.is_signed_by(KEY)
    assert not note.is_signed_by(VerifierKey(name="witness.example", public=KEY.public))


@pytest.mark.parametrize("place", range(len(NOTE)))
def test_no_flipped_byte_of_a_note_verifies(place: int) -> None:
    changed = NOTE[:place] + bytes([NOTE[place] ^ 1]) + NOTE[place + 1 :]
    try:
        assert not parse_note(changed).is_signed_by(KEY)
    except NoteError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"a\n1\n\n",
        NOTE.removesuffix(b"\n"),
        NOTE.replace(b"\n7\n", b"\n07\n"),
        NOTE.replace(b"\n7\n", b"\n-7\n"),
        NOTE.replace(b"3bib", b"3b!b"),
        NOTE.replace(b"3bib5AOAnjJXUNPSY814kpwpQreUKjS3fhIslZSnTIw=", b"3bib"),
        NOTE.replace("\u2014 ".encode(), b"- "),
        NOTE.replace(b" ORjF", b" x ORjF"),
        NOTE.replace(b"TIw=", b"TIx="),
    ],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError):
        parse_note(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name+00000000",
        VKEY.replace("3918", "3919"),
        VKEY.replace("+AQ", "+BA"),
        "a b" + VKEY,
        VKEY[:-4],
        VKEY[:-1] + "!",
    ],
)
def test_a_damaged_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_verifier_key(text)


def test_a_wrong_signature_is_never_joined_to_a_checkpoint() -> None:
    with pytest.raises(NoteError, match="does not verify"):
        signed(Checkpoint(origin=NAME, size=7, root=ROOT), KEY, bytes(64))
