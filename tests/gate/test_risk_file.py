"""The file of a risk acceptance: read whole, or refused with every mistake and what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pilotage.core.errors import InvalidFiles, Problem
from pilotage.core.ids import PersonId
from pilotage.gate.records import Claim
from pilotage.gate.risk_file import RiskFile, read_risk_file
from pilotage.gate.vocabulary import RiskLevel
from pilotage.identity.roles import Role

LEAST = """\
risk: Peak latency above the target
severity: medium
criteria: latency
rationale: The target is missed by little and only at peak.
compensating_controls: [Capacity is doubled by Friday]
residual: {likelihood: 2, impact: 3}
owner: ada
spaces: [production-us-east-space]
expires: 2026-06-01
"""
MORE = """\
seats: [it-director]
findings: CVE-1
requester: ben
review_at: 2026-05-01
revoke_when:
  - {kind: load.peak, when: p95 > 2050}
"""


def midnight(month: int) -> datetime:
    return datetime(2026, month, 1, tzinfo=UTC)


def read(text: str) -> RiskFile:
    return read_risk_file(text.encode(), file="risk.yaml")


def mistakes(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidFiles) as caught:
        read(text)
    return caught.value.problems


def test_an_acceptance_is_read_with_its_dates_at_midnight() -> None:
    found = read(LEAST + MORE)
    assert found == RiskFile(
        risk="Peak latency above the target",
        severity=RiskLevel.MEDIUM,
        criteria=("latency",),
        seats=(Role.IT_DIRECTOR,),
        findings=("CVE-1",),
        rationale="The target is missed by little and only at peak.",
        controls=("Capacity is doubled by Friday",),
        likelihood=2,
        impact=3,
        owner=PersonId("ada"),
        requester=PersonId("ben"),
        spaces=("production-us-east-space",),
        expires=midnight(6),
        review_at=midnight(5),
        revoke_when=(Claim(kind="load.peak", text="p95 > 2050"),),
    )


def test_what_may_be_left_out_is_nothing_or_nobody() -> None:
    found = read(LEAST)
    assert (found.seats, found.findings, found.revoke_when) == ((), (), ())
    assert (found.requester, found.review_at) == (None, None)


@pytest.mark.parametrize("key", [line.split(":")[0] for line in LEAST.splitlines() if not line.startswith("criteria")])
def test_each_needed_key_is_asked_for_by_name(key: str) -> None:
    found = mistakes("".join(line for line in LEAST.splitlines(keepends=True) if not line.startswith(key)))
    assert [one.what for one in found] == [f"'{key}' is missing"]
    assert f"Write `{key}: ...`." in found[0].hint


def test_every_mistake_is_said_at_once_with_its_line() -> None:
    bad = LEAST.replace("medium", "bad").replace("impact: 3", "impact: 9").replace("2026-06-01", "soon")
    found = mistakes(bad + "reviewed: 2026-05-01\n")
    assert sorted(one.line for one in found) == [2, 6, 9, 10]
    assert all(one.file == "risk.yaml" and one.hint for one in found)


@pytest.mark.parametrize("text", ["", "risk: [", "- a list\n"], ids=["empty", "no YAML", "no mapping"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert len(mistakes(text)) >= 1
