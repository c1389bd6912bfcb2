"""What requests cost, as sums: the rows that cost reports are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Requests of one day (UTC), space, release, kind and outcome; `nano` is 1e-9 of the currency.

    `without_price`: requests that a model answered at a cost nobody knows.
    """

    day: date
    space: SpaceName
    release: Digest | None
    kind: str
    outcome: str
    was_slow: bool
    requests: int
    nano: int
    without_price: int
