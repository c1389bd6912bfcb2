"""As which model a provider answers, and whether a run's answers can speak for the release (gates.md 1.4).

Rule: where a release's first answers fixed the model, a run that another one answered is no evidence of it:
INCONCLUSIVE, whatever it found. A change that was noticed and waits for its run is judged by that run. Fail mode: an
answer that names no model says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pilotage.core.reason import Reason

CHANGED: Final = "MODEL_IDENTITY_CHANGED"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Identity:
    """What a provider calls the model that answered; `fingerprint` empty where it tells none."""

    model: str
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"{self.model} ({self.fingerprint})" if self.fingerprint else self.model


def finding_of(identity: Identity) -> str:
    """Return the finding by which a risk acceptance names another model."""
    return f"{CHANGED} {identity}"


def strange_reason(
    answered: Iterable[Identity], known: frozenset[Identity] | None, *, compared: str = ""
) -> Reason | None:
    """Return why a run does not speak for its release; `known` None: nothing is fixed yet.

    `compared`: the release that it was compared with and that answered so, empty: it is its own.
    """
    strange = [] if known is None else sorted(set(answered) - known)
    if not strange:
        return None
    seen, wanted = (", ".join(str(one) for one in names) for names in (strange, sorted(known or ())))
    text = (
        f"{seen} answered in this run; the release answers as {wanted}. The run counts for nothing. Once an asker is"
        " answered so too, rollouts are held and a run of it is asked for."
    )
    if compared:
        text = (
            f"{seen} answered for {compared[:19]}, which this run compares with and which answers as {wanted}. The run"
            f" counts for nothing. Run `pilotage evaluate {compared[:19]} --space SPACE` where it serves until that is"
            " GO, or name another --baseline."
        )
    return Reason(code=CHANGED, text=text, observed=seen, limit=wanted)
