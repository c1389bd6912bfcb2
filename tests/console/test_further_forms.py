"""Takedown, evaluation, extension and overrule by form: as by CLI and API, once, with what was typed kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.console.conftest import Bank
from tests.console.test_disabled_controls import ACCEPTANCE, codes, place, problems

from pilotage.rollout.states import State
from pilotage.store.rollout_verdicts import Signature, add_signature

pytestmark = pytest.mark.store

STEWARD, BUILDER, DECIDER = "grace.okafor", "maria.chen", "elena.marchetti"


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    return bank.roll_out()


def state(bank: Bank, rollout: str) -> tuple[str, int]:
    with bank.instance.engine.connect() as connection:
        row = connection.execute(text("SELECT state, extended_s FROM rollout WHERE id = :id"), {"id": rollout}).one()
    return row.state, row.extended_s


def test_a_document_is_taken_down_by_the_form_once_and_told_to_who_may(bank: Bank) -> None:
    with bank.instance.engine.connect() as connection:
        query = "SELECT id FROM document WHERE corpus = 'policies' AND tombstone IS NULL ORDER BY id LIMIT 1"
        document = connection.execute(text(query)).scalar_one()
    browser, path = bank.browser(STEWARD), "/corpora/policies/takedowns"
    fields = browser.get("/corpora/policies").fields(path)
    empty = browser.post(path, fields | {"document": "", "reason": "Kept words.", "key": "takedown-form-key-1"})
    assert (empty.status, codes(problems(empty))) == (422, ["DOCUMENT_MISSING"])
    assert "Kept words." in empty.text
    without = browser.post(path, fields | {"document": document, "reason": " ", "key": "takedown-form-key-2"})
    assert (without.status, codes(problems(without))) == (422, ["REASON_NEEDED"])
    answers = [browser.post(path, fields | {"document": document, "reason": "Withdrawn by legal."}) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303]
    page = browser.get(answers[0].header("location").partition("#")[0])
    assert f"{document} is hidden. Nobody finds it any more" in page.words
    with bank.instance.engine.connect() as connection:
        count = text("SELECT count(*) FROM takedown WHERE corpus = 'policies' AND document = :document")
        assert connection.execute(count, {"document": document}).scalar_one() == 1
    other = bank.browser("omar.haddad").get(answers[0].header("location").partition("#")[0])
    assert document not in other.words
    button = other.page.css_first("#takedown button")
    assert button is not None
    assert button.attributes["aria-disabled"] == "true"


def test_an_evaluation_is_asked_for_by_the_form_once_and_its_run_is_named(bank: Bank) -> None:
    digest = bank.release.removeprefix("sha256:")[:12]
    browser, path = bank.browser(BUILDER), f"/releases/{digest}/evaluations"
    fields = browser.get(f"/releases/{digest}").fields(path)
    unknown = browser.post(path, fields | {"baseline": "00000000", "key": "evaluate-form-key-1"})
    assert unknown.status == 404
    answers = [browser.post(path, fields) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303]
    where = answers[0].header("location").partition("#")[0]
    with bank.instance.engine.connect() as connection:
        (run,) = connection.execute(text("SELECT id FROM evaluation_run WHERE cause = 'command'")).scalars()
    assert where == f"/releases/{digest}?run={run}"
    assert f"Run {run} is" in browser.get(where).words
    assert "Run" not in browser.get(f"/releases/{digest}?run=none").page.css_first("#evaluate").text()  # type: ignore[union-attr]


def test_a_step_gets_more_time_by_the_form_and_not_more_than_its_plan(bank: Bank, rollout: str) -> None:
    place(bank, rollout, State.DECIDING, "inconclusive")
    browser, path = bank.browser(DECIDER), f"/rollouts/{rollout}/extensions"
    fields = browser.get(f"/rollouts/{rollout}").fields(path)
    for by, status, code in (("soon", 422, "DURATION"), ("900d", 409, "PLAN_SEALED")):
        answer = browser.post(
            path, fields | {"by": by, "note": "More people on Monday.", "key": f"extend-form-key-{by}"}
        )
        assert (answer.status, codes(problems(answer))) == (status, [code])
        assert f'value="{by}"' in answer.text
        assert "More people on Monday." in answer.text
    before = state(bank, rollout)[1]
    answers = [browser.post(path, fields | {"by": "1h", "note": "More people on Monday."}) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 303]
    assert state(bank, rollout) == ("observing", before + 3600)
    later = browser.get(f"/rollouts/{rollout}")
    assert later.page.css_first("#extend button").attributes["aria-disabled"] == "true"  # type: ignore[union-attr]
    assert later.page.css("#why-extend li") != []


def test_an_overrule_binds_what_was_shown_and_says_what_is_missing(bank: Bank, rollout: str) -> None:
    place(bank, rollout, State.DECIDING, "inconclusive")
    browser, path = bank.browser("nadia.brooks"), f"/rollouts/{rollout}/overrules"
    page = browser.get(f"/rollouts/{rollout}")
    fields = page.fields(path)
    with bank.instance.engine.connect() as connection:
        decision = connection.execute(text("SELECT decision FROM rollout WHERE id = :id"), {"id": rollout}).scalar_one()
    assert (fields["verdict"], fields["release"]) == (decision, bank.release)
    typed = {name: ACCEPTANCE[name] for name in ("bound", "owner", "severity", "reason", "expires_at")}
    digits = bank.release.removeprefix("sha256:")[:8]
    wrong = {
        "CONFIRMATION": {"confirmed": "00000000"},
        "ACCEPTANCE": {"reason": " "},
        "TIME": {"expires_at": "next week"},
    }
    for code, change in wrong.items():
        answer = browser.post(path, fields | typed | {"confirmed": digits, "key": f"overrule-form-key-{code}"} | change)
        assert (answer.status, codes(problems(answer))) == (422, [code])
        assert "errors &lt; 1 %" in answer.text
    bank.clock.advance(timedelta(minutes=16))
    again = browser.post(path, fields | typed | {"confirmed": digits})
    assert "/login" in again.text
    assert state(bank, rollout)[0] == "deciding"


def test_the_second_person_signs_the_words_of_the_first(bank: Bank, rollout: str) -> None:
    place(bank, rollout, State.DECIDING, "inconclusive")
    with bank.instance.engine.begin() as connection:
        decision = connection.execute(text("SELECT decision FROM rollout WHERE id = :id"), {"id": rollout}).scalar_one()
        said = ACCEPTANCE | {"verdict": decision, "release": bank.release, "expires_at": "2026-03-20T00:00:00.000Z"}
        signature = Signature(
            rollout=rollout, verdict=decision, kind="overrule", role="risk-management", person="arthur.bell",
            acceptance=said, at=bank.clock.now(),
        )  # fmt: skip
        add_signature(connection, signature)
    page = bank.browser("nadia.brooks").get(f"/rollouts/{rollout}")
    assert "Arthur Bell signed this" in page.words
    first = page.fields(f"/rollouts/{rollout}/overrules")
    assert {name: first[name] for name in said} == said
    assert "Signed by Arthur Bell" not in page.words, "an overrule is no signature under the step"
