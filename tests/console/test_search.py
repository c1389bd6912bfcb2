"""Search: digests, ids, names and documents lead to their pages, each shown only to whoever may open it."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.console.browser import Answer
from tests.console.conftest import Bank

pytestmark = pytest.mark.store


def found(bank: Bank, name: str, wanted: str) -> Answer:
    answer = bank.browser(name).get("/search?q=" + wanted)
    assert answer.status == 200
    return answer


def links(answer: Answer) -> list[str]:
    main = answer.page.css_first("main")
    assert main is not None
    return [node.attributes.get("href") or "" for node in main.css("ul a")]


def test_a_digest_is_found_by_eight_of_its_digits_and_by_no_fewer(bank: Bank) -> None:
    digits = bank.release.removeprefix("sha256:")
    for wanted in (digits[:8], digits[:12].upper(), digits, bank.release):
        assert links(found(bank, "omar.haddad", wanted)) == [f"/releases/{digits[:12]}"]
    assert links(found(bank, "omar.haddad", digits[:7])) == []
    assert "Nothing that you may see" in found(bank, "omar.haddad", digits[:7]).words


def test_an_id_leads_to_what_it_names_and_a_ledger_entry_to_auditors_only(bank: Bank) -> None:
    rollout, board = bank.roll_out(), bank.call_board()
    with bank.instance.engine.connect() as connection:
        entry = connection.execute(text("SELECT id FROM ledger_entry ORDER BY id LIMIT 1")).scalar_one()
    assert links(found(bank, "omar.haddad", rollout)) == [f"/rollouts/{rollout}"]
    assert links(found(bank, "omar.haddad", rollout.lower())) == [f"/rollouts/{rollout}"]
    assert links(found(bank, "omar.haddad", board["session"])) == [f"/cab/{board['session']}"]
    assert links(found(bank, "omar.haddad", entry)) == []
    assert links(found(bank, "anita.rao", entry)) == [f"/ledger/{entry}"]


def test_an_answer_is_found_by_who_may_open_it_and_looking_records_nothing(bank: Bank) -> None:
    interaction = bank.answered("omar.haddad", "How much?", "It is 5. [1]")
    assert links(found(bank, "omar.haddad", interaction)) == [f"/interactions/{interaction}"]
    assert links(found(bank, "anita.rao", interaction)) == [f"/interactions/{interaction}"]
    assert links(found(bank, "tess.murray", interaction)) == []
    with bank.instance.engine.connect() as connection:
        opened = text("SELECT count(*) FROM ledger_entry WHERE kind = 'interaction.explained'")
        assert connection.execute(opened).scalar_one() == 0


def test_a_document_shows_itself_to_whom_its_passage_would(bank: Bank) -> None:
    with bank.instance.engine.begin() as connection:
        row = connection.execute(
            text("SELECT id, acl FROM document WHERE corpus = 'policies' AND NOT acl && ARRAY['group:hr'] LIMIT 1")
        ).one()
        connection.execute(text("UPDATE document SET acl = ARRAY['group:hr'] WHERE id = :id"), {"id": row.id})
    try:
        theirs = found(bank, "olivia.grant", row.id)
        (path,) = {one for one in links(theirs) if one.startswith("/corpora/policies/")}
        assert bank.browser("olivia.grant").get(path).status == 200
        other = found(bank, "tess.murray", row.id)
        assert links(other) == []
        assert bank.browser("tess.murray").get(path).status == 404
    finally:
        with bank.instance.engine.begin() as connection:
            connection.execute(text("UPDATE document SET acl = :acl WHERE id = :id"), {"id": row.id, "acl": row.acl})


def test_a_document_that_nobody_accepted_yet_is_not_found(bank: Bank) -> None:
    def has(state: str) -> bool:
        with bank.instance.engine.begin() as connection:
            connection.execute(
                text("UPDATE corpus_version SET state = :state WHERE corpus = 'policies'"), {"state": state}
            )
            name = connection.execute(text("SELECT id FROM document WHERE corpus = 'policies' LIMIT 1")).scalar_one()
            connection.execute(text("UPDATE document SET acl = ARRAY['group:everyone'] WHERE id = :id"), {"id": name})
        return any(one.startswith("/corpora/policies/passages") for one in links(found(bank, "omar.haddad", name)))

    with bank.instance.engine.connect() as connection:
        kept = connection.execute(text("SELECT id, corpus, acl FROM document")).all()
    try:
        assert [has("proposed"), has("accepted")] == [False, True]
    finally:
        with bank.instance.engine.begin() as connection:
            connection.execute(text("UPDATE corpus_version SET state = 'accepted' WHERE corpus = 'policies'"))
            for row in kept:
                connection.execute(
                    text("UPDATE document SET acl = :acl WHERE id = :id AND corpus = :corpus"), row._asdict()
                )


def test_people_workflows_and_corpora_are_found_by_name(bank: Bank) -> None:
    page = found(bank, "omar.haddad", "Virtanen")
    assert "Hanna Virtanen on-call, platform-engineer" in page.words
    assert {"/ask/policy-assistant"} <= set(links(found(bank, "omar.haddad", "policy-assist")))
    assert {"/corpora/policies", "/corpora/policies-uat"} <= set(links(found(bank, "omar.haddad", "polic")))


@pytest.mark.parametrize("wanted", ["", "%25", "_", "%00", "%3Cscript%3E", "x" * 5000, "%F0%9F%A6%80"])
def test_odd_words_find_nothing_and_break_nothing(bank: Bank, wanted: str) -> None:
    answer = bank.browser("tess.murray").get("/search?q=" + wanted)
    assert answer.status in {200, 404, 414, 400}
    assert "<script>" not in answer.text
