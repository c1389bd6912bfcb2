"""The assistant says how old its documents are, when to overrule it, who answers in person, and what is a draft."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.browser import Answer
from tests.console.conftest import Bank, make_bank

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.on_call_now import on_call_now
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.serving.refusal import Code, Refusal
from pilotage.workspace.operations import Operations
from pilotage.workspace.records import Workspace

pytestmark = pytest.mark.store
WHERE = "/ask/policy-assistant"
_SERVE = text("""
INSERT INTO routing (space, workflow, generation, stable, reason, changed_at)
VALUES (:space, 'policy-assistant', 1, :release, 'promoted', :at)
ON CONFLICT (space, workflow) DO UPDATE SET stable = EXCLUDED.stable
""")


@pytest.fixture
def fresh(own_engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(own_engine, tmp_path)


def opened(bank: Bank, workspace: Workspace) -> Bank:
    """The same bank, declared otherwise."""
    instance = replace(bank.instance, workspace=workspace)
    services = Services(instance=instance, reading=instance, redact=str, asking=bank.asking, ports=rollout_ports())
    return replace(bank, instance=instance, console=Console(services))


def serve(bank: Bank, space: str, release: str | None) -> None:
    with bank.instance.engine.begin() as connection:
        connection.execute(_SERVE, {"space": space, "release": release, "at": bank.clock.now()})


def head(answer: Answer) -> str:
    found = answer.page.css("main .head p")
    return " ".join(found[-1].text().split())


def asked(bank: Bank, question: str = "What is the limit?") -> Answer:
    browser = bank.browser("omar.haddad")
    return browser.post(WHERE, browser.get(WHERE).fields(WHERE) | {"question": question})


def test_the_page_says_of_which_day_the_documents_are_and_which_release_answers(fresh: Bank) -> None:
    bank, short = fresh, fresh.release.removeprefix("sha256:")[:12]
    serve(bank, "sandbox", None)
    unknown = bank.browser("omar.haddad").get(WHERE)
    assert head(unknown) == "The date of its documents is unknown: no space serves it to you."
    serve(bank, "sandbox", bank.release)
    assert head(bank.browser("omar.haddad").get(WHERE)) == (
        f"Answers from documents you may read, as of 2 Mar 2026, release {short}."
    )
    bank.clock.advance(timedelta(days=3))
    source = next((bank.instance.root / "corpora" / "policies" / "documents").rglob("*.md"))
    source.write_text(source.read_text() + "\n\nExceptions are reviewed every quarter by the policy owner.\n")
    bank.publish("policies")
    later = bank.seal().digest
    serve(bank, "production-us-east-space", later)
    serve(bank, "sandbox", bank.release)
    assert f"as of 2 Mar 2026, release {short}" in head(bank.browser("omar.haddad").get(WHERE)), "as the gateway does"
    workspace = bank.instance.workspace
    gateway = replace(workspace.gateway, default_space=None)
    bank = opened(bank, replace(workspace, gateway=gateway))
    assert head(bank.browser("omar.haddad").get(WHERE)) == (
        f"Answers from documents you may read, as of 5 Mar 2026, release {later.removeprefix('sha256:')[:12]}."
    ), "a sandbox steps back as soon as another space serves"
    serve(bank, "production-us-west-space", bank.release)
    both = head(bank.browser("omar.haddad").get(WHERE))
    assert "in production-us-east-space, as of 5 Mar 2026" in both
    assert "in production-us-west-space, as of 2 Mar 2026" in both


def test_a_space_that_does_not_serve_the_persons_region_is_not_spoken_of(fresh: Bank) -> None:
    bank = fresh
    people = bank.instance.workspace.people
    abroad = next(one.id for one in people.values() if one.region is not None and one.region.startswith("eu"))
    serve(bank, "sandbox", None)
    serve(bank, "production-us-east-space", bank.release)
    assert "as of" in head(bank.browser("omar.haddad").get(WHERE))
    assert "unknown" in head(bank.browser(abroad).get(WHERE))


@pytest.mark.feature("RC.3")
def test_the_first_lines_of_the_override_guidance_stand_there_and_the_rest_is_one_click_away(bank: Bank) -> None:
    page = bank.browser("omar.haddad").get(WHERE).page
    card = page.css_first("#override")
    assert card is not None
    first = card.css_first(".text")
    rest = card.css_first("details .text")
    assert first is not None
    assert rest is not None
    assert first.text().strip().startswith("Open the source and decide yourself whenever")
    assert "Who to call" not in first.text()
    assert "Who to call" in rest.text()
    assert page.css_first('.head a[href="#override"]') is not None


@pytest.mark.feature("D13.50", "R4.8")
def test_whoever_wants_a_person_finds_support_owner_and_who_is_on_call_now(bank: Bank) -> None:
    page = bank.browser("omar.haddad").get(WHERE).page
    card = page.css_first("#person")
    assert card is not None
    words = " ".join(card.text(separator=" ").split())
    assert "Policy office, extension 4400" in words
    workflow = bank.instance.workspace.workflows[WorkflowName("policy-assistant")]
    duty = on_call_now(bank.instance.workspace, workflow, bank.clock.now()).duty
    names = [bank.instance.workspace.people[one].name for one in duty]
    assert len(names) == 2
    assert f"On call now {names[0]}, then {names[1]}" in words
    assert (
        "paged to the first on call at once, the second on call after 5 min, the operations manager after 15" in words
    )
    answer = asked(bank).page
    assert answer.css_first('.told a[href="#person"]') is not None
    bank.asking.refusal = Refusal(code=Code.OVERLOADED, message="Too many people ask at this moment.")
    try:
        refused = asked(bank).page
    finally:
        bank.asking.refusal = None
    assert refused.css_first('.told .notice a[href="#person"]') is not None
    assert refused.css_first("#person") is not None


def test_a_question_that_was_asked_again_stands_once_among_the_recent_ones(fresh: Bank) -> None:
    for _ in range(3):
        newest = fresh.answered("omar.haddad", "How much?", "It is 5. [1]")
        fresh.clock.advance(timedelta(minutes=1))
    other = fresh.answered("omar.haddad", "How long?", "Two days. [1]")
    links = fresh.browser("omar.haddad").get(WHERE).page.css("aside a[href^='/interactions/']")
    assert [one.attributes["href"] for one in links] == [f"/interactions/{other}", f"/interactions/{newest}"]


def test_a_workflow_without_a_rota_has_nobody_on_duty(bank: Bank) -> None:
    workspace = replace(bank.instance.workspace, operations=Operations())
    found = on_call_now(workspace, workspace.workflows[WorkflowName("policy-assistant")], bank.clock.now())
    assert (found.owner, found.duty, found.escalation) == (PersonId("nadia.brooks"), (), ())


@pytest.mark.feature("R1.4")
def test_an_answer_that_people_must_review_is_a_draft_and_says_for_which_use(bank: Bank) -> None:
    notice = asked(bank).page.css_first(".told .notice.hold")
    assert notice is not None
    words = " ".join(notice.text(separator=" ").split())
    assert words.startswith("Draft, not yet reviewed. A person reviews it first when:")
    assert "an answer is used to decide on an application for credit (reviewer)" in words
    assert "an answer is used to block or close an account (compliance officer)" in words


def test_an_answer_without_a_source_or_without_a_declared_review_is_no_draft(fresh: Bank) -> None:
    kept, fresh.asking.cited = fresh.asking.cited, ()
    assert "Draft" not in asked(fresh).words
    fresh.asking.cited = kept
    workspace = fresh.instance.workspace
    workflows = {name: replace(one, human_review=()) for name, one in workspace.workflows.items()}
    assert "Draft" not in asked(opened(fresh, replace(workspace, workflows=workflows))).words
