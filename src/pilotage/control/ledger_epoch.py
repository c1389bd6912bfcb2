"""The three acts that change who signs the ledger: rotate its key, declare it lost, open a new epoch after a restore.

Rule: each is a person's act with role workspace-admin, a ledger entry, and a checkpoint right after. A rotation and a
new epoch are signed by both keys, so that trust passes on; a lost key breaks the chain, opens an incident, and
verification says so for ever. Fail mode: Refusal without the role or the ground for the act; nothing is signed.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from pilotage.adapters.keyring import LEDGER_KEY
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import CheckpointWritten, sequence_now, sign_tree, write_checkpoint
from pilotage.control.ledger_instance import (
    LedgerInstance,
    LedgerKey,
    current_key,
    epoch_of,
    log_name,
    origin_of,
    publication_of,
)
from pilotage.control.open_incident import Trouble, open_incident
from pilotage.control.rollout_moves import person_deed
from pilotage.core.canonical import Json
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.incident.records import Severity
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import Checkpoint, VerifierKey, signed
from pilotage.ledger.commitment import commitments_of, disclosures_of
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.ledger.handover import Handover, statement
from pilotage.store.ledger_checkpoints import add_checkpoint, set_epoch, set_key
from pilotage.store.ledger_entries import append
from pilotage.store.ledger_sequencing import Head, read_head, tile_reader
from pilotage.store.pseudonyms import pseudonym_of

KEY_LOST: Final = "ledger key lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """One of the three, as its entry records it."""

    kind: EntryKind
    subject: str
    data: dict[str, Json]


def rotate_ledger_key(instance: LedgerInstance, *, actor: Principal, reason: str) -> CheckpointWritten | Refusal:
    """Let a new key sign from now on: both keys sign the same tree, and the entry carries both signatures."""
    refused = may(actor.roles, Action.EDIT_POLICY)
    if refused is not None:
        return refused
    last = write_checkpoint(instance)
    if isinstance(last, Refusal):
        return last
    with instance.engine.begin() as connection:
        head = read_head(connection, lock=True)
        old = current_key(instance, connection, head)
        new = _next_key(instance, old.verifier.name, old.name)
        root = tiles.root(tile_reader(connection), head.size)
        for key in (old, new):
            _sign(connection, instance, key, Checkpoint(origin=old.verifier.name, size=head.size, root=root))
        data = _handover(instance, (old, new), head.size, root).as_json()
        set_key(connection, name=new.name, public=new.verifier.public)
        act = _Act(kind=EntryKind.LEDGER_KEY_ROTATED, subject=old.verifier.name, data=data)
        _record(connection, instance, actor, reason, act)
    return write_checkpoint(instance)


def declare_key_lost(instance: Instance, *, actor: Principal, reason: str) -> CheckpointWritten | Refusal:
    """Go on with a new key after the old one was lost, and open an incident; refused while the old one still opens.

    On a stopped ledger the loss is recorded all the same, and the Refusal returned says what is still to do.
    """
    refused = may(actor.roles, Action.EDIT_POLICY)
    if refused is not None:
        return refused
    with instance.engine.begin() as connection:
        head = read_head(connection, lock=True)
        if head.key_name is None or head.key_public is None:
            return _no_ground("No key was ever used, so none is lost; `pilotage ledger checkpoint` makes the first.")
        if instance.keyring.has(head.key_name) and instance.keyring.public(head.key_name) == head.key_public:
            return _no_ground(f"The key {head.key_name!r} is not lost: the keyring opens it. Rotate it instead.")
        origin = origin_of(log_name(instance, head), head.epoch)
        old = VerifierKey(name=origin, public=head.key_public)
        new = _next_key(instance, origin, head.key_name)
        set_key(connection, name=new.name, public=new.verifier.public)
        data: dict[str, Json] = {"old": str(old), "new": str(new.verifier), "size": head.size}
        _record(connection, instance, actor, reason, _Act(kind=EntryKind.LEDGER_KEY_LOST, subject=origin, data=data))
        deed = person_deed(connection, actor, at=instance.clock.now())
        open_incident(connection, instance, _loss(origin, old, new.verifier, head.size), deed)
    return write_checkpoint(instance)


def _loss(origin: str, old: VerifierKey, new: VerifierKey, size: int) -> Trouble:
    """Return what people hear of: whoever has the lost key can sign trees that nobody can tell from ours."""
    return Trouble(
        workflow=origin,
        space="",
        spaces=(),
        release=None,
        cause=KEY_LOST,
        severity=Severity.SEV2,
        summary=(
            f"The key {old} that signed {origin} up to entry {size:,} is lost; {new} signs from now on. Find out where"
            " it went, give auditors the new key, and trust no checkpoint of the old one beyond that entry."
        ),
    )


def open_new_epoch(instance: LedgerInstance, *, actor: Principal, reason: str) -> CheckpointWritten | Refusal:
    """Let the log go on after a restore, under a new origin; the entry says which published tree was lost."""
    refused = may(actor.roles, Action.EDIT_POLICY)
    if refused is not None:
        return refused
    with instance.engine.begin() as connection:
        head = read_head(connection, lock=True)
        if head.stopped is None:
            return _no_ground("The ledger is not stopped, so there is nothing a new epoch would mend.")
        old = current_key(instance, connection, head)
        epoch = max(head.epoch, _published_epoch(instance, head)) + 1
        origin = origin_of(log_name(instance, head), epoch)
        new = LedgerKey(name=old.name, verifier=VerifierKey(name=origin, public=old.verifier.public))
        root = tiles.root(tile_reader(connection), head.size)
        data = {**_handover(instance, (old, new), head.size, root).as_json(), **_lost(instance, head), "epoch": epoch}
        set_epoch(connection, epoch)
        _sign(connection, instance, new, Checkpoint(origin=origin, size=head.size, root=root))
        _record(
            connection, instance, actor, reason, _Act(kind=EntryKind.LEDGER_EPOCH_OPENED, subject=origin, data=data)
        )
    size = sequence_now(instance)
    return size if isinstance(size, Refusal) else sign_tree(instance)


def _next_key(instance: LedgerInstance, origin: str, current: str) -> LedgerKey:
    number = int(current.removeprefix(LEDGER_KEY).removeprefix("-") or "1") + 1
    name = f"{LEDGER_KEY}-{number}"
    # A crash after this line leaves an unused key; the next attempt takes it up again.
    instance.keyring.ensure(name)
    return LedgerKey(name=name, verifier=VerifierKey(name=origin, public=instance.keyring.public(name)))


def _sign(connection: Connection, instance: LedgerInstance, key: LedgerKey, tree: Checkpoint) -> None:
    note = signed(tree, key.verifier, instance.keyring.sign(key.name, tree.text()))
    add_checkpoint(connection, note, at=instance.clock.now())


def _handover(instance: LedgerInstance, keys: tuple[LedgerKey, LedgerKey], size: int, root: bytes) -> Handover:
    old, new = keys
    said = statement(old=old.verifier, new=new.verifier, size=size, root=root)
    return Handover(
        old=old.verifier,
        new=new.verifier,
        size=size,
        root=root,
        signed_by_old=instance.keyring.sign(old.name, said),
        signed_by_new=instance.keyring.sign(new.name, said),
    )


def _published_epoch(instance: LedgerInstance, head: Head) -> int:
    name, origins = log_name(instance, head), publication_of(instance).origins()
    return max((epoch_of(name, origin) or 1 for origin in origins), default=1)


def _lost(instance: LedgerInstance, head: Head) -> dict[str, Json]:
    epoch = max(head.epoch, _published_epoch(instance, head))
    published = publication_of(instance).newest(origin_of(log_name(instance, head), epoch))
    if published is None:
        return {}
    tree = published.checkpoint
    return {
        "lost_origin": tree.origin,
        "lost_size": tree.size,
        "lost_root": base64.b64encode(tree.root).decode(),
    }


def _record(connection: Connection, instance: LedgerInstance, actor: Principal, reason: str, act: _Act) -> None:
    now = instance.clock.now()
    opened = disclosures_of({"reason": reason}, entropy=secrets.token_bytes)
    entry = encode_entry(
        id=new_ulid(now),
        kind=act.kind,
        at=now,
        actor=pseudonym_of(connection, actor.id),
        subject=act.subject,
        data=act.data,
        commit=commitments_of(opened),
    )
    append(connection, entry, opened)


def _no_ground(text: str) -> Refusal:
    return Refusal(reasons=(Reason(code="LEDGER_NO_GROUND", text=text),))
