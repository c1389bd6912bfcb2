"""A problem of a form leads to its field, which is marked; what is of no field leads nowhere."""

from __future__ import annotations

import pytest
from tests.console.browser import Answer
from tests.console.conftest import Bank

from pilotage.console.dispatch import reason_of
from pilotage.console.mending import mended
from pilotage.control.typed_text import MOST_CHARACTERS
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason

PAGE = (
    '<ul><li>A<!--mend 0--></li></ul><form action="/other"><input name="note"></form>'
    '<form action="/here"><input type="hidden" name="note" value="x"></form>'
    '<form method="post" action="/here"><textarea id="why" name="note" aria-describedby="hint">&lt;form&gt;</textarea>'
    '<input type="radio" name="rating"><select name="severity"></select></form>'
)


def mend(code: str, **form: str) -> str:
    return mended(PAGE, "/here", form, (Reason(code=code, text="A"),))


def test_the_field_of_the_form_that_was_sent_is_marked_and_led_to() -> None:
    page = mend("NOTE_MISSING")
    assert '<li>A <a href="#why">To the field</a></li>' in page
    assert '<textarea id="why" name="note" aria-describedby="problems hint" aria-invalid="true">' in page
    assert page.count("problems") == 1


def test_of_forms_with_one_address_the_one_that_was_sent_is_meant() -> None:
    one = (
        '<form action="/here"><input type="hidden" name="mitigation" value="{0}"><input id="due-{0}" name="due"></form>'
    )
    page = "<p>A<!--mend 0--></p>" + one.format("M1") + one.format("M2")
    sent = {"mitigation": "M2", "due": "soon"}
    found = mended(page, "/here", sent, (Reason(code="MITIGATION_DUE", text="A"),))
    assert '<a href="#due-M2">' in found
    assert found.count("aria-invalid") == 1


def test_a_field_without_a_name_of_its_own_gets_one_and_a_choice_is_only_described() -> None:
    assert '<select name="severity" id="to-mend-severity" aria-describedby="problems" aria-invalid="true">' in mend(
        "SEVERITY_MISSING"
    )
    assert '<input type="radio" name="rating" id="to-mend-rating" aria-describedby="problems">' in mend("RATING")


@pytest.mark.parametrize("code", ["CONFLICT", "DOCUMENT_MISSING"])
def test_what_is_of_no_field_that_is_shown_changes_nothing(code: str) -> None:
    assert mend(code) == PAGE.replace("<!--mend 0-->", "")


def test_of_a_text_that_is_too_long_the_longest_field_is_meant() -> None:
    assert 'href="#why"' in mend("TEXT_TOO_LONG", note="x" * (MOST_CHARACTERS + 1), severity="x")
    assert "href" not in mend("TEXT_TOO_LONG", note="x")


def test_a_hint_that_names_an_option_to_type_is_not_for_a_page() -> None:
    assert reason_of(UsageError("REASON", "Say why.", hint="Write --reason TEXT.")).text == "Say why."
    assert reason_of(UsageError("TIME", "No time.", hint="Write 2026-11-26.")).text == "No time. Write 2026-11-26."
    run = "Run `pilotage drill rollback shop --space eu`."
    assert reason_of(UsageError("DRILL", "None.", hint=run)).text == f"None. {run}"


@pytest.mark.store
@pytest.mark.parametrize(
    ("path", "action", "typed", "field"),
    [
        ("/corpora/policies", "/corpora/policies/takedowns", {"reason": "Old."}, "document"),
        ("/cab", "/cab", {"starts_at": "soon"}, "starts_at"),
        ("/profile", "/profile", {"zone": "Mars"}, "zone"),
    ],
)
def test_a_form_shown_again_leads_to_what_must_be_written_differently(
    bank: Bank, path: str, action: str, typed: dict[str, str], field: str
) -> None:
    browser = bank.browser("arthur.bell")
    fields = browser.get(path).fields(action) | typed
    answer: Answer = browser.post(action, fields)
    assert answer.status == 422, answer.words
    links = answer.page.css("#problems a[href^='#']")
    assert len(links) == 1
    marked = answer.page.css_first(f"[id='{(links[0].attributes['href'] or '')[1:]}']")
    assert marked is not None
    assert marked.attributes["name"] == field
    assert marked.attributes["aria-invalid"] == "true"
    assert "problems" in (marked.attributes["aria-describedby"] or "").split()
