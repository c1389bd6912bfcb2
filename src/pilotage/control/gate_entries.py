"""Numbers as ledger entries about gates take them."""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json


def fixed(claims: Mapping[str, float]) -> dict[str, Json]:
    """Return numbers as the ledger takes them: no fractions, so six digits of text."""
    return {name: int(value) if value == int(value) else f"{value:.6g}" for name, value in sorted(claims.items())}
