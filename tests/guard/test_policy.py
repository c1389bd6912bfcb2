"""Where a release may reach, and how a finding is told: what was found, never the value."""

from __future__ import annotations

import pytest

from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action, EgressRule, model_networks, unlisted_model

HOST = "models.example"
LISTED = EgressRule(host=HOST, port=443, purpose="models", allow_private=("10.0.0.0/8",))


@pytest.mark.parametrize(
    ("host", "port", "rules", "may"),
    [
        (HOST, 443, [LISTED], True),
        ("localhost", 8000, [], True),
        (HOST, 8443, [LISTED], False),
        ("other.example", 443, [LISTED], False),
        (HOST, 443, [EgressRule(host=HOST, port=443, purpose="tools")], False),
        (HOST, 443, [], False),
    ],
    ids=["listed", "on this machine", "another port", "another host", "another purpose", "nothing listed"],
)
def test_a_model_is_called_where_egress_lists_it_and_the_rest_is_told_what_to_write(
    host: str, port: int, rules: list[EgressRule], may: bool
) -> None:
    told = unlisted_model(rules, host, port)
    assert (told is None) is may
    assert told is None or f"{{host: {host}, port: {port}, purpose: models}}" in told[1]


def test_private_networks_are_those_of_the_model_s_own_rule() -> None:
    assert model_networks([LISTED], HOST, 443) == ("10.0.0.0/8",)
    assert model_networks([LISTED], HOST, 8443) == ()


@pytest.mark.parametrize(("where", "more"), [("", {}), ("message 2", {"where": "message 2"})])
def test_a_finding_is_told_without_its_value(where: str, more: dict[str, str]) -> None:
    found = Finding(check="pii_in", type="US_SSN", count=2, action=Action.REDACT, where=where)
    assert found.as_json() == {"check": "pii_in", "type": "US_SSN", "count": 2, "action": "redact", **more}
