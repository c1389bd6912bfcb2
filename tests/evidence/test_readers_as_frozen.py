"""What each reader makes of its sample files, frozen with its version: another reading needs another version.

Where this fails, a reader makes something else of the same bytes: raise `version` of its Format, and write what the
failure shows into FROZEN.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evidence.test_each_reader_fuzzed import CONTEXT, seeds_of

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import digest_of_json
from pilotage.evidence.read import FORMATS, read_evidence
from pilotage.evidence.records import Reading
from pilotage.evidence.source import Format

FROZEN = {
    "JUnit XML@1": "570250a03389db0e",
    "Cobertura XML@1": "f99bbcb15e5c93ab",
    "JaCoCo XML@1": "bfebf6f2f1980150",
    "lcov@1": "855e1ea451f14768",
    "requirement report@1": "c1cb16e93f7a75bb",
    "JMeter CSV@1": "e5e62a8c9952aca9",
    "JMeter XML@1": "41736ddc1599498c",
    "Locust statistics@1": "95b8128ca3f0d982",
    "k6 summary@1": "8a0011f493f0f3e9",
    "own load report@1": "182e69682fecede2",
    "axe results@1": "cb7158c989bd7778",
    "failover drill@1": "7b0f3e22519ef65d",
    "recovery drill@1": "109a4154debc8052",
    "pentest@1": "8e27087cd5013b7a",
    "GitHub review@1": "1cfa040c903bd704",
    "acceptance rows@1": "4f83a0f7059c0e35",
    "training rows@1": "a21badbb743e2a10",
    "model card@1": "645a65948b7deeab",
    "Pilotage secrets@1": "79c48545d5e06220",
    "SARIF@1": "301fb153c233819d",
    "CycloneDX@1": "4a5d7b72cffaa4b5",
    "SPDX@1": "3ff1dffc8284f83a",
    "Snyk@1": "04cbfca157cd85aa",
    "Snyk API@1": "941a5803968a4c56",
    "Trivy@1": "997de719882e0f8a",
    "npm audit@1": "55d92ad3b1008b62",
    "pip-audit@1": "4a79cb75b1827da5",
    "Bandit@1": "5dcb87687d53f2c5",
    "Semgrep@1": "ce512bd3dd4179b6",
    "Checkov@1": "a9b681bb89fc2210",
    "GitLab report@1": "d4aa52dc0c923dbd",
    "GitHub alerts@1": "a926bb8d3d82b90b",
    "ZAP@1": "be588f5813c53a3d",
    "SonarQube issues@1": "e7103beb7f086ed1",
    "SonarQube quality@1": "f9de753dcd28a70c",
    "empty JSON@1": "ac10bb27cabe122f",
    "SARIF of a penetration test@1": "c8fc5d4add737beb",
    "document@1": "339f7e7c8a4c0530",
}


def said(one: Format, folder: Path) -> str:
    """Return the digest of what a reader makes of its files, whatever their order; refusals by their code."""
    found: list[Json] = []
    for data, kind in sorted(set(seeds_of(one, folder))):
        read = read_evidence(data, kind=kind, name="f", context=CONTEXT)
        if not isinstance(read, Reading):
            found.append([kind, read.reason.code])
            continue
        claims: dict[str, Json] = {name: repr(value) for name, value in read.claims.items()}
        findings = sorted(repr(each) for each in read.findings)
        names: dict[str, Json] = {purpose: list(listed) for purpose, listed in read.names.items()}
        found.append([kind, claims, [*findings], names, {k: v for k, v in read.refs.items() if k != "read_by"}])
    return digest_of_json(found, form=Form.PLAIN).removeprefix("sha256:")[:16]


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.id)
def test_a_reader_makes_of_a_file_what_it_made_when_it_got_its_version(one: Format, shared_data: Path) -> None:
    assert (one.named, said(one, shared_data)) == (one.named, FROZEN.get(one.named))


def test_no_version_is_frozen_that_is_not_in_force() -> None:
    assert FROZEN.keys() == {one.named for one in FORMATS}
