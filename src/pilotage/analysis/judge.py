"""From counters to a verdict: every criterion, every guard, one outcome (rollouts.md 6.5).

GO needs every criterion proven on the counts as of now, bake over, gate holding and nothing against it. NO_GO: a guard
fired, now or earlier without a person's release, a hard event, or a critical incident. All else is INCONCLUSIVE. A
router off its fraction makes everything INCONCLUSIVE except a rollback, which no doubt may delay. Fail mode: a test
that cannot be computed makes the verdict INCONCLUSIVE; guards that did compute still fire.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pilotage.analysis.counters import Counters, Metric
from pilotage.analysis.criteria import (
    CHECKS,
    FEEDBACK_CRITERION,
    GO_CRITERIA,
    HOLDS,
    LATE,
    SAMPLE_RATIO,
    TRIPS,
    Inputs,
    Test,
    percent,
)
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Code, Effect, Judgement, Purpose, Standing, Tested, Verdict
from pilotage.core.reason import Reason

GAP_SHARE, GAP_REQUESTS = 0.001, 3
UNSCORED_SHARE = 0.01


def judge(counters: Counters, limits: Limits, alphas: Alphas, context: Context) -> Verdict:
    """Return the verdict of one step of a candidate; the same inputs give the same bytes."""
    inputs = Inputs(counters=counters, limits=limits, alphas=alphas, context=context)
    criteria = (*GO_CRITERIA, FEEDBACK_CRITERION) if context.feedback_required else GO_CRITERIA
    tests = latch(run_all((*criteria, *TRIPS, *HOLDS, *CHECKS), inputs), context.latched)
    return conclude(
        context,
        tests,
        doubts=(*context.blockers, *_missing(tests.values()), *_doubts(counters, context, tests)),
        waits=_waits(counters, context, tests),
    )


def judge_late(counters: Counters, limits: Limits, alphas: Alphas, context: Context) -> Verdict:
    """Return the verdict over a release that completed: late regressions take it out, and nothing more is proven."""
    tests = run_all(LATE, Inputs(counters=counters, limits=limits, alphas=alphas, context=context))
    text = "The rollout is complete: only the guards against late regressions look on."
    over = Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, where="completed")
    return conclude(context, tests, doubts=(*context.blockers, *_missing(tests.values())), waits=(over,))


def run_all(tests: Iterable[Test], inputs: Inputs) -> dict[str, Tested]:
    """Run tests; one that fails to compute is BROKEN and silences no other."""
    return {test.of.name: _run(test, inputs) for test in tests}


def _run(test: Test, inputs: Inputs) -> Tested:
    try:
        found = test.run(test.of, inputs)
    except (ArithmeticError, ValueError):
        return replace(test.of, standing=Standing.BROKEN)
    if found.log_e is not None and math.isnan(found.log_e):
        return replace(found, standing=Standing.BROKEN, log_e=None)
    return found


def latch(tests: dict[str, Tested], latched: Iterable[str]) -> dict[str, Tested]:
    """Return the tests with guards that fired before kept as fired; an unknown name holds rather than vanishes."""
    kept = dict(tests)
    for name in latched:
        purpose = Purpose.TRIP if name.startswith("trip.") else Purpose.HOLD
        found = kept.get(name, Tested(name=name, purpose=purpose, standing=Standing.FIRED))
        kept[name] = replace(found, standing=Standing.FIRED)
    return kept


def conclude(
    context: Context, tests: Mapping[str, Tested], *, doubts: tuple[Reason, ...], waits: tuple[Reason, ...]
) -> Verdict:
    """Combine tests and reasons. `doubts` cast doubt on the counts or the gate; `waits` only lack evidence."""
    fired = [test for test in tests.values() if test.standing is Standing.FIRED and test.purpose is not Purpose.CHECK]
    guards = tuple(_fired(test) for test in fired)
    against = (*context.hard_events, *guards, *context.incidents)
    reasons = (*against, *doubts, *waits)
    if context.hard_events or any(test.purpose is Purpose.TRIP for test in fired):
        outcome, effect = Judgement.NO_GO, Effect.ROLLBACK
    elif any(reason.code == Code.SAMPLE_RATIO for reason in doubts):
        outcome, effect = Judgement.INCONCLUSIVE, Effect.HOLD
    elif against:
        outcome, effect = Judgement.NO_GO, Effect.HOLD
    elif reasons:
        holds = any(reason.code in _HOLDING for reason in doubts)
        outcome, effect = Judgement.INCONCLUSIVE, Effect.HOLD if holds else Effect.NONE
    else:
        outcome, effect = Judgement.GO, Effect.NONE
        reasons = tuple(_proved(test) for test in tests.values() if test.standing is Standing.PROVED)
    return Verdict(
        subject=context.subject, outcome=outcome, effect=effect, reasons=reasons, tests=tests, attempt=context.attempt
    )


_HOLDING = frozenset({Code.OBSERVATION_GAP.value, Code.GATE_NOT_MET.value})


def _missing(tests: Iterable[Tested]) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            code=Code.INTERNAL_ERROR,
            text=f"Test {test.name} could not be computed from its counts. Verify the ledger and its counters.",
            where=test.name,
        )
        for test in tests
        if test.standing is Standing.BROKEN
    )


def _doubts(counters: Counters, context: Context, tests: Mapping[str, Tested]) -> tuple[Reason, ...]:
    """Reasons not to believe the counts, or not to act on them."""
    found: list[Reason] = []
    ratio = tests[SAMPLE_RATIO]
    if ratio.standing is Standing.FIRED:
        text = f"{ratio.x:,} of {ratio.n:,} principals met the candidate, not {ratio.limit[2:]}. Check the routers."
        found.append(
            Reason(code=Code.SAMPLE_RATIO, text=text, where=ratio.name, observed=f"{ratio.x:,} of {ratio.n:,}")
        )
    gap = abs(counters.admitted - counters.recorded)
    if gap > GAP_REQUESTS and gap > GAP_SHARE * counters.admitted:
        text = (
            f"{counters.admitted:,} requests were routed and {counters.recorded:,} recorded: {gap:,} are unexplained."
        )
        limit = f"{percent(GAP_SHARE)} and {GAP_REQUESTS}"
        found.append(Reason(code=Code.OBSERVATION_GAP, text=text, observed=f"{gap:,}", limit=limit))
    if counters.unscored > UNSCORED_SHARE * counters.answers:
        text = f"{counters.unscored:,} of {counters.answers:,} answers have no grounding score. Repair the scorer."
        observed = percent(counters.unscored / counters.answers) if counters.answers else f"{counters.unscored:,}"
        found.append(Reason(code=Code.JUDGE_ERROR, text=text, observed=observed, limit=percent(UNSCORED_SHARE)))
    if not context.gate_holds:
        text = "The release's own gate does not hold, or was not evaluated. See `pilotage gate`."
        found.append(Reason(code=Code.GATE_NOT_MET, text=text))
    return tuple(found)


def _waits(counters: Counters, context: Context, tests: Mapping[str, Tested]) -> tuple[Reason, ...]:
    """Reasons that more traffic or time may cure."""
    found: list[Reason] = []
    if counters.metric(Metric.ERROR).guard.n == 0:
        text = "No user request to the candidate was counted. No data is never a pass."
        found.append(Reason(code=Code.NO_TRAFFIC, text=text, observed="0 requests"))
    if not context.has_control and not context.full_weight:
        text = "Every eligible principal meets the candidate, so nothing can be compared with stable."
        found.append(Reason(code=Code.NO_CONTROL, text=text))
    found += [_open(test) for test in tests.values() if test.purpose is Purpose.GO and test.standing is Standing.OPEN]
    if context.has_control and tests[SAMPLE_RATIO].n == 0:
        text = "No principal's routing was counted, so the router's fraction is unchecked."
        found.append(Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, where=SAMPLE_RATIO))
    if not context.bake_over:
        text = "The step's bake time is not over."
        found.append(Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, where="bake"))
    return tuple(found)


def _rate(test: Tested) -> str:
    return f"{percent(test.x / test.n)} ({test.x:,} of {test.n:,})" if test.n else "no data"


def _evidence(test: Tested) -> str:
    return "" if test.log_e is None else f", log E {test.log_e:.3f} against {test.threshold or 0.0:.3f}"


def _fired(test: Tested) -> Reason:
    text = f"Guard {test.name} fired: {_rate(test)} {test.limit}{_evidence(test)}."
    return Reason(code=Code.GUARD_FIRED, text=text, where=test.name, observed=_rate(test), limit=test.limit)


def _proved(test: Tested) -> Reason:
    text = f"{test.name[3:]} {test.limit} is proven: {_rate(test)}{_evidence(test)}."
    return Reason(code=Code.PROVED, text=text, where=test.name, observed=_rate(test), limit=test.limit)


def _open(test: Tested) -> Reason:
    text = f"{test.name[3:]} {test.limit} is not proven yet: {_rate(test)}{_evidence(test)}."
    return Reason(code=Code.INSUFFICIENT_EVIDENCE, text=text, where=test.name, observed=_rate(test), limit=test.limit)
