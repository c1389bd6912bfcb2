"""`pilotage gate export`: one decision as one file that replays without us.

It holds the signed statement, the gate's whole input, the bytes of the evidence that counted, and the ledger's proofs
of the votes. Rule: input, decision and bytes come from one snapshot. Fail mode: an entry that is not under a checkpoint
yet refuses the export with how long to wait.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.adapters.decision_form import input_digest, input_json
from pilotage.adapters.keyring import INSTANCE_KEY
from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import input_of, report_of
from pilotage.control.gate_status import space_for
from pilotage.control.instance import Instance
from pilotage.control.ledger_export import keys_of_log
from pilotage.control.ledger_verify import prove_entry
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.export import Envelope, pae, payload_of, predicate_of, statement
from pilotage.gate.records import GateInput
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.proof import InclusionProof
from pilotage.store.ledger_entries import entries_of
from pilotage.store.releases import get_blob, named_release

FORMAT: Final = "pilotage.gate-decision/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The bundle as one JSON document, and what it says."""

    release: Digest
    gate: str
    status: GateStatus
    keyid: str
    document: bytes

    def as_json(self) -> dict[str, Json]:
        """Return the summary for CLI and API."""
        return {
            "digest": self.release,
            "gate": self.gate,
            "status": self.status.value,
            "keyid": self.keyid,
            "bytes": len(self.document),
        }


def export_decision(
    instance: Instance, *, actor: Principal, release: str, gate: str, space: str | None = None, half: Half = Half.PRE
) -> Exported | Refusal:
    """Decide now and return the signed bundle."""
    refusal = may(actor.roles, Action.READ)
    if refusal is not None:
        return refusal
    instance.keyring.ensure(INSTANCE_KEY)
    now = from_text(to_text(instance.clock.now()))  # what the statement says is the moment that was decided at
    with instance.engine.connect() as connection, connection.begin():
        chain = open_chain(connection, instance, named_release(connection, release), now)
        named = space_for(instance, gate, space)
        report = report_of(chain, gate, half=half, space=named)
        given = input_of(chain, gate, half=half, space=named)
        evidence = _evidence(connection, given, report)
        keys = [str(key) for key in keys_of_log(connection)]
        entries = _entries(connection, given)
    proofs, waiting = _prove(instance, entries)
    if waiting:
        return Refusal(reasons=waiting)
    plain = input_json(given)
    predicate = predicate_of(report, given, input_digest=input_digest(plain), engine=__version__, at=to_text(now))
    envelope = _signed(instance, given, predicate)
    bundle: dict[str, Json] = {
        "format": FORMAT,
        "envelope": envelope.as_json(),
        "key": base64.b64encode(instance.keyring.public(INSTANCE_KEY)).decode(),
        "input": plain,
        "evidence": evidence,
        "ledger": {"keys": keys, "proofs": [proof.as_json() for proof in proofs]},
    }
    return Exported(
        release=given.release.digest,
        gate=gate,
        status=report.status,
        keyid=envelope.keyid,
        document=canonical_bytes(bundle, form=Form.PLAIN) + b"\n",
    )


def _signed(instance: Instance, given: GateInput, predicate: dict[str, Json]) -> Envelope:
    payload = payload_of(statement(name=given.release.workflow, release=given.release.digest, predicate=predicate))
    return Envelope(
        payload=payload,
        signature=instance.keyring.sign(INSTANCE_KEY, pae(payload)),
        keyid=instance.keyring.fingerprint(INSTANCE_KEY),
    )


def _evidence(connection: Connection, given: GateInput, report: GateReport) -> dict[str, Json]:
    """Return the bytes of what counted, by digest."""
    counted = sorted({item.sha256 for item in given.evidence if item.id in report.evidence})
    bodies = {sha256: get_blob(connection, sha256.removeprefix("sha256:")) for sha256 in counted}
    return {sha256: base64.b64encode(body).decode() for sha256, body in bodies.items()}


def _entries(connection: Connection, given: GateInput) -> tuple[str, ...]:
    """Return the ids of the entries that speak of the release's seal, the votes and the acceptances."""
    subjects = [given.release.digest, *(vote.id for vote in given.votes), *(one.id for one in given.acceptances)]
    wanted = ("release.sealed", "gate.")
    return tuple(
        entry.id for subject in subjects for entry in entries_of(connection, subject) if entry.kind.startswith(wanted)
    )


def _prove(instance: Instance, entries: Iterable[str]) -> tuple[list[InclusionProof], tuple[Reason, ...]]:
    proofs: list[InclusionProof] = []
    waiting: list[Reason] = []
    for entry in entries:
        found = prove_entry(instance, entry)
        if isinstance(found, InclusionProof):
            proofs.append(found)
        else:
            text = f"Entry {entry} cannot be proven yet. {found.why} Run `pilotage ledger checkpoint`, then export."
            waiting.append(Reason(code="LEDGER_NOT_PROVEN", text=text, where=entry))
    return proofs, tuple(waiting)
