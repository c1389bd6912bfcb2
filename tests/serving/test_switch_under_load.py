"""A release is taken out while gateways in processes of their own are under load: nobody notices, and it stays out."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from pilotage.testing.switching import NEW, OLD, gateways, prepare, send_to_candidate, take_out, until, until_followed

pytestmark = pytest.mark.store
STREAMS = 5


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("processes", "flips"),
    [pytest.param(2, 2, id="short"), pytest.param(4, 25, id="long", marks=pytest.mark.slow)],
)
def test_no_request_fails_by_a_switch_and_nobody_is_admitted_once_every_process_has_followed(
    engine: Engine, database_url: str, processes: int, flips: int
) -> None:
    prepare(engine)
    with gateways([database_url] * processes) as running:
        for _ in range(flips):
            before = running.seen()
            until_followed(engine, send_to_candidate(engine), running.names)
            until(
                lambda before=before: all(  # type: ignore[misc]
                    now.answers[NEW] > then.answers[NEW] and now.streams >= then.streams + STREAMS
                    for now, then in zip(running.seen(), before, strict=True)
                ),
                "the candidate was not asked in every process",
            )
            generation, _ = take_out(engine)
            followed = until_followed(engine, generation, running.names)
            after = running.seen()
            assert all(one.last <= followed for one in after)
            # Whoever was admitted before has been answered by the release that began, and nobody came after.
            until(
                lambda after=after: all(  # type: ignore[misc]
                    now.answers[OLD] >= then.answers[OLD] + 20 for now, then in zip(running.seen(), after, strict=True)
                ),
                "stable does not answer",
            )
            assert [one.last for one in running.seen()] == [one.last for one in after]
        end = running.seen()
    assert [one.failed for one in end] == [[]] * processes
