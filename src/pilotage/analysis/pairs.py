"""The verdict over shadow or replay pairs: is the candidate no worse than stable on the same questions.

Hold: more than half of the discordant pairs go against the candidate. GO, non-inferior: below 60 % of the discordant
pairs, or below 1 % of all pairs, each at half the GO level (rollouts.md 6.4, 9). Fail mode: no pairs, over 5 % lost, or
a scorer whose answer depends on the order of A and B is INCONCLUSIVE.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.analysis.counters import Count, PairCounters
from pilotage.analysis.eprocess import log_gt, log_lt, threshold
from pilotage.analysis.judge import conclude, latch
from pilotage.analysis.limits import Alphas, Context, go_alpha
from pilotage.analysis.verdict import Code, Purpose, Standing, Tested, Verdict
from pilotage.core.reason import Reason

DISCORDANT_LIMIT, EVERY_LIMIT = 0.6, 0.01
LOST_SHARE = 0.05
SWAPPED_PAIRS, SWAPPED_SHARE = 50, 0.10


def judge_pairs(pairs: PairCounters, alphas: Alphas, context: Context) -> Verdict:
    """Return the verdict over pairs; `has_control` and bake of the context do not matter here."""
    alpha = go_alpha(alphas.go, context.attempt) / 2
    tests = [
        _below("go.pairs_discordant", pairs.discordant, DISCORDANT_LIMIT, alpha),
        _below("go.pairs_all", pairs.every, EVERY_LIMIT, alpha),
        _worse(pairs.discordant, alphas.hold),
    ]
    is_proven = any(test.standing is Standing.PROVED for test in tests)
    named = latch({test.name: test for test in tests}, context.latched)
    return conclude(
        context, named, doubts=(*context.blockers, *_doubts(pairs, context)), waits=() if is_proven else _waits(pairs)
    )


def _below(name: str, counted: Count, limit: float, alpha: float) -> Tested:
    value = log_lt(counted.n, counted.x, limit)
    standing = Standing.PROVED if value >= threshold(alpha) else Standing.OPEN
    blank = Tested(name=name, purpose=Purpose.GO, standing=standing, limit=f"< {100 * limit:g} %")
    return replace(blank, n=counted.n, x=counted.x, log_e=value, threshold=threshold(alpha))


def _worse(counted: Count, alpha: float) -> Tested:
    value = log_gt(counted.n, counted.x, 0.5)
    fires = counted.x >= 2 and value >= threshold(alpha)
    blank = Tested(name="hold.pairs", purpose=Purpose.HOLD, standing=Standing.FIRED if fires else Standing.QUIET)
    return replace(blank, limit="> 50 %", n=counted.n, x=counted.x, log_e=value, threshold=threshold(alpha))


def _doubts(pairs: PairCounters, context: Context) -> tuple[Reason, ...]:
    found: list[Reason] = []
    sampled = pairs.every.n + pairs.lost
    if pairs.lost > LOST_SHARE * sampled:
        text = f"{pairs.lost:,} of {sampled:,} sampled pairs were lost. Lower the sample or add capacity."
        found.append(Reason(code=Code.SHADOW_LOSS, text=text, observed=f"{pairs.lost:,}", limit="5 %"))
    if pairs.swapped_checked < min(SWAPPED_PAIRS, pairs.every.n):
        text = (
            f"Only {pairs.swapped_checked} pairs were scored again with A and B exchanged; {SWAPPED_PAIRS} are needed."
        )
        found.append(Reason(code=Code.JUDGE_ERROR, text=text, observed=str(pairs.swapped_checked)))
    elif pairs.swapped_changed > SWAPPED_SHARE * pairs.swapped_checked:
        text = (
            f"Exchanging A and B changed {pairs.swapped_changed} of {pairs.swapped_checked} scores. Repair the scorer."
        )
        found.append(Reason(code=Code.JUDGE_ERROR, text=text, observed=str(pairs.swapped_changed), limit="10 %"))
    if not context.gate_holds:
        found.append(Reason(code=Code.GATE_NOT_MET, text="The release's own gate does not hold, or was not evaluated."))
    return tuple(found)


def _waits(pairs: PairCounters) -> tuple[Reason, ...]:
    if pairs.every.n == 0:
        return (
            Reason(code=Code.NO_TRAFFIC, text="No pair was completed. No data is never a pass.", observed="0 pairs"),
        )
    text = f"The candidate lost {pairs.worse:,} of {pairs.every.n:,} pairs; that does not prove it is not worse."
    return (Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, observed=f"{pairs.worse:,} of {pairs.every.n:,}"),)
