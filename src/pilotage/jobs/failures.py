"""A run that failed: counted on its row, and told to people at the fifth failure in a row (corpus-and-ledger.md 6.1).

Fail mode: the count and the message are one transaction; a run that is no longer ours is left alone.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.send_messages import Notice, send
from pilotage.jobs.handlers import LOG, Registry, describe_failure
from pilotage.rollout.transitions import Notify
from pilotage.store.runs import MAX_FAILURES, Run, RunState, record_failure

_ERROR: Final = 40
_WARNING: Final = 30


def count_failure(
    connection: Connection, instance: Instance, registry: Registry, run: Run, error: BaseException
) -> None:
    """Count a failure in the caller's transaction; the fifth in a row pages, whether or not the run is given up."""
    why, number = describe_failure(error), run.attempt + 1
    state = record_failure(connection, run, why, instance.clock.now(), endless=registry.endless.get(run.kind))
    if state is not None and number == MAX_FAILURES:
        _page(connection, instance, run, why, is_over=state is RunState.FAILED)
    LOG.log(_ERROR if state is RunState.FAILED else _WARNING, "%s: attempt %d failed: %s.", run.name, number, why)


def tell_abandoned(connection: Connection, instance: Instance, run: Run) -> None:
    """Page about a run whose workers vanished once too often."""
    LOG.error("%s failed: its worker vanished %d times.", run.name, run.attempt)
    _page(connection, instance, run, run.last_error or "", is_over=True)


def _page(connection: Connection, instance: Instance, run: Run, why: str, *, is_over: bool) -> None:
    ends = "It was given up and waits for a person." if is_over else "It is tried again until it works."
    title = f"{run.name} failed {MAX_FAILURES} times in a row"
    notice = Notice(title=title, text=f"{why} {ends} See `pilotage doctor`.")
    send(connection, instance, (Notify.PAGE,), notice, at=instance.clock.now())
