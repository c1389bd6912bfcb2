"""Pages keep the age that a corpus promises for its ACLs, and the corpus's page says when it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.console.conftest import Bank

from pilotage.app import Joined
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.explain_interaction import explain_interaction
from pilotage.core.ids import CorpusName
from pilotage.jobs.rollout_reconciler import rollout_ports

pytestmark = pytest.mark.store
POLICIES = CorpusName("policies")


@pytest.fixture
def limited(bank: Bank) -> Bank:
    """The bank as a process serves it whose workspace promises an age of ten minutes."""
    corpora = bank.instance.workspace.corpora
    policies = replace(corpora[POLICIES], acl_max_age_s=600)
    workspace = replace(bank.instance.workspace, corpora={**corpora, POLICIES: policies})
    instance = replace(bank.instance, workspace=workspace)
    services = Services(
        instance=instance,
        reading=instance,
        redact=Joined().redact(instance),
        asking=bank.asking,
        ports=rollout_ports(),
    )
    return replace(bank, instance=instance, console=Console(services))


def test_no_page_shows_a_passage_past_the_age_until_a_refresh_confirms_it(bank: Bank, limited: Bank) -> None:
    limited.refresh("policies")  # whatever the tests before did to the clock
    passage = "/corpora/policies/passages/0/0"
    interaction = f"/interactions/{bank.answered('omar.haddad', 'How much?', 'So much. [1]')}"
    for _ in range(2):
        assert limited.browser("anita.rao").get(passage).status == 200
        assert passage in limited.browser("anita.rao").get(interaction).text
        bank.clock.advance(timedelta(seconds=601))
        assert limited.browser("anita.rao").get(passage).status == 404
        for viewer in ("omar.haddad", "anita.rao"):
            assert passage not in limited.browser(viewer).get(interaction).text
        assert bank.browser("anita.rao").get(passage).status == 200, "a corpus without a limit shows it"
        limited.refresh("policies")


def test_explaining_hides_from_others_what_is_past_the_age(bank: Bank, limited: Bank) -> None:
    limited.refresh("policies")
    interaction = bank.answered("omar.haddad", "How much?", "So much. [1]")

    def explained(name: str) -> list[int]:
        found = explain_interaction(limited.instance, actor=limited.person(name), interaction=interaction)
        return [one.rev for one in found.passages]

    assert explained("anita.rao") == [0]
    bank.clock.advance(timedelta(seconds=601))
    assert explained("anita.rao") == []


def test_the_page_of_a_corpus_says_when_readers_were_confirmed_and_until_when_they_count(
    bank: Bank, limited: Bank
) -> None:
    limited.refresh("policies")
    words = limited.browser("anita.rao").get("/corpora/policies").words
    assert "Readers last confirmed" in words
    assert "nobody sees the documents after" in words
    plain = bank.browser("anita.rao").get("/corpora/policies").words
    assert "Readers last confirmed" in plain
    assert "nobody sees the documents after" not in plain
