# ruff: noqa: E501 - one row of the table per line
"""The role x action table compared whole with an expectation written from the specification's own rows (gates.md 8)."""

from __future__ import annotations

import itertools

import pytest

from pilotage.identity.roles import DERIVED_ROLES, PERMISSIONS, Action, Role, grant_for, may, said

TIERS = ["sandbox", "dev", "qa", "staging", "production"]
GATES = ["development", "code-review", "model-validation", "compliance", "dev-exit", "qa", "uat", "cab", "go-live"]
SEVERITIES = ["low", "medium", "high", "critical"]
SCOPES = {Action.VOTE: GATES, Action.PROMOTE: TIERS, Action.ROLLOUT_UP: TIERS, Action.ACCEPT_RISK: SEVERITIES}

# role: seal, claimed evidence | votes | promotes to | rolls out up in | others
TABLE = """
lead-ml-engineer    | seal attach_claimed | - | sandbox dev | - | edit_parts mitigate
data-scientist      | seal attach_claimed | - | sandbox dev | - | edit_parts mitigate
ml-engineer         | seal attach_claimed | - | sandbox dev | - | edit_parts mitigate
ml-ops-engineer     | seal attach_claimed | - | sandbox dev qa | dev qa | roll_back pause
tech-lead           | seal attach_claimed | code-review | dev | - |
senior-engineer     | seal attach_claimed | code-review | dev | - |
devops-lead         | attach_claimed | dev-exit | * | * | roll_back edit_space
platform-engineer   | attach_claimed | - | * | * | roll_back edit_space
qa-lead             | attach_claimed | qa | qa | - | edit_golden
test-engineer       | attach_claimed | - | qa | - | edit_golden
security-engineer   | attach_claimed | - | - | - | pause roll_back quarantine
security-architect  | attach_claimed | - | - | - | pause roll_back quarantine
compliance-officer  | attach_claimed | compliance | - | - | pause declare_hard_event revoke mitigate close_mitigation
privacy-officer     | attach_claimed | compliance | - | - | pause decide_step declare_hard_event take_down
legal               | attach_claimed | compliance | - | - | pause decide_step declare_hard_event take_down
data-governance-lead| attach_claimed | compliance | - | - | pause take_down
regulatory-affairs  | attach_claimed | - | - | - |
model-risk          | attach_claimed | model-validation | - | - | mitigate close_mitigation
operations-manager  | attach_claimed | uat | - | - | pause resume roll_back manage_incident drill freeze
support-engineer    | attach_claimed | - | - | - | pause roll_back manage_incident drill freeze
on-call             | attach_claimed | - | - | - | pause roll_back manage_incident drill freeze start_emergency
business-owner      | attach_claimed | uat | - | - | decide_step edit_kpis edit_budgets accept_risk:low
product-owner       | attach_claimed | - | - | - | edit_kpis
business-analyst    | attach_claimed | - | - | - | edit_kpis
uat-participant     | attach_claimed | uat | - | - |
it-director         | | cab | - | - | pause
business-leadership | | cab | - | - | pause
business-sponsor    | | cab | - | - | pause
security-director   | | cab | - | - | pause revoke confirm_emergency
risk-management     | | cab | - | - | pause accept_risk:low accept_risk:medium accept_risk:high
operations-lead     | | cab go-live | - | - | pause resume decide_step roll_back full_drill start_emergency confirm_emergency
executive-sponsor   | | cab | - | - | accept_risk:high
corpus-steward      | attach_claimed | - | - | - | accept_version take_down
reviewer            | | - | - | - | triage
integration-partner | attach_claimed | - | - | - |
training-team       | attach_claimed | - | - | - |
auditor             | | - | - | - | audit
workspace-admin     | | - | - | - | edit_policy manage_keys
service             | seal | - | * | - | attach_pushed roll_back
"""


