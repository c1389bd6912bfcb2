"""How many of the eligible principals meet the candidate, so that its weight of all requests is the plan's (3.1).

Rule: `weight` is the share of all the space's requests; it is taken from the cohort only, and frozen at step start.
Fail mode: an unknown history counts as a cohort share of 1, so the real share never exceeds the plan; an empty cohort
is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from pilotage.core.reason import Reason, Refusal
from pilotage.rollout.assignment import PPM


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTraffic:
    """What a step's weight means in a space. Shares in [0, 1]; `reachable` is the weight that can really be met."""

    fraction_ppm: int
    cohort_share: float
    reachable: float
    warnings: tuple[Reason, ...] = ()

    @property
    def has_control(self) -> bool:
        """Whether some of the eligible principals stay with stable: without, nothing can be compared."""
        return self.fraction_ppm < PPM


def step_traffic(weight: float, cohort_share: float | None, *, members: int | None = None) -> StepTraffic | Refusal:
    """Return the fraction of a step; `cohort_share` None means no history, `members` 0 an empty cohort."""
    if members == 0 or cohort_share == 0:
        text = "The step's cohort has nobody in it: no request could ever meet the candidate. Name other groups."
        return Refusal(reasons=(Reason(code="COHORT_EMPTY", text=text, observed="0", limit=">= 1"),))
    share = 1.0 if cohort_share is None else cohort_share
    if not (0 < share <= 1 and 0 < weight <= 1):
        message = f"Weight {weight!r} and cohort share {cohort_share!r} must lie in (0, 1]."
        raise ValueError(message)
    # Decimal text first: 0.05 means 5 %, not the binary number just above it.
    exact = PPM * Fraction(str(weight)) / Fraction(str(share))
    fraction = min(PPM, math.floor(exact))
    warnings: tuple[Reason, ...] = ()
    if exact > PPM:
        text = (
            f"Only {100 * share:.3g} % of the requests come from the cohort, so the step's {100 * weight:.3g} % cannot "
            "be reached, and nobody of it stays with stable to be compared with (no_control)."
        )
        warnings = (
            Reason(
                code="WEIGHT_UNREACHABLE", text=text, observed=f"{100 * share:.3g} %", limit=f"{100 * weight:.3g} %"
            ),
        )
    return StepTraffic(fraction_ppm=fraction, cohort_share=share, reachable=min(weight, share), warnings=warnings)
