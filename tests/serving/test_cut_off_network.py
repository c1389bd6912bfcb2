"""Serving processes on networks of their own, one of them cut off: within five seconds nobody meets the candidate."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine

from pilotage.testing.network import NotPermittedError, Room, forwarded, rooms
from pilotage.testing.switching import (
    NEW,
    OLD,
    Gateways,
    gateways,
    prepare,
    send_to_candidate,
    take_out,
    until,
    until_followed,
)

pytestmark = [pytest.mark.store, pytest.mark.slow, pytest.mark.timeout(1800)]
PROCESSES, FLIPS = 4, 3
LIMIT_S = 5.0


@pytest.fixture
def networks() -> Iterator[Sequence[Room]]:
    made = rooms(PROCESSES, prefix=f"p{secrets.token_hex(3)}")
    try:
        found = made.__enter__()
    except NotPermittedError as error:
        pytest.skip(f"network namespaces cannot be made on this machine: {error}")
    try:
        yield found
    finally:
        made.__exit__(None, None, None)


def _asked(running: Gateways, release: str, *, more: int = 10) -> None:
    """Wait until every process has given so many more answers of a release."""
    before = running.seen()
    until(
        lambda: all(
            now.answers[release] >= then.answers[release] + more
            for now, then in zip(running.seen(), before, strict=True)
        ),
        f"{release} is not asked in every process",
    )


def test_a_process_that_is_cut_off_sends_nobody_to_a_candidate_that_was_taken_out(
    engine: Engine, database_url: str, networks: Sequence[Room]
) -> None:
    prepare(engine)
    hosts, names = [room.host for room in networks], [room.name for room in networks]
    with forwarded(database_url, hosts) as urls, gateways(urls, namespaces=names) as running:
        for flip in range(FLIPS):
            until_followed(engine, send_to_candidate(engine), running.names)
            _asked(running, NEW)
            cut = flip % PROCESSES
            others = [name for number, name in enumerate(running.names) if number != cut]
            networks[cut].pull()
            generation, committed = take_out(engine)
            until_followed(engine, generation, others)
            time.sleep(max(0.0, committed + LIMIT_S - time.time()))
            _asked(running, OLD)  # the cut-off process too: it answers on, from stable
            late = [one.last - committed for one in running.seen()]
            assert max(late) <= LIMIT_S, late
            networks[cut].plug()
            until_followed(engine, generation, running.names)
            assert [one.last - committed for one in running.seen()] == late
        end = running.seen()
    assert [one.failed for one in end] == [[]] * PROCESSES


def test_networks_of_two_runs_have_no_address_in_common(networks: Sequence[Room]) -> None:
    with rooms(PROCESSES, prefix=f"q{secrets.token_hex(3)}") as others:
        assert {room.host for room in networks}.isdisjoint(room.host for room in others)
