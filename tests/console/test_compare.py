"""Whoever decides whether B may replace A sees the verdict, its numbers and the cases, as far as they may read them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.api.client import Client
from tests.api.test_api import _Keys
from tests.console.browser import Answer
from tests.console.comparing import CASES, CLOSED, WRONG, Compared, documents, make_compared
from tests.console.test_every_page import assert_plain, counted

from pilotage.api.app import Api
from pilotage.app import make_api_services
from pilotage.console.pages import compare
from pilotage.control import compared_texts
from pilotage.control.compared_texts import SideTexts
from pilotage.control.view_comparison import Comparing, view_comparison
from pilotage.serving.authenticator import BearerAuthenticator

pytestmark = pytest.mark.store

HIDDEN = "that you may not read now"


@pytest.fixture(scope="module")
def compared(engine: Engine, open_folder: Path) -> Compared:
    folder = open_folder / "compared"
    folder.mkdir()
    return make_compared(engine, folder)


def cases_on(answer: Answer) -> dict[str, str]:
    """The cases of a page with everything that they say."""
    found = {}
    for card in answer.page.css("#cases article"):
        name = card.css_first("h3 a")
        assert name is not None
        found[name.text()] = " ".join(card.text(separator=" ").split())
    return found


def unread(compared: Compared) -> set[str]:
    """The cases of good and worse with an answer that was shown a document which only lenders may read."""
    query = text(
        "SELECT DISTINCT t.case_id FROM evaluation_task t JOIN evaluation_run r ON r.id = t.run"
        " JOIN evaluation_generation g ON g.digest = t.generation"
        " WHERE r.baseline = :a AND r.release = :b AND g.documents && CAST(:closed AS text[])"
    )
    values = {"a": compared.good, "b": compared.worse, "closed": [f"handbook/{one}" for one in documents()[:CLOSED]]}
    with compared.site.instance.engine.connect() as connection:
        return set(connection.execute(query, values).scalars())


def told(answer: Answer) -> str:
    says = answer.page.css_first(".says")
    return "" if says is None else " ".join(says.text().split())


def names() -> list[str]:
    return sorted(one.removesuffix(".md") for one in documents())


@pytest.mark.feature("D6.16", "D6.11")
def test_a_release_that_is_worse_is_a_no_go_with_what_decided_it(compared: Compared) -> None:
    answer = compared.site.browser("ada").get(compared.path(compared.good, compared.worse))
    assert told(answer).startswith("NO-GO answer_accuracy differs by -0.3333")
    assert f"{CASES} cases. Both runs complete" in answer.words
    row = next(one for one in answer.page.css("table tbody tr") if one.css_first("th") is not None)
    assert " ".join(row.text(separator=" ").split()) == (
        "answer_accuracy 1 0.6667 -0.333 -0.533 to -0.149 24 0.15 0.305 NO-GO"
    )
    shown = cases_on(answer)
    assert sorted(shown) == sorted(one.removesuffix(".md") for one in documents()[:WRONG])
    assert all(
        "B worse" in said and "A pass facts 1/1" in said and "B fail facts 0/1" in said for said in shown.values()
    )
    assert "q is p after Benjamini-Hochberg over 2 slices" in answer.words
    assert answer.page.css_first("svg.chart desc") is not None
    assert_plain(answer)


def test_a_release_that_is_no_worse_says_so_and_lists_no_case_but_on_request(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    answer = browser.get(compared.path(compared.good, compared.same))
    assert told(answer).startswith("GO answer_accuracy differs by +0.0000")
    assert told(answer).endswith("criteria hold.")
    assert cases_on(answer) == {}
    every = cases_on(browser.get(compared.path(compared.good, compared.same, "&show=all")))
    assert sorted(every) == names()
    assert all(" same " in said for said in every.values())


def test_texts_are_for_whoever_may_read_every_document_behind_them_and_counts_for_all(compared: Compared) -> None:
    path = compared.path(compared.good, compared.worse, "&show=all")
    ada, ben = (cases_on(compared.site.browser(name).get(path)) for name in ("ada", "ben"))
    closed, shown_closed = {one.removesuffix(".md") for one in documents()[:CLOSED]}, unread(compared)
    assert ada.keys() == ben.keys()
    assert closed < shown_closed < ben.keys()
    for name, said in ben.items():
        hides = "It may quote " in said
        assert hides is (name in shown_closed), name
        assert ("dollars a month" in said) is (name not in shown_closed), name
        assert (f"From: 1 document {HIDDEN}" in said) is (name in closed), name
        assert ("lender asks: " in said) is (name not in shown_closed), name
        assert ("kind:" in said) is (name not in shown_closed), name
        assert "A pass facts 1/1 citations 1/1" in said
    assert not any(HIDDEN in said for said in ada.values())
    whole = compared.site.browser("ben").get(f"{path}&case={min(closed)}")
    assert len(cases_on(whole)) == 1
    assert "dollars" not in " ".join(cases_on(whole).values())


def test_a_document_that_closes_takes_its_words_with_it_at_once(compared: Compared) -> None:
    path = compared.path(compared.good, compared.worse)
    name = documents()[WRONG - 1]
    values = {"id": name, "names": ["group:lending"]}
    with compared.site.instance.engine.begin() as connection:
        before = connection.execute(text("SELECT acl FROM document WHERE id = :id"), values).scalar_one()
        connection.execute(text("UPDATE document SET acl = :names WHERE id = :id"), values)
    said = cases_on(compared.site.browser("ben").get(path))[name.removesuffix(".md")]
    with compared.site.instance.engine.begin() as connection:
        connection.execute(text("UPDATE document SET acl = :names WHERE id = :id"), values | {"names": before})
    assert "dollars" not in said
    assert HIDDEN in said


def test_runs_on_different_golden_sets_give_no_verdict_and_the_page_says_what_to_run(compared: Compared) -> None:
    answer = compared.site.browser("ada").get(compared.path(compared.worse, compared.other))
    assert told(answer).startswith("No verdict. A was asked golden set ")
    assert "numbers over different cases decide nothing" in told(answer)
    assert answer.page.css(".status") == []
    a, b = (one.removeprefix("sha256:")[:12] for one in (compared.worse, compared.other))
    assert f"pilotage evaluate {b} --baseline {a}" in answer.words
    assert f"answer_accuracy 0.6667, n {CASES} 1, n {CASES - 1}" in answer.words


def test_what_no_run_asked_is_asked_for_by_the_form_once(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    path = compared.path(compared.same, compared.worse)
    answer = browser.get(path)
    assert told(answer) == "No verdict. No completed run asked both. Each was asked alone."
    fields = answer.fields("/compare")
    sent = [browser.post("/compare", fields) for _ in range(2)]
    assert [one.status for one in sent] == [303, 303]
    with compared.site.instance.engine.begin() as connection:
        query = text("SELECT id FROM evaluation_run WHERE release = :b AND baseline = :a")
        found = connection.execute(query, {"a": compared.same, "b": compared.worse}).scalars().all()
        assert len(found) == 1
        under_way = browser.get(sent[0].header("location"))
        assert f"Run {found[0]} asks both and is queued." in told(under_way)
        assert re.search(r"\b0 of \d+ questions answered", under_way.words)
    with compared.site.instance.engine.begin() as connection:
        connection.execute(text("UPDATE evaluation_run SET state = 'cancelled' WHERE id = :id"), {"id": found[0]})
    assert f"The last one, {found[0]}, is cancelled." in told(browser.get(path))


def test_whoever_may_not_ask_for_a_run_is_told_why_and_refused_for_it(compared: Compared) -> None:
    reader = compared.site.browser("eve")
    path = compared.path(compared.worse, compared.same)
    answer = reader.get(path)
    button = answer.page.css_first('form[action="/compare"] button[aria-disabled="true"]')
    assert button is not None
    why = answer.page.css_first("#why-run")
    assert why is not None
    refused = reader.post("/compare", answer.fields("/compare"))
    assert refused.status == 403
    assert "NOT_PERMITTED" in refused.words
    assert "NOT_PERMITTED" in why.text()
    assert compared.site.browser("ada").post("/compare", {"a": "x", "b": "y"}).status == 403


def test_the_address_filters_and_says_what_it_did_not_understand(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    path = compared.path(compared.good, compared.worse)
    tagged = cases_on(browser.get(f"{path}&show=worse&tag=kind:locker"))
    assert sorted(tagged) == sorted(one.removesuffix(".md") for one in documents()[:WRONG:2])
    assert cases_on(browser.get(f"{path}&show=better")) == {}
    odd = browser.get(f"{path}&show=nicer&tag=no:such")
    assert "Ignored, because nothing is called that: show nicer, tag no:such." in odd.words
    assert len(cases_on(odd)) == WRONG
    assert list(cases_on(browser.get(f"{path}&show=all&after={names()[-2]}"))) == [names()[-1]]
    with counted(compared.site) as statements:
        browser.get(f"{path}&show=nicer&tag=no:such")
    assert len(statements) <= 12
    assert "The run asked no such case." in browser.get(f"{path}&case=nothing").words


def test_a_long_answer_is_cut_in_the_list_and_whole_on_its_own(
    compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compared_texts, "_LONGEST", 30)
    browser = compared.site.browser("ada")
    path = compared.path(compared.good, compared.worse)
    listed = browser.get(path)
    link = listed.page.css_first("#cases article .grid a[href*='case=']")
    assert link is not None
    assert "The Ashford locker fee is 40 …" in listed.words
    whole = browser.get((link.attributes["href"] or "").partition("#")[0])
    assert list(cases_on(whole)) == ["ashford-locker"]
    assert "The Ashford locker fee is 40 dollars a month for every employee of the branch." in whole.words


def test_names_of_nothing_and_of_one_release_are_said(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    assert "Compare two releases" in browser.get("/compare").words
    assert browser.get("/compare?a=00000000&b=11111111").status == 404
    same = browser.get(compared.path(compared.good, compared.good))
    assert (same.status, "COMPARE_OTHERS" in same.words) == (422, True)


def test_the_chart_can_be_kept_and_holds_the_numbers_of_its_table(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    answer = browser.get(compared.path(compared.good, compared.worse))
    link = answer.page.css_first("a[download]")
    assert link is not None
    rows = list(csv.reader(io.StringIO(browser.get(link.attributes["href"] or "").text)))
    table = [
        [cell.attributes["data-y"] for cell in row.css("td[data-y]")] for row in answer.page.css("figure tbody tr")
    ]
    assert [[one for one in row[1:] if one] for row in rows[1:]] == table
    assert len(table) == 5


def test_the_api_gives_what_the_page_shows_to_whom_it_shows_it(compared: Compared) -> None:
    given = {name: comparison(compared, name, compared.good, compared.worse) for name in ("ada", "ben")}
    for found in given.values():
        assert (found["standing"], found["verdict"], found["cases"]["found"]) == ("compared", "no_go", WRONG)
        assert found["metrics"][0]["detectable"] == 0.305
        assert found["unscored_cases"] == {"candidate": {}, "baseline": {}}
    shown_closed = unread(compared)
    for name, found in given.items():
        for case in found["cases"]["shown"]:
            is_hidden = name == "ben" and case["case"] in shown_closed
            for key in ("question", "asker", "tags", "facts"):
                assert (case[key] is None) is is_hidden, key
            assert (case["hidden"] is not None) is is_hidden
            for side in (case["before"], case["after"]):
                assert (side["answer"] is None) is is_hidden
                assert (side["hidden"] is not None) is is_hidden
                assert bool(side["cited"]) is not is_hidden
                assert side["citations"] == [1, 1]
    differs = comparison(compared, "ada", compared.worse, compared.other, expected=404)
    assert "COMPARISON_UNKNOWN" in json.dumps(differs)


def test_a_tag_is_offered_and_filtered_by_for_what_the_reader_may_read(compared: Compared) -> None:
    path = compared.path(compared.good, compared.worse, "&show=all&tag=kind:locker")
    browser, query = compared.site.browser("ben"), text("UPDATE document SET acl = :names WHERE id = ANY(:ids)")
    hidden = unread(compared)
    assert cases_on(browser.get(path)).keys() == set(names()[::2]) - hidden
    with compared.site.instance.engine.begin() as connection:
        before = {row.id: row.acl for row in connection.execute(text("SELECT id, acl FROM document"))}
        lockers = [one for one in before if "locker" in one]
        connection.execute(query, {"names": ["group:lending"], "ids": lockers})
    closed = browser.get(path)
    with compared.site.instance.engine.begin() as connection:
        for one in lockers:
            connection.execute(query, {"names": before[one], "ids": [one]})
    assert "Ignored, because nothing is called that: tag kind:locker." in closed.words
    assert "kind:locker" not in {one.text() for one in closed.page.css("#tag option")}


def comparison(compared: Compared, name: str, before: str, after: str, *, expected: int = 200) -> Any:
    site = compared.site
    authenticator = BearerAuthenticator(site.instance.workspace, keys=_Keys(site))
    api = Api(make_api_services(site.instance), authenticator, site.instance.clock)
    status, found = Client(api=api, key=site.key(name).text).get(f"/api/v1/comparison?a={before}&b={after}")
    assert status == expected, found
    return found


def test_a_comparison_costs_few_statements_however_many_cases_it_lists(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    browser.get("/")
    found = []
    for more in ("&show=all", f"&show=all&tag=kind:locker&after={names()[-4]}"):
        with counted(compared.site) as statements:
            answer = browser.get(compared.path(compared.good, compared.worse, more))
        assert answer.status == 200
        found.append(len(statements))
    assert found[0] == found[1] <= 12


def test_runs_of_one_release_alone_do_not_push_out_the_run_that_asked_both(compared: Compared) -> None:
    copied = text(
        "INSERT INTO evaluation_run SELECT (jsonb_populate_record(e, jsonb_build_object('id', 'later-' || n,"
        " 'requested_at', e.requested_at + interval '1 day'))).* FROM evaluation_run e, generate_series(1, 201) n"
        " WHERE e.release = :good AND e.baseline IS NULL"
    )
    with compared.site.instance.engine.begin() as connection:
        assert connection.execute(copied, {"good": compared.good}).rowcount == 201
    answer = compared.site.browser("ada").get(compared.path(compared.good, compared.worse))
    with compared.site.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM evaluation_run WHERE id LIKE 'later-%'"))
    assert told(answer).startswith("NO-GO")


@pytest.mark.parametrize("odd", ["\u4f60", '"', "\u200b", "a", "\U0001f600"])
@pytest.mark.parametrize("is_alone", [False, True])
def test_a_page_keeps_its_weight_whatever_was_asked_and_answered(
    compared: Compared, monkeypatch: pytest.MonkeyPatch, odd: str, *, is_alone: bool
) -> None:
    monkeypatch.setattr(
        compare, "view_comparison", lambda *given, **named: heavy(view_comparison(*given, **named), odd)
    )
    more = "&show=all&case=ashford-locker" if is_alone else "&show=all"
    answer = compared.site.browser("ada").get(compared.path(compared.good, compared.worse, more))
    assert answer.status == 200
    assert len(answer.body) < 250_000
    cards = answer.page.css("#cases article")
    if is_alone:
        assert len(cards) == 1
        return
    assert 1 <= len(cards) <= 50
    assert max(len((card.html or "").encode()) for card in cards) <= 14_000
    assert sum(len((card.html or "").encode()) for card in cards) <= 120_000
    last = list(cases_on(answer))[-1]
    assert f"after={last}" in answer.text
    assert "and 250 more" in answer.words  # tags, with the others below
    assert "and 30 more" in answer.words
    assert "and 80 more" in answer.words


def heavy(view: Comparing, odd: str) -> Comparing:
    """The same with texts that cost the most, many of everything."""
    assert view.cases is not None
    one = view.cases.shown[0]
    [quote, *_] = one.after.texts.quotes
    quotes = tuple(replace(quote, marker=n, title=odd * 900, section=odd * 900, words=odd * 160) for n in range(30))
    answers = (odd * 400, "[1]" * 133)
    texts = [SideTexts(answer=answer, is_cut=True, quotes=quotes, behind=30) for answer in answers]
    case = replace(one.case, question=odd * 4_000, tags=(odd * 100,) * 90)
    shown = tuple(
        replace(
            one,
            case=replace(case, id=f"case-{n:03d}" + "x" * 100),
            facts=(odd * 300,) * 20,
            documents=("d" * 200,) * 20,
            before=replace(one.before, texts=texts[0]),
            after=replace(one.after, texts=texts[1]),
        )
        for n in range(1 if view.cases.wish.case else 50)
    )
    reason = {"text": odd * 200, "code": "CASE_LOST"}
    tag = {"n": 10, "value": -0.1, "p": 0.5, "q": 0.5}
    comparison = {"slices": [{"tag": f"{n}{odd * 200}", **tag} for n in range(130)]}
    result = {**view.result, "regressions": [reason] * 50, "comparison": comparison}
    tags = tuple(f"{n:03d}" for n in range(450))
    return replace(view, result=result, cases=replace(view.cases, shown=shown, tags=tags, more=""))


def test_the_release_and_its_gate_lead_here(compared: Compared) -> None:
    browser = compared.site.browser("ada")
    short = compared.worse.removeprefix("sha256:")[:12]
    links = {one.attributes["href"] or "" for one in browser.get(f"/releases/{short}").page.css("a.button")}
    [link] = [one for one in links if one.startswith("/compare")]
    assert browser.get(link).status == 200


def test_an_answer_that_was_removed_is_gone_and_the_verdict_stays(compared: Compared) -> None:
    path = compared.path(compared.good, compared.worse, "&show=all")
    name, gone = documents()[-1].removesuffix(".md"), "sha256:" + "0" * 64
    statement = text("UPDATE evaluation_task SET generation = :to WHERE case_id = :case AND generation = :one")
    with compared.site.instance.engine.begin() as connection:
        query = text("SELECT min(generation) FROM evaluation_task WHERE case_id = :case")
        before = connection.execute(query, {"case": name}).scalar_one()
        connection.execute(statement, {"to": gone, "case": name, "one": before})
    answer = compared.site.browser("ada").get(path)
    with compared.site.instance.engine.begin() as connection:
        connection.execute(statement, {"to": before, "case": name, "one": gone})
    said = cases_on(answer)[name]
    assert "The answer was removed." in said
    assert "not scored on both" in said
    assert told(answer).startswith("NO-GO")
