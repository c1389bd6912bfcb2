"""How many streams are open: 1,000 in a process, 8 of one principal (serving.md 1.4).

Fail mode: over a limit the request is refused; a slot is given back when its request ends, however it ends.
"""

from __future__ import annotations

from collections import Counter

from pilotage.serving.refusal import Code, Refusal


class StreamSlots:
    """Counts open streams of this process."""

    def __init__(self, *, process: int = 1000, principal: int = 8) -> None:
        self._process = process
        self._principal = principal
        self._open: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """How many streams are open now."""
        return self._open.total()

    def take(self, principal: str) -> Refusal | None:
        """Take a slot, or refuse."""
        if self._open.total() >= self._process:
            return Refusal(code=Code.OVERLOADED, message="Too many streams are open here. Try again.", retry_after_s=1)
        if self._open[principal] >= self._principal:
            return Refusal(
                code=Code.TOO_MANY_STREAMS,
                message=f"You have {self._principal} streams open; end one of them first.",
                retry_after_s=1,
            )
        self._open[principal] += 1
        return None

    def give_back(self, principal: str) -> None:
        """Give a slot back that `take` granted."""
        self._open[principal] -= 1
        if self._open[principal] <= 0:
            del self._open[principal]
