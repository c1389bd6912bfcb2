"""The daily `ledger fsck`: what contradicts the ledger is told to people while it can still be explained.

Rule: it reads on one snapshot and repairs nothing; a database that lost published entries is stopped, as by hand. Fail
mode: a check that cannot run is tried again each hour, and pages at the fifth failure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.ledger_fsck import FsckReport, fsck_ledger
from pilotage.control.send_messages import Notice, send
from pilotage.jobs.lease import Lease
from pilotage.rollout.transitions import Notify
from pilotage.store.runs import Again, Outcome, find_run, request_run

KIND: Final = "ledger_fsck"
_KEY: Final = "ledger"
_EVERY: Final = timedelta(days=1)
_FIRST: Final = timedelta(hours=1)
_TOLD: Final = 5


def check_ledger(instance: Instance, lease: Lease) -> Outcome:
    """Compare everything with everything, page about what differs, and look again tomorrow (`jobs.handlers.Act`)."""
    report = fsck_ledger(instance)
    if not report.is_clean:
        with lease.fenced() as connection:
            send(connection, instance, (Notify.PAGE,), _notice(report), at=instance.clock.now())
    return Again(at=instance.clock.now() + _EVERY)


def _notice(report: FsckReport) -> Notice:
    number = len(report.findings) + report.suppressed
    first = " ".join(f"{one.code}: {one.text}" for one in report.findings[:_TOLD])
    return Notice(
        title=f"The ledger's daily check found {number} difference{'' if number == 1 else 's'}",
        text=f"{first} See `pilotage ledger fsck`; nothing was repaired.",
        facts={"findings": number, "entries": report.entries},
    )


def schedule_ledger_checks(instance: Instance) -> None:
    """Ask for the check at the first start-up, an hour later; asking again changes nothing."""
    with instance.engine.begin() as connection:
        if find_run(connection, KIND, _KEY) is None:
            request_run(connection, kind=KIND, key=_KEY, due_at=instance.clock.now() + _FIRST)
