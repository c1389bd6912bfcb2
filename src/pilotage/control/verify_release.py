"""`pilotage release verify`: recompute every file, part and manifest digest, the signature and the ledger inclusion.

Fail mode: the first thing that does not hold fails the release, and a failing release is quarantined in the same call;
where a key or another dependency is missing here nothing was found out, and the call fails.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed
from pilotage.control.withdraw_release import Withdrawing, record_state
from pilotage.core.canonical import Json, parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError, PilotageError, Unavailable
from pilotage.core.reason import Reason
from pilotage.ledger.entry import EntryKind
from pilotage.release.content import files_of, part_value
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_entries import entries_of
from pilotage.store.releases import (
    StoredRelease,
    find_release,
    get_blob,
    named_release,
    part_bodies,
)

_ACTOR = "system:release-verify"
_OURS = "KEY_"
"""Codes of the keyring: they speak of the keys of this machine, not of the release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCheck:
    """One check; `reason` is None when it holds."""

    name: str
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVerification:
    """What was recomputed."""

    digest: Digest
    checks: tuple[ReleaseCheck, ...]
    quarantined: bool

    @property
    def is_verified(self) -> bool:
        """Tell whether every check holds."""
        return all(check.reason is None for check in self.checks)

    def as_json(self) -> dict[str, Json]:
        """Return the result for CLI and API."""
        return {
            "digest": self.digest,
            "verified": self.is_verified,
            "quarantined": self.quarantined,
            "checks": {check.name: "ok" if check.reason is None else check.reason.as_json() for check in self.checks},
        }


def verify_release(instance: Instance, name: str) -> ReleaseVerification:
    """Verify one release; quarantine it when anything fails."""
    with instance.engine.begin() as connection:
        stored = named_release(connection, name)
        checks = _checks(connection, instance, stored)
        failed = [check.reason for check in checks if check.reason is not None]
        state = _quarantined(connection, instance, stored, failed[0]) if failed else stored.state
    quarantined = state is ReleaseState.QUARANTINED
    return ReleaseVerification(digest=stored.digest, checks=checks, quarantined=quarantined)


def release_problems(connection: Connection, instance: Instance, stored: StoredRelease) -> tuple[Reason, ...]:
    """Return what does not verify of a release, changing nothing; Unavailable when that cannot be told here."""
    return tuple(check.reason for check in _checks(connection, instance, stored) if check.reason is not None)


def _checks(connection: Connection, instance: Instance, stored: StoredRelease) -> tuple[ReleaseCheck, ...]:
    return tuple(
        ReleaseCheck(name=label, reason=_reason_of(check, stored.digest))
        for label, check in (
            ("manifest", lambda: _check_manifest(stored)),
            ("parts", lambda: _check_parts(connection, stored)),
            ("signature", lambda: _check_signature(instance, stored)),
            ("ledger", lambda: _check_ledger(connection, stored)),
        )
    )


def _reason_of(check: Callable[[], Reason | None], digest: Digest) -> Reason | None:
    try:
        return check()
    except Unavailable as error:
        if not isinstance(error, IntegrityError) or error.code.startswith(_OURS):
            raise
        return Reason(code=error.code, text=str(error), where=digest)
    except PilotageError as error:
        return Reason(code=error.code, text=str(error), where=digest)
    except (ValueError, KeyError, TypeError) as error:
        return Reason(code="VERIFY_BYTES", text=str(error), where=digest)


def _check_manifest(stored: StoredRelease) -> Reason | None:
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    same = (manifest.workflow, manifest.parent, manifest.parts_digest)
    if same == (stored.workflow, stored.parent, stored.parts_digest):
        return None
    text = "The row of the release names another workflow, parent or content than its manifest."
    return Reason(code="VERIFY_MANIFEST", text=text, where=stored.digest)


def _check_parts(connection: Connection, stored: StoredRelease) -> Reason | None:
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    bodies = part_bodies(connection, manifest)
    for kind in PartKind:
        value = part_value(bodies[kind], digest=manifest.parts[kind], kind=kind)
        if kind in {PartKind.PROMPT, PartKind.GOLDEN}:
            for file in files_of(value):
                get_blob(connection, file.sha256)
    return None


def _check_signature(instance: Instance, stored: StoredRelease) -> Reason | None:
    seal = parse_json(stored.seal)
    about = (seal.get("digest"), seal.get("parts_digest")) if isinstance(seal, dict) else None
    if about != (stored.digest, stored.parts_digest):
        text = "The seal is about another release."
        return Reason(code="VERIFY_SIGNATURE", text=text, where=stored.digest)
    key = Ed25519PublicKey.from_public_bytes(instance.keyring.public(stored.key_name))
    try:
        key.verify(base64.b64decode(stored.signature, validate=True), stored.seal)
    except (InvalidSignature, ValueError):
        text = f"The signature of the seal is not by the key {stored.key_name}."
        return Reason(code="VERIFY_SIGNATURE", text=text, where=stored.digest)
    return None


def _check_ledger(connection: Connection, stored: StoredRelease) -> Reason | None:
    entries = [one for one in entries_of(connection, stored.digest) if one.kind == EntryKind.RELEASE_SEALED]
    if len(entries) == 1 and digest_of(stored.manifest) == stored.digest:
        return None
    text = f"The ledger holds {len(entries)} entries of its sealing instead of one."
    return Reason(code="VERIFY_LEDGER", text=text, where=stored.digest)


def _quarantined(connection: Connection, instance: Instance, stored: StoredRelease, why: Reason) -> ReleaseState:
    """Quarantine a release that may serve as its row stands now, locked; return its state after that."""
    now = find_release(connection, stored.digest, lock=True) or stored
    if now.state not in {ReleaseState.SEALED, ReleaseState.DEPRECATED}:
        return now.state
    note = f"{why.code}: {why.text}"
    wanted = Withdrawing(state=ReleaseState.QUARANTINED, cause="release altered", note=note, data={"code": why.code})
    record_state(connection, now, wanted, Deed(actor=_ACTOR, at=instance.clock.now()))
    return ReleaseState.QUARANTINED
