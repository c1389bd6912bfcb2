"""Handing a task over: to whom it waits for as well, seen by both, back when it is due, and never lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.console.conftest import Bank
from tests.console.test_inbox import inbox, incident, proposed, rollout, set_incident

from pilotage.control.hand_over_task import hand_over_task
from pilotage.control.inbox import list_tasks
from pilotage.control.inbox_task import Task
from pilotage.core.errors import NotFound
from pilotage.core.reason import Refusal

pytestmark = pytest.mark.store
__all__ = ["incident", "rollout"]

GIVER, TAKER = "hanna.virtanen", "dina.kowalski"


def keys(bank: Bank, name: str) -> tuple[set[str], set[str]]:
    """Return the keys of the tasks that wait for a person, and of those that stand with somebody else."""
    found = list_tasks(bank.instance, bank.person(name))
    return {one.key for one in found.tasks}, {one.key for one, _ in found.handed}


def entries(bank: Bank) -> int:
    with bank.instance.engine.connect() as connection:
        query = text("SELECT count(*) FROM ledger_entry WHERE kind = 'task.handed_over'")
        return int(connection.execute(query).scalar_one())


def give(bank: Bank, giver: str, taker: str, task: str) -> Task | Refusal:
    return hand_over_task(bank.instance, actor=bank.person(giver), task=task, to=taker)


@pytest.fixture
def shared(bank: Bank, incident: str) -> str:
    """An incident that both are called for and nobody leads."""
    set_incident(bank, incident, "state = 'acknowledged', acknowledged_at = detected_at, commander = NULL")
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM inbox_handover"))
    return f"incident/{incident}"


def test_a_task_is_handed_over_by_the_form_and_both_inboxes_say_so(bank: Bank, shared: str) -> None:
    browser, before = bank.browser(GIVER), entries(bank)
    page = browser.get("/")
    (button,) = page.page.css(f'button[form="hand-over"][value="{TAKER} {shared}"]')
    fields = page.fields("/inbox/hand-over") | {"to": button.attributes["value"] or ""}
    assert [browser.post("/inbox/hand-over", fields).status for _ in range(2)] == [303, 303]
    mine, theirs = browser.get("/").words, inbox(bank, TAKER).words
    assert "Handed over" in mine
    assert "stands with Dina Kowalski" in mine
    assert "Hanna Virtanen handed it to you." in theirs
    assert keys(bank, GIVER) == (set(), {shared})
    assert entries(bank) == before + 1


def test_a_task_handed_round_is_always_with_somebody(bank: Bank, shared: str) -> None:
    for giver, taker in ((GIVER, TAKER), (TAKER, GIVER), (GIVER, TAKER)):
        assert isinstance(give(bank, giver, taker, shared), Task)
        assert keys(bank, taker) == ({shared}, set())
        assert keys(bank, giver) == (set(), {shared})


def test_what_was_put_off_wakes_when_it_is_handed_over(bank: Bank, shared: str) -> None:
    browser = bank.browser(TAKER)
    assert browser.post("/inbox/snooze", browser.get("/").fields("/inbox/snooze") | {"task": shared}).status == 303
    assert keys(bank, TAKER) == (set(), set())
    give(bank, GIVER, TAKER, shared)
    assert keys(bank, TAKER) == ({shared}, set())


def test_a_task_is_back_after_seven_days_and_when_it_is_due(bank: Bank, shared: str, incident: str) -> None:
    give(bank, GIVER, TAKER, shared)
    bank.clock.advance(timedelta(days=7, seconds=-1))
    assert keys(bank, GIVER)[1] == {shared}
    bank.clock.advance(timedelta(seconds=2))
    assert keys(bank, GIVER) == ({shared}, set())
    give(bank, GIVER, TAKER, shared)
    set_incident(bank, incident, "state = 'resolved'")  # its post-mortem was due long ago
    assert keys(bank, GIVER) == ({shared}, set())


def test_what_nobody_took_on_stays_with_the_giver_too(bank: Bank, shared: str, incident: str) -> None:
    set_incident(bank, incident, "state = 'open', acknowledged_at = NULL")
    assert isinstance(give(bank, GIVER, TAKER, shared), Task)
    assert keys(bank, GIVER) == keys(bank, TAKER) == ({shared}, set())


def test_it_goes_to_nobody_for_whom_it_does_not_wait(bank: Bank, shared: str) -> None:
    for taker, code in (("omar.haddad", "NOT_THEIRS"), (GIVER, "HANDED_TO_ONESELF")):
        refused = give(bank, GIVER, taker, shared)
        assert isinstance(refused, Refusal)
        assert refused.reasons[0].code == code
    with pytest.raises(NotFound):
        give(bank, "omar.haddad", TAKER, shared)
    with pytest.raises(NotFound):
        give(bank, GIVER, "nobody.here", shared)
    with bank.instance.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM inbox_handover")).scalar_one() == 0


def test_a_version_goes_from_its_owner_to_its_steward_when_neither_triggered_it(bank: Bank) -> None:
    task = f"version/policies/{proposed(bank)}"
    (found,) = [one for one in list_tasks(bank.instance, bank.person("grace.okafor")).tasks if one.key == task]
    assert found.others == (bank.instance.workspace.corpora["policies"].owner,)  # type: ignore[index]
