"""Sealing in the browser: what is shown is what is sealed, or nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.load_workspace import load_workspace
from pilotage.jobs.rollout_reconciler import rollout_ports

pytestmark = pytest.mark.store
PAGE = "/workflows/policy-assistant/seal"


def prompt_of(bank: Bank) -> Path:
    return bank.instance.root / "workflows" / "policy-assistant" / "prompt.md"


@pytest.fixture(autouse=True)
def as_it_was(bank: Bank) -> Iterator[None]:
    """Leave the prompt to the next test as this one found it, whichever comes next."""
    before = prompt_of(bank).read_text()
    yield
    prompt_of(bank).write_text(before)


def edited(bank: Bank, line: str) -> Console:
    """Return the console of a server that started after this line was added to the prompt."""
    prompt = prompt_of(bank)
    prompt.write_text(prompt.read_text().replace("\n\nPassages:", f"\n{line}\n\nPassages:", 1))
    instance = replace(bank.instance, workspace=load_workspace(bank.instance.root))
    services = Services(instance=instance, reading=instance, redact=str, asking=bank.asking, ports=rollout_ports())
    return Console(services)


def browser(bank: Bank, console: Console, name: str = "maria.chen") -> Browser:
    found = Browser(application=console)
    answer = found.post("/login", {"local_key": bank.key(name).text, "next": PAGE})
    assert answer.status == 303, answer.words
    return found


def sealed(bank: Bank, console: Console, name: str = "maria.chen", **changed: str) -> Answer:
    """Send the form of the page as it is shown, with these fields changed."""
    who = browser(bank, console, name)
    return who.post(PAGE, who.get(PAGE).fields(PAGE) | {"note": "As shown."} | changed)


def releases(bank: Bank) -> list[str]:
    with bank.instance.engine.connect() as connection:
        return list(connection.scalars(text("SELECT digest FROM release ORDER BY digest")))


def test_the_release_gets_the_digest_that_the_page_showed(bank: Bank) -> None:
    console, before = edited(bank, "10. Name the effective date."), releases(bank)
    who = browser(bank, console)
    page = who.get(PAGE)
    shown = page.fields(PAGE)["expects"]
    assert shown.removeprefix("sha256:")[:12] in page.words
    assert "Prompt changed" in page.words
    assert "Model same" in page.words
    answer = who.post(PAGE, page.fields(PAGE) | {"note": "As shown."})
    assert (answer.status, answer.header("location")) == (303, f"/releases/{shown[7:19]}")
    assert sorted({*before, shown}) == releases(bank)
    again = who.get(PAGE)
    assert "there is nothing to seal" in again.words
    assert again.page.css_first("#seal button[aria-disabled=true]") is not None


def test_nothing_is_sealed_when_a_part_moved_since_the_page_was_shown(bank: Bank) -> None:
    old = edited(bank, "11. Say which country a rule is for.")
    who = browser(bank, old)
    fields = who.get(PAGE).fields(PAGE)
    new, before = edited(bank, "12. Say which branch a rule is for."), releases(bank)
    answer = sealed(bank, new, expects=fields["expects"])
    assert answer.status == 409
    assert "SEAL_MOVED" in answer.words
    assert "As shown." in answer.text
    assert releases(bank) == before


def test_a_form_that_does_not_say_what_it_seals_seals_nothing(bank: Bank) -> None:
    console, before = edited(bank, "13. Be brief."), releases(bank)
    answer = sealed(bank, console, expects="")
    assert answer.status == 422
    assert releases(bank) == before


def test_who_may_not_seal_sees_why_and_is_refused(bank: Bank) -> None:
    console, before = edited(bank, "14. Be kind."), releases(bank)
    page = browser(bank, console, "anita.rao").get(PAGE)
    assert page.page.css_first("#seal button[aria-disabled=true]") is not None
    answer = sealed(bank, console, "anita.rao")
    assert answer.status == 403
    assert "NOT_PERMITTED" in answer.words
    assert releases(bank) == before


def test_a_prompt_that_holds_a_secret_is_said_before_anybody_seals_it(bank: Bank) -> None:
    console, before = edited(bank, "15. The key is AKIAIOSFODNN7EXAMPLQ."), releases(bank)
    page = browser(bank, console).get(PAGE)
    assert "SECRET" in page.words
    assert page.page.css_first("#seal button[aria-disabled=true]") is not None
    assert sealed(bank, console).status == 409
    assert releases(bank) == before


def test_a_workflow_nobody_declared_has_no_such_page(bank: Bank) -> None:
    assert bank.browser("maria.chen").get("/workflows/nothing/seal").status == 404


def test_the_form_promises_to_seal_only_while_there_is_something_to_seal(bank: Bank) -> None:
    console = edited(bank, "16. Say since when a rule holds.")
    promise = "and nothing else: when a part moves"
    who = browser(bank, console)
    assert promise in who.get(PAGE).words
    assert sealed(bank, console).status == 303
    assert promise not in who.get(PAGE).words
