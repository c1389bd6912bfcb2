"""Each scanner's own rules: empty is no pass, a failed tool is no result, what is hidden still counts."""

from __future__ import annotations

import json

import pytest

from pilotage.core.canonical import Json
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal, Severity


def outcome(value: Json | str, kind: str) -> Reading | ReadRefusal:
    data = value if isinstance(value, str) else json.dumps(value)
    return read_evidence(data.encode(), kind=kind, name="file", context=ReadContext())


def claims(value: Json | str, kind: str = "scan.sast") -> dict[str, float]:
    reading = outcome(value, kind)
    assert isinstance(reading, Reading), reading
    return dict(reading.claims)


def code(value: Json | str, kind: str = "scan.sast") -> str:
    refused = outcome(value, kind)
    assert isinstance(refused, ReadRefusal), refused
    return refused.reason.code


def sarif(*results: Json, **run: Json) -> Json:
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": list(results), **run}]}


def test_a_sarif_score_of_the_result_or_rule_goes_before_the_level() -> None:
    rules: Json = {"driver": {"name": "t", "rules": [{"id": "r", "properties": {"security-severity": "9.1"}}]}}
    log = sarif({"ruleId": "r", "level": "note", "message": {"text": "m"}}, tool=rules)
    assert claims(log)["critical"] == 1


@pytest.mark.parametrize(
    ("level", "severity"),
    [("error", "high"), ("warning", "medium"), ("note", "low"), (None, "medium"), ("x", "unknown")],
)
def test_a_sarif_level_gives_the_severity(level: str | None, severity: str) -> None:
    result: dict[str, Json] = {"ruleId": "r", "message": {"text": "m"}}
    if level is not None:
        result["level"] = level
    assert claims(sarif(result))[severity] == 1


def test_the_default_level_of_a_sarif_rule_is_found_by_index_and_by_hierarchical_id() -> None:
    tool: Json = {"driver": {"name": "t", "rules": [{"id": "A", "defaultConfiguration": {"level": "error"}}]}}
    by_index = sarif({"ruleIndex": 0, "message": {"text": "m"}}, tool=tool)
    by_part = sarif({"ruleId": "A/1", "message": {"text": "m"}}, tool=tool)
    nowhere = sarif({"ruleIndex": 9, "message": {"text": "m"}}, tool=tool)
    assert claims(by_index)["high"] == claims(by_part)["high"] == claims(nowhere)["medium"] == 1


def test_only_failures_of_sarif_are_findings_and_undecided_ones_are_unaudited() -> None:
    log = sarif(*({"kind": kind, "message": {"text": kind}} for kind in ("pass", "review", "open", "fail")))
    assert claims(log)["medium"] == 1
    assert claims(log)["unaudited"] == 2


def test_a_kind_sarif_does_not_know_is_malformed() -> None:
    assert code(sarif({"kind": "Fail", "message": {"text": "m"}})) == "EV_MALFORMED"


def test_an_unsuccessful_invocation_counts_more_than_its_results() -> None:
    log = sarif({"message": {"text": "m"}}, invocations=[{"executionSuccessful": False}])
    assert code(log) == "EV_TOOL_FAILED"


@pytest.mark.parametrize("flag", ["false", 0, None])
def test_an_invocation_whose_success_is_not_true_has_failed(flag: Json) -> None:
    assert code(sarif({"message": {"text": "m"}}, invocations=[{"executionSuccessful": flag}])) == "EV_TOOL_FAILED"


def test_results_kept_in_another_file_are_partial() -> None:
    log = sarif(results=None, externalPropertyFileReferences={"results": [{"location": {"uri": "x"}}]})
    assert code(log) == "EV_PARTIAL"


def test_a_sarif_run_with_success_or_artifacts_proves_a_clean_result() -> None:
    for run in ({"invocations": [{"executionSuccessful": True}]}, {"artifacts": [{"location": {"uri": "a"}}]}):
        reading = outcome(sarif(**run), "scan.sast")
        assert isinstance(reading, Reading)
        assert "unproven_clean" not in reading.refs


