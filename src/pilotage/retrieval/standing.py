"""How long the ACLs of a corpus stand: a revision is visible up to a moment, unless its ACL is confirmed again by then.

Rule: time passes without any change of generation, so what was decided holds up to the next moment only. Fail mode: a
revision without a moment stands never.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from pyroaring import BitMap

_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Revisions by the last moment at which their ACL stands; `moments` ascend, `revisions` go with them.

    `confirmations` counts those of the corpus when this was read.
    """

    confirmations: int
    moments: tuple[datetime, ...]
    revisions: tuple[BitMap, ...]
    _left: dict[int, BitMap] = field(default_factory=dict)

    def at(self, now: datetime) -> tuple[BitMap, datetime | None]:
        """Return what stands, and the last moment at which just these do; None: nothing does any more."""
        first = bisect_left(self.moments, now)
        if first == len(self.moments):
            return BitMap(), None
        left = self._left.get(first)
        if left is None:
            left = BitMap.union(*self.revisions[first:])
            self._left.clear()
            self._left[first] = left
        return left, self.moments[first]

    def beside(self, revisions: BitMap) -> Standing:
        """Return it with revisions whose ACL does not age."""
        return Standing(
            confirmations=self.confirmations,
            moments=(*self.moments, _ALWAYS),
            revisions=(*self.revisions, revisions),
        )


def make_standing(confirmations: int, confirmed: Mapping[datetime, BitMap], max_age: timedelta) -> Standing:
    """Return how long revisions stand, from the moments at which their ACLs were confirmed."""
    moments = sorted(confirmed)
    return Standing(
        confirmations=confirmations,
        moments=tuple(moment + max_age for moment in moments),
        revisions=tuple(confirmed[moment] for moment in moments),
    )
