"""Which current evidence a gate looks at: what was made in its space, or in none.

Rule: a gate that names a space looks at that space's evidence and, where the kind is not bound to a space, at evidence
of none; a gate that names no space looks at evidence made in none, or else in a space that it does not open itself.
What later spaces bring therefore never unsettles an earlier gate: a rollback rehearsed in production leaves the board's
decision alone. Fail mode: where a kind has nothing of the right space, everything of it is shown, so that the gate can
say what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pilotage.evidence.records import Evidence
from pilotage.workspace.gate import Gate

_BOUND = frozenset(
    {"tests.integration", "tests.api", "tests.smoke", "tests.functional", "tests.regression", "tests.e2e"}
)
_BOUND_ROOMS = frozenset({"load", "failover", "recovery", "accessibility", "uat"})


def is_space_bound(kind: str) -> bool:
    """Tell whether evidence of this kind only counts in the space it was made in."""
    return kind in _BOUND or kind.partition(".")[0] in _BOUND_ROOMS


def in_view(items: Sequence[Evidence], gate: Gate, opens: Collection[str] = ()) -> tuple[Evidence, ...]:
    """Return the items a gate looks at, in their order. `opens`: the spaces that the gate lets a release into."""
    by_kind: dict[str, list[Evidence]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    kept = {item.id for kind, found in by_kind.items() for item in _of_kind(kind, found, gate, opens)}
    return tuple(item for item in items if item.id in kept)


def _of_kind(kind: str, found: Sequence[Evidence], gate: Gate, opens: Collection[str]) -> Sequence[Evidence]:
    nowhere = [item for item in found if item.space is None]
    if gate.space is None:
        return nowhere or [item for item in found if item.space not in opens] or found
    here = [item for item in found if item.space == gate.space]
    right = here if is_space_bound(kind) else [*here, *nowhere]
    return right or found
