"""What a run under a cost cap may still spend: reserved before a call, settled after it (evaluation.md 8).

Rule: spent and reserved stand in one number, moved by one conditional statement, so no number of calls in flight can
pass the cap. Fail mode: a reservation whose worker died is never settled; it stays counted in full.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

_RESERVE: Final = text(
    "UPDATE evaluation_run SET spent_nano = spent_nano + :nano WHERE id = :run AND spent_nano + :nano <= :cap"
)
_SETTLE: Final = text("UPDATE evaluation_run SET spent_nano = spent_nano - :reserved + :paid WHERE id = :run")


def reserve_spend(connection: Connection, run: str, *, nano: int, cap: int) -> bool:
    """Reserve what a call can cost at most; False when that is more than the cap leaves."""
    return connection.execute(_RESERVE, {"run": run, "nano": nano, "cap": cap}).rowcount == 1


def settle_spend(connection: Connection, run: str, *, reserved: int, paid: int) -> None:
    """Put what a call cost in the place of what was reserved for it."""
    connection.execute(_SETTLE, {"run": run, "reserved": reserved, "paid": paid})
