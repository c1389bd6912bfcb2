"""`/api/v1/ledger`."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.ledger_checkpoint import CheckpointWritten, write_checkpoint
from pilotage.control.ledger_epoch import declare_key_lost, open_new_epoch, rotate_ledger_key
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_verify import NotProven, prove_entry, verify_ledger
from pilotage.core.clock import to_text
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import decode_entry
from pilotage.store.ledger_browse import LedgerFilter, browse_entries

_MOST = 200


class Browsing(Body):
    """Kind or noun, subject, space, and the number to start below; at most 200 entries.

    With a space, the 100,000 entries below that number are looked through.
    """

    kind: str = ""
    subject: str = ""
    space: str = ""
    before: int | None = None
    most: int = 50


class KeyChanging(Body):
    """Why; recorded as a commitment."""

    reason: str


def _entries(call: Call) -> Result:
    refusal = may(call.actor.roles, Action.AUDIT)
    if refusal is not None:
        return refusal
    asked: Browsing = call.fields
    wanted = LedgerFilter(kind=asked.kind, subject=asked.subject, before=asked.before, space=asked.space)
    with call.instance.engine.connect() as connection:
        rows = browse_entries(connection, wanted, most=max(1, min(asked.most, _MOST)))
    entries = [(row.seq, decode_entry(bytes(row.bytes))) for row in rows]
    return {
        "entries": [
            {
                "seq": seq,
                "id": one.id,
                "kind": one.kind,
                "at": to_text(one.at),
                "actor": one.actor,
                "subject": one.subject,
                "space": one.space,
                "data": dict(one.data),
                "commit": dict(one.commit),
            }
            for seq, one in entries
        ]
    }


def _proof(call: Call) -> Result:
    refusal = may(call.actor.roles, Action.AUDIT)
    if refusal is not None:
        return refusal
    found = prove_entry(call.instance, call.params["entry"])
    if isinstance(found, NotProven):
        return {"entry": found.entry, "proof": None, "why": found.why}
    return {"entry": call.params["entry"], "proof": found.as_json()}


def _verify(call: Call) -> Result:
    refusal = may(call.actor.roles, Action.AUDIT)
    found = refusal or verify_ledger(call.instance)
    return found if isinstance(found, Refusal) else found.as_json()


def _checkpoint(call: Call) -> Result:
    refusal = may(call.actor.roles, Action.AUDIT)
    return _written(refusal or write_checkpoint(call.instance))


def _rotate(call: Call) -> Result:
    return _written(rotate_ledger_key(call.instance, actor=call.actor, reason=call.fields.reason))


def _key_lost(call: Call) -> Result:
    return _written(declare_key_lost(call.instance, actor=call.actor, reason=call.fields.reason))


def _new_epoch(call: Call) -> Result:
    return _written(open_new_epoch(call.instance, actor=call.actor, reason=call.fields.reason))


def _written(done: CheckpointWritten | Refusal) -> Result:
    return done if isinstance(done, Refusal) else done.as_json()


def _fsck(call: Call) -> Result:
    refusal = may(call.actor.roles, Action.AUDIT)
    return refusal or fsck_ledger(call.instance).as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/ledger/entries",
        command="ledger export",
        variant="entries",
        summary="Look through the ledger (auditor)",
        gives="Entries, newest first.",
        run=_entries,
        takes=Browsing,
    ),
    Operation(
        method="GET",
        path="/ledger/entries/{entry}/proof",
        command="ledger export",
        variant="proof",
        summary="Prove one entry (auditor)",
        gives="Bytes, path and signed checkpoint, for anybody to check.",
        run=_proof,
    ),
    Operation(
        method="POST",
        path="/ledger/verification",
        command="ledger verify",
        summary="Sign the tree as it is and verify everything (auditor)",
        gives="Verdict, entries, root, and the first failure.",
        run=_verify,
    ),
    Operation(
        method="POST",
        path="/ledger/checkpoints",
        command="ledger checkpoint",
        summary="Sign and publish the tree as it is now (auditor)",
        gives="The checkpoint.",
        run=_checkpoint,
    ),
    Operation(
        method="POST",
        path="/ledger/fsck",
        command="ledger fsck",
        summary="Compare everything stored with everything signed (auditor)",
        gives="The report.",
        run=_fsck,
    ),
    Operation(
        method="POST",
        path="/ledger/key/rotation",
        command="ledger rotate-key",
        summary="Let a new key sign the ledger from now on (administrator)",
        gives="The checkpoint that both keys signed.",
        run=_rotate,
        takes=KeyChanging,
    ),
    Operation(
        method="POST",
        path="/ledger/key/loss",
        command="ledger key-lost",
        summary="Go on with a new key after the old one was lost (administrator)",
        gives="The first checkpoint of the new key; verification reports the break.",
        run=_key_lost,
        takes=KeyChanging,
    ),
    Operation(
        method="POST",
        path="/ledger/epochs",
        command="ledger new-epoch",
        summary="Let the ledger go on after the database was restored (administrator)",
        gives="The first checkpoint of the new epoch.",
        run=_new_epoch,
        takes=KeyChanging,
    ),
)
