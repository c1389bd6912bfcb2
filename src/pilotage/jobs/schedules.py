"""Recurring work as rows: refresh of corpora by their cadence, purges of takedowns, closing of lost interactions.

Rule: a missed run runs once; sign-ins that nobody finished are forgotten with the closing; scheduled versions wait for
a person. Fail mode: whatever recurs, and a purge, is never given up: its failures are shown by `doctor`, and the fifth
in a row pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pilotage.control.begin_watch import RUN_KIND as LATE
from pilotage.control.close_interactions import close_lost_interactions
from pilotage.control.evaluate_release import DRIVE
from pilotage.control.instance import Instance
from pilotage.control.provider_session import forget_old_logins
from pilotage.control.purge_document import purge_document
from pilotage.control.refresh_corpus import refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.shadow_phases import REPLAY_KIND
from pilotage.control.take_down import RUN_KIND as TAKEDOWN
from pilotage.core.ids import CorpusName
from pilotage.corpus.cadence import next_due, parse_cadence
from pilotage.corpus.settings import CorpusSettings
from pilotage.jobs.drills import DRILL, drill, look, schedule_drills
from pilotage.jobs.drills import WATCH as DRILLS
from pilotage.jobs.emergencies import KIND as EMERGENCY
from pilotage.jobs.emergencies import end_due, schedule_emergencies
from pilotage.jobs.evaluations import (
    ON_SEAL,
    WEEKLY,
    Drive,
    DriveEvaluation,
    evaluate_sealed,
    evaluate_weekly,
    schedule_evaluations,
)
from pilotage.jobs.handlers import Registry, Step, Work
from pilotage.jobs.lapses import KIND as LAPSES
from pilotage.jobs.lapses import look_at_lapses, schedule_lapses
from pilotage.jobs.late_watch import look_at_completed
from pilotage.jobs.lease import Lease
from pilotage.jobs.ledger_checks import KIND as LEDGER
from pilotage.jobs.ledger_checks import check_ledger, schedule_ledger_checks
from pilotage.jobs.notifications import KIND as NOTIFICATION
from pilotage.jobs.notifications import deliver_notification
from pilotage.jobs.partitions import KIND as PARTITIONS
from pilotage.jobs.partitions import make_partitions, schedule_partitions
from pilotage.jobs.rollout_reconciler import KIND as ROLLOUT
from pilotage.jobs.rollout_reconciler import RolloutStep, rollout_ports, schedule_rollouts
from pilotage.jobs.shadow_work import TEXTS, DriveReplay, Replay, erase_old_texts, schedule_texts
from pilotage.jobs.watches import WATCHES, schedule_watches
from pilotage.store.runs import (
    ENDLESS_BACKOFF,
    LONGEST_BACKOFF,
    Again,
    Done,
    Outcome,
    Run,
    RunState,
    find_run,
    request_run,
)

REFRESH: Final = "corpus_refresh"
CLOSING: Final = "close_interactions"
_CLOSE_EVERY: Final = timedelta(minutes=1)
_ENDLESS_WORK: Final = (TAKEDOWN, REFRESH, LEDGER)
"""Leased work that nobody would ask for again: a copy that is to be erased, a source that was away for a night."""

ToolsOf = Callable[[Instance], RefreshTools]
"""What a scheduled refresh looks documents over with."""


def make_registry(tools_of: ToolsOf, drive: Drive | None = None, replay: Replay | None = None) -> Registry:
    """Return every kind of run this version knows.

    `drive` takes evaluation runs to their end, `replay` the recorded questions of a rollout.
    """
    evaluations = {} if drive is None else {DRIVE: Work(act=DriveEvaluation(drive))}
    replays = {} if replay is None else {REPLAY_KIND: Work(act=DriveReplay(replay))}
    steps: Mapping[str, Step] = {
        WEEKLY: evaluate_weekly,
        ON_SEAL: evaluate_sealed,
        PARTITIONS: make_partitions,
        CLOSING: _close,
        **WATCHES,
        ROLLOUT: RolloutStep(rollout_ports()),
        LATE: look_at_completed,
        EMERGENCY: end_due,
        LAPSES: look_at_lapses,
        DRILLS: look,
        TEXTS: erase_old_texts,
    }
    return Registry(
        steps=steps,
        endless={**dict.fromkeys(steps, ENDLESS_BACKOFF), **dict.fromkeys(_ENDLESS_WORK, LONGEST_BACKOFF)},
        deliverers={NOTIFICATION: deliver_notification},
        works={
            **evaluations,
            **replays,
            DRILL: Work(act=drill),
            LEDGER: Work(act=check_ledger),
            TAKEDOWN: Work(act=_purge, lock=lambda _run: TAKEDOWN),
            REFRESH: Work(act=_Refresh(tools_of), lock=lambda run: f"{REFRESH}:{run.key}"),
        },
    )


def schedule_all(instance: Instance) -> None:
    """Ask for every recurring run at start-up; asking again changes nothing."""
    schedule_partitions(instance)
    schedule_rollouts(instance)
    schedule_emergencies(instance)
    schedule_lapses(instance)
    schedule_drills(instance)
    schedule_evaluations(instance)
    schedule_watches(instance)
    schedule_texts(instance)
    schedule_ledger_checks(instance)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        request_run(connection, kind=CLOSING, key="interaction", due_at=now)
        schedule_refreshes(connection, instance, now)


def schedule_refreshes(connection: Connection, instance: Instance, now: datetime) -> None:
    """Ask for each corpus's next refresh: also of one that failed or ended, and sooner where its cadence says so."""
    for settings in instance.workspace.corpora.values():
        due = _next_refresh(instance, settings, last=now)
        run = find_run(connection, REFRESH, settings.name)
        if due is not None and (run is None or run.state is not RunState.DUE or due < run.due_at):
            request_run(connection, kind=REFRESH, key=settings.name, due_at=due)


def _next_refresh(instance: Instance, settings: CorpusSettings, *, last: datetime) -> datetime | None:
    if settings.cadence is None:
        return None
    return next_due(parse_cadence(settings.cadence), last=last, zone=ZoneInfo(instance.workspace.timezone))


def _close(instance: Instance, _connection: Connection, _run: Run) -> Outcome:
    close_lost_interactions(instance)
    forget_old_logins(instance)
    return Again(at=instance.clock.now() + _CLOSE_EVERY)


def _purge(instance: Instance, lease: Lease) -> Outcome:
    purge_document(instance, lease.run.key)
    return Done()


class _Refresh:
    """Refreshes one corpus on schedule."""

    def __init__(self, tools_of: ToolsOf) -> None:
        self._tools_of = tools_of

    def __call__(self, instance: Instance, lease: Lease) -> Outcome:
        settings = instance.workspace.corpora.get(CorpusName(lease.run.key))
        if settings is None:
            return Done()
        refresh_corpus(instance, actor=None, corpus=settings.name, tools=self._tools_of(instance))
        due = _next_refresh(instance, settings, last=instance.clock.now())
        return Done() if due is None else Again(at=due)
