"""Each reader with each file that proves nothing: corrupt, empty, of another format, an entity bomb, without work done.

The table holds one good file and one without any work a format; a format that is added without its row fails here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from tests.evidence.test_each_reader_fuzzed import CONTEXT, SEEDS, seeds_of

from pilotage.evidence.read import FORMATS, read_evidence
from pilotage.evidence.records import Reading, ReadRefusal
from pilotage.evidence.source import Format
from pilotage.evidence.superseding import is_lower_better

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>%b'
)
NOTHING: dict[str, tuple[bytes, ...]] = {
    "JUnit XML": (
        b"<testsuites/>",
        b'<testsuite tests="0"/>',
        (
            b'<testsuite tests="2"><testcase name="a"><skipped/></testcase>'
            b'<testcase name="b"><skipped/></testcase></testsuite>'
        ),
        b'<testsuite tests="1"><testcase name="a" status="notrun"/></testsuite>',
    ),
    "Cobertura XML": (
        b'<coverage line-rate="1"><packages/></coverage>',
        b'<coverage line-rate="NaN" lines-valid="0"><packages/></coverage>',
    ),
    "JaCoCo XML": (b'<report name="r"/>', b'<report name="r"><package name="p"/></report>'),
    "lcov": (b"SF:src/a.py\nend_of_record\n", b"SF:src/a.py\nLF:0\nLH:0\nend_of_record\n"),
    "requirement report": (
        b'{"basis": "requirements", "requirements": []}',
        b'{"basis": "requirements", "requirements": [{"id": "a", "scored_cases": 0}]}',
    ),
    "JMeter CSV": (b"timeStamp,elapsed,label,responseCode,success\n",),
    "JMeter XML": (b'<testResults version="1.2"/>',),
    "Locust statistics": (
        b"Type,Name,Request Count,Failure Count,Median Response Time,95%,99%,Requests/s\n,Aggregated,0,0,0,0,0,0\n",
    ),
    "k6 summary": (
        b'{"metrics": {"http_reqs": {"count": 0, "rate": 0}, "http_req_failed": {"value": 0}}}',
        b'{"metrics": {"http_req_failed": {"value": 0}}}',
    ),
    "own load report": (b'{"format": "pilotage.load/1", "samples": []}',),
    "axe results": (
        b'{"testEngine": {"name": "axe-core"}, "violations": [], "passes": [], "incomplete": [], "inapplicable": []}',
        (
            b'{"testEngine": {"name": "axe-core"}, "violations": [], "passes": [{"id": "a"}], "incomplete": [],'
            b' "inapplicable": []}'
        ),
    ),
    "failover drill": (b"drill: failover\nruns: []\n", b"drill: failover\n"),
    "recovery drill": (b"drill: recovery\nruns: []\n", b"drill: recovery\n"),
    "pentest": (b"pentest: {}\n", b"pentest:\n  independent: true\n  findings: []\n"),
    "GitHub review": (
        b'{"pull": {"head": {"sha": "h"}}, "commits": [{"sha": "h", "commit": {"tree": {"sha": "t"}}}], "reviews": []}',
        b'{"pull": {"head": {"sha": "h"}}, "commits": [], "reviews": []}',
    ),
    "acceptance rows": (b"scenario,tester,result,at,digest\n", b"scenario,tester,result,at,digest\n,,,,\n"),
    "training rows": (b"person,course,completed_at\n", b"person,course,completed_at\nann,ops,\n"),
    "model card": (b'{"model_details": {}, "considerations": {}}',),
    "Pilotage secrets": (b'{"format": "pilotage.secrets/1", "files_scanned": 0, "findings": []}',),
    "SARIF": (b'{"version": "2.1.0", "runs": []}', b'{"version": "2.1.0", "runs": null}'),
    "CycloneDX": (
        b'{"bomFormat": "CycloneDX", "specVersion": "1.4", "components": []}',
        b'<bom xmlns="http://cyclonedx.org/schema/bom/1.4"/>',
    ),
    "SPDX": (b'{"spdxVersion": "SPDX-2.3", "packages": []}', b"SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n"),
    "Snyk": (b'{"vulnerabilities": [], "ok": true, "dependencyCount": 0}',),
    "Snyk API": (b'{"jsonapi": {"version": "1.0"}, "data": []}',),
    "Trivy": (b'{"SchemaVersion": 2, "Results": []}', b'{"SchemaVersion": 2, "ArtifactName": "a", "Results": null}'),
    "npm audit": (
        (
            b'{"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"vulnerabilities": {"total": 0},'
            b' "dependencies": {"total": 0}}}'
        ),
    ),
    "pip-audit": (b'{"dependencies": [], "fixes": []}',),
    "Bandit": (b'{"errors": [], "metrics": {"_totals": {"loc": 0}}, "results": []}',),
    "Semgrep": (b'{"results": [], "errors": [], "paths": {"scanned": []}, "version": "1"}',),
    "Checkov": (
        (
            b'{"check_type": "terraform", "results": {"passed_checks": [], "failed_checks": []},'
            b' "summary": {"passed": 0, "failed": 0}}'
        ),
    ),
    "GitLab report": (b'{"version": "15.0.0", "vulnerabilities": [], "scan": {"status": "failure"}}',),
    "GitHub alerts": (b"[]",),
    "ZAP": (b'<OWASPZAPReport version="2.9.0"/>', b'{"@version": "2.9.0", "site": []}'),
    "SonarQube issues": (b'{"total": 3, "paging": {"total": 3}, "issues": []}',),
    "SonarQube quality": (b'{"projectStatus": {}}', b'{"projectStatus": {"status": "NONE", "conditions": []}}'),
    "empty JSON": (b"[]", b"{}", b"null", b"[[]]"),
    "SARIF of a penetration test": (b'{"version": "2.1.0", "runs": []}',),
    "document": (b"# Title\n", b"---\nowner: ann\nversion: '1'\nvalid_until: 2027-01-01\n---\n# Scope\nTBD\n"),
}
"""Files of each format, well formed, in which nothing was done."""
PROOF = {
    "tests": ("executed", 1),
    "coverage": ("line_rate", 0.000_001),
    "load": ("requests", 1),
    "accessibility": ("rules_run", 50),
    "failover": ("runs", 1),
    "recovery": ("runs", 1),
    "pentest": ("independent", 1),
    "review": ("approvals_on_head", 1),
    "uat": ("testers", 1),
    "training": ("share", 0.000_001),
    "document": ("complete", 1),
    "sbom": ("components", 1),
    "licences": ("components", 1),
    "vex": ("components", 1),
    "quality": ("gate_ok", 1),
    "scan": ("tools", 1),
}
"""What a file of each family must show to prove anything at all: a claim and its least value."""
ALSO_SCANS = {"SARIF of a penetration test": {"scan"}, "SonarQube quality": {"scan"}, "SARIF": {"pentest"}}
_NUMBER = re.compile(rb"(?<![\w.#/-])-?\d+(?:\.\d+)?(?![\w./-])")
_NEUTRAL = frozenset({"rps", "duration_s", "max_gap_s", "volume_ratio", "words", "valid_days", "targets", "files"})


@dataclass(frozen=True, kw_only=True)
class Good:
    """A file that is taken, as a kind, and what it says."""

    data: bytes
    kind: str
    reading: Reading


def kinds_of(one: Format, folder: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for _, kind in seeds_of(one, folder)))


@cache
def good(one: Format, folder: Path) -> tuple[Good, ...]:
    """Return the three smallest files of a format that are taken."""
    found: list[Good] = []
    for data, kind in sorted(seeds_of(one, folder), key=lambda seed: len(seed[0])):
        result = read_evidence(data, kind=kind, name="file", context=CONTEXT)
        if isinstance(result, Reading) and all(data != other.data for other in found):
            found.append(Good(data=data, kind=kind, reading=result))
        if len(found) == 3:
            break
    return tuple(found)


def refused(data: bytes, kind: str) -> str | None:
    """Return the code a file is refused with, None when it is taken."""
    result = read_evidence(data, kind=kind, name="file", context=CONTEXT)
    return result.reason.code if isinstance(result, ReadRefusal) else None


def proves(data: bytes, kind: str) -> bool:
    """Tell whether a file is taken and shows that anything was done."""
    result = read_evidence(data, kind=kind, name="file", context=CONTEXT)
    claim, least = PROOF[kind.partition(".")[0]]
    return isinstance(result, Reading) and "unproven_clean" not in result.refs and result.claims.get(claim, 0) >= least


each = pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.id)


def test_no_format_is_without_its_row() -> None:
    assert NOTHING.keys() == {one.id for one in FORMATS}
    assert len(FORMATS) == 38


@each
def test_a_file_in_which_nothing_was_done_proves_nothing(one: Format, shared_data: Path) -> None:
    for data in NOTHING[one.id]:
        for kind in kinds_of(one, shared_data):
            assert not proves(data, kind), (kind, data)


@each
def test_nothing_at_all_is_empty(one: Format, shared_data: Path) -> None:
    for kind in kinds_of(one, shared_data):
        for data in (b"", b" \n\t", b"\xef\xbb\xbf", b"\xff\xfe"):
            assert refused(data, kind) == "EV_EMPTY", (kind, data)


@each
def test_an_entity_bomb_opens_nothing(one: Format, shared_data: Path) -> None:
    for kind in kinds_of(one, shared_data):
        for name in (b"testsuite", b"coverage", b"report", b"bom", b"testResults", b"OWASPZAPReport"):
            bomb = LAUGHS % (b"<%b>&c;</%b>" % (name, name))
            assert refused(bomb, kind) == "EV_XML_ENTITY" or (kind.startswith("document.") and not proves(bomb, kind))


@each
def test_an_archive_and_bytes_that_are_no_text_are_refused(one: Format, shared_data: Path) -> None:
    for kind in kinds_of(one, shared_data):
        assert refused(b"PK\x03\x04" + b"\x00" * 40, kind) == "EV_ARCHIVE"
        for file in good(one, shared_data):
            assert refused(file.data + b"\xc3\x28", kind) == "EV_MALFORMED"
            assert refused(file.data[:1] + b"\x00" + file.data[1:], kind) == "EV_MALFORMED"


@each
def test_a_file_cut_in_the_middle_is_refused_or_says_nothing_better(one: Format, shared_data: Path) -> None:
    for file in good(one, shared_data):
        cut = file.data[: len(file.data) // 2].rstrip()
        is_closed = file.data.lstrip()[:1] in {b"<", b"{", b"["}
        code = refused(cut, file.kind)
        if is_closed and not file.kind.startswith("document."):
            assert code in {"EV_MALFORMED", "EV_NOT_JSON", "EV_KIND_MISMATCH"}, (code, cut)


def spoiled(data: bytes) -> Iterator[bytes]:
    """Yield the file with each of its numbers made one that counts nothing."""
    for place in list(_NUMBER.finditer(data))[:60]:
        if data[: place.start()].endswith((b'line-rate="', b'branch-rate="')):
            continue  # a rate that is stated as NaN is not stated: the lines are counted (gates.md 2.5)
        for number in (b"NaN", b'"NaN"', b"-1", b"1e999", b"Infinity"):
            yield data[: place.start()] + number + data[place.end() :]


@each
def test_a_number_that_is_none_improves_nothing(one: Format, shared_data: Path) -> None:
    for file in good(one, shared_data):
        before = {**file.reading.claims}
        before["critical"] = before.get("critical", 0) + before.get("unknown", 0)
        for data in spoiled(file.data):
            result = read_evidence(data, kind=file.kind, name="file", context=CONTEXT)
            if isinstance(result, ReadRefusal):
                continue
            after = {**result.claims}
            after["critical"] = after.get("critical", 0) + after.get("unknown", 0)
            for claim in before.keys() & after.keys() - _NEUTRAL - {"unknown"}:
                better = (
                    after[claim] < before[claim] if is_lower_better(claim, file.kind) else after[claim] > before[claim]
                )
                known = claim in {"high", "medium", "low"} and after["critical"] > before["critical"]
                assert not better or known, (claim, before[claim], after[claim], data)


@each
def test_nan_in_json_is_no_json(one: Format, shared_data: Path) -> None:
    for file in good(one, shared_data):
        try:
            value = json.loads(file.data)
        except ValueError:
            continue
        for word in ("NaN", "Infinity", "-Infinity"):
            data = json.dumps({"extra": 0, **value} if isinstance(value, dict) else [value, 0])
            spoilt = (
                data.replace('"extra": 0', f'"extra": {word}', 1) if isinstance(value, dict) else f"{data[:-2]}{word}]"
            )
            assert refused(spoilt.encode(), file.kind) == "EV_NOT_JSON" or file.kind == "document.runbook", spoilt[:80]


@each
def test_a_file_of_another_family_is_told_apart(one: Format, shared_data: Path) -> None:
    for kind in kinds_of(one, shared_data):
        for other in FORMATS:
            families = {name.partition(".")[0] for name in other.kinds} | ALSO_SCANS.get(other.id, set())
            for file in good(other, shared_data)[:1] if kind.partition(".")[0] not in families else ():
                code = refused(file.data, kind)
                assert code == "EV_KIND_MISMATCH" or not proves(file.data, kind), (other.id, kind, code)


def test_the_checks_can_fail(shared_data: Path) -> None:
    assert proves(b'<testsuite tests="1"><testcase name="a"/></testsuite>', "tests.unit")
    assert SEEDS
    assert sum(bool(good(one, shared_data)) for one in FORMATS) >= 34
