"""One more finding in any scanner's report never lowers a claim that counts against the release."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

Spec = tuple[str, str, str, bool]
"""Rule, severity word, message, suppressed."""

SPECS = st.tuples(
    st.sampled_from(["R1", "R2"]),
    st.sampled_from(["critical", "high", "medium", "low", "?"]),
    st.sampled_from(["one", "two"]),
    st.booleans(),
)
ADVERSE = [
    "critical",
    "high",
    "medium",
    "low",
    "unknown",
    "suppressed",
    "unaudited",
    "exploitable",
    "verified_or_not",
    "denied",
    "unknown_licence",
    "vulnerable_by_severity",
]


def sarif(specs: Sequence[Spec]) -> Json:
    levels = {"high": "error", "medium": "warning", "low": "note"}
    results: list[Json] = [
        {
            "ruleId": rule,
            "level": levels.get(word, "?"),
            "message": {"text": text},
            "properties": {"security-severity": "9.5"} if word == "critical" else {},
            "suppressions": [{}] if hidden else [],
        }
        for rule, word, text, hidden in specs
    ]
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": results, "artifacts": [{}]}]}


def snyk(specs: Sequence[Spec]) -> Json:
    shown: list[Json] = [
        {"id": rule, "severity": word, "title": text} for rule, word, text, hidden in specs if not hidden
    ]
    ignored: list[Json] = [
        {"id": rule, "severity": word, "title": text} for rule, word, text, hidden in specs if hidden
    ]
    ids = len({one["id"] for one in shown if isinstance(one, dict)})
    return {
        "ok": not shown,
        "dependencyCount": 5,
        "uniqueCount": ids,
        "vulnerabilities": shown,
        "filtered": {"ignore": ignored},
    }


def trivy(specs: Sequence[Spec]) -> Json:
    shown: list[Json] = []
    ignored: list[Json] = []
    for rule, word, text, hidden in specs:
        one: Json = {"VulnerabilityID": rule, "Severity": word, "Title": text, "PkgName": "p"}
        (ignored if hidden else shown).append({"Finding": one} if hidden else one)
    return {
        "SchemaVersion": 2,
        "Results": [{"Target": "t", "Vulnerabilities": shown, "ExperimentalModifiedFindings": ignored}],
    }


def pip_audit(specs: Sequence[Spec]) -> Json:
    vulns: list[Json] = [{"id": rule, "description": text} for rule, _, text, _ in specs]
    return {"dependencies": [{"name": "a", "version": "1", "vulns": vulns}]}


def npm(specs: Sequence[Spec]) -> Json:
    words = {"medium": "moderate", "?": "info"}
    packages: dict[str, Json] = {}
    totals: dict[str, int] = {}
    for number, (rule, word, text, _) in enumerate(specs):
        own = words.get(word, word)
        totals[own] = totals.get(own, 0) + 1
        packages[f"p{number}"] = {"severity": own, "via": [{"url": f"x/{rule}", "severity": own, "title": text}]}
    return {
        "auditReportVersion": 2,
        "vulnerabilities": packages,
        "metadata": {"vulnerabilities": {**totals, "total": len(packages)}, "dependencies": {"total": 9}},
    }


def bandit(specs: Sequence[Spec]) -> Json:
    results: list[Json] = [{"test_id": r, "issue_severity": word, "issue_text": text} for r, word, text, _ in specs]
    return {"results": results, "errors": [], "metrics": {"_totals": {"loc": 9}, "f": {}}}


def semgrep(specs: Sequence[Spec]) -> Json:
    results: list[Json] = [
        {"check_id": rule, "extra": {"severity": word, "message": text, "is_ignored": hidden}}
        for rule, word, text, hidden in specs
    ]
    return {"results": results, "errors": [], "paths": {"scanned": ["f"]}}


def gitlab(specs: Sequence[Spec]) -> Json:
    found: list[Json] = [
        {
            "identifiers": [{"value": rule}],
            "severity": word,
            "name": text,
            "flags": [{"type": "false-positive"}] if hidden else [],
        }
        for rule, word, text, hidden in specs
    ]
    return {"version": "15.0.0", "vulnerabilities": found, "scan": {"status": "success"}}


def checkov(specs: Sequence[Spec]) -> Json:
    checks: dict[bool, list[Json]] = {False: [], True: []}
    for rule, word, text, hidden in specs:
        checks[hidden].append({"check_id": rule, "severity": word, "check_name": text})
    return {
        "check_type": "terraform",
        "results": {"failed_checks": checks[False], "skipped_checks": checks[True]},
        "summary": {"passed": 2, "failed": len(checks[False]), "skipped": len(checks[True])},
    }


def sonarqube(specs: Sequence[Spec]) -> Json:
    issues: list[Json] = [
        {"rule": rule, "severity": word.upper(), "message": text, "resolution": "WONTFIX" if hidden else ""}
        for rule, word, text, hidden in specs
    ]
    return {"total": len(issues), "paging": {"total": len(issues)}, "issues": issues}


def cyclonedx(specs: Sequence[Spec]) -> Json:
    found: list[Json] = [
        {
            "id": rule,
            "ratings": [{"severity": word}],
            "description": text,
            "analysis": {"state": "not_affected", "justification": "code_not_present"} if hidden else {},
        }
        for rule, word, text, hidden in specs
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}], "vulnerabilities": found}


def own_secrets(specs: Sequence[Spec]) -> Json:
    found: list[Json] = [{"part": rule, "path": text, "line": 1, "verified": hidden} for rule, _, text, hidden in specs]
    return {"pilotage": "secrets/1", "files_scanned": 3, "findings": found}


FORMATS: list[tuple[Callable[[Sequence[Spec]], Json], str]] = [
    (sarif, "scan.sast"),
    (sarif, "scan.secrets"),
    (snyk, "scan.deps"),
    (trivy, "scan.container"),
    (pip_audit, "scan.deps"),
    (npm, "scan.deps"),
    (bandit, "scan.sast"),
    (semgrep, "scan.sast"),
    (gitlab, "scan.sast"),
    (checkov, "scan.iac"),
    (sonarqube, "scan.sast"),
    (cyclonedx, "scan.deps"),
    (cyclonedx, "sbom"),
    (cyclonedx, "vex"),
    (own_secrets, "scan.secrets"),
]


@pytest.mark.parametrize(("report", "kind"), FORMATS, ids=lambda value: getattr(value, "__name__", value))
@given(specs=st.lists(SPECS, max_size=6), extra=SPECS, place=st.integers(0, 6))
def test_one_more_finding_never_improves_a_claim(
    report: Callable[[Sequence[Spec]], Json], kind: str, specs: list[Spec], extra: Spec, place: int
) -> None:
    before = outcome(report(specs), kind)
    after = outcome(report([*specs[:place], extra, *specs[place:]]), kind)
    if isinstance(before, ReadRefusal):
        # Only nothing at all may be refused here, and a first finding makes it something.
        assert before.reason.code == "EV_EMPTY"
        return
    assert isinstance(after, Reading), after
    was, now = adverse(before), adverse(after)
    assert all(now[name] >= was[name] for name in was), (was, now)
    assert len(after.findings) >= len(before.findings)
    assert len({finding.key for finding in after.findings}) == len(after.findings)


def adverse(reading: Reading) -> dict[str, float]:
    claims = dict(reading.claims)
    claims["verified_or_not"] = claims.get("verified", 0) + claims.get("unverified", 0)
    return {name: claims[name] for name in ADVERSE if name in claims}


def outcome(value: Json, kind: str) -> Reading | ReadRefusal:
    return read_evidence(json.dumps(value).encode(), kind=kind, name="report", context=ReadContext())
