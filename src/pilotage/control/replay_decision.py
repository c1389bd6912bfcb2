"""`pilotage release verify --bundle`: check an exported decision and make it again, without database or workspace.

Checked: the signature over the statement, the digest of every evidence file, that the input is the one signed for, that
deciding again gives the same status, and that the ledger holds the votes. Rule: a key in the bundle proves nothing
about who signed; give the key you got elsewhere. Fail mode: one check that does not hold fails the bundle.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pilotage.adapters.decision_form import input_digest, input_from
from pilotage.control.export_decision import FORMAT
from pilotage.core.canonical import CanonicalError, Form, Json, canonical_bytes, parse_json
from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import PilotageError
from pilotage.core.reason import Reason
from pilotage.gate.decide import decide
from pilotage.gate.export import Envelope, ExportError, pae, predicate_of, read_envelope, read_predicate
from pilotage.gate.records import GateInput
from pilotage.gate.report import GateReport
from pilotage.ledger.checkpoint import VerifierKey, parse_verifier_key
from pilotage.ledger.entry import decode_entry
from pilotage.ledger.proof import parse_proof


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCheck:
    """One check; `reason` is None when it holds."""

    name: str
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What was checked. `trusted` is False when the key came out of the bundle; `keyid` is the key's fingerprint."""

    release: Digest
    gate: str
    status: str
    keyid: str
    trusted: bool
    checks: tuple[BundleCheck, ...]

    @property
    def is_verified(self) -> bool:
        """Tell whether every check holds."""
        return all(check.reason is None for check in self.checks)

    def as_json(self) -> dict[str, Json]:
        """Return the result for CLI and API."""
        return {
            "digest": self.release,
            "gate": self.gate,
            "status": self.status,
            "keyid": self.keyid,
            "trusted_key": self.trusted,
            "verified": self.is_verified,
            "checks": [
                {
                    "name": one.name,
                    "ok": one.reason is None,
                    "reason": None if one.reason is None else one.reason.as_json(),
                }
                for one in self.checks
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A bundle that was read."""

    envelope: Envelope
    key: bytes
    release: Digest
    predicate: Mapping[str, Json]
    plain: Json
    given: GateInput
    at: datetime
    evidence: Mapping[str, Json]
    ledger_keys: tuple[VerifierKey, ...]
    proofs: Sequence[Json]


def replay_decision(document: bytes, *, key: bytes | None = None) -> Replay:
    """Check a bundle; `key` is the instance's public key (32 bytes), got elsewhere. ExportError for no bundle."""
    opened = _open(document, key)
    again = decide(opened.given, opened.at)
    checks: tuple[tuple[str, Callable[[], str | None]], ...] = (
        ("signature", lambda: _signature(opened)),
        ("subject", lambda: _subject(opened)),
        ("input", lambda: _input(opened)),
        ("evidence", lambda: _evidence(opened, again)),
        ("decision", lambda: _decision(opened, again)),
        ("ledger", lambda: _ledger(opened)),
    )
    return Replay(
        release=opened.release,
        gate=str(opened.predicate.get("gate")),
        status=again.status.value,
        keyid=digest_of(opened.key),
        trusted=key is not None,
        checks=tuple(_check(name, run) for name, run in checks),
    )


def _check(name: str, run: Callable[[], str | None]) -> BundleCheck:
    try:
        text = run()
    except PilotageError as error:
        text = str(error)
    reason = None if text is None else Reason(code=f"BUNDLE_{name.upper()}", text=text, where=name)
    return BundleCheck(name=name, reason=reason)


def _open(document: bytes, key: bytes | None) -> _Opened:
    try:
        value = parse_json(document)
    except CanonicalError as error:
        message = f"The bundle is no JSON: {error}"
        raise ExportError(message) from None
    match value:
        case {
            "format": str(form),
            "envelope": dict(envelope),
            "key": str(own),
            "input": dict(plain),
            "evidence": dict(evidence),
            "ledger": {"keys": list(keys), "proofs": list(proofs)},
        } if form == FORMAT:
            signed = read_envelope(envelope)
            release, predicate = read_predicate(signed)
            return _Opened(
                envelope=signed,
                key=_bytes(own) if key is None else key,
                release=release,
                predicate=predicate,
                plain=plain,
                given=input_from(plain),
                at=_time(str(predicate.get("at"))),
                evidence=evidence,
                ledger_keys=tuple(parse_verifier_key(str(one)) for one in keys),
                proofs=proofs,
            )
        case _:
            message = f"The file is no bundle of format {FORMAT}."
            raise ExportError(message)


def _bytes(text: Json) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise ExportError("The bundle holds what is no base64.") from None


def _time(text: str) -> datetime:
    try:
        return from_text(text)
    except (PilotageError, ValueError):
        message = f"The statement's time {text!r} is none."
        raise ExportError(message) from None


def _signature(opened: _Opened) -> str | None:
    try:
        public = Ed25519PublicKey.from_public_bytes(opened.key)
        public.verify(opened.envelope.signature, pae(opened.envelope.payload))
    except (InvalidSignature, ValueError):
        return f"The statement is not signed by the key {digest_of(opened.key)}."
    return None


def _subject(opened: _Opened) -> str | None:
    if opened.given.release.digest != opened.release:
        return f"The statement is about {opened.release}, the input about {opened.given.release.digest}."
    return None


def _input(opened: _Opened) -> str | None:
    inputs = opened.predicate.get("inputs")
    stated = inputs.get("gate_input") if isinstance(inputs, Mapping) else None
    found = input_digest(opened.plain)
    return None if stated == found else f"The input's digest is {found}; the statement was signed for {stated}."


def _evidence(opened: _Opened, again: GateReport) -> str | None:
    for item in opened.given.evidence:
        if item.id not in again.evidence:
            continue
        body = opened.evidence.get(item.sha256)
        if body is None:
            return f"The bytes of evidence {item.id} ({item.kind}) are not in the bundle."
        if digest_of(_bytes(body)) != item.sha256:
            return f"The bytes of evidence {item.id} ({item.kind}) do not have its digest {item.sha256}."
    return None


def _decision(opened: _Opened, again: GateReport) -> str | None:
    told = opened.predicate
    if told.get("status") != again.status.value:
        return f"The statement says {told.get('status')}; deciding again from the input gives {again.status.value}."
    if told.get("bind") != again.bind:
        return f"The statement's bind is {told.get('bind')}; deciding again gives {again.bind}."
    # Whether the input is the one that was signed is a check of its own, `input`.
    stated = Digest(str(_in(told, "inputs", "gate_input")))
    version = str(_in(told, "engine", "version"))
    found = predicate_of(again, opened.given, input_digest=stated, engine=version, at=to_text(opened.at))
    for name in sorted({*found, *told}):
        if canonical_bytes(told.get(name), form=Form.PLAIN) != canonical_bytes(found.get(name), form=Form.PLAIN):
            return f"The statement's {name} is not what deciding again gives."
    return None


def _in(told: Mapping[str, Json], name: str, key: str) -> Json:
    inner = told.get(name)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _ledger(opened: _Opened) -> str | None:
    held: dict[str, Mapping[str, Json]] = {}
    for one in opened.proofs:
        proof = parse_proof(canonical_bytes(one, form=Form.PLAIN))
        if not proof.is_valid_under(*opened.ledger_keys):
            return f"The proof of ledger entry {proof.seq} does not hold."
        entry = decode_entry(proof.data)
        held[f"{entry.kind} {entry.subject}"] = entry.data
    if f"release.sealed {opened.release}" not in held:
        return f"No proof says that {opened.release} was sealed."
    for vote in opened.given.votes:
        data = held.get(f"gate.signed_off {vote.id}")
        if data is None:
            return f"No proof says that vote {vote.id} was given."
        if data.get("bind") != vote.bind or data.get("decision") != vote.decision.value:
            return f"The ledger holds another vote {vote.id}."
    return None
