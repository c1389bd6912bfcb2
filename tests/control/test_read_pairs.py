"""The texts of shadow pairs have a reader: who reviews sees those they may see themselves, and that is written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.test_shadow_phases import Shadowing

from pilotage.control.read_pairs import PairReading, read_pairs
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.rollout.pairing import Result

pytestmark = pytest.mark.store
REVIEWER, AUDITOR, STARTER = "marcus.webb", "anita.rao", "luis.ortega"

_DOCUMENT = text(
    "INSERT INTO document (corpus, id, classification, region, acl, acl_confirmed_at)"
    " VALUES ('policies', :id, 'internal', 'us', :acl, now())"
    " ON CONFLICT (corpus, id) DO UPDATE SET acl = :acl, tombstone = NULL"
)


@pytest.fixture
def run(engine: Engine) -> Shadowing:
    """Three pairs: on a document for everyone, on that and the board's, and on none."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO corpus (name) VALUES ('policies') ON CONFLICT DO NOTHING"))
        connection.execute(_DOCUMENT, {"id": "open", "acl": ["group:everyone"]})
        connection.execute(_DOCUMENT, {"id": "board", "acl": ["group:board"]})
    shadowing = Shadowing(engine)
    shadowing.settle("one", "p1", Result.TIE, documents=("policies/open",), question="Of fees?")
    shadowing.settle("two", "p2", Result.WORSE, documents=("policies/board", "policies/open"), question="Of the sale?")
    shadowing.settle("three", "p3", Result.WORSE, documents=(), question="Of nothing?")
    return shadowing


def reading(run: Shadowing, who: str, **asked: Any) -> PairReading:
    done = read_pairs(run.world.instance, actor=run.world.person(who), rollout=run.rollout.id, **asked)
    assert isinstance(done, PairReading), done
    return done


def shown(run: Shadowing, who: str, **asked: Any) -> list[str]:
    return [one.interaction for one in reading(run, who, **asked).pairs]


def test_a_reviewer_reads_both_answers_of_what_they_may_see_and_nothing_of_the_rest(run: Shadowing) -> None:
    done = reading(run, REVIEWER)
    assert [(one.interaction, one.question, one.stable, one.candidate) for one in done.pairs] == [
        ("three", "Of nothing?", "one", "two"),
        ("one", "Of fees?", "one", "two"),
    ], "those the candidate lost come first"
    assert done.hidden is None
    assert "sale" not in json.dumps(done.as_json())
    assert shown(run, REVIEWER, result="tie") == ["one"]
    assert shown(run, REVIEWER, most=1) == ["three"]


def test_an_auditor_learns_how_many_are_hidden(run: Shadowing) -> None:
    done = reading(run, AUDITOR)
    assert ([one.interaction for one in done.pairs], done.hidden) == (["three", "one"], 1)
    assert reading(run, AUDITOR, result="tie").hidden == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE document SET tombstone = 't' WHERE id = 'open'",
        "UPDATE document SET acl = '{}' WHERE id = 'open'",
        "UPDATE rollout_pair_text SET documents = ARRAY['policies/unknown'] WHERE interaction = 'one'",
    ],
    ids=["taken down", "no ACL is nobody", "unknown"],
)
def test_permissions_of_today_decide(run: Shadowing, change: str) -> None:
    with run.world.engine.begin() as connection:
        connection.execute(text(change))
    assert shown(run, REVIEWER) == ["three"]


@pytest.mark.parametrize(("limit", "seen"), [(3600, ["three", "one"]), (3599, ["three"]), (None, ["three", "one"])])
def test_an_acl_past_the_age_its_corpus_promises_hides_the_pair(
    run: Shadowing, limit: int | None, seen: list[str]
) -> None:
    corpora = run.world.workspace.corpora
    policies = replace(corpora[CorpusName("policies")], acl_max_age_s=limit)
    run.world.workspace = replace(run.world.workspace, corpora={**corpora, policies.name: policies})
    with run.world.engine.begin() as connection:
        at = run.world.clock.now() - timedelta(hours=1)
        connection.execute(text("UPDATE document SET acl_confirmed_at = :at"), {"at": at})
    assert shown(run, REVIEWER) == seen
    assert reading(run, AUDITOR).hidden == 3 - len(seen)


def test_who_gains_a_permission_sees_the_pair(run: Shadowing) -> None:
    with run.world.engine.begin() as connection:
        connection.execute(_DOCUMENT, {"id": "board", "acl": [f"user:{REVIEWER}"]})
    assert shown(run, REVIEWER) == ["three", "two", "one"]


def test_each_reading_is_an_entry_without_text_and_nobody_else_reads(run: Shadowing) -> None:
    query = "SELECT bytes FROM ledger_entry WHERE kind = 'rollout.pairs_read' AND subject = :rollout"
    refused = read_pairs(run.world.instance, actor=run.world.person(STARTER), rollout=run.rollout.id)
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["NOT_PERMITTED"]
    assert run.rows(query) == []
    reading(run, REVIEWER, result="worse")
    (entry,) = (json.loads(bytes(row.bytes)) for row in run.rows(query))
    assert entry["data"] == {"pairs": 1, "result": "worse"}
    assert entry["actor"].startswith("p_")
    assert "nothing" not in json.dumps(entry)


def test_what_is_no_rollout_no_result_or_no_number_is_an_error(run: Shadowing) -> None:
    reviewer = run.world.person(REVIEWER)
    with pytest.raises(NotFound, match="no rollout"):
        read_pairs(run.world.instance, actor=reviewer, rollout="none")
    with pytest.raises(UsageError, match="no result"):
        read_pairs(run.world.instance, actor=reviewer, rollout=run.rollout.id, result="lost")
    for most in (0, 201):
        with pytest.raises(UsageError, match="at once"):
            read_pairs(run.world.instance, actor=reviewer, rollout=run.rollout.id, most=most)
