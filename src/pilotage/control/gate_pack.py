"""Whether the board's pack is there and still says what is true (gates.md 6.1).

Rule: what votes stand on is the frozen pack; it is outdated as soon as evidence, plan, policy, space settings or risks
differ from it. Fail mode: no pack: the gate's criterion on it is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.gate.report import GateReport
from pilotage.gate.risks import Risk
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space
from pilotage.store.gate_snapshot import FrozenPack
from pilotage.store.gate_votes import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class PackState:
    """The frozen pack of an attempt. `digest` None: none was generated. `outdated` names what moved since."""

    digest: Digest | None
    outdated: tuple[str, ...]
    sections_missing: int | None
    core: Mapping[str, Json]


def pack_core(
    *, earlier: Mapping[str, GateReport], plan: Digest | None, risks: Sequence[Risk], spaces: Sequence[Space]
) -> dict[str, Json]:
    """Return the digests whose change makes a pack outdated."""
    return {
        "evidence": {name: report.bound.evidence_set for name, report in sorted(earlier.items())},
        "policy": {name: report.bound.policy for name, report in sorted(earlier.items())},
        "plan": plan,
        "risks": digest_of_json([risk.as_json() for risk in risks]),
        "spaces": {space.name: space_digest(space) for space in spaces},
    }


def pack_state(
    attempt: Attempt | None,
    packs: Mapping[str, FrozenPack],
    *,
    earlier: Mapping[str, GateReport],
    plan: Digest | None,
    risks: Sequence[Risk],
    spaces: Sequence[Space],
) -> PackState:
    """Return the frozen pack of an attempt beside what would be frozen now."""
    core = pack_core(earlier=earlier, plan=plan, risks=risks, spaces=spaces)
    if attempt is None or attempt.pack is None:
        return PackState(digest=None, outdated=(), sections_missing=None, core=core)
    frozen = packs.get(attempt.pack)
    if frozen is None:
        return PackState(digest=None, outdated=("pack",), sections_missing=None, core=core)
    held = frozen.core if isinstance(frozen.core, Mapping) else {}
    return PackState(
        digest=attempt.pack,
        outdated=tuple(name for name in core if held.get(name) != core[name]),
        sections_missing=len(frozen.missing) if isinstance(frozen.missing, Sequence) else None,
        core=core,
    )
