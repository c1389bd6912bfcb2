"""What an acceptance covers (gates.md 4.3, 4.5): what was open when it was given, and nothing that came or grew since.

Rule: a condition is covered while its value is no worse than the accepted one, a finding when it was open then, and
named where the file names findings. Fail mode: what cannot be compared is covered only while it is the same. An
acceptance from before this was written down covers the criteria it names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pilotage.core.reason import Outcome
from pilotage.evidence.records import Evidence, Severity, ToolFinding
from pilotage.gate.records import OpenCheck, OpenThen, RiskAcceptance
from pilotage.gate.report import Check, CriterionResult

_SEVERITIES = frozenset(one.value for one in Severity)
_ANY_FINDING = frozenset({"verified", "unverified", "regressions"})
"""Claims that count findings whatever their severity."""


def open_findings_of(items: Iterable[Evidence], checks: Iterable[Check]) -> tuple[str, ...]:
    """Return the names of the findings that conditions which do not hold are about."""
    claims = {check.condition.partition(" ")[0] for check in checks if check.outcome is not Outcome.OK}
    found = {
        name_of(finding)
        for item in items
        for finding in item.findings
        if finding.severity.value in claims & _SEVERITIES or claims & _ANY_FINDING
    }
    return tuple(sorted(found))


def name_of(finding: ToolFinding) -> str:
    """Return what a finding is told apart by: rule or advisory, component, version, location."""
    return "|".join(finding.key)


def open_now(result: CriterionResult, named: Collection[str]) -> OpenThen:
    """Return what an acceptance given now covers of a criterion: of `named` findings alone, where any are named."""
    return OpenThen(
        criterion=result.id,
        checks=tuple(_as_open(check) for check in result.checks if check.outcome is not Outcome.OK),
        findings=tuple(one for one in result.findings if not named or one in named or one.partition("|")[0] in named),
    )


def _as_open(check: Check) -> OpenCheck:
    return OpenCheck(kind=check.kind, condition=check.condition, observed=_observed(check), series=check.series)


def _observed(check: Check) -> str:
    """Return the value, or which evidence could not count and why: the age of an expired item grows every day."""
    if check.reason is not None and (check.is_expiry or check.reason.code.startswith("EV_")):
        return " ".join((check.reason.code, *check.evidence))
    return check.observed or ""


def covering(result: CriterionResult, risks: Sequence[RiskAcceptance]) -> tuple[RiskAcceptance, ...]:
    """Return the acceptances, of those that may, which together cover a criterion; none: something of it is open."""
    fitting = [risk for risk in risks if _is_no_worse(result, risk)]
    for risk in fitting:
        if set(result.findings) <= _findings(result, risk):
            return (risk,)
    together = {name for risk in fitting for name in _findings(result, risk)}
    return tuple(fitting) if fitting and set(result.findings) <= together else ()


def _then(result: CriterionResult, risk: RiskAcceptance) -> OpenThen | None:
    return next((one for one in risk.open_then or () if one.criterion == result.id), None)


def _findings(result: CriterionResult, risk: RiskAcceptance) -> set[str]:
    if risk.open_then is None:
        return set(result.findings)
    then = _then(result, risk)
    return set() if then is None else set(then.findings)


def _is_no_worse(result: CriterionResult, risk: RiskAcceptance) -> bool:
    if risk.open_then is None:
        return True
    then = _then(result, risk)
    if then is None:
        return False
    return all(
        any(_holds_still(check, before) for before in then.checks)
        for check in result.checks
        if check.outcome is not Outcome.OK
    )


def _holds_still(check: Check, then: OpenCheck) -> bool:
    """Tell whether a condition that does not hold is the accepted one, and no worse than it was."""
    if (check.kind, check.condition, check.series) != (then.kind, then.condition, then.series):
        return False
    observed = _observed(check)
    if observed == then.observed:
        return True
    now, before, limit = _number(observed), _number(then.observed), _number(check.limit)
    if now is None or before is None:
        return False
    match check.condition.split(" "):
        case [_, "<" | "<=", _]:
            return now <= before
        case [_, ">" | ">=", _]:
            return now >= before
        case [_, "=", _] if limit is not None:
            return abs(now - limit) <= abs(before - limit)
    return False


def _number(text: str | None) -> float | None:
    """Return the number a value or a limit (`= 0`) ends with; None for anything else."""
    try:
        return float((text or "").rpartition(" ")[2])
    except ValueError:
        return None
