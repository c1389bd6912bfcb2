"""Explain names the gates its release had passed by then, who signed them, and which risks were accepted then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.browser import Answer
from tests.console.conftest import Bank, make_bank
from tests.console.test_decided_gates import entered, traffic
from tests.console.test_every_page import an_item
from tests.gate.builders import Accepting

from pilotage.control.explain_gates import signers
from pilotage.control.explain_interaction import explain_interaction
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.store.gate_people import add_acceptance
from pilotage.store.gates_then import GatesThen
from pilotage.store.passed_gates import Passed

pytestmark = pytest.mark.store
_MOVED = text("UPDATE deployment SET space = 'sandbox'")
_VOTE = text("""
INSERT INTO gate_vote (id, release, parts_digest, gate, half, attempt, role, is_seat, person, is_person, decision,
  comment, checklist, bind, bound, evidence, login, nonce, at)
SELECT :id, digest, parts_digest, 'cab', 'pre', 1, 'security-director', true, 'yusuf.demir', true, :decision, '',
  '{}', '', CAST(:bound AS jsonb), ARRAY[:item], CAST(:login AS jsonb), :id, :at FROM release WHERE digest = :release
""")
BOUND = '{"instance": "i", "gate": "cab", "attempt": 1, "release": "r", "evidence_set": "e", "policy": "p"}'
LOGIN = '{"method": "local", "at": "2026-03-02T09:00:00Z", "second_factor": false}'


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(own_engine, tmp_path)


def asked(bank: Bank) -> str:
    return bank.answered("omar.haddad", "How much?", "It is 5. [1]")


def told(bank: Bank, interaction: str) -> tuple[str, Answer]:
    answer = bank.browser("omar.haddad").get(f"/interactions/{interaction}")
    assert answer.status == 200
    return " ".join(answer.page.css("ol.chain > li")[6].text(separator=" ").split()), answer


def test_an_answer_names_the_gates_and_people_of_its_moment(bank: Bank) -> None:
    before = asked(bank)
    hour, now = timedelta(hours=1), bank.clock.now()
    entered(bank, 2, status="approved_with_risk_acceptance")
    item = an_item(bank)
    with bank.instance.engine.begin() as connection:
        connection.execute(_MOVED)
        values = {"item": item, "release": bank.release, "at": now + hour, "bound": BOUND, "login": LOGIN}
        for name, decision, at in (("v1", "reject", 1), ("v2", "approve", 1), ("v3", "reject", 2.5)):
            connection.execute(_VOTE, values | {"id": name, "decision": decision, "at": now + at * hour})
        risk = Accepting(created=now + hour, expires=now + 4 * hour).made()
        add_acceptance(connection, replace(risk, release=Digest(bank.release)), "x")
    bank.clock.advance(3 * hour)
    then = asked(bank)
    bank.clock.advance(3 * hour)
    after = asked(bank)
    assert "No gate is on record on its way into sandbox." in told(bank, before)[0]
    words, page = told(bank, then)
    assert "Gates it had passed into sandbox by then:" in words
    assert "uat" not in words, "what was not recorded is not told"
    assert "MET cab , with risk acceptance let in 2 Mar 2026, 06:00" in words
    assert "by Hanna Virtanen Yusuf Demir approved as security-director." in words
    assert "Risk accepted then: Peak latency above the target (high), owner " in words
    assert page.page.css_first(f'a[href="/evidence/{item}"]') is not None
    assert page.page.css_first(f'a[href="/releases/{bank.release[7:19]}/gates/cab"]') is not None
    assert "rejected" not in words, "the last word of each person before it was let in stands"
    words = told(bank, after)[0]
    assert "with risk acceptance" in words
    assert "Risk accepted then" not in words, "it had ended by then"


def test_gates_are_told_as_recorded_whatever_the_workspace_calls_them_today(bank: Bank) -> None:
    entered(bank, 1, status="approved")
    traffic(bank)
    with bank.instance.engine.begin() as connection:
        connection.execute(_MOVED)
        connection.execute(text("UPDATE rollout_wave SET space = 'sandbox' WHERE number = 0"))
    bank.clock.advance(timedelta(hours=12))
    interaction, workspace = asked(bank), bank.instance.workspace
    renamed = {
        "board" if name == "cab" else name: replace(gate, after=tuple("board" if a == "cab" else a for a in gate.after))
        for name, gate in workspace.gates.items()
    }
    later = {**renamed, "legal-hold": replace(workspace.gates["go-live"], name="legal-hold")}
    instance = replace(bank.instance, workspace=replace(workspace, gates=later))
    found = explain_interaction(instance, actor=bank.person("omar.haddad"), interaction=interaction)
    assert [(one["gate"], one["status"], one["by"]) for one in found.gates] == [("cab", "approved", "hanna.virtanen")]


def test_a_gate_that_an_emergency_skipped_was_not_passed(bank: Bank) -> None:
    entered(bank, 1, status="blocked", basis="emergency")
    with bank.instance.engine.begin() as connection:
        connection.execute(_MOVED)
    bank.clock.advance(timedelta(hours=2))
    interaction = asked(bank)
    words = told(bank, interaction)[0]
    assert "Gates it had passed" not in words
    assert "An emergency change had let it into sandbox, whatever its gates said." in words
    assert "NOT MET cab let in 2 Mar 2026, 05:00" in words
    assert "by Hanna Virtanen, in an emergency" in words
    (one,) = explain_interaction(bank.instance, actor=bank.person("omar.haddad"), interaction=interaction).gates
    assert (one["is_emergency"], one["at"], one["by"]) == (True, "2026-03-02T10:00:00.000Z", "hanna.virtanen")


EVENT = Passed(space=SpaceName("east"), at=datetime(2026, 3, 2, 11, tzinfo=UTC), by="x", basis="normal", reports=())
VOTE = {"gate": "cab", "attempt": 2, "space": None, "role": "owner", "person": "ann", "decision": "approve"}


@pytest.mark.parametrize(
    ("vote", "counts"),
    [
        ({}, True),
        ({"space": "east"}, True),
        ({"space": "west"}, False),
        ({"attempt": 1}, False),
        ({"gate": "qa"}, False),
        ({"at": EVENT.at + timedelta(hours=1)}, False),
    ],
)
def test_signers_are_those_of_the_approval(vote: dict[str, object], counts: bool) -> None:
    attempts = [{"gate": "cab", "attempt": n, "at": EVENT.at + timedelta(hours=n - 3)} for n in (1, 2, 4)]
    given = {**VOTE, "at": EVENT.at, **vote}
    found = GatesThen(passed=(), votes=(given,), attempts=attempts, kinds={}, risks=())
    assert bool(signers(found, "cab", EVENT)) is counts


def test_who_may_not_rate_an_answer_is_told_why_and_gets_no_form(bank: Bank) -> None:
    interaction = asked(bank)
    feedback = f"form[action='/interactions/{interaction}/feedback']"
    assert told(bank, interaction)[1].page.css_first(feedback) is not None
    shown = bank.browser("anita.rao").get(f"/interactions/{interaction}")
    assert shown.page.css_first(feedback) is None
    assert "Only whoever asked rates an answer, or a reviewer." in shown.words
    reader = bank.person("anita.rao")
    assert not explain_interaction(bank.instance, actor=reader, interaction=interaction).may_rate


def test_a_score_is_read_at_a_glance_and_kept_whole(bank: Bank) -> None:
    interaction = asked(bank)
    with bank.instance.engine.begin() as connection:
        longer = "jsonb_set(detail, '{passages,0,score}', '\"23.623762774018\"')"
        connection.execute(text(f"UPDATE interaction SET detail = {longer} WHERE id = :id"), {"id": interaction})
    cell = told(bank, interaction)[1].page.css_first("td[title='23.623762774018']")
    assert cell is not None
    assert cell.text() == "23.62"
