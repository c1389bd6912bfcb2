"""Which release a rollback returns to (rollouts.md 8.2).

The newest one that was authorised and completed in the space, or was recorded as the one before, and is neither
revoked nor quarantined and can be loaded. Expired approvals do not block it. A first release returns to
`not_released`, which always is authorised. Fail mode: where releases were served before and none is left, the space
goes to maintenance, which is a SEV1, never to a release somebody withdrew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.release.seal import ReleaseState


class TargetKind(StrEnum):
    """A release, the built-in answer of a space that never had one, or the closed door."""

    RELEASE = "release"
    NOT_RELEASED = "not_released"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A release that served the space before, newest first. `loads`: every part is in the store with its digest."""

    release: Digest
    state: ReleaseState
    loads: bool = True
    quarantined_here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where traffic goes. `release` is None unless `kind` is `release`. `skipped` says why others were passed over."""

    kind: TargetKind
    release: Digest | None = None
    skipped: tuple[Reason, ...] = ()

    @property
    def told(self) -> str:
        """Where traffic went, as a sentence goes on about it."""
        if self.kind is TargetKind.RELEASE:
            return f"back on {self.release}"
        if self.kind is TargetKind.NOT_RELEASED:
            return "nothing was released there before, and askers are told so"
        return "nothing that may serve is left, and the door is closed"


_WITHDRAWN = {
    ReleaseState.REVOKED: "RELEASE_REVOKED",
    ReleaseState.QUARANTINED: "RELEASE_QUARANTINED",
}


def rollback_target(history: Iterable[Served], *, away_from: Digest) -> Target:
    """Return the target; `history` is what served here before, newest first, `away_from` what is to be left."""
    skipped: list[Reason] = []
    for served in history:
        if served.release == away_from:
            continue
        against = _against(served)
        if against is None:
            return Target(kind=TargetKind.RELEASE, release=served.release, skipped=tuple(skipped))
        skipped.append(against)
    kind = TargetKind.MAINTENANCE if skipped else TargetKind.NOT_RELEASED
    return Target(kind=kind, skipped=tuple(skipped))


def named_target(history: Iterable[Served], *, to: Digest, away_from: Digest) -> Target | Reason:
    """Return the release a person named as the target, or why not: never authorised here, or withdrawn."""
    served = next((one for one in history if one.release == to), None)
    if served is None or to == away_from:
        why = "is what is to be left" if to == away_from else "was never authorised in this space"
        text = f"{to} {why}. Leave out --to: the last authorised release is found without it."
        return Reason(code="ROLLBACK_TARGET", text=text, where=to)
    against = _against(served)
    if against is not None:
        text = f"{against.text} Leave out --to: the last authorised release is found without it."
        return Reason(code="ROLLBACK_TARGET", text=text, where=to, observed=against.code)
    return Target(kind=TargetKind.RELEASE, release=to)


def _against(served: Served) -> Reason | None:
    code = _WITHDRAWN.get(served.state)
    if code is None and served.quarantined_here:
        code = "RELEASE_QUARANTINED"
    if code is None and not served.loads:
        code = "RELEASE_NOT_LOADABLE"
    if code is None:
        return None
    text = f"{served.release} served here before and is passed over: {code.removeprefix('RELEASE_').lower()}."
    return Reason(code=code, text=text, where=served.release)