def test_an_invocation_that_says_nothing_of_success_proves_nothing() -> None:
    reading = outcome(sarif(invocations=[{}]), "scan.sast")
    assert isinstance(reading, Reading)
    assert reading.refs["unproven_clean"]


def test_one_empty_run_beside_a_full_one_refuses_the_file() -> None:
    full: Json = {"tool": {"driver": {"name": "a"}}, "results": []}
    assert code({"version": "2.1.0", "runs": [full, {"tool": {"driver": {"name": "b"}}}]}) == "EV_EMPTY"


def test_another_sarif_version_is_unsupported() -> None:
    assert code({"version": "2.0.0", "runs": []}) == "EV_UNSUPPORTED"


def test_a_sarif_file_of_secrets_counts_verified_and_files() -> None:
    live: Json = {"ruleId": "key", "message": {"text": "a"}, "properties": {"validation_state": "Confirmed_Valid"}}
    other: Json = {"ruleId": "key", "message": {"text": "b"}, "properties": {"verified": True}}
    dead: Json = {
        "ruleId": "key",
        "message": {"text": "c"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": "f"}]}],
    }
    found = claims(sarif(live, dead, other, artifacts=[{}, {}]), "scan.secrets")
    assert found == {"verified": 1, "unverified": 2, "files_scanned": 2}


def test_secrets_without_a_list_of_files_leave_the_number_of_files_absent() -> None:
    assert "files_scanned" not in claims(sarif(), "scan.secrets")


def snyk(**over: Json) -> Json:
    return {"ok": True, "dependencyCount": 3, "uniqueCount": 0, "vulnerabilities": []} | over  # type: ignore[return-value]


def test_an_ignored_snyk_vulnerability_is_still_a_finding() -> None:
    hidden: Json = {"id": "S-1", "cvssScore": 9.8, "packageName": "p", "version": "1", "severity": "low"}
    found = claims(snyk(filtered={"ignore": [hidden], "patch": []}), "scan.deps")
    assert (found["critical"], found["suppressed"]) == (1, 1)


def test_snyk_counts_an_exploit_in_the_wild() -> None:
    one: Json = {"id": "S-1", "severity": "high", "exploit": "Mature"}
    assert claims(snyk(ok=False, uniqueCount=1, vulnerabilities=[one]), "scan.deps")["exploitable"] == 1


@pytest.mark.parametrize(
    "over",
    [
        {"ok": False},
        {"ok": True, "uniqueCount": 1, "vulnerabilities": [{"id": "a"}]},
        {"ok": False, "uniqueCount": 2, "vulnerabilities": [{"id": "a"}, {"id": "a"}]},
    ],
)
def test_a_snyk_verdict_that_contradicts_its_list_is_inconsistent(over: dict[str, Json]) -> None:
    assert code(snyk(**over), "scan.deps") == "EV_INCONSISTENT"


def test_a_snyk_project_with_an_error_has_failed() -> None:
    assert code([snyk(), {"ok": False, "error": "no lock file", "path": "x"}], "scan.deps") == "EV_TOOL_FAILED"


def snyk_issue(**over: Json) -> Json:
    dependency: Json = {"package_name": "p", "package_version": "1"}
    attributes: dict[str, Json] = {
        "key": "SNYK-1",
        "status": "open",
        "effective_severity_level": "low",
        "coordinates": [{"representations": [{"dependency": dependency}]}],
        **over,
    }
    return {"type": "issue", "attributes": attributes}


def test_the_snyk_api_keeps_the_ignored_drops_the_resolved_and_takes_the_highest_rating() -> None:
    data: list[Json] = [
        snyk_issue(severities=[{"score": 9.8}], problems=[{"source": "SNYK", "id": "SNYK-JS-P-1"}]),
        snyk_issue(ignored=True, coordinates=[{"representations": [{"sourceLocation": {"file": "f"}}]}]),
        snyk_issue(status="resolved", key="SNYK-2"),
        snyk_issue(coordinates=[]),
    ]
    reading = outcome({"jsonapi": {}, "data": data, "links": {}}, "scan.deps")
    assert isinstance(reading, Reading)
    assert (reading.claims["critical"], reading.claims["low"], reading.claims["suppressed"]) == (1, 2, 1)
    assert (reading.findings[0].rule, reading.findings[0].component) == ("SNYK-JS-P-1", "p")


def test_a_page_of_the_snyk_api_is_partial_and_an_empty_answer_unproven() -> None:
    assert code({"jsonapi": {}, "data": [], "links": {"next": "/orgs/x"}}, "scan.deps") == "EV_PARTIAL"
    reading = outcome({"jsonapi": {}, "data": []}, "scan.deps")
    assert isinstance(reading, Reading)
    assert reading.refs["unproven_clean"]


def test_trivy_keeps_what_it_set_aside_and_the_highest_of_its_ratings() -> None:
    one: Json = {"VulnerabilityID": "CVE-1", "PkgName": "p", "InstalledVersion": "1", "Severity": "LOW"}
    hidden: Json = {"Type": "vulnerability", "Status": "ignored", "Finding": {**one, "CVSS": {"nvd": {"V3Score": 9.9}}}}  # type: ignore[dict-item]
    result: Json = {
        "Target": "t",
        "Vulnerabilities": [{**one, "VulnerabilityID": "CVE-2", "Severity": "UNKNOWN"}],  # type: ignore[dict-item]
        "ExperimentalModifiedFindings": [hidden],
        "Misconfigurations": [
            {"ID": "A", "Status": "PASS", "Severity": "HIGH"},
            {"ID": "B", "Status": "EXCEPTION", "Severity": "HIGH"},
        ],
        "Packages": [{"Name": "x"}],
    }
    found = claims({"SchemaVersion": 2, "Results": [result]}, "scan.container")
    assert (found["critical"], found["high"], found["unknown"], found["suppressed"]) == (1, 1, 1, 2)
    assert found["unaudited"] == 1


@pytest.mark.parametrize("value", [{"SchemaVersion": 2}, {"SchemaVersion": 2, "Results": []}])
def test_trivy_without_a_target_is_empty(value: Json) -> None:
    assert code(value, "scan.container") == "EV_EMPTY"


def test_another_trivy_schema_is_unsupported_and_a_wrong_shape_malformed() -> None:
    assert code({"SchemaVersion": 3, "Results": []}, "scan.container") == "EV_UNSUPPORTED"
    assert code({"SchemaVersion": 2, "Results": "none"}, "scan.container") == "EV_MALFORMED"
    assert code({"SchemaVersion": 2, "Results": [1]}, "scan.container") == "EV_MALFORMED"


def test_pip_audit_that_skipped_everything_is_empty() -> None:
    assert code([{"name": "a", "skip_reason": "not found"}], "scan.deps") == "EV_EMPTY"


def npm(packages: dict[str, Json], **totals: Json) -> Json:
    return {
        "auditReportVersion": 2,
        "vulnerabilities": packages,
        "metadata": {"vulnerabilities": totals, "dependencies": {"total": 5}},
    }


def test_npm_counts_a_package_reached_through_another_one_there() -> None:
    via: Json = {"url": "https://x/GHSA-1", "title": "t", "severity": "low", "cvss": {"score": 9.1}}
    packages: dict[str, Json] = {
        "a": {"severity": "low", "via": [via], "range": "<2"},
        "b": {"severity": "low", "via": ["a"], "range": "*"},
    }
    assert claims(npm(packages, low=2, total=2), "scan.deps")["critical"] == 1
    packages["b"] = {"severity": "high", "via": ["elsewhere"]}
    assert claims(npm(packages, low=1, high=1, total=2), "scan.deps")["high"] == 1


def test_npm_takes_the_rating_of_a_package_when_it_is_above_its_advisories() -> None:
    packages: dict[str, Json] = {"a": {"severity": "critical", "via": [{"source": 1, "severity": "low"}]}}
    assert claims(npm(packages, critical=1, total=1), "scan.deps")["critical"] == 1


def test_npm_refuses_other_versions_errors_and_empty_trees() -> None:
    assert code({"advisories": {}, "muted": []}, "scan.deps") == "EV_UNSUPPORTED"
    assert code({"auditReportVersion": 2, "error": {"summary": "x"}}, "scan.deps") == "EV_TOOL_FAILED"
    assert code({"auditReportVersion": 2, "metadata": {"dependencies": {"total": 0}}}, "scan.deps") == "EV_EMPTY"


def test_bandit_adds_its_marks_to_the_suppressed_and_recounts_its_totals() -> None:
    one: Json = {"test_id": "B1", "issue_severity": "HIGH", "issue_text": "t", "filename": "f", "line_number": 1}
    report: dict[str, Json] = {
        "results": [one],
        "errors": [{"filename": "g"}],
        "metrics": {"_totals": {"loc": 9, "nosec": 4, "SEVERITY.HIGH": 1}, "f": {}},
    }
    found = claims(report)
    assert (found["high"], found["suppressed"], found["unaudited"], found["targets"]) == (1, 4, 1, 1)
    assert code({**report, "results": []}) == "EV_INCONSISTENT"


def test_semgrep_counts_ignored_results_errors_and_components() -> None:
    extra: Json = {
        "severity": "ERROR",
        "is_ignored": True,
        "validation_state": "CONFIRMED_VALID",
        "sca_info": {"dependency_match": {"found_dependency": {"package": "p", "version": "1"}}},
    }
    report: Json = {
        "results": [{"check_id": "c", "path": "a", "start": {"line": 1, "col": 1}, "extra": extra}],
        "errors": [{"level": "error"}, {"level": "warn"}],
        "paths": {"scanned": ["a", "b"]},
    }
    found = claims(report)
    assert (found["high"], found["suppressed"], found["unaudited"], found["targets"]) == (1, 1, 1, 2)
    assert claims(report, "scan.secrets") == {"verified": 1, "unverified": 0, "files_scanned": 2}
    reading = outcome(report, "scan.deps")
    assert isinstance(reading, Reading)
    assert (reading.findings[0].component, reading.findings[0].version) == ("p", "1")


def test_a_gitlab_scan_counts_once_it_says_it_succeeded() -> None:
    scan: dict[str, Json] = {"status": "success", "scanner": {"name": "s"}, "messages": [{"level": "warn"}]}
    assert claims({"version": "15", "vulnerabilities": [], "scan": scan})["unaudited"] == 1
    failed: Json = {"version": "15", "vulnerabilities": [], "scan": {**scan, "status": "failure"}}
    assert code(failed) == "EV_TOOL_FAILED"


def test_a_gitlab_flag_hides_nothing() -> None:
    one: Json = {
        "severity": "Critical",
        "identifiers": [{"value": "v"}],
        "flags": [{"type": "flagged-as-likely-false-positive"}],
        "location": {"file": "f", "start_line": 3},
    }
    found = claims({"version": "15", "vulnerabilities": [one]})
    assert (found["critical"], found["suppressed"]) == (1, 1)


def test_a_skipped_checkov_check_is_still_a_finding() -> None:
    results: Json = {
        "passed_checks": [],
        "failed_checks": [],
        "skipped_checks": [{"check_id": "C", "severity": "HIGH"}],
    }
    report: Json = {"check_type": "terraform", "results": results, "summary": {"skipped": 1, "passed": 3, "failed": 0}}
    found = claims([report], "scan.iac")
    assert (found["high"], found["suppressed"], found["targets"]) == (1, 1, 4)


def test_a_zap_alert_counts_once_a_request_and_a_false_positive_hides_nothing() -> None:
    report = (
        "<OWASPZAPReport generated='Tue, 12 May 2020 20:57:30'><site name='https://a'><alerts><alertitem>"
        "<pluginid>1</pluginid><riskcode>3</riskcode><confidence>0</confidence><instances>"
        "<instance><method>GET</method><uri>https://a/x</uri></instance>"
        "<instance><method>GET</method><uri>https://a/x</uri></instance>"
        "<instance><method>PUT</method><uri>https://a/x</uri></instance>"
        "</instances></alertitem><alertitem><riskcode>7</riskcode></alertitem></alerts></site></OWASPZAPReport>"
    )
    found = claims(report, "scan.dast")
    assert (found["high"], found["unknown"], found["suppressed"]) == (2, 1, 2)
    assert code("<OWASPZAPReport/>", "scan.dast") == "EV_EMPTY"


def alert(**over: Json) -> Json:
    base: dict[str, Json] = {
        "state": "open",
        "rule": {"id": "r", "severity": "error"},
        "most_recent_instance": {"location": {"path": "f", "start_line": 1}},
    }
    return base | over


def test_github_alerts_keep_the_dismissed_and_drop_the_fixed() -> None:
    found = claims([alert(), alert(state="dismissed", rule={"id": "s"}), alert(state="fixed", rule={"id": "t"})])
    assert (found["high"], found["unknown"], found["suppressed"]) == (1, 1, 1)


def test_one_full_page_of_github_alerts_may_lack_the_next() -> None:
    assert code([alert() for _ in range(100)]) == "EV_INCONSISTENT"


def test_sonarqube_findings_are_vulnerabilities_by_its_own_words() -> None:
    issues: list[Json] = [
        {"rule": "a", "type": "VULNERABILITY", "severity": "BLOCKER", "component": "f"},
        {"rule": "b", "type": "VULNERABILITY", "severity": "MAJOR", "component": "f", "resolution": "WONTFIX"},
        {"rule": "c", "type": "CODE_SMELL", "severity": "BLOCKER", "component": "f"},
        {
            "rule": "d",
            "type": "CODE_SMELL",
            "component": "f",
            "impacts": [{"softwareQuality": "SECURITY", "severity": "LOW"}],
        },
        {"rule": "e", "type": "VULNERABILITY", "severity": "MINOR", "component": "f", "resolution": "FIXED"},
    ]
    found = claims({"total": 5, "paging": {"total": 5}, "issues": issues})
    assert (found["critical"], found["high"], found["low"], found["suppressed"]) == (1, 1, 1, 1)


def test_nothing_in_json_is_empty_for_every_kind_of_scan() -> None:
    for value in ("null", "[]", "{}"):
        for kind in ("scan.sast", "scan.secrets", "quality", "sbom", "licences", "vex"):
            assert code(value, kind) == "EV_EMPTY"


def test_a_total_that_is_no_count_is_malformed() -> None:
    for total in (-1, 1.5, "3"):
        assert (
            code({"auditReportVersion": 2, "metadata": {"dependencies": {"total": total}}}, "scan.deps")
            == "EV_MALFORMED"
        )


def test_findings_with_one_key_are_one_only_when_message_and_severity_agree() -> None:
    place: Json = [{"physicalLocation": {"artifactLocation": {"uri": "f"}, "region": {"startLine": 1}}}]
    log = sarif(
        {"ruleId": "r", "level": "error", "message": {"text": "one"}, "locations": place},
        {"ruleId": "r", "level": "note", "message": {"text": "one"}, "locations": place},
        {"ruleId": "r", "level": "note", "message": {"text": "one"}, "locations": place, "suppressions": [{}]},
        {"ruleId": "r", "level": "note", "message": {"text": "two"}, "locations": place},
    )
    reading = outcome(log, "scan.sast")
    assert isinstance(reading, Reading)
    assert [finding.severity for finding in reading.findings] == [Severity.HIGH, Severity.LOW, Severity.LOW]
    assert len({finding.key for finding in reading.findings}) == 3
    assert reading.claims["suppressed"] == 1
