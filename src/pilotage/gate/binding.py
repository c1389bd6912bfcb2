"""The digests a vote binds (gates.md 4.2): policy, evidence set, and the whole.

Rule: whatever may change a decision is under one of these digests, so a complete approval ends when any of it moves.
Fail mode: a value without canonical form raises; a gate that cannot be digested cannot be voted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum

from pilotage.core.canonical import MAX_SAFE_INTEGER, Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.evidence.records import Evidence
from pilotage.gate.records import Bound
from pilotage.workspace.gate import Gate


def policy_digest(gate: Gate, *, extra: Mapping[str, Json] | None = None) -> Digest:
    """Return the digest of a gate's rules and of what else is policy (risk tier, targets, roles)."""
    return digest_of_json({"gate": _plain(asdict(gate)), "extra": dict(extra or {})})


_LATER = "regulations"
"""A rule that came later: where a gate has none, its digest is what it was, so that no vote is lost by an upgrade."""


def _plain(value: object) -> Json:
    match value:
        case StrEnum():
            return value.value
        case dict():
            return {str(key): _plain(item) for key, item in value.items() if key != _LATER or item}
        case tuple() | list():
            return [_plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            message = f"A rule of a gate holds {value!r}, which has no canonical form; write it as text or a number."
            raise TypeError(message)


def evidence_set(items: Iterable[tuple[str, str, Mapping[str, float]]]) -> Digest:
    """Return the digest of the sorted `{kind, sha256, claims}` of the current evidence."""
    rows: list[Json] = [
        {"kind": kind, "sha256": sha256, "claims": {name: _whole(value) for name, value in claims.items()}}
        for kind, sha256, claims in sorted(items, key=lambda item: (item[0], item[1]))
    ]
    return digest_of_json(rows)


def _whole(value: float) -> float:
    """Return a whole number as an integer: both have one canonical form, and integers are written much faster."""
    return int(value) if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER and value == int(value) else value


def evidence_set_of(items: Iterable[Evidence]) -> Digest:
    """Return the digest of evidence items as they stand."""
    return evidence_set((item.kind, item.sha256, item.claims) for item in items)


def bind_of(bound: Bound) -> Digest:
    """Return the one digest a voter confirms: instance, gate, attempt, release and everything the gate binds."""
    fields: dict[str, Json] = {
        "instance": bound.instance,
        "gate": bound.gate if bound.half == "pre" else f"{bound.gate}.{bound.half.value}",
        "attempt": bound.attempt,
        "release": bound.release,
        "evidence_set": bound.evidence_set,
        "policy": bound.policy,
    }
    optional = {
        "space": bound.space,
        "plan": bound.plan,
        "space_config": bound.space_config,
        "cab_pack": bound.cab_pack,
        "board": bound.board,
    }
    fields.update({name: value for name, value in optional.items() if value is not None})
    return digest_of_json(fields)


def moved(then: Bound, now: Bound) -> tuple[str, ...]:
    """Return the names of what differs between two bindings, for the delta a voter is shown."""
    return tuple(name for name in _NAMES if getattr(then, name) != getattr(now, name))


_NAMES: tuple[str, ...] = (
    *("instance", "gate", "half", "attempt", "release", "space", "evidence_set", "policy"),
    *("plan", "space_config", "cab_pack", "board"),
)
