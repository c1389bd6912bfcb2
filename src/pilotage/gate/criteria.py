"""One criterion over the current evidence: what was observed, what the limit is, and why it does not hold.

Rule: counts of several suites add up, everything else must hold in each of them; a weaker source can only make a result
worse. Fail mode: nothing, an absent claim, a value that is no number, or too little trust is inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.reason import Outcome, Reason, worst
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.reader_versions import CHANGED, changed_reason
from pilotage.evidence.records import Evidence, Severity
from pilotage.evidence.scan_result import UNPROVEN
from pilotage.evidence.superseding import (
    BASELINE,
    ENGINE,
    VERDICT,
    is_lower_better,
)
from pilotage.evidence.training import trained_now, training_claims
from pilotage.evidence.vex import open_claims, open_findings
from pilotage.gate.comparing import Seen, compare, of_item, views
from pilotage.gate.covering import open_findings_of
from pilotage.gate.records import GateInput
from pilotage.gate.report import Check, CriterionResult
from pilotage.gate.view import is_space_bound
from pilotage.gate.wording import asks, capital, kind_words, none_there
from pilotage.workspace.gate import Criterion, Trust

_RANK = {Severity.LOW: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3, Severity.UNKNOWN: 4}
CLEARING = frozenset({"vex", "sbom"})
_COUNTED = frozenset(
    {
        "scored",
        "unscored",
        "pii_leaks",
        "regressions",
        "ratchet_regressions",
        "cost",
        "tokens_in",
        "tokens_out",
    }
)
_GO = "go"
_UNKNOWN = frozenset({"EV_EXPIRED", CHANGED})
"""Codes of items that leave a kind unknown, whatever the others of it say."""
_STRONGER = {
    Trust.CLAIMED: "anybody who may attach it",
    Trust.PUSHED: "a service key that lists the kind attaches it",
    Trust.ATTESTED: "attach it with the statement of a trusted key, or run it here",
}
"""How evidence comes to stand for this trust."""
_CAME = {
    Trust.CLAIMED: "was handed in by a person, who claims it",
    Trust.PUSHED: "was pushed by a service's key",
    Trust.ATTESTED: "is attested",
}
"""Who says what an item of this trust says."""
ENGINE_PERIOD: Final = timedelta(hours=24)
"""How long after an upgrade of Pilotage an evaluation run of the version before still counts (gates.md 1.2)."""
NOT_APPLICABLE = "n/a"
MISSING = "missing"


def check_criterion(
    criterion: Criterion, given: GateInput, current: Sequence[Evidence], now: datetime
) -> CriterionResult:
    """Return one criterion's result on the current evidence and facts."""
    if (criterion.when is not None and criterion.when not in given.facts.switches) or (
        criterion.first_release_absolute and given.release.is_first and not _is_compared(criterion, current)
    ):
        return CriterionResult(
            id=criterion.id, state=NOT_APPLICABLE, outcome=Outcome.OK, checks=(), accept=criterion.accept.value
        )
    checks: list[Check] = []
    missing: list[str] = []
    used: list[Evidence] = []
    for kind in criterion.of:
        if kind.startswith("fact."):
            checks += _fact_checks(kind, criterion, given)
            continue
        items = [_as_of_now(_cleared(item, current, now), given, now) for item in current if item.kind == kind]
        if not items:
            missing.append(kind)
            checks.append(_none(kind, criterion, given))
            continue
        used += items
        checks += _kind_checks(kind, criterion, given, items, now)
    outcome = worst(check.outcome for check in checks)
    state = MISSING if missing and outcome is not Outcome.NOT_OK else outcome.value
    return CriterionResult(
        id=criterion.id,
        state=state,
        outcome=outcome,
        checks=tuple(checks),
        accept=criterion.accept.value,
        missing=tuple(missing),
        severity=None if outcome is Outcome.OK else worst_finding(used),
        is_fact=all(kind.startswith("fact.") for kind in criterion.of),
        findings=open_findings_of(used, checks),
    )


def _is_compared(criterion: Criterion, current: Sequence[Evidence]) -> bool:
    """Tell whether a run had a baseline, though nothing serves in production yet."""
    return any(item.kind in criterion.of and BASELINE in item.refs for item in current)


