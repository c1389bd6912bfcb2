"""What the ledger's use cases need of an instance, the log's name, and its current checkpoint key.

Rule: the log is named as `pilotage.yaml` declares (`ledger:`, by default `ledger.<workspace id>`) when its first key is
made, keeps that name for good, and gets its epoch behind it once a restore forced a new one. Its key is the one
`ledger_head` names. Fail mode: a missing or foreign key is Unavailable; a new one is made only where none ever was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, Engine

from pilotage.adapters.checkpoints import CheckpointFolder
from pilotage.adapters.keyring import LEDGER_KEY, Keyring
from pilotage.core.clock import Clock
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import new_ulid
from pilotage.ledger.checkpoint import VerifierKey
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.ledger_checkpoints import set_key, set_name
from pilotage.store.ledger_entries import append
from pilotage.store.ledger_sequencing import Head

SYSTEM_ACTOR: Final = "system:ledger"


class Named(Protocol):
    """A workspace, as far as the ledger cares."""

    @property
    def ledger(self) -> str:
        """The declared name of its log."""
        ...


class LedgerInstance(Protocol):
    """The part of `control.instance.Instance` the ledger uses."""

    @property
    def workspace(self) -> Named:
        """The declared workspace, which names the log."""
        ...

    @property
    def home(self) -> Path:
        """PILOTAGE_HOME, where checkpoints are published by default."""
        ...

    @property
    def engine(self) -> Engine:
        """The database."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def keyring(self) -> Keyring:
        """The keys."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerKey:
    """A signing key of the keyring, and the verifier key the world knows it by."""

    name: str
    verifier: VerifierKey


def log_name(instance: LedgerInstance, head: Head) -> str:
    """Return the name the log was begun under, else the declared one: verifiers know it, so it never changes."""
    return head.name or instance.workspace.ledger


def origin_of(name: str, epoch: int) -> str:
    """Return the origin of a log of this name, which is also the name of its key."""
    return name if epoch == 1 else f"{name}.epoch-{epoch}"


def epoch_of(name: str, origin: str) -> int | None:
    """Return the epoch an origin of the log of this name says, None for another log."""
    if origin == name:
        return 1
    number = origin.removeprefix(f"{name}.epoch-")
    return int(number) if number != origin and number.isdecimal() else None


def publication_of(instance: LedgerInstance) -> CheckpointFolder:
    """Return where checkpoints are published."""
    return CheckpointFolder(folder=instance.home / "checkpoints")


def current_key(instance: LedgerInstance, connection: Connection, head: Head) -> LedgerKey:
    """Return the log's key; the caller holds the head's lock. The very first one is created here, with its entry.

    Unavailable (with the ways out) when the keyring lost it; IntegrityError when it holds another under its name.
    """
    origin = origin_of(log_name(instance, head), head.epoch)
    if head.key_name is None or head.key_public is None:
        return _first_key(instance, connection, origin)
    public = instance.keyring.public(head.key_name)
    if public != head.key_public:
        raise IntegrityError(
            "LEDGER_KEY_FOREIGN",
            f"The keyring's key {head.key_name!r} is not the one that signs {origin}.",
            hint="Restore the keys of this database's instance, or run `pilotage ledger key-lost`.",
        )
    return LedgerKey(name=head.key_name, verifier=VerifierKey(name=origin, public=public))


def _first_key(instance: LedgerInstance, connection: Connection, origin: str) -> LedgerKey:
    instance.keyring.ensure(LEDGER_KEY)
    verifier = VerifierKey(name=origin, public=instance.keyring.public(LEDGER_KEY))
    set_name(connection, instance.workspace.ledger)
    set_key(connection, name=LEDGER_KEY, public=verifier.public)
    now = instance.clock.now()
    append(
        connection,
        encode_entry(
            id=new_ulid(now),
            kind=EntryKind.LEDGER_KEY_CREATED,
            at=now,
            actor=SYSTEM_ACTOR,
            subject=origin,
            data={"key": str(verifier)},
        ),
    )
    return LedgerKey(name=LEDGER_KEY, verifier=verifier)
