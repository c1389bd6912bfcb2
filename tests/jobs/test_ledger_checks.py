"""The daily check of the ledger: quiet while nothing differs, and told to people once a day while something does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from pilotage.control.instance import Instance
from pilotage.control.ledger_fsck import FsckReport
from pilotage.core.reason import Reason
from pilotage.jobs import ledger_checks
from pilotage.jobs.handlers import Registry, Work
from pilotage.jobs.ledger_checks import KIND, check_ledger, schedule_ledger_checks
from pilotage.jobs.work import do_work
from pilotage.store.runs import Run, find_run
from pilotage.testing.clock import SimulatedClock

pytestmark = pytest.mark.store
DIFFERS = Reason(code="LEDGER_HASH", text="The bytes of entry 3 do not have its leaf hash.", where="seq 3")


def found(instance: Instance) -> Run:
    with instance.engine.connect() as connection:
        run = find_run(connection, KIND, "ledger")
    assert run is not None
    return run


def check(instance: Instance) -> None:
    registry = Registry(works={KIND: Work(act=check_ledger)})
    assert do_work(instance, registry, kind=KIND, key="ledger", generation=found(instance).generation, owner="w")


def pages(instance: Instance) -> list[str]:
    with instance.engine.connect() as connection:
        rows = connection.execute(text("SELECT payload FROM outbox WHERE kind = 'notification' ORDER BY seq"))
        return [row.payload["title"] for row in rows if row.payload["kind"] == "page"]


def report(*findings: Reason) -> FsckReport:
    return FsckReport(entries=9, checkpoints=2, findings=findings, suppressed=0, notices=())


def test_a_difference_is_told_each_day_until_it_is_gone(
    instance: Instance, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = iter([report(), report(DIFFERS), report(DIFFERS, DIFFERS), report()])
    monkeypatch.setattr(ledger_checks, "fsck_ledger", lambda _instance: next(reports))
    schedule_ledger_checks(instance)
    schedule_ledger_checks(instance)
    assert found(instance).due_at == clock.now() + timedelta(hours=1)
    told = []
    for _ in range(4):
        clock.advance(found(instance).due_at - clock.now())
        check(instance)
        assert found(instance).due_at == clock.now() + timedelta(days=1)
        told.append(len(pages(instance)))
    assert told == [0, 1, 2, 2]
    assert pages(instance) == [f"The ledger's daily check found {what}" for what in ("1 difference", "2 differences")]
