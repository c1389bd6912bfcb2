"""A gate's decision as others can check it: in-toto Statement v1 in a DSSE envelope (gates.md 6.3).

Rule: pure; who holds the key signs `pae(...)`. The payload is canonical JSON (RFC 8785), so equal decisions give equal
bytes. Fail mode: an envelope of another form or type raises ExportError; nothing is read from it.

Sources: in-toto attestation framework v1 (Statement), DSSE v1 (protocol and envelope).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import CanonicalError, Form, Json, canonical_bytes, parse_json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.gate.records import GateInput, RiskAcceptance, Vote
from pilotage.gate.report import GateReport

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:pilotage:gate-decision:v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


class ExportError(UsageError):
    """The document is no signed decision."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "DECISION_EXPORT", message, hint="Make it anew with `pilotage gate export DIGEST --gate NAME`."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope with one signature. `keyid` is a hint only; the reader brings the key."""

    payload: bytes
    signature: bytes
    keyid: str

    def as_json(self) -> dict[str, Json]:
        """Return the envelope as DSSE writes it."""
        signature: dict[str, Json] = {"keyid": self.keyid, "sig": base64.b64encode(self.signature).decode()}
        return {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [signature],
        }


def statement(*, name: str, release: Digest, predicate: Mapping[str, Json]) -> dict[str, Json]:
    """Return the statement that this predicate holds of a release."""
    algorithm, _, value = release.partition(":")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {algorithm: value}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": dict(predicate),
    }


def payload_of(value: Mapping[str, Json]) -> bytes:
    """Return the bytes that are signed for, canonical."""
    return canonical_bytes(dict(value), form=Form.PLAIN)


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return DSSE's pre-authentication encoding: what the signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def read_envelope(value: Json) -> Envelope:
    """Return the envelope that a JSON value holds."""
    if not isinstance(value, Mapping) or value.get("payloadType") != PAYLOAD_TYPE:
        message = f"The envelope's payloadType is not {PAYLOAD_TYPE}."
        raise ExportError(message)
    signatures = value.get("signatures")
    if not isinstance(signatures, Sequence) or isinstance(signatures, str) or len(signatures) != 1:
        raise ExportError("The envelope does not hold exactly one signature.")
    (first,) = signatures
    if not isinstance(first, Mapping):
        raise ExportError("The envelope's signature is no object.")
    return Envelope(
        payload=_base64(value.get("payload")),
        signature=_base64(first.get("sig")),
        keyid=str(first.get("keyid", "")),
    )


def read_predicate(envelope: Envelope) -> tuple[Digest, Mapping[str, Json]]:
    """Return the release and the predicate of a statement; its signature is the caller's to check first."""
    try:
        value = parse_json(envelope.payload)
    except CanonicalError as error:
        message = f"The payload is no JSON: {error}"
        raise ExportError(message) from None
    match value:
        case {
            "_type": str(kind),
            "predicateType": str(predicate_type),
            "subject": [{"digest": {"sha256": str(digest)}}],
            "predicate": dict(predicate),
        } if kind == STATEMENT_TYPE and predicate_type == PREDICATE_TYPE:
            return Digest(f"sha256:{digest}"), predicate
        case _:
            message = f"The payload is no in-toto statement with predicate {PREDICATE_TYPE}."
            raise ExportError(message)


def _base64(value: Json) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        raise ExportError("The envelope holds what is no base64.") from None


def predicate_of(
    report: GateReport, given: GateInput, *, input_digest: Digest, engine: str, at: str
) -> dict[str, Json]:
    """Return the decision: what was decided, from which inputs, by whom, under which rules, by which engine."""
    bound = report.bound
    return {
        "gate": report.gate,
        "half": report.half.value,
        "status": report.status.value,
        "attempt": report.attempt,
        "at": at,
        "engine": {"name": "pilotage", "version": engine},
        "bind": report.bind,
        "inputs": {
            "gate_input": input_digest,
            "evidence_set": bound.evidence_set,
            "plan": bound.plan,
            "space": bound.space,
            "space_config": bound.space_config,
            "cab_pack": bound.cab_pack,
        },
        "policy": given.policy,
        "roster": given.roster.version,
        "criteria": [criterion.as_json() for criterion in report.criteria],
        "signoffs": [signoff.as_json() for signoff in report.signoffs],
        "reasons": [dict(reason.as_json()) for reason in report.reasons],
        "votes": [_vote(vote) for vote in given.votes],
        "acceptances": [_acceptance(one, used=one.id in report.acceptances) for one in given.acceptances],
        "evidence": list(report.evidence),
    }


def _vote(vote: Vote) -> dict[str, Json]:
    return {
        "id": vote.id,
        "person": vote.person,
        "role": vote.role.value,
        "seat": vote.is_seat,
        "decision": vote.decision.value,
        "bind": vote.bind,
        "at": to_text(vote.at),
        "attempt": vote.attempt,
        "comment": vote.comment,
        "delegated_from": vote.delegated_from,
    }


def _acceptance(one: RiskAcceptance, *, used: bool) -> dict[str, Json]:
    return {
        "id": one.id,
        "risk": one.risk,
        "severity": one.severity.value,
        "covers": [*one.criteria, *(seat.value for seat in one.seats), *one.findings],
        "approvers": [{"person": who.person, "role": who.role.value, "at": to_text(who.at)} for who in one.approvers],
        "owner": one.owner,
        "expires": to_text(one.expires),
        "used": used,
    }
