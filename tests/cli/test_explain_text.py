"""`pilotage explain` of a request that was refused early: what never was is neither None nor called erased."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pilotage.cli.explain import render_explanation

PROOF: dict[str, Any] = {"kind": "interaction.recorded", "seq": 4, "size": 9, "root": "ab" * 32, "opens": {}}


def told(**changes: Any) -> str:
    record: dict[str, Any] = {
        "interaction": "01M83HQ44ZGEHZZTRG0DQT7AFD",
        "at": "2026-11-23T06:33:57.735Z",
        "outcome": "refused",
        "state": "final",
        "question": None,
        "answer": None,
        "asker": {"pseudonym": "p-1", "via": "key"},
        "admitted": {"space": "sandbox", "code": "rate_limited"},
        "routed": {"workflow": "assistant", "arm": "", "kind": "user"},
        "allowed": {},
        "passages": [],
        "guards": {"findings": []},
        "release": {"digest": None, "corpus": None, "corpus_version": None, "as_of": None},
        "feedback": [],
        "proof": [{**PROOF, "erased": ()}],
    }
    out = io.StringIO()
    render_explanation(Console(file=out, width=100), record | changes)
    return "\n".join(" ".join(line.split()) for line in out.getvalue().splitlines())


def test_a_request_refused_before_a_release_was_reached_says_so() -> None:
    shown = told()
    assert all(line in shown.splitlines() for line in ("question none", "answer none", "digest none was reached"))
    assert not any(word in shown for word in ("None", "erased", "served by", "corpus", "Checks", "Feedback"))
    assert "interaction.recorded entry 4 of 9, root abababababab" in shown


def test_how_far_a_limit_was_used_is_told_where_one_held() -> None:
    assert "rate request" not in told()
    admitted = {"space": "east", "code": None, "rate_used": {"of": "space", "used": 1_200, "limit": "10000/hour"}}
    assert "rate request 1,200 under the space's limit of 10000/hour" in told(admitted=admitted).splitlines()


def test_only_a_text_that_was_recorded_is_called_erased() -> None:
    shown = told(proof=[{**PROOF, "erased": ("question",)}]).splitlines()
    assert "question erased" in shown
    assert "answer none" in shown


def test_gates_are_told_with_their_people_and_accepted_risks() -> None:
    signed = [{"person": "yusuf.demir", "role": "security-director", "decision": "approve"}]
    gate: dict[str, object] = {
        "gate": "cab",
        "status": "approved",
        "at": "2026-11-23T06:33:57.735Z",
        "by": "x",
        "signed": signed,
    }
    gate |= {"is_emergency": False}
    skipped = {**gate, "gate": "qa", "status": "blocked", "is_emergency": True, "signed": [], "risks": []}
    shown = told(gates=[{**gate, "risks": [{"risk": "slow-start"}]}, skipped])
    assert "cab approved, let in 2026-11-23T06:33:57.735Z by x: yusuf.demir approve" in shown
    assert "slow-start accepted" in shown
    assert "qa blocked, let in by emergency 2026-11-23T06:33:57.735Z by x: no sign-off" in shown


@pytest.mark.parametrize("seq", [None, 9])
def test_an_entry_above_the_signed_tree_waits_for_its_number(seq: int | None) -> None:
    proof = {**PROOF, "seq": seq, "size": None, "root": None, "erased": ()}
    assert "interaction.recorded waits for its number" in told(proof=[proof])
