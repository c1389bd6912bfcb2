"""What a criterion looks for, what was found and what to do, in sentences for people who know risk and not our claims.

Rule: the sentence stands in a Reason beside its code, numbers and condition, which machines read. A claim that has no
words of its own is named by its name, underscores apart. Fail mode: none; a sentence is made of anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pilotage.gate.bringing import OWN, command_for
from pilotage.gate.vocabulary import GateStatus
from pilotage.workspace.gate import Condition, Operator

_KINDS: Final = {
    "coverage": "test coverage",
    "scan.sast": "the scan of the source code",
    "scan.deps": "the scan of dependencies",
    "scan.container": "the scan of the container image",
    "scan.iac": "the scan of infrastructure code",
    "scan.dast": "the scan of the running application",
    "scan.secrets": "the scan for secrets",
    "quality": "the code quality analysis",
    "sbom": "the list of components (SBOM)",
    "licences": "the licence report",
    "vex": "the statements about vulnerabilities (VEX)",
    "review.code": "the code review",
    "evaluation": "the evaluation on the golden set",
    "permissions": "the permission suite",
    "redteam": "the red-team suite",
    "fairness": "the fairness suite",
    "load.expected": "the load test at expected traffic",
    "load.stress": "the stress test",
    "load.peak": "the load test at peak traffic",
    "load.sustained": "the sustained load test",
    "failover": "the failover test",
    "recovery": "the recovery test",
    "drill.rollback": "the rollback drill",
    "drill.failover": "the failover drill",
    "accessibility": "the accessibility check",
    "pentest": "the penetration test",
    "lineage": "the report of where documents come from",
    "classification": "the report of how documents are classified",
    "data_quality": "the data quality report",
    "uat": "user acceptance testing",
    "training": "the training record",
    "tests.e2e": "end-to-end tests",
    "tests.api": "API tests",
    "fact.release": "the sealed release",
    "fact.corpus": "the documents it answers from",
    "fact.residency": "where models and documents stand",
    "fact.deployment": "the deployment",
    "fact.monitoring": "monitoring",
    "fact.space": "the settings of the space",
    "fact.oncall": "the on-call rota",
    "fact.roster": "the board",
    "fact.risks": "the risk register",
    "fact.rollout": "the rollout",
    "fact.budget": "the budget",
    "fact.cab_pack": "the board's pack",
    "fact.freeze": "freezes",
    "fact.incident": "incidents",
    "fact.drift": "what serves against what was approved",
    "fact.ledger": "the record of answers",
}
_NUMBERS: Final = {
    "executed": "tests that ran",
    "passed": "tests that passed",
    "failed": "tests that failed",
    "errors": "tests that broke off",
    "skipped": "tests that were skipped",
    "flaky": "tests that passed only when repeated",
    "duplicates": "tests reported twice",
    "points_tested": "integration points that were tested",
    "critical": "critical findings",
    "high": "high findings",
    "medium": "medium findings",
    "low": "low findings",
    "unknown": "findings of unknown severity",
    "suppressed": "findings that the tool was told to ignore",
    "unaudited": "components that could not be checked",
    "exploitable": "findings that can be exploited",
    "tools": "tools that ran",
    "targets": "things scanned",
    "verified": "secrets found that work",
    "unverified": "possible secrets found",
    "files_scanned": "files scanned",
    "files": "files",
    "lines_valid": "lines that can be covered",
    "missing_critical": "critical paths without a file in the report",
    "hotspots_to_review": "security hotspots nobody reviewed",
    "new_issues": "new issues",
    "ratings": "ratings given",
    "components": "components listed",
    "denied": "components under a licence that is not allowed",
    "unknown_licence": "components without a known licence",
    "approvals_on_head": "approvals of the sealed commit",
    "changes_requested": "reviewers who ask for changes",
    "unmapped": "reviewers who are nobody declared",
    "scored": "questions that were scored",
    "unscored": "questions that could not be scored",
    "must_pass_failed": "must-pass questions answered wrongly",
    "regressions": "questions answered worse than before",
    "ratchet_regressions": "questions answered worse than they ever were",
    "leaks": "answers that showed what the asker may not see",
    "pii_leaks": "answers that showed personal data",
    "critical_failures": "attacks that succeeded critically",
    "groups": "groups compared",
    "min_group_n": "questions of the smallest group",
    "flips": "answers that changed with the group alone",
    "bias_scored": "answers scored for bias",
    "bias_unscored": "answers that could not be scored for bias",
    "requests": "requests sent",
    "runs": "runs",
    "lost_requests": "requests lost",
    "wrong_region_answers": "answers from a region that may not serve",
    "serious": "serious findings",
    "moderate": "moderate findings",
    "minor": "minor findings",
    "incomplete": "rules that could not be decided",
    "rules_run": "rules that were checked",
    "pages": "pages checked",
    "scope_hosts": "hosts in scope",
    "documents": "documents",
    "unlabelled": "documents without a classification",
    "without_owner": "entries without an owner",
    "without_lineage": "documents whose origin is not known",
    "pii_unhandled": "documents with personal data nobody handled",
    "rejected": "documents rejected",
    "conflicting": "documents that contradict each other",
    "stale": "documents past their date",
    "unreadable": "documents that cannot be read",
    "scenarios": "scenarios tried",
    "blocked": "scenarios that could not be tried",
    "open_critical": "critical ones open",
    "testers": "people who tested",
    "required": "people who need it",
    "completed": "people who completed it",
    "parts_present": "parts present",
    "without_retention": "document sets with no declared retention",
    "overdue_takedowns": "takedowns overdue",
    "violations": "violations",
    "ready_instances": "processes ready with it",
    "unapproved_differences_to_production": "settings that differ from production and are not listed as such",
    "days_covered": "days ahead with somebody on call",
    "seats_filled": "seats with a person",
    "seats_empty": "seats without one",
    "untreated": "risks that nobody mitigated, accepted, avoided or transferred",
    "mitigations_open": "mitigations open",
    "mitigations_overdue": "mitigations overdue",
    "undecidable_metrics": "metrics that the planned traffic cannot decide",
    "sections_missing": "sections missing",
    "active": "freezes in force",
    "open": "open differences",
    "unrecorded": "answers without their record",
    "placeholders": "placeholders left in it",
    "missing_sections": "sections missing",
    "words": "words",
    "valid_days": "days for which it is still valid",
}
"""Claims that count something: "the number of ..."."""
_OF: Final = {
    ("uat", "passed"): "scenarios that passed",
    ("uat", "failed"): "scenarios that failed",
    ("data_quality", "duplicates"): "documents held twice",
    ("fact.incident", "open_critical"): "critical incidents open",
    ("fact.risks", "without_owner"): "risks without an owner",
    ("lineage", "without_owner"): "documents without an owner",
    ("classification", "without_owner"): "documents without an owner",
}
"""Counts that mean something else in one kind."""
_AMOUNTS: Final = {
    "skipped_share": "the share of skipped tests",
    "line_rate": "the share of lines covered",
    "branch_rate": "the share of branches covered",
    "critical_rate": "the share of critical paths covered",
    "score": "the quality score",
    "duplicated": "the share of duplicated code",
    "vulnerable_by_severity": "the number of known vulnerabilities",
    "error_rate": "the share of failed requests",
    "p50": "the median response time in ms",
    "p95": "the response time that 95 % of requests stay under, in ms,",
    "p99": "the response time that 99 % of requests stay under, in ms,",
    "rps": "the number of requests a second",
    "duration_s": "the duration in seconds",
    "max_gap_s": "the longest gap in seconds",
    "drift_ratio": "the response time at the end over that at the beginning",
    "volume_ratio": "the traffic over what is expected",
    "rto_s": "the time until it served again, in seconds,",
    "rpo_s": "the time of data lost, in seconds,",
    "seconds_to_zero_traffic": "the time until the bad release got no traffic, in seconds,",
    "seconds_to_detect": "the time until it was noticed, in seconds,",
    "seconds_to_redirect": "the time until traffic went elsewhere, in seconds,",
    "pass_rate": "the share of scenarios that passed",
    "share": "the share of people who completed it",
    "last_sample_age_s": "the age of the last measurement in seconds",
    "alert_test_age_h": "the age of the last test alert in hours",
}
_FLAGS: Final = {
    "complete": ("it is complete and in force", "it is not complete, or not in force"),
    "gate_ok": ("the tool's own quality gate passed", "the tool's own quality gate did not pass"),
    "independent": ("the testers are independent", "the testers are not shown to be independent"),
    "healthy": ("the release runs and answers well", "the release does not run there, or fails more than it answers"),
    "digest_match": ("the space serves exactly this release", "the space does not serve this release"),
    "answering": ("it answers questions", "it has answered no question in the last 24 hours"),
    "logs": ("requests are logged", "no request was ever logged there"),
    "metrics": ("measurements arrive", "no measurement ever arrived"),
    "dashboard": ("it has a dashboard", "it has no dashboard"),
    "exporters_ok": ("every named exporter is declared", "an exporter that the space names is not declared"),
    "alert_test_ok": ("a test alert arrived", "no test alert was sent and confirmed"),
    "primary_now": ("somebody is on call", "nobody is on call now"),
    "secondary_now": ("a second person is on call", "no second person is on call now"),
    "acknowledged_test_page": ("a test page was acknowledged today", "no test page was acknowledged in 24 hours"),
    "rollback_target_authorised": ("there is a release to roll back to", "there is nothing to roll back to"),
    "approved": ("the budget is approved", "nobody is named who approved the budget"),
    "forecast_over_budget": ("the forecast is above the budget", "the forecast is within the budget"),
    "generated": ("it was made", "it was not made"),
    "unredacted_pii": ("it may hold personal data of production", "it holds no personal data of production"),
}
"""Claims that are 1 or 0: what each says."""
_LACKED: Final = (("missing_sections", "sections"), ("missing_fields", "fields"))
_SHOWN: Final = 8
_DRILLED: Final = ("the drill was confirmed", "the drill was not confirmed")
_WORDS: Final = {
    Operator.EQ: "must be",
    Operator.NE: "must not be",
    Operator.LT: "must be below",
    Operator.LE: "must be at most",
    Operator.GT: "must be above",
    Operator.GE: "must be at least",
}
_FACT_REMEDIES: Final = {
    "fact.release": "Seal the release with all its parts.",
    "fact.corpus": "Declare retention_days in corpus.yaml, and carry out the takedowns that are due.",
    "fact.residency": "Choose a model and documents inside the regions of the spaces, or list the provider.",
    "fact.deployment": "Promote the release into the space and ask it a question there, then look again.",
    "fact.monitoring": "Send a request and a test alert, and name declared exporters under monitoring of the space.",
    "fact.space": "Make the settings equal, or list the key under differs_from of the space.",
    "fact.oncall": "Fill the rota in oncall.yaml, and acknowledge a test page.",
    "fact.roster": "Name a person for each seat in pilotage.yaml.",
    "fact.risks": "Treat each risk in risk-assessment.md, name its owner, and close the mitigations.",
    "fact.rollout": "Keep an authorised release to go back to, and plan enough traffic in rollout.yaml.",
    "fact.budget": "Name who approved it in budget-approval.md, and keep the forecast under the month's budget.",
    "fact.cab_pack": "Fill in what the pack prints as MISSING, and make it again: `pilotage report cab DIGEST`.",
    "fact.freeze": "Wait until the freeze ends.",
    "fact.incident": "Resolve the incident first.",
    "fact.drift": "Let the processes load what was approved, or promote again.",
    "fact.ledger": "Verify the ledger and restore what is missing: `pilotage ledger verify`.",
}
STATUS_WORDS: Final = {
    GateStatus.BLOCKED: "blocked",
    GateStatus.REJECTED: "rejected",
    GateStatus.COLLECTING: "not met yet: a criterion does not hold, or lacks its evidence",
    GateStatus.READY: "not signed yet",
    GateStatus.IN_REVIEW: "not signed by everybody yet",
    GateStatus.STALE: "stale: a criterion no longer holds, or something changed after the votes",
    GateStatus.EXPIRED: "expired: its evidence or votes are too old",
}
"""What a gate that is not approved waits for."""


def kind_words(kind: str) -> str:
    """Return what a kind of evidence is, as a person calls it."""
    room, _, name = kind.partition(".")
    if kind in _KINDS:
        return _KINDS[kind]
    if room == "tests":
        return f"{name} tests"
    return f"the document {name.replace('-', ' ')}" if room == "document" else f"the evidence {kind}"


def claim_words(kind: str, claim: str) -> str:
    """Return what a claim says, as the subject of a sentence."""
    if claim == "verified" and kind.startswith("drill."):
        return "the number of drills that were confirmed"
    counted = _OF.get((kind, claim), _NUMBERS.get(claim))
    return _AMOUNTS.get(claim, _metric(claim)) if counted is None else f"the number of {counted}"


def _metric(claim: str) -> str:
    for ending, words in (("_lcb", "the lower confidence bound of "), ("_ucb", "the upper confidence bound of ")):
        if claim.endswith(ending):
            return words + claim.removesuffix(ending).replace("_", " ")
    return claim.replace("_", " ")


def _flag(kind: str, claim: str) -> tuple[str, str] | None:
    return _DRILLED if claim == "verified" and kind.startswith("drill.") else _FLAGS.get(claim)


def asks(kind: str, condition: Condition, limit: float | None) -> str:
    """Return what one condition looks for: `the number of tests that failed must be 0`."""
    flag = _flag(kind, condition.claim)
    if flag is not None and condition.operator is Operator.EQ and limit in {0.0, 1.0}:
        return flag[0] if limit else flag[1]
    shown = f"what {condition.path} says" if limit is None else number(limit)
    return f"{claim_words(kind, condition.claim)} {_WORDS[condition.operator]} {shown}"


def not_held(kind: str, condition: Condition, observed: float, limit: float, *, note: str, space: str | None) -> str:
    """Return what was found where something else was looked for, and what to do."""
    flag = _flag(kind, condition.claim)
    if flag is not None and condition.operator is Operator.EQ and {observed, limit} == {0.0, 1.0}:
        found = f"{flag[0] if observed else flag[1]}. Needed: {asks(kind, condition, limit)}."
    else:
        digits = next((one for one in range(6, 17) if f"{observed:.{one}g}" != f"{limit:.{one}g}"), 6)
        bound = f"{_WORDS[condition.operator]} {number(limit, digits)}"
        found = f"{claim_words(kind, condition.claim)} is {number(observed, digits)}; it {bound}."
    return " ".join(filter(None, (f"{capital(kind_words(kind))}: {found}", note, remedy(kind, space=space))))


def number(value: float, digits: int = 6) -> str:
    """Return a number as people write it: no exponent, whole where it is whole."""
    if value == round(value):
        return f"{value:,.0f}"
    told = f"{value:,.{digits}g}"
    return f"{value:,.12f}".rstrip("0") if "e" in told else told


def not_told(kind: str, condition: Condition, limit: float, *, note: str, space: str | None) -> str:
    """Return that a value is not known, which is never a pass, and what to do."""
    what = f"{capital(kind_words(kind))}: nothing is known of this: {asks(kind, condition, limit)}."
    return " ".join(filter(None, (what, note, remedy(kind, space=space))))


def no_limit(kind: str, condition: Condition) -> str:
    """Return that the limit of a condition is declared nowhere."""
    owner, _, key = (condition.path or "").partition(".")
    where = "workflow.yaml" if owner == "workflow" else "the file of the space"
    return (
        f"{capital(kind_words(kind))}: no limit is set for {claim_words(kind, condition.claim)}. Set {key} in {where}."
    )


def lacks(names: Mapping[str, Sequence[str]]) -> str:
    """Return which sections and fields a document lacks; empty where it lacks none of them."""
    shown = [(words, names.get(name, ())) for name, words in _LACKED]
    said = [
        f"{words} {', '.join(one[:_SHOWN])}{' and more' if len(one) > _SHOWN else ''}" for words, one in shown if one
    ]
    return f"Missing: {'; '.join(said)}." if said else ""


def none_there(kind: str, conditions: Iterable[Condition], *, space: str | None) -> str:
    """Return that there is no current evidence of a kind, what it is looked at for, and how it comes."""
    wanted = "; ".join(asks(kind, one, one.limit) for one in conditions)
    how = f"It comes by `{OWN[kind]}`." if kind in OWN else f"Bring it: `{command_for(kind, space=space)}`."
    return f"{capital(absent(kind))}. Looked for: {wanted}. {how}"


def absent(kind: str) -> str:
    """Return that nothing of a kind is there."""
    words = kind_words(kind)
    return f"{words} is not there yet" if kind.startswith("document.") else f"there is no current result of {words}"


def remedy(kind: str, *, space: str | None) -> str:
    """Return what to do about a condition on evidence of this kind."""
    if kind.startswith("fact."):
        return _FACT_REMEDIES.get(kind, "")
    command = command_for(kind, space=space)
    if kind in OWN:
        return f"Read its report, mend the release, then run `{command}`."
    if kind.startswith("document."):
        return f"Complete it and attach it again: `{command}`."
    return f"Mend what it found, and bring a newer result: `{command}`."


def capital(words: str) -> str:
    """Return words as a sentence begins."""
    return words[:1].upper() + words[1:]
