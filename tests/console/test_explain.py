"""Explain: whoever opens another person's interaction leaves a ledger entry, and on which ground (console.md 2.1)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.console.conftest import Bank

from pilotage.control.ledger_checkpoint import sequence_now

pytestmark = pytest.mark.store

_INCIDENT = text("""
INSERT INTO incident (id, workflow, space, spaces, cause, severity, state, summary, is_drill, detected_by, started_at,
  detected_at)
VALUES (:id, 'policy-assistant', 'sandbox', ARRAY['sandbox'], 'wrong answers', 'SEV2', :state, 'x', :drill, 'system:x',
  :at, :at)
""")


@pytest.fixture(scope="module")
def asked(bank: Bank) -> str:
    return bank.answered("omar.haddad", "Limit?", "It is 5. [1]")


def openings(bank: Bank, interaction: str) -> list[dict[str, object]]:
    with bank.instance.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT bytes FROM ledger_entry WHERE subject = :id AND kind = 'interaction.explained' ORDER BY id"),
            {"id": interaction},
        ).scalars()
        return [json.loads(bytes(row)) for row in rows]


def test_ones_own_interaction_leaves_no_entry(bank: Bank, asked: str) -> None:
    before = len(openings(bank, asked))
    assert bank.browser("omar.haddad").get(f"/interactions/{asked}").status == 200
    assert len(openings(bank, asked)) == before


@pytest.mark.parametrize(("name", "ground"), [("anita.rao", "auditor"), ("grace.okafor", "data-governance-lead")])
@pytest.mark.parametrize("page", ["", "/proof"])
def test_every_opening_by_another_person_is_an_entry_with_its_ground(
    bank: Bank, asked: str, name: str, ground: str, page: str
) -> None:
    before = len(openings(bank, asked))
    answer = bank.browser(name).get(f"/interactions/{asked}{page}")
    assert answer.status == 200
    found = openings(bank, asked)
    assert len(found) == before + 1
    grounds = [one["data"] for one in found]
    assert {"ground": ground} in grounds
    assert name not in json.dumps(found)
    assert b"interaction.explained" not in answer.body


def test_whoever_may_not_see_it_meets_nothing_and_leaves_nothing(bank: Bank, asked: str) -> None:
    before = len(openings(bank, asked))
    assert bank.browser("wei.zhang").get(f"/interactions/{asked}").status == 404
    assert len(openings(bank, asked)) == before


def test_on_call_sees_it_while_an_incident_of_its_workflow_is_under_way(bank: Bank, asked: str) -> None:
    browser = bank.browser("hanna.virtanen")
    assert browser.get(f"/interactions/{asked}").status == 404
    for number, (state, drill) in enumerate((("resolved", False), ("open", True), ("open", False))):
        at = bank.clock.now() + timedelta(seconds=number)
        values = {"id": f"inc-{number}", "state": state, "drill": drill, "at": at}
        with bank.instance.engine.begin() as connection:
            connection.execute(_INCIDENT, values)
        expected = 200 if number == 2 else 404
        assert browser.get(f"/interactions/{asked}").status == expected, (state, drill)
    assert {"ground": "inc-2"} in [one["data"] for one in openings(bank, asked)]


def test_only_auditors_learn_how_many_documents_were_allowed(bank: Bank, asked: str) -> None:
    assert "12 passages" in bank.browser("anita.rao").get(f"/interactions/{asked}").words
    assert "12 passages" not in bank.browser("grace.okafor").get(f"/interactions/{asked}").words


def test_an_answer_given_again_says_that_the_model_was_not_asked(bank: Bank) -> None:
    said = "The answer was kept from an equal question and given again"
    made = bank.answered("omar.haddad", "Limit again?", "It is 5. [1]")
    browser = bank.browser("omar.haddad")
    assert said not in browser.get(f"/interactions/{made}").words
    with bank.instance.engine.begin() as connection:
        kept = text("UPDATE interaction SET detail = detail || jsonb_build_object('cached', true) WHERE id = :id")
        assert connection.execute(kept, {"id": made}).rowcount == 1
    assert said in browser.get(f"/interactions/{made}").words


def test_a_text_that_is_gone_is_erased_and_one_that_differs_is_changed(bank: Bank) -> None:
    made = bank.answered("omar.haddad", "Limit once more?", "It is 5. [1]")
    browser = bank.browser("omar.haddad")
    assert isinstance(sequence_now(bank.instance), int)
    for values, said in (
        ("question = '[removed]', answer = '[removed]', salt = '\\x'", "Its text was erased since"),
        ("answer = 'It is 50. [1]', salt = decode(:salt, 'hex')", "does not match what was recorded"),
    ):
        assert said not in browser.get(f"/interactions/{made}").words
        with bank.instance.engine.begin() as connection:
            given = {"id": made, "salt": bytes(range(64)).hex()}
            changed = text(f"UPDATE interaction_text SET {values} WHERE id = :id")
            connection.execute(changed, {key: value for key, value in given.items() if f":{key}" in str(changed)})
        assert said in browser.get(f"/interactions/{made}").words


def test_that_an_erased_text_has_its_records_in_the_ledger_is_said_once_they_are(bank: Bank) -> None:
    made = bank.answered("omar.haddad", "Limit a last time?", "It is 5. [1]")
    browser = bank.browser("omar.haddad")
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM interaction_text WHERE id = :id"), {"id": made})
    waiting = browser.get(f"/interactions/{made}").words
    assert "Its number in the ledger follows" in waiting
    assert "stands in the ledger" not in waiting
    assert isinstance(sequence_now(bank.instance), int)
    assert "stands in the ledger. Its text was erased since" in browser.get(f"/interactions/{made}").words
