"""The proof that one entry stands in the ledger, as a document anybody can check offline.

It holds the bytes of the entry, its place, the hashes up to the root, and the signed checkpoint. Rule: a proof is
checked against a key the reader got elsewhere. Fail mode: ProofError on any other form; a wrong proof is False.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from pilotage.core.canonical import CanonicalError, Json, canonical_bytes, parse_json
from pilotage.core.errors import UsageError
from pilotage.ledger.checkpoint import NoteError, SignedCheckpoint, VerifierKey, parse_note
from pilotage.ledger.tree import is_included, leaf_hash

FORMAT = "pilotage.ledger-proof/1"


class ProofError(UsageError):
    """The document is not an inclusion proof."""

    def __init__(self, message: str) -> None:
        super().__init__("LEDGER_PROOF", message, hint=f"Expected a document of format {FORMAT}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """An entry (exact bytes), its seq, the sibling hashes nearest first, and the checkpoint they lead to."""

    seq: int
    data: bytes
    path: tuple[bytes, ...]
    note: SignedCheckpoint

    def is_valid_under(self, *keys: VerifierKey) -> bool:
        """Tell whether one of the keys signed the checkpoint and the path leads from the entry to its root."""
        tree = self.note.checkpoint
        return any(self.note.is_signed_by(key) for key in keys) and is_included(
            leaf=leaf_hash(self.data), index=self.seq, size=tree.size, proof=self.path, root=tree.root
        )

    def as_json(self) -> dict[str, Json]:
        """Return the document: base64 for bytes and hashes, the checkpoint as its note's text."""
        return {
            "format": FORMAT,
            "seq": self.seq,
            "entry": base64.b64encode(self.data).decode(),
            "path": [base64.b64encode(step).decode() for step in self.path],
            "checkpoint": self.note.note().decode(),
        }

    def as_bytes(self) -> bytes:
        """Return the document as canonical JSON."""
        return canonical_bytes(self.as_json())


def parse_proof(document: bytes) -> InclusionProof:
    """Read a proof document; ProofError when it is not one."""
    try:
        value = parse_json(document)
    except CanonicalError as error:
        raise ProofError(str(error)) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ProofError("The document names another format.")
    seq, path = value.get("seq"), value.get("path")
    if isinstance(seq, bool) or not isinstance(seq, int) or not isinstance(path, list):
        raise ProofError("The document has no seq or no path.")
    try:
        return InclusionProof(
            seq=seq,
            data=_bytes(value.get("entry")),
            path=tuple(_bytes(step) for step in path),
            note=parse_note(str(value.get("checkpoint")).encode()),
        )
    except (NoteError, binascii.Error, ValueError) as error:
        message = f"The document is damaged: {error}"
        raise ProofError(message) from None


def _bytes(value: Json) -> bytes:
    return base64.b64decode(str(value), validate=True)
