"""How trust passes from one checkpoint key to the next: a statement signed by both, inside a ledger entry.

A rotation (`ledger.key_rotated`) and a new epoch (`ledger.epoch_opened`) carry it: whoever trusts one key may trust the
other. A lost key (`ledger.key_lost`) has no signature of the old one, so trust does not pass and verification reports
the break. Rule: the two keys meet at one tree; the old one signs nothing larger, the new one nothing smaller, so that
a retired key, stolen later, signs no new history. Fail mode: anything malformed or unsigned passes no trust.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.ledger.checkpoint import NoteError, VerifierKey, parse_verifier_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Both keys, the tree (size, root of 32 bytes) they met at, and their signatures (64 bytes) over the statement."""

    old: VerifierKey
    new: VerifierKey
    size: int
    root: bytes
    signed_by_old: bytes
    signed_by_new: bytes

    def as_json(self) -> dict[str, Json]:
        """Return the `data` of the ledger entry."""
        return {
            "new": str(self.new),
            "old": str(self.old),
            "root": base64.b64encode(self.root).decode(),
            "signed_by_new": base64.b64encode(self.signed_by_new).decode(),
            "signed_by_old": base64.b64encode(self.signed_by_old).decode(),
            "size": self.size,
        }

    def is_valid(self) -> bool:
        """Tell whether both keys signed the statement."""
        said = statement(old=self.old, new=self.new, size=self.size, root=self.root)
        return self.old.verifies(self.signed_by_old, said) and self.new.verifies(self.signed_by_new, said)


def statement(*, old: VerifierKey, new: VerifierKey, size: int, root: bytes) -> bytes:
    """Return the bytes both keys sign."""
    tree = base64.b64encode(root).decode()
    return f"pilotage ledger handover/v1\n{old}\n{new}\n{size}\n{tree}\n".encode()


def parse_handover(data: Mapping[str, Json]) -> Handover | None:
    """Read a handover from the `data` of an entry; None when it is not one."""
    size = data.get("size")
    if not isinstance(size, int):
        return None
    try:
        return Handover(
            old=parse_verifier_key(str(data.get("old"))),
            new=parse_verifier_key(str(data.get("new"))),
            size=size,
            root=_bytes(data.get("root")),
            signed_by_old=_bytes(data.get("signed_by_old")),
            signed_by_new=_bytes(data.get("signed_by_new")),
        )
    except (NoteError, binascii.Error, ValueError):
        return None


def _bytes(value: Json) -> bytes:
    return base64.b64decode(str(value), validate=True)


def trusted_keys(given: Sequence[VerifierKey], handovers: Iterable[Handover]) -> tuple[VerifierKey, ...]:
    """Return the given keys and every key that a chain of valid handovers joins to one of them, in either direction."""
    trusted = list(given)
    waiting = [handover for handover in handovers if handover.is_valid()]
    grew = True
    while grew:
        grew = False
        for handover in waiting:
            pair = (handover.old, handover.new)
            if any(key in trusted for key in pair) and not all(key in trusted for key in pair):
                trusted.extend(key for key in pair if key not in trusted)
                grew = True
    return tuple(trusted)


def may_sign(key: VerifierKey, size: int, handovers: Iterable[Handover]) -> bool:
    """Tell whether a tree of this size lies within the time of a key: not after it was handed over, nor before."""
    return all((one.old != key or size <= one.size) and (one.new != key or size >= one.size) for one in handovers)