def _cleared(item: Evidence, current: Sequence[Evidence], now: datetime) -> Evidence:
    """Return a scan without the findings that fresh VEX statements clear; anything else as it is."""
    if not item.kind.startswith("scan."):
        return item
    fresh = [
        one
        for one in current
        if one.kind in CLEARING and age_of(one, now) <= window_of(one.kind) and changed_reason(one) is None
    ]
    if not any(one.kind == "vex" for one in fresh):
        return item
    return replace(item, claims=open_claims(item, fresh, fresh), findings=open_findings(item, fresh, fresh))


def _as_of_now(item: Evidence, given: GateInput, now: datetime) -> Evidence:
    """Return training that counts still, held against the people who must be trained now; anything else as it is."""
    wanted = given.facts.operators
    if item.kind != "training" or wanted is None:
        return item
    return replace(item, claims=training_claims(wanted, trained_now(item.names, now)))


def worst_finding(items: Iterable[Evidence]) -> Severity | None:
    """Return the worst severity among the findings of some items."""
    found = [finding.severity for item in items for finding in item.findings]
    return max(found, key=_RANK.__getitem__, default=None)


def _none(kind: str, criterion: Criterion, given: GateInput) -> Check:
    text = none_there(kind, criterion.all, space=given.gate.space)
    reason = Reason(code="CRITERION_INCONCLUSIVE", text=text, where=criterion.id)
    wanted = "; ".join(str(condition) for condition in criterion.all)
    return Check(
        kind=kind,
        condition=wanted,
        outcome=Outcome.INCONCLUSIVE,
        observed=None,
        limit=wanted,
        reason=reason,
        asks=_all_asked(kind, criterion),
    )


def _all_asked(kind: str, criterion: Criterion) -> str:
    return "; ".join(asks(kind, condition, condition.limit) for condition in criterion.all)


def _fact_checks(kind: str, criterion: Criterion, given: GateInput) -> list[Check]:
    facts = given.facts
    seen = Seen(kind=kind, criterion=criterion.id, claims=facts.claims.get(kind, {}), note=facts.reasons.get(kind, ""))
    return [compare(condition, seen, given) for condition in criterion.all]


def _kind_checks(
    kind: str, criterion: Criterion, given: GateInput, items: Sequence[Evidence], now: datetime
) -> list[Check]:
    problems: list[Check] = []
    usable: list[Evidence] = []
    weak: list[Evidence] = []
    for item in items:
        problem = _unusable(item, criterion, given, now)
        if problem is None:
            usable.append(item)
            continue
        problems.append(problem)
        if problem.reason is not None and problem.reason.code == "EV_TRUST":
            weak.append(item)
    if not usable:
        return problems
    checks = [check for check in problems if check.reason is None or check.reason.code in _UNKNOWN]
    checks += _verdict_checks(criterion, usable)
    checks += _engine_checks(kind, criterion, given, usable, now)
    for seen in views(kind, criterion.id, usable):
        checks += [compare(condition, seen, given) for condition in criterion.all]
    for item in weak:
        seen = of_item(item, criterion.id)
        checks += [
            compare(condition, seen, given)
            for condition in criterion.all
            if is_lower_better(condition.claim, kind) and condition.claim in item.claims
        ]
    return checks


def _verdict_checks(criterion: Criterion, runs: Sequence[Evidence]) -> list[Check]:
    """Return a check for each own run whose verdict is not GO, where the criterion asks what the run found.

    How much was asked, how long it took, and what was lost or printed are judged by their number. No leak is found
    where nothing was hidden or a probe failed, so leaks go by the verdict as well.
    """
    if all(_is_counted(condition.claim) for condition in criterion.all):
        return []
    found: list[Check] = []
    for run in runs:
        verdict = run.refs.get(VERDICT, _GO)
        if verdict == _GO:
            continue
        is_no = verdict == "no_go"
        word = verdict.replace("_", "-").upper()
        text = f"The run {run.id} of {kind_words(run.kind)} is {word}: {run.summary}. Read its report."
        code = "CRITERION_NOT_MET" if is_no else "CRITERION_INCONCLUSIVE"
        found.append(
            Check(
                kind=run.kind,
                condition=f"{VERDICT} = {_GO}",
                outcome=Outcome.NOT_OK if is_no else Outcome.INCONCLUSIVE,
                observed=verdict,
                limit=_GO,
                reason=Reason(code=code, text=text, where=criterion.id, observed=verdict, limit=_GO),
                evidence=(run.id,),
            )
        )
    return found


