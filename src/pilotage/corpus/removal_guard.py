"""The removal guard: a version that would lose many documents waits for a person (corpus-and-ledger.md 1.1).

More than 20 % of the documents and more than 10 of them: an emptied folder looks exactly like this. Fail mode: not
even `--accept` overrides it at refresh; a reviewer who looks at the diff may.
"""

from __future__ import annotations

from pilotage.core.reason import Reason

MOST_SHARE = 0.20
MOST_DOCUMENTS = 10


def removal_guard(*, before: int, removed: int) -> Reason | None:
    """Return why a version with `removed` of `before` documents gone needs review, or None."""
    if removed <= MOST_DOCUMENTS or removed <= before * MOST_SHARE:
        return None
    return Reason(
        code="REMOVAL_GUARD",
        text=f"{removed} of {before} documents would vanish; review the diff and accept the version by hand.",
        observed=f"{removed / before:.1%}",
        limit=f"{MOST_SHARE:.0%} and {MOST_DOCUMENTS} documents",
    )
