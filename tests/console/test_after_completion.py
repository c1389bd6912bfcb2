"""The page of a rollout that completed tells how its release does while it serves, and what became of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.console.conftest import Bank

from pilotage.control.begin_watch import begin_watch
from pilotage.store.release_watches import LEFT, REGRESSION, put_watch, watches_of
from pilotage.store.rollouts import find_rollout, waves_of

pytestmark = pytest.mark.store


def test_the_page_shows_what_is_watched_what_left_and_what_regressed(bank: Bank) -> None:
    rollout = bank.roll_out()
    now = bank.clock.now()
    with bank.instance.engine.begin() as connection:
        stored = find_rollout(connection, rollout)
        assert stored is not None
        for wave in waves_of(connection, rollout):
            begin_watch(connection, stored, wave, at=now, anew=True)
        on, left, back = watches_of(connection, rollout)
        put_watch(connection, replace(left, ended_at=now, ended_why=LEFT))
        put_watch(connection, replace(back, ended_at=now, ended_why=REGRESSION, rollback=rollout))
    page = bank.browser("elena.marchetti").get(f"/rollouts/{rollout}")
    assert f"After completion, {on.space.removesuffix('-space')}" in page.words
    assert "0 requests. An alarm takes it back." in page.words
    assert "trip error late" in page.words
    assert "when it served there no more." in page.words
    assert "A late regression: taken back" in page.words
    with bank.instance.engine.begin() as connection:
        put_watch(connection, replace(on, sums={"of": "a newer version"}))
    assert "Watched by a newer version" in bank.browser("elena.marchetti").get(f"/rollouts/{rollout}").words
