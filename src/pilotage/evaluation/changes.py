"""What may change under a release without changing it: accepted documents, guard and price in force, incidents.

Rule: a change is something that was not seen of the same release before; a release, or a corpus, that is new brings
none; another model at the provider is watched by itself (gates.md 1.4). Fail mode: what nobody reported is no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What stands under the releases that serve a workflow.

    `corpora`: newest accepted version by name. By release: `prices` as text; `drifts`, the parts that
    a process holds otherwise than approved. `incidents`: the newest ids.
    """

    corpora: Mapping[str, int] = field(default_factory=dict)
    prices: Mapping[str, str] = field(default_factory=dict)
    drifts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    incidents: frozenset[str] = _NONE


def changes(before: InForce, now: InForce) -> tuple[str, ...]:
    """Return what changed, as sentences without a full stop."""
    accepted = [f"{name}@{now.corpora[name]} was accepted" for name in _moved(before.corpora, now.corpora)]
    prices = [f"the price of {release[:19]} changed" for release in _moved(before.prices, now.prices)]
    drifts = [
        f"the {one} in force is not as approved"
        for release, found in sorted(now.drifts.items())
        if release in before.drifts
        for one in _new(before.drifts[release], found)
    ]
    incidents = [f"incident {one} was opened" for one in _new(before.incidents, now.incidents)]
    return (*accepted, *prices, *drifts, *incidents)


def _moved(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return [name for name in sorted(now) if name in before and before[name] != now[name]]


def _new(before: frozenset[str], now: frozenset[str]) -> list[str]:
    return sorted(now - before)
