"""Public sample files of scanners give exactly the result gates.md 2.6 states for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.scan_result import UNPROVEN

SARIF = "defectdojo/sarif"
TUTORIALS = "sarif-tutorials"
ODD = f"{TUTORIALS}/ExceptionalConditions"
DOJO = "defectdojo"
BOMS = "cyclonedx-examples"

REFUSED = [
    (f"{SARIF}/no_runs.sarif", "scan.sast", "EV_EMPTY"),
    (f"{ODD}/Empty runs.sarif", "scan.sast", "EV_EMPTY"),
    (f"{ODD}/No runs.sarif", "scan.sast", "EV_EMPTY"),
    (f"{ODD}/One run no results.sarif", "scan.sast", "EV_EMPTY"),
    (f"{ODD}/Catastrophic configuration error.sarif", "scan.sast", "EV_TOOL_FAILED"),
    (f"{ODD}/Catastrophic execution error.sarif", "scan.sast", "EV_TOOL_FAILED"),
    (f"{SARIF}/spotbugs.sarif", "scan.sast", "EV_TOOL_FAILED"),
    (f"{TUTORIALS}/Notifications.sarif", "scan.sast", "EV_TOOL_FAILED"),
    (f"{DOJO}/snyk/single_project_no_vulns.json", "scan.deps", "EV_EMPTY"),
    (f"{DOJO}/snyk/single_project_None_cvss.json", "scan.deps", "EV_INCONSISTENT"),
    (f"{DOJO}/sonarqube/sonar-no-finding.json", "scan.sast", "EV_INCONSISTENT"),
    (f"{DOJO}/sonarqube/sonar-no-finding.json", "quality", "EV_INCONSISTENT"),
    (f"{DOJO}/sonarqube/findings_over_api.json", "scan.sast", "EV_INCONSISTENT"),
    (f"{DOJO}/trivy/legacy_no_vuln.json", "scan.container", "EV_EMPTY"),
    (f"{DOJO}/pip_audit/empty.json", "scan.deps", "EV_EMPTY"),
    (f"{DOJO}/pip_audit/empty_new.json", "scan.deps", "EV_EMPTY"),
    (f"{DOJO}/semgrep/empty.json", "scan.sast", "EV_EMPTY"),
    (f"{DOJO}/gitlab_sast/gl-sast-report-0-vuln.json", "scan.sast", "EV_EMPTY"),
    (f"{DOJO}/github_sast/github_sast_zero_vul.json", "scan.sast", "EV_EMPTY"),
    (f"{DOJO}/checkov/checkov-report-0-vuln.json", "scan.iac", "EV_EMPTY"),
    (f"{DOJO}/checkov/checkov2-report-0-vuln.json", "scan.iac", "EV_EMPTY"),
    (f"{DOJO}/bandit/no_vuln.json", "scan.sast", "EV_EMPTY"),
    (f"{BOMS}/VEX/vex.json", "sbom", "EV_EMPTY"),
    (f"{BOMS}/VEX/CISA-Use-Cases/Case-3/vex.json", "sbom", "EV_EMPTY"),
    (f"{DOJO}/spdx/spdx_3_unsupported.json", "sbom", "EV_UNSUPPORTED"),
    (f"{BOMS}/SBOM/laravel-7.12.0/bom.1.1.xml", "sbom", "EV_UNSUPPORTED"),
    (f"{DOJO}/sonarqube/findings_over_api.zip", "scan.sast", "EV_ARCHIVE"),
    (f"{DOJO}/checkov/checkov-report-many-vuln.json", "scan.iac", "EV_INCONSISTENT"),
    (f"{DOJO}/npm_audit_7_plus/issue_10801.json", "scan.deps", "EV_INCONSISTENT"),
]

ACCEPTED = [
    (f"{SARIF}/cxf-3.4.6.sarif", "scan.deps", {"critical": 1, "high": 11, "medium": 4, "low": 6, "unknown": 0}),
    (f"{SARIF}/taint-python-report.sarif", "scan.sast", {"critical": 0, "high": 8, "medium": 1, "low": 2}),
    (f"{TUTORIALS}/Baseline.sarif", "scan.sast", {"medium": 3, "high": 0}),
    (f"{TUTORIALS}/Suppressions.sarif", "scan.sast", {"medium": 9, "suppressed": 8}),
    (f"{ODD}/One run with results.sarif", "scan.sast", {"medium": 1}),
    (f"{DOJO}/snyk/all-projects_many_vulns.json", "scan.deps", {"critical": 0, "high": 0, "medium": 4, "targets": 34}),
    (f"{DOJO}/pip_audit/zero_vulns.json", "scan.deps", {"critical": 0, "unknown": 0, "unaudited": 1, "targets": 3}),
    (f"{DOJO}/pip_audit/many_vulns_new.json", "scan.deps", {"unknown": 7, "unaudited": 1}),
    (f"{DOJO}/npm_audit_7_plus/no_vuln.json", "scan.deps", {"critical": 0, "high": 0, "targets": 97}),
    (f"{DOJO}/cyclonedx/no-severity.json", "scan.deps", {"critical": 1}),
    (f"{DOJO}/cyclonedx/no-severity.json", "vex", {"critical": 1}),
    (f"{BOMS}/VEX/CISA-Use-Cases/Case-3/vex.json", "vex", {"critical": 2, "high": 2, "medium": 6, "low": 0}),
    (f"{BOMS}/SBOM/dropwizard-1.3.15/bom.json", "sbom", {"components": 167, "unknown_licence": 34, "denied": 0}),
    (f"{DOJO}/bandit/dd.json", "scan.sast", {"medium": 36, "low": 11, "unaudited": 0}),
    (f"{DOJO}/trivy/issue_9092.json", "scan.container", {"critical": 1}),
    (f"{DOJO}/spdx/spdx_one_vuln.spdx", "sbom", {"components": 2, "unknown_licence": 0, "unknown": 1}),
    (f"{DOJO}/spdx/spdx_many_vuln.json", "licences", {"components": 4}),
    (f"{DOJO}/github_sast/github_sast_many_vul.json", "scan.sast", {"high": 2}),
    (f"{DOJO}/gitlab_sast/gl-sast-report-confidence_v15.json", "scan.sast", {"high": 8}),
    (f"{DOJO}/checkov/checkov-report-1-vuln.json", "scan.iac", {"unknown": 1}),
    (f"{DOJO}/zap/some_2.9.0.xml", "scan.dast", {"critical": 0}),
]

UNPROVEN_FILES = [
    (f"{SARIF}/appendix_k1.sarif", "scan.sast"),
    (f"{ODD}/One run empty results.sarif", "scan.sast"),
    (f"{DOJO}/sonarqube/findings_over_api_empty.json", "scan.sast"),
    (f"{DOJO}/zap/empty_2.9.0.xml", "scan.dast"),
]


def read(shared_data: Path, path: str, kind: str, context: ReadContext | None = None) -> Reading | ReadRefusal:
    file = shared_data / "evidence" / path
    return read_evidence(file.read_bytes(), kind=kind, name=file.name, context=context or ReadContext())


@pytest.mark.feature("D5.6")
@pytest.mark.parametrize(("path", "kind", "code"), REFUSED)
def test_a_sample_that_cannot_count_is_refused_with_its_code(
    shared_data: Path, path: str, kind: str, code: str
) -> None:
    refused = read(shared_data, path, kind)
    assert isinstance(refused, ReadRefusal), refused
    assert refused.reason.code == code


@pytest.mark.feature("D5.2", "D5.6")
@pytest.mark.parametrize(("path", "kind", "claims"), ACCEPTED)
def test_a_sample_gives_the_stated_claims(shared_data: Path, path: str, kind: str, claims: dict[str, float]) -> None:
    reading = read(shared_data, path, kind)
    assert isinstance(reading, Reading), reading
    assert {name: reading.claims.get(name) for name in claims} == claims
    assert reading.kind == kind
    assert UNPROVEN not in reading.refs


@pytest.mark.parametrize(("path", "kind"), UNPROVEN_FILES)
def test_a_clean_result_that_nothing_proves_says_so(shared_data: Path, path: str, kind: str) -> None:
    reading = read(shared_data, path, kind)
    assert isinstance(reading, Reading), reading
    assert reading.findings == ()
    assert reading.refs[UNPROVEN] == "EV_UNPROVEN_CLEAN"


def test_a_quality_report_without_gate_status_claims_no_gate(shared_data: Path) -> None:
    reading = read(shared_data, f"{DOJO}/sonarqube/issue_10150.json", "quality")
    assert isinstance(reading, Reading), reading
    assert "gate_ok" not in reading.claims
    assert "score" not in reading.claims


def test_a_vex_file_in_every_sample_holds_no_component(shared_data: Path) -> None:
    files = sorted((shared_data / "evidence" / BOMS / "VEX").rglob("vex*.json"))
    assert len(files) > 20
    for file in files:
        refused = read_evidence(file.read_bytes(), kind="sbom", name=file.name, context=ReadContext())
        assert isinstance(refused, ReadRefusal), file
        assert refused.reason.code == "EV_EMPTY"


def test_xml_and_json_of_one_bill_of_material_agree(shared_data: Path) -> None:
    folder = f"{BOMS}/SBOM/laravel-7.12.0"
    for version in ("1.2", "1.3", "1.4"):
        as_json = read(shared_data, f"{folder}/bom.{version}.json", "sbom")
        as_xml = read(shared_data, f"{folder}/bom.{version}.xml", "sbom")
        assert isinstance(as_json, Reading)
        assert isinstance(as_xml, Reading)
        assert as_json.claims == as_xml.claims
        assert set(as_json.names["components"]) == set(as_xml.names["components"])


def test_a_denied_licence_in_a_real_bill_of_material_is_counted(shared_data: Path) -> None:
    context = ReadContext(denied_licences=frozenset({"EPL-1.0"}))
    reading = read(shared_data, f"{BOMS}/SBOM/dropwizard-1.3.15/bom.json", "sbom", context)
    assert isinstance(reading, Reading)
    assert reading.claims["denied"] >= 25
    assert reading.notes


def test_every_sample_file_is_read_or_refused_with_an_evidence_code(shared_data: Path) -> None:
    folders = ("defectdojo", "sarif-tutorials", "cyclonedx-examples")
    files = [
        file for name in folders for file in sorted((shared_data / "evidence" / name).rglob("*")) if file.is_file()
    ]
    assert len(files) > 200
    for file in files:
        data = file.read_bytes()
        for kind in (None, "scan.sast", "scan.deps", "quality", "sbom", "vex", "scan.secrets"):
            result = read_evidence(data, kind=kind, name=file.name, context=ReadContext())
            if isinstance(result, ReadRefusal):
                assert result.reason.code.startswith("EV_"), (file, kind, result)
            else:
                assert result.kind == kind or kind is None
