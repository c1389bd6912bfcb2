"""A VEX statement clears a finding only when advisory, component, inventory, justification and trust all agree."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import (
    Evidence,
    EvidenceState,
    ReadContext,
    Reading,
    Severity,
    SubjectKind,
    ToolFinding,
)
from pilotage.evidence.vex import VexStatement, component_names, open_claims, open_findings
from pilotage.workspace.gate import Trust

PURL = "pkg:pypi/jinja2@3.1.2"
SBOM: Json = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "components": [{"name": "jinja2", "version": "3.1.2", "purl": PURL, "bom-ref": "c1", "licenses": []}],
}
FINDING = ToolFinding(rule="CVE-2026-1", severity=Severity.CRITICAL, component="jinja2", version="3.1.2")


def evidence(value: Json, kind: str, trust: Trust = Trust.PUSHED) -> Evidence:
    data = json.dumps(value).encode()
    reading = read_evidence(data, kind=kind, name=kind, context=ReadContext())
    assert isinstance(reading, Reading), reading
    now = datetime(2026, 11, 25, tzinfo=UTC)
    return Evidence(
        id=kind,
        sha256=digest_of(data),
        kind=kind,
        subject_kind=SubjectKind.RELEASE,
        subject=digest_of(b"release"),
        producer="key|ci",
        trust=trust,
        produced_at=now,
        received_at=now,
        claims=reading.claims,
        reader=reading.reader,
        findings=reading.findings,
        names=reading.names,
    )


def vex(
    state: str = "not_affected",
    *,
    justification: str | None = "code_not_reachable",
    ref: str = f"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#{PURL}",
    advisory: str = "CVE-2026-1",
    trust: Trust = Trust.PUSHED,
) -> Evidence:
    analysis: dict[str, Json] = {"state": state}
    if justification is not None:
        analysis["justification"] = justification
    one: Json = {"id": advisory, "ratings": [{"score": 0.0}], "analysis": analysis, "affects": [{"ref": ref}]}
    return evidence({"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [one]}, "vex", trust)


def scan(finding: ToolFinding = FINDING) -> Evidence:
    return replace(evidence(SBOM, "sbom"), kind="scan.deps", findings=(finding,), names={})


def is_cleared(
    statement: Evidence, *, finding: ToolFinding = FINDING, inventory: Json = SBOM, state: EvidenceState | None = None
) -> bool:
    boms = [replace(evidence(inventory, "sbom"), state=state or EvidenceState.ACCEPTED)]
    return open_findings(scan(finding), [statement], boms) == ()


@pytest.mark.parametrize("state", ["not_affected", "false_positive"])
def test_a_justified_statement_at_pushed_trust_clears_the_finding(state: str) -> None:
    assert is_cleared(vex(state))


@pytest.mark.parametrize(
    "state", ["in_triage", "exploitable", "resolved", "resolved_with_pedigree", "NOT_AFFECTED", ""]
)
def test_any_other_state_leaves_it_open(state: str) -> None:
    assert not is_cleared(vex(state))


def test_without_a_justification_it_stays_open() -> None:
    assert not is_cleared(vex(justification=None))
    assert not is_cleared(vex(justification=" "))


def test_a_claimed_statement_clears_nothing_and_an_attested_one_does() -> None:
    assert not is_cleared(vex(trust=Trust.CLAIMED))
    assert is_cleared(vex(trust=Trust.ATTESTED))


def test_a_component_outside_this_subjects_bill_of_material_clears_nothing() -> None:
    other: Json = {**SBOM, "components": [{"name": "flask", "version": "3.0", "purl": "pkg:pypi/flask@3.0"}]}  # type: ignore[dict-item]
    assert not is_cleared(vex(), inventory=other)
    assert not is_cleared(vex(), state=EvidenceState.REJECTED)


def test_another_advisory_version_or_component_clears_nothing() -> None:
    assert not is_cleared(vex(advisory="CVE-2026-2"))
    assert not is_cleared(vex(), finding=replace(FINDING, version="3.1.1"))
    assert not is_cleared(vex(), finding=replace(FINDING, version=""))
    assert not is_cleared(vex(), finding=replace(FINDING, component="markupsafe"))
    assert not is_cleared(vex(ref="pkg:pypi/jinja2@3.1.3"))


@pytest.mark.parametrize("component", ["jinja2", "Jinja2", PURL, f"{PURL}?type=wheel", "org.example:jinja2"])
def test_a_component_is_known_by_the_names_scanners_give_it(component: str) -> None:
    assert is_cleared(vex(), finding=replace(FINDING, component=component))


def test_a_withdrawn_statement_clears_nothing() -> None:
    assert not is_cleared(replace(vex(), state=EvidenceState.WITHDRAWN))


def test_an_unjustified_statement_stays_open_in_the_file_itself() -> None:
    assert vex(justification=None).claims["unknown"] == 1
    assert vex().claims["unknown"] == 0
    assert vex("in_triage").claims["unknown"] == 1


def test_a_scan_in_the_same_format_clears_nothing_by_its_own_analysis() -> None:
    one: Json = {
        "id": "CVE-1",
        "ratings": [{"severity": "critical"}],
        "analysis": {"state": "not_affected", "justification": "code_not_present"},
        "affects": [{"ref": "c1"}],
    }
    found = evidence({**SBOM, "vulnerabilities": [one]}, "scan.deps")  # type: ignore[dict-item]
    assert (found.claims["critical"], found.claims["suppressed"]) == (1, 1)
    assert found.findings[0].component == "jinja2"


def test_claims_lose_exactly_the_cleared_findings() -> None:
    other = replace(FINDING, rule="CVE-2026-9")
    unlisted = {"critical": 5.0, "high": 1.0, "suppressed": 2.0}
    found = replace(scan(), findings=(FINDING, other), claims=unlisted)
    boms = [evidence(SBOM, "sbom")]
    assert open_claims(found, [vex()], boms) == {**unlisted, "critical": 4.0}
    assert open_claims(found, [vex(trust=Trust.CLAIMED)], boms) == unlisted
    assert open_claims(found, [], boms) == unlisted


def test_a_statement_survives_its_text_form() -> None:
    statement = VexStatement(advisories=("CVE-1", "GHSA-2"), components=("pkg:pypi/é@1", "a b"))
    assert VexStatement.from_text(statement.as_text()) == statement
    for text in ("{}", "[1, 2]", "[]"):
        with pytest.raises(ValueError, match="statement"):
            VexStatement.from_text(text)


def test_names_of_a_component_drop_qualifiers_and_the_link_to_another_file() -> None:
    assert component_names(name="A", version="1", purl="pkg:npm/%40s/a@1?x=y#z", ref="urn:cdx:s/1#r") == (
        "a@1",
        "pkg:npm/@s/a@1",
        "r",
    )
    assert component_names(name="a") == ()
