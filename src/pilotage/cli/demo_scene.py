"""What every act of the demo shares: a step that must be agreed to, and the error that stops the telling."""

from __future__ import annotations

from typing import TypeVar

from pilotage.core.reason import Refusal

T = TypeVar("T")


class SceneError(Exception):
    """A scene did not end as it must."""


def agreed(result: T | Refusal) -> T:
    """Return the result; raise SceneError with every reason of a refusal."""
    if isinstance(result, Refusal):
        message = "; ".join(f"{reason.code} {reason.text}" for reason in result.reasons)
        raise SceneError(message)
    return result
