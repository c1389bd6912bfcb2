"""A candidate that begins to fail under real load is taken out by the machine; only its own askers notice."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.control.rollout_world import BANK

from pilotage.store.engine import url_of
from pilotage.testing.network import NotPermittedError, Room, forwarded, rooms
from pilotage.testing.switching import Gateways, gateways
from pilotage.testing.watched_rollout import WatchedRollout, watched_rollout

pytestmark = [pytest.mark.store, pytest.mark.timeout(1800)]


def taken_out(watched: WatchedRollout, running: Gateways, rollouts: int, cut_off: Sequence[Room] = ()) -> None:
    """Let candidates fail, one rollout after the other; each is taken out, and no other answer is hurt by it."""
    for number in range(rollouts):
        cut = cut_off[number % len(cut_off)] if cut_off else None
        switch = watched.withdraw(running, cut=cut)
        assert switch.faults > 0
        assert switch.said_zero_s is not None
        last = [one.last for one in running.seen()]
        before = running.seen()
        watched.until_answered(running, before)
        assert [one.last for one in running.seen()] == last
    assert [one.failed for one in running.seen()] == [[]] * len(running.names)


@pytest.mark.parametrize(
    ("processes", "rollouts"),
    [pytest.param(2, 1, id="short"), pytest.param(4, 25, id="long", marks=pytest.mark.slow)],
)
def test_a_failing_candidate_is_taken_out_and_no_other_answer_fails(
    own_engine: Engine, tmp_path: Path, processes: int, rollouts: int
) -> None:
    with (
        watched_rollout(own_engine, BANK, tmp_path) as watched,
        gateways([url_of(own_engine)] * processes, scene=watched.scene) as running,
    ):
        taken_out(watched, running, rollouts)


@pytest.mark.slow
def test_a_gateway_that_is_cut_off_while_its_candidate_fails_sends_nobody_there_for_long(
    own_engine: Engine, tmp_path: Path
) -> None:
    try:
        with (
            rooms(4, prefix=f"t{secrets.token_hex(3)}") as networks,
            watched_rollout(own_engine, BANK, tmp_path) as watched,
            forwarded(url_of(own_engine), [room.host for room in networks]) as urls,
            gateways(urls, namespaces=[room.name for room in networks], scene=watched.scene) as running,
        ):
            taken_out(watched, running, 8, networks)
    except NotPermittedError as error:
        pytest.skip(f"network namespaces cannot be made on this machine: {error}")
