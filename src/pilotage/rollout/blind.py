"""In which order a scorer sees two answers: by hash, so no judge can learn which arm comes first (rollouts.md 9)."""

from __future__ import annotations

import hashlib


def candidate_first(pair: str) -> bool:
    """Tell whether the candidate's answer is A in this pair; `pair` is its id."""
    if not pair:
        message = "A pair without an id has no order."
        raise ValueError(message)
    return hashlib.sha256(f"pilotage-blind-v1\n{pair}".encode()).digest()[0] < 128
