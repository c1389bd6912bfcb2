"""Who may vote at a gate is told with the name of that gate."""

from __future__ import annotations

from pilotage.control.sign_gate import vote_refusal
from pilotage.identity.roles import Role


def test_a_gate_of_the_workspace_is_named_in_its_refusal_with_who_votes_anywhere() -> None:
    refusal = vote_refusal(frozenset({Role.AUDITOR}), "pre-flight")
    assert refusal is not None
    (reason,) = refusal.reasons
    assert reason.where == "pre-flight"
    assert reason.text.startswith("Voting at pre-flight is not permitted to you. It takes one of the roles ")
    assert {"qa-lead", "it-director"} <= set(reason.text.rstrip(".").replace(",", "").split())
    assert vote_refusal(frozenset({Role.QA_LEAD}), "pre-flight") is None
    assert vote_refusal(frozenset({Role.QA_LEAD}), "cab") is not None
