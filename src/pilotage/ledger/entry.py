"""One ledger entry: a closed set of fields and one spelling of its bytes.

The stored bytes are what is hashed, never a re-encoding. `data` holds ids, digests, counts and states only; whatever
names a person or quotes a text stands in `commit` as a salted commitment. Canonical form: RFC 8785 without fractions,
strings in NFC. Fail mode: EntryError; what cannot be encoded is not appended, so its state change does not commit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pilotage.core.canonical import CanonicalError, Form, Json, canonical_bytes, parse_json
from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.core.ids import EntryId, is_ulid
from pilotage.ledger.kinds import EntryKind

__all__ = ["MAX_BYTES", "EncodedEntry", "Entry", "EntryError", "EntryKind", "decode_entry", "encode_entry"]

MAX_BYTES = 65_536
_ACTOR = re.compile(r"p_[a-z0-9]{8,32}|system:[a-z0-9-]{1,40}")
_COMMITMENT = re.compile(r"sha256:[0-9a-f]{64}")
_FIELDS = frozenset({"v", "id", "kind", "at", "actor", "subject", "space", "data", "commit"})


class EntryError(UsageError):
    """The entry breaks a rule of the ledger and was not encoded, or stored bytes are not an entry."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__("LEDGER_ENTRY", message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedEntry:
    """An entry ready to append: its id, kind and subject for look-up, and the exact bytes that are hashed."""

    id: EntryId
    kind: EntryKind
    subject: str
    bytes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A decoded entry. `kind` is text: an entry of a newer version still decodes, it only says what we do not know."""

    id: EntryId
    kind: str
    at: datetime
    actor: str
    subject: str
    space: str
    data: Mapping[str, Json]
    commit: Mapping[str, str]


def encode_entry(  # noqa: PLR0913 - the fields of an entry are the specification's, one argument each
    *,
    id: str,  # noqa: A002 - the field's name in the record
    kind: EntryKind,
    at: datetime,
    actor: str,
    subject: str,
    space: str = "",
    data: Mapping[str, Json] | None = None,
    commit: Mapping[str, Digest] | None = None,
) -> EncodedEntry:
    """Encode an entry (version 1). `actor` is a pseudonym `p_...` or `system:<job>`; `commit` maps field to commitment.

    Raises EntryError when a rule is broken or the bytes exceed 64 KiB, naming the entry and the rule.
    """
    commitments = dict(commit or {})
    _check_words(id, actor, subject, commitments)
    value: dict[str, Json] = {
        "v": 1,
        "id": id,
        "kind": kind.value,
        "at": to_text(at),
        "actor": actor,
        "subject": subject,
        "space": space,
        "data": dict(data or {}),
        "commit": commitments,
    }
    try:
        encoded = canonical_bytes(value, form=Form.ENTRY)
    except CanonicalError as error:
        message = f"Ledger entry {id} ({kind}) has no canonical form: {error}"
        raise EntryError(message) from error
    if len(encoded) > MAX_BYTES:
        message = f"Ledger entry {id} ({kind}) takes {len(encoded)} bytes, more than {MAX_BYTES}."
        raise EntryError(message, hint="Store the large content as a blob and put its digest into the entry.")
    return EncodedEntry(id=EntryId(id), kind=kind, subject=subject, bytes=encoded)


def _check_words(entry: str, actor: str, subject: str, commit: Mapping[str, str]) -> None:
    if not is_ulid(entry):
        message = f"{entry[:40]!r} is not a ULID, so it cannot be a ledger entry's id."
        raise EntryError(message)
    if _ACTOR.fullmatch(actor) is None:
        message = f"The actor of ledger entry {entry} is neither a pseudonym nor system:<job>."
        raise EntryError(message, hint="Take the pseudonym from store.pseudonyms; never write a person's id or name.")
    if not subject:
        message = f"Ledger entry {entry} has no subject."
        raise EntryError(message)
    plain = [name for name, text in commit.items() if _COMMITMENT.fullmatch(text) is None]
    if plain:
        message = f"The field {plain[0]!r} of ledger entry {entry} is not a commitment."
        raise EntryError(message, hint="Use ledger.commitment.commitment(salt, value).")


def decode_entry(data: bytes) -> Entry:
    """Decode stored bytes; raise EntryError unless they are exactly the canonical bytes of a version 1 entry."""
    try:
        value = parse_json(data)
        canonical = canonical_bytes(value, form=Form.ENTRY)
    except CanonicalError as error:
        message = f"The bytes are not a ledger entry: {error}"
        raise EntryError(message) from error
    if canonical != data:
        raise EntryError("The bytes are not in canonical form.")
    if not isinstance(value, Mapping) or value.keys() != _FIELDS or value["v"] != 1:
        raise EntryError("The bytes are not a version 1 ledger entry.")
    return Entry(
        id=EntryId(_text(value, "id")),
        kind=_text(value, "kind"),
        at=_moment(value),
        actor=_text(value, "actor"),
        subject=_text(value, "subject"),
        space=_text(value, "space"),
        data=_object(value, "data"),
        commit={name: str(text) for name, text in _object(value, "commit").items()},
    )


def _text(value: Mapping[str, Json], name: str) -> str:
    found = value[name]
    if not isinstance(found, str):
        message = f"The field {name} is not text."
        raise EntryError(message)
    return found


def _moment(value: Mapping[str, Json]) -> datetime:
    try:
        return from_text(_text(value, "at"))
    except ValueError as error:
        message = f"The field at is not a moment: {error}"
        raise EntryError(message) from error


def _object(value: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = value[name]
    if not isinstance(found, Mapping):
        message = f"The field {name} is not an object."
        raise EntryError(message)
    return found