def expected() -> set[tuple[str, str, str]]:
    """Return every permitted (role, action, within); an action without scopes has within ""."""
    found: set[tuple[str, str, str]] = set()
    for line in TABLE.strip().splitlines():
        role, plain, votes, promotes, up, others = (part.strip() for part in line.split("|"))
        for action in plain.split():
            found.add((role, action, ""))
        for name, words, whole in (("vote", votes, GATES), ("promote", promotes, TIERS), ("rollout_up", up, TIERS)):
            chosen = whole if words == "*" else [] if words == "-" else words.split()
            found |= {(role, name, word) for word in chosen}
        for other in others.split():
            action, _, within = other.partition(":")
            found.add((role, action, within))
        if role != "service":
            found |= {(role, "ask", ""), (role, "read", "")}
    return found


@pytest.mark.feature(
    "D1.15",
    "D1.16",
    "D1.17",
    "D5.17",
    "D5.18",
    "D5.19",
    "D6.26",
    "D6.27",
    "D6.28",
    "D6.29",
    "D8.28",
    "D8.29",
    "D8.30",
    "D8.31",
    "D8.32",
    "D9.34",
    "D9.35",
    "D10.32",
    "D10.33",
    "D10.34",
    "D11.46",
    "D11.47",
    "D11.48",
    "D11.49",
    "D13.93",
    "D13.94",
    "D13.95",
    "D13.96",
    "D13.97",
    "D14.42",
    "D14.43",
    "D14.44",
    "D14.45",
    "DR.1",
    "DR.2",
    "DR.3",
    "DR.4",
    "DR.5",
    "DR.6",
    "DR.7",
    "DR.8",
    "DR.9",
    "DR.10",
    "DR.11",
    "DR.12",
    "DR.13",
    "DR.14",
    "DR.16",
    "DR.17",
    "DR.18",
    "DR.19",
    "DR.20",
    "DR.21",
    "DR.22",
    "DR.23",
)
def test_the_whole_table_equals_the_specification_refused_cells_included() -> None:
    actual = {
        (role.value, action.value, within)
        for role, action in itertools.product(Role, Action)
        for within in SCOPES.get(action, [""])
        if may((role,), action, within=within) is None
    }
    assert actual == expected()


def test_every_role_has_a_row() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert {line.split("|")[0].strip() for line in TABLE.strip().splitlines()} == {role.value for role in Role}


def test_every_member_may_ask_and_read_and_nothing_else() -> None:
    permitted = {action for action in Action if may((), action) is None}
    assert permitted == {Action.ASK, Action.READ}


def test_a_refusal_names_the_roles_that_would_do() -> None:
    refusal = may({Role.DATA_SCIENTIST}, Action.VOTE, within="qa")
    assert refusal is not None
    (reason,) = refusal.reasons
    assert (reason.code, reason.where) == ("NOT_PERMITTED", "qa")
    assert reason.text == "Voting at qa is not permitted to you. It takes the role qa-lead."
    nobody = may(Role, Action.ACCEPT_RISK, within="critical")
    assert nobody is not None
    assert (
        nobody.reasons[0].text == "Accepting a risk of severity critical is not permitted to you. No role permits it."
    )


@pytest.mark.parametrize("action", Action)
def test_a_refusal_is_a_sentence_whatever_it_is_about(action: Action) -> None:
    for where in ("", "qa"):
        sentence = said(action, within=where)
        assert sentence[0].isupper()
        assert not set("_|{}") & set(sentence)


def test_nobody_votes_at_the_machine_gate_and_auditors_and_services_never_vote() -> None:
    assert may(Role, Action.VOTE, within="development") is not None
    for gate in GATES:
        assert may({Role.AUDITOR}, Action.VOTE, within=gate) is not None
        assert may({Role.SERVICE}, Action.VOTE, within=gate) is not None


def test_high_risk_takes_two_people_in_two_roles() -> None:
    first = grant_for({Role.RISK_MANAGEMENT}, Action.ACCEPT_RISK, within="high")
    second = grant_for({Role.EXECUTIVE_SPONSOR}, Action.ACCEPT_RISK, within="high")
    assert first is not None
    assert second is not None
    assert first.second == frozenset({Role.EXECUTIVE_SPONSOR})
    assert second.second == frozenset({Role.RISK_MANAGEMENT})
    revoke = grant_for({Role.SECURITY_DIRECTOR}, Action.REVOKE)
    assert revoke is not None
    assert revoke.second
    assert not revoke.second & DERIVED_ROLES