def _engine_checks(
    kind: str, criterion: Criterion, given: GateInput, runs: Sequence[Evidence], now: datetime
) -> list[Check]:
    """Return ENGINE_CHANGED where no run was made since another version of Pilotage answers (gates.md 1.2)."""
    engine, since = given.facts.engine, given.facts.engine_since
    if kind != "evaluation" or engine is None or since is None or now - since <= ENGINE_PERIOD:
        return []
    if any(run.refs.get(ENGINE) == engine for run in runs):
        return []
    hours = _days(now - since)
    text = f"Pilotage {engine} answers since {hours}, and no evaluation run was made with it. Run `pilotage evaluate`."
    reason = Reason(code="ENGINE_CHANGED", text=text, where=criterion.id, observed=hours, limit=_days(ENGINE_PERIOD))
    return [
        Check(
            kind=kind,
            condition=f"{ENGINE} = {engine}",
            outcome=Outcome.INCONCLUSIVE,
            observed=reason.observed,
            limit=reason.limit,
            reason=reason,
            evidence=tuple(run.id for run in runs),
            is_expiry=True,
        )
    ]


def _is_counted(claim: str) -> bool:
    return claim in _COUNTED or claim.endswith("_ms")


def _unusable(item: Evidence, criterion: Criterion, given: GateInput, now: datetime) -> Check | None:
    reason = changed_reason(item) or _space_reason(item, given) or _trust_reason(item, criterion)
    is_expiry = False
    if reason is None:
        reason = _expiry(item, criterion, given, now)
        is_expiry = reason is not None
    if reason is None and _is_unproven_clean(item):
        text = f"{item.id} reports no findings, and nobody but a person says that the scan ran. Push it with a key."
        reason = Reason(code="EV_UNPROVEN_CLEAN", text=text, where=criterion.id)
    if reason is None:
        return None
    wanted = "; ".join(str(condition) for condition in criterion.all)
    return Check(
        kind=item.kind,
        condition=wanted,
        outcome=Outcome.INCONCLUSIVE,
        observed=reason.observed,
        limit=reason.limit,
        reason=reason,
        evidence=(item.id,),
        is_expiry=is_expiry,
        asks=_all_asked(item.kind, criterion),
    )


def _expiry(item: Evidence, criterion: Criterion, given: GateInput, now: datetime) -> Reason | None:
    """Return EV_EXPIRED for evidence older than its window, and for a document past its own last day."""
    # A drill of staging lasts as long as one of staging does, whatever space the gate opens (rollouts.md 10).
    in_production = given.facts.guards_production and item.space in given.facts.spaces
    window = window_of(item.kind, in_production=in_production)
    age = age_of(item, now)
    if age > window:
        what = f"{kind_words(item.kind)} ({item.id})"
        text = f"The result of {what} is {_days(age)} old; it counts for {_days(window)}. Run it again and bring that."
        return Reason(code="EV_EXPIRED", text=text, where=criterion.id, observed=_days(age), limit=_days(window))
    last_day = item.refs.get("valid_until", "")
    if item.kind.startswith("document.") and last_day and now.date().isoformat() > last_day:
        what = capital(f"{kind_words(item.kind)} ({item.id})")
        text = f"{what} says that it is valid until {last_day}. Renew it, then attach it again."
        return Reason(code="EV_EXPIRED", text=text, where=criterion.id, observed=now.date().isoformat(), limit=last_day)
    return None


def _is_unproven_clean(item: Evidence) -> bool:
    return item.trust is Trust.CLAIMED and not item.findings and UNPROVEN in item.refs


def _trust_reason(item: Evidence, criterion: Criterion) -> Reason | None:
    if item.trust.rank >= criterion.trust.rank:
        return None
    text = (
        f"The result of {kind_words(item.kind)} ({item.id}) {_CAME[item.trust]}; {criterion.id} takes {criterion.trust}"
        f" evidence or better: {_STRONGER[criterion.trust]}."
    )
    return Reason(code="EV_TRUST", text=text, where=criterion.id, observed=item.trust, limit=criterion.trust)


def _space_reason(item: Evidence, given: GateInput) -> Reason | None:
    wanted = given.gate.space
    if wanted is None:
        return None
    if item.space is None and not is_space_bound(item.kind):
        return None
    if item.space == wanted:
        return None
    where = "no space" if item.space is None else item.space
    what = f"The result of {kind_words(item.kind)} ({item.id})"
    text = f"{what} was made in {where}; gate {given.gate.name} needs one made in {wanted}. Run it there."
    return Reason(code="EV_WRONG_SPACE", text=text, where=given.gate.name, observed=where, limit=wanted)


def _days(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:.1f} d" if hours >= 48 else f"{hours:.1f} h"
