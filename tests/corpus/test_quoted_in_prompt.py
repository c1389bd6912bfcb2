"""A takedown reaches releases whose sealed prompt quotes the document: they are quarantined and leave traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from tests.control.rollout_world import bank as northlake

from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.corpus.takedown import QUOTED, quoted_pieces
from pilotage.store.routes import read_route
from pilotage.testing.connectors import MemoryConnector, MemoryDocument
from pilotage.testing.rollouts import EAST, WORKFLOW, FakeProcesses, RolloutWorld

SECRET = "The vault of the Dunmore branch opens with the code of the month and two officers."
SHARED = "Every employee of the bank completes the yearly training on privacy before the end of March."


@given(
    words=st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=40),
    before=st.lists(st.sampled_from(["zz", "yyyy"]), max_size=9),
)
def test_a_quote_of_forty_characters_is_found_wherever_it_stands(words: list[str], before: list[str]) -> None:
    quote = " ".join(words)
    prompt = "\n".join([" ".join(before), quote.upper(), "zz zz"])
    found = quoted_pieces(prompt, [f"A heading.\n\n{quote} And more."])
    # What is found begins with a word of the quote; a shorter quote may lack the length.
    assert bool(found) is (len(quote) >= QUOTED)


def test_nothing_in_common_is_no_quote() -> None:
    assert quoted_pieces("Answer from the passages and name the ones you used in your answer.", [SECRET]) == ()
    assert quoted_pieces("short", [SECRET]) == quoted_pieces("", []) == ()


@pytest.fixture
def world(bank: Any, make_settings: Any, fresh_name: Any) -> RolloutWorld:
    """Two documents in a corpus, and spaces in which releases are served."""
    bank.instance = replace(bank.instance, workspace=replace(bank.instance.workspace, spaces=northlake().spaces))
    bank.corpus = bank.declare(make_settings(fresh_name()))
    documents = {
        "vault.txt": MemoryDocument(data=f"{SECRET} {SHARED}".encode(), suffix=".txt"),
        "training.txt": MemoryDocument(data=SHARED.encode(), suffix=".txt"),
    }
    bank.refresh(bank.corpus, MemoryConnector(documents=documents))
    return RolloutWorld(
        engine=bank.instance.engine,
        workspace=bank.instance.workspace,
        ports=cast(Any, None),
        processes=FakeProcesses(),
        clock=bank.clock,
    )


def taken_down(bank: Any) -> TakedownResult:
    request = TakedownRequest(corpus=bank.corpus, document="vault.txt", reason="Published by mistake.")
    done = take_down(bank.instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    return done


def state(world: RolloutWorld, release: str) -> str:
    with world.engine.connect() as connection:
        query = text("SELECT state FROM release WHERE digest = :release")
        return str(connection.execute(query, {"release": release}).scalar_one())


@pytest.mark.store
def test_a_release_that_quotes_it_leaves_traffic_with_the_takedown(bank: Any, world: RolloutWorld) -> None:
    clean = world.seal("Answer only from the passages.")
    quoting = world.seal(f"Never say this:\n{SECRET[:30]}\n  {SECRET[30:]}")
    shared = world.seal(f"Say this: {SHARED}")
    world.serve(clean, (EAST,))
    world.serve(quoting, (EAST,))
    assert taken_down(bank).quarantined == (quoting,)
    assert [state(world, one) for one in (clean, quoting, shared)] == ["sealed", "quarantined", "sealed"]
    with world.engine.connect() as connection:
        assert read_route(connection, EAST, WORKFLOW).stable == clean
        query = "SELECT count(*) FROM incident WHERE release = :release"
        assert connection.execute(text(query), {"release": quoting}).scalar_one() == 1
        query = "SELECT count(*) FROM ledger_entry WHERE kind = 'release.quarantined' AND subject = :release"
        assert connection.execute(text(query), {"release": quoting}).scalar_one() == 1
    assert taken_down(bank).quarantined == ()


@pytest.mark.store
def test_a_takedown_that_nothing_quotes_withdraws_nothing(bank: Any, world: RolloutWorld) -> None:
    release = world.seal("Answer briefly, and only from the passages that you are given.")
    assert taken_down(bank).quarantined == ()
    assert state(world, release) == "sealed"
