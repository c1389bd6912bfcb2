"""`report cost` end to end: what requests cost is read from their records, and the report's digest is in the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.console.conftest import Bank, bank

from pilotage.control import cost_report
from pilotage.control.cost_layout import lay_out_costs
from pilotage.control.cost_report import CostReport, make_cost_report
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import IntegrityError, NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Refusal
from pilotage.gate.pack_html import layout_html
from pilotage.monitoring.outcomes import SLOW_US
from pilotage.release.model import Prices
from pilotage.retrieval.settings import Embedding
from pilotage.store.ledger_entries import entries_of
from pilotage.store.spend import spent
from pilotage.testing.serving_path import WORKFLOW, content

__all__ = ["bank"]
pytestmark = pytest.mark.store
LIVE = SpaceName("production-us-east-space")
_ASKED = text("""
INSERT INTO interaction (id, at, space, workflow, arm, release, principal, kind, state, outcome, refused, detail)
VALUES (:id, :at, :space, 'policy-assistant', 'stable', :release, 'p', :kind, 'closed', :outcome, false, :detail)
""")
_CLOSED = text("""
INSERT INTO interaction_closing (interaction, at, state, outcome, refused, detail)
VALUES (:id, :at, 'closed', :outcome, false, :detail)
""")


def detail(nano: int | None, total_us: int = 900_000) -> str:
    usage = {"prompt_tokens": 100, "completion_tokens": 50}
    return json.dumps({"model_used": "m", "cost_nano": nano, "usage": usage, "t_total": total_us})


def ask(connection: Connection, name: str, at: datetime, **more: Any) -> None:
    row = {"space": LIVE, "release": None, "kind": "user", "outcome": "ok", "detail": detail(10**9)}
    connection.execute(_ASKED, {"id": name, "at": at, **row, **more})


@pytest.fixture(scope="module")
def asked(bank: Bank) -> date:
    """The first of the month, with requests in it, the month before, and another space."""
    now = bank.clock.now()
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with bank.instance.engine.begin() as connection:
        ask(connection, "a", now - timedelta(hours=1))
        ask(connection, "b", first, detail=detail(None))
        ask(connection, "free", first, detail=detail(None), release=bank.release)
        ask(connection, "before", first - timedelta(seconds=1), detail=detail(64 * 10**9))
        ask(connection, "probe", first, kind="probe", detail=detail(4 * 10**9))
        ask(connection, "uat", first, space="uat-space", detail=detail(32 * 10**9))
        ask(connection, "left", first, outcome="lost", detail="{}")
        connection.execute(
            _CLOSED, {"id": "left", "at": now, "outcome": "client_gone", "detail": detail(2 * 10**9, SLOW_US)}
        )
    return first.date()


def made(bank: Bank, **more: str) -> tuple[CostReport, Any]:
    done = make_cost_report(bank.instance, actor=bank.person("maria.chen"), workflow="policy-assistant", **more)
    assert isinstance(done, CostReport)
    return done, done.facts


def test_a_month_holds_its_own_requests_with_what_their_final_record_says(bank: Bank, asked: date) -> None:
    _, facts = made(bank)
    assert facts["month"] == f"{asked:%Y-%m}"
    assert facts["spent"]["people"] == ">= 3.00"
    assert facts["spent"]["unpriced_answers"] == 1
    assert facts["spent"]["other_traffic"] == "4.00"
    assert (facts["per_query"]["requests"], facts["per_query"]["answers"]) == (4, 3)
    amounts = {line["id"]: line["actual"] for line in facts["lines"]}
    assert amounts["run-models"] == ">= 7.00"
    assert made(bank, month=f"{asked - timedelta(days=1):%Y-%m}")[1]["spent"]["people"] == "64.00"


def test_the_rows_say_who_waited_too_long(bank: Bank, asked: date) -> None:
    day = datetime.combine(asked, datetime.min.time(), tzinfo=UTC)
    with bank.instance.engine.connect() as connection:
        rows = spent(
            connection,
            "policy-assistant",
            spaces=[LIVE],
            since=day,
            until=bank.clock.now(),
            slow_us=SLOW_US,
        )
    assert [row.requests for row in rows if row.was_slow] == [1]


def test_a_report_is_in_the_ledger_by_its_digest_and_prints_what_it_says(bank: Bank, asked: date) -> None:
    done, facts = made(bank)
    assert done.digest == digest_of_json(dict(facts))
    with bank.instance.engine.connect() as connection:
        assert {entry.kind for entry in entries_of(connection, done.digest)} == {"report.made"}
    page = layout_html(lay_out_costs(facts))
    for shown in (done.digest, "948000.00", "&gt;= 3.00", "no invoice entered", "Answers without a price: 1."):
        assert shown in page
    del asked


@pytest.mark.parametrize(
    ("embedding_nano", "unpriced"), [pytest.param(None, 2, id="nobody said"), pytest.param(20, 1, id="priced")]
)
def test_a_free_model_with_vectors_of_unknown_price_is_not_free(
    bank: Bank, asked: date, monkeypatch: pytest.MonkeyPatch, embedding_nano: int | None, unpriced: int
) -> None:
    outside = Embedding(model="e", dimension=3, endpoint="https://vectors.example/v1/embeddings")
    sealed = content()
    sealed = replace(
        sealed,
        retrieval=replace(sealed.retrieval, embedding=outside),
        prices=Prices(unmetered="ours", embedding_nano=embedding_nano),
    )
    monkeypatch.setattr(cost_report, "load_release", lambda *_: sealed)
    assert made(bank)[1]["spent"]["unpriced_answers"] == unpriced
    del asked


def test_a_release_that_does_not_verify_leaves_its_answers_without_a_price(
    bank: Bank, asked: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(*_: object) -> None:
        raise IntegrityError("VERIFY_BYTES", "Altered.")

    monkeypatch.setattr(cost_report, "load_release", altered)
    assert made(bank)[1]["spent"]["unpriced_answers"] == 2
    del asked


def test_whoever_holds_no_role_reads_no_costs(bank: Bank) -> None:
    nobody = replace(bank.person("maria.chen"), roles=frozenset())
    refused = make_cost_report(bank.instance, actor=nobody, workflow="policy-assistant")
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "NOT_PERMITTED"
    owner = replace(nobody, person=bank.instance.workspace.workflows[WORKFLOW].owner)
    assert isinstance(make_cost_report(bank.instance, actor=owner, workflow="policy-assistant"), CostReport)


def test_what_cannot_be_reported_is_refused_with_what_to_write(bank: Bank) -> None:
    actor = bank.person("maria.chen")
    with pytest.raises(NotFound, match="no workflow"):
        make_cost_report(bank.instance, actor=actor, workflow="nothing")
    with pytest.raises(UsageError, match="no month"):
        make_cost_report(bank.instance, actor=actor, workflow="policy-assistant", month="11-2026")
    with pytest.raises(UsageError, match="has not begun"):
        make_cost_report(bank.instance, actor=actor, workflow="policy-assistant", month="2099-01")
