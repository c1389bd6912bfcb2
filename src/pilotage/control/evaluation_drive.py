"""Drives a run: asks its cases with bounded concurrency and commits each answer with its scores; may be killed.

Rule: a generation, its assessments and the end of its task commit together; whoever resumes asks only what is not done.
The slot is freed before scoring. Fail mode: a target that fails is asked three times (after 1, 4 s) and is then an
error, which counts against the release; one that cannot be opened raises, and so does an error of our own, which
stops the run as it is, to be resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final, Protocol

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.control.absent_release import absent_target
from pilotage.control.evaluation_budget import Budget, Reserved
from pilotage.control.instance import Instance
from pilotage.control.open_candidate import open_candidate
from pilotage.control.sealed_golden import Plan, PlannedCase, principal_for
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, IntegrityError, NotFound, Unavailable
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.evaluation.answering_model import strange_reason
from pilotage.evaluation.assessment import Assessment, Measure
from pilotage.evaluation.generation import Generation, ScoringContext, TargetFailure
from pilotage.evaluation.oracle import VersionFacts, permission_digest
from pilotage.evaluation.overlay import NO_OVERLAY, Overlay
from pilotage.evaluation.run import CACHE_DAYS, MAX_FAILURES, MAX_LEASES, Arm, Cause, Progress, RunState, Task, backoff
from pilotage.evaluation.stored import GenerationKey, assessment_subject
from pilotage.evaluation.target import AbsentTarget, Ask, Reply, Target, Targets
from pilotage.identity.principal import Principal, acl_names
from pilotage.store.evaluation_answers import (
    assessments_of,
    cached_generation,
    put_assessments,
    put_cache,
    put_generation,
)
from pilotage.store.evaluation_runs import asked_days, find_run
from pilotage.store.evaluation_tasks import (
    Answered,
    ask_again,
    ask_older,
    finish_task,
    free_leases,
    next_due,
    progress_of,
    retry_task,
    take_tasks,
)
from pilotage.store.gate_facts import Engine, engine_seen
from pilotage.store.model_identity import identity_changed, known_identities
from pilotage.workspace.golden import GoldenCase

CONCURRENCY: Final = 8
_SCORING: Final = 2
"""Workers beyond the slots, so that scoring does not keep a slot empty."""

_POLL_S: Final = 0.05


class Scoring(Protocol):
    """The scorers of a run."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        """What each scorer declares about its number, by name."""
        ...

    def versions(self, case: GoldenCase) -> frozenset[str]:
        """Return the versions of the scorers that apply to a case; depends on the case alone."""
        ...

    def assess(
        self, planned: PlannedCase, reply: Reply, context: ScoringContext, *, only: frozenset[str]
    ) -> Sequence[Assessment]:
        """Score one answer with the scorers of these versions; a scorer never raises.

        A reply read back from the store has no surfaces.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Watch:
    """How a driver is watched and stopped: `stop` lets calls in flight end and takes no others.

    `by_person`: who stops it goes on with it themselves; a job that ends leaves the run to the next worker.
    """

    progress: Callable[[Progress], None] = lambda _progress: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    by_person: bool = True


Stage = Callable[[PlannedCase, Principal, date | None], Ask]
"""Turns a case, its asker and its day into what is asked."""


def as_written(planned: PlannedCase, principal: Principal, day: date | None) -> Ask:
    """Ask the case as the golden file says."""
    case = planned.case
    return Ask(principal=principal, question=case.question, history=case.history, as_of=day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run is driven with. `stage` makes a case a question; `may_reuse`: answers of earlier runs count."""

    targets: Targets
    scoring: Scoring
    overlay: Overlay = NO_OVERLAY
    stage: Stage = as_written
    may_reuse: bool = True
    concurrency: int = CONCURRENCY


class Driver:
    """One process's work at one run."""

    def __init__(self, instance: Instance, plan: Plan, means: Means, watch: Watch) -> None:
        self._instance = instance
        self._plan = plan
        self._means = means
        self._watch = watch
        self._owner = new_ulid(instance.clock.now())
        self._reuse_since = plan.run.requested_at
        self._changed: dict[Arm, datetime | None] = {}
        self._budget = Budget(instance.engine, plan)
        self._slots = asyncio.Semaphore(means.concurrency)
        self._open: dict[tuple[Arm, SpaceName | None], Target] = {}
        self._opening = asyncio.Lock()
        self._taking = asyncio.Lock()

    async def run(self) -> Progress:
        """Ask until nothing is left, or until the watch stops it; return how far the run is."""
        await asyncio.to_thread(self._prepare)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._means.concurrency + _SCORING):
                group.create_task(self._work())
        return await self._report()

    def _prepare(self) -> None:
        with self._instance.engine.begin() as connection:
            seen = engine_seen(connection)
            if seen is not None and seen.version == __version__:
                self._reuse_since = seen.since
            self._changed = {arm: identity_changed(connection, release) for arm, release in self._plan.run.arms.items()}
            free_leases(connection, self._plan.run.id)
            ask_again(connection, self._plan.run.id)
            self._ask_older(connection, seen)
            self._budget.begin(connection)

    def _ask_older(self, connection: Connection, seen: Engine | None) -> None:
        """Ask again what a run that is gone on with was answered by another engine or model, or too long ago."""
        now = self._instance.clock.now()
        by_us = now if seen is not None and seen.version != __version__ else self._reuse_since
        for arm in self._plan.run.arms:
            changed = self._changed[arm]
            before = max(now - CACHE_DAYS, *(one for one in (by_us, changed) if one is not None))
            ask_older(connection, self._plan.run.id, arm, before=before)

    async def _work(self) -> None:
        while not self._watch.stop.is_set():
            task = await self._next()
            if task is None:
                return
            await self._one(task)
            self._watch.progress(await self._report())

    async def _next(self) -> Task | None:
        """Return the next task; wait while others may come back for another attempt."""
        while not self._watch.stop.is_set():
            # One at a time: what is leased and not yet asked would count as asked twice after a kill.
            async with self._taking:
                found, is_over = await asyncio.to_thread(self._take)
            if found or is_over:
                return found[0] if found else None
            await asyncio.sleep(_POLL_S)
        return None

    def _take(self) -> tuple[Sequence[Task], bool]:
        run, now = self._plan.run.id, self._instance.clock.now()
        with self._instance.engine.begin() as connection:
            current = find_run(connection, run)
            if current is None or current.state is not RunState.RUNNING:  # cancelled meanwhile
                return (), True
            found = take_tasks(connection, run, owner=self._owner, now=now, most=1)
            return found, not found and next_due(connection, run) is None

    async def _report(self) -> Progress:
        def read() -> Progress:
            with self._instance.engine.connect() as connection:
                return progress_of(connection, self._plan.run.id)

        return await asyncio.to_thread(read)

    async def _one(self, task: Task) -> None:
        planned = self._plan.cases[task.key.case_id]
        target = await self._target(task.key.arm, self._plan.space(planned.case))
        question = await self._question(task, planned, target)
        cached = await asyncio.to_thread(self._cached, task.key.arm, question)
        reply, room = (Reply(generation=cached), None) if cached is not None else await self._answer(target, question)
        is_final = reply.generation.error in {None, TargetFailure.BUDGET}
        may_come = not is_final and not isinstance(target, AbsentTarget)
        if may_come and task.failures + 1 < MAX_FAILURES and task.attempt <= MAX_LEASES:
            await asyncio.to_thread(self._retry, task, reply, room)
        else:
            stored = None if is_final else await asyncio.to_thread(self._stored, task, question)
            await self._score(task, planned, question, stored or reply, room)
        if room is not None:
            await self._budget.free()

    async def _score(
        self, task: Task, planned: PlannedCase, question: _Question, reply: Reply, room: Reserved | None
    ) -> None:
        known = await asyncio.to_thread(self._known, reply.generation.digest, question.subject)
        missing = self._means.scoring.versions(planned.case) - known.keys()
        # In this thread, where the guard runs too: its compiled recognisers belong to one thread at a time.
        found = self._means.scoring.assess(planned, reply, question.context, only=missing)
        await asyncio.to_thread(self._commit, task, _Answer(question=question, reply=reply, found=found, room=room))

    async def _target(self, arm: Arm, space: SpaceName | None) -> Target:
        async with self._opening:
            found = self._open.get((arm, space))
            if found is None:
                found = self._open[arm, space] = await self._opened(arm, space)
            return found

    async def _opened(self, arm: Arm, space: SpaceName | None) -> Target:
        """Open a release; one that is only compared with and cannot answer any more keeps no other from its verdict."""
        targets, overlay = self._means.targets, self._means.overlay
        if arm is Arm.CANDIDATE:
            return await open_candidate(targets, self._plan.run, space, overlay)
        try:
            return await targets.open(self._plan.run.arms[arm], space, overlay)
        except (NotFound, Unavailable, IntegrityError):
            return await asyncio.to_thread(absent_target, self._instance, self._plan.run.arms[arm], space)

    async def _question(self, task: Task, planned: PlannedCase, target: Target) -> _Question:
        case, run = planned.case, self._plan.run
        principal = principal_for(self._instance, self._plan, case.asker)
        facts, day = await target.facts(), self._plan.day(case)
        names = acl_names(principal)
        readable = frozenset() if facts is None else facts.readable(names, day)
        key = GenerationKey(
            release=run.arms[task.key.arm],
            space=self._plan.space(case) or "",
            input_digest=planned.input_digest,
            permissions=permission_digest(principal.id, principal.region, readable, facts),
            day=day.isoformat(),
            overlay=self._means.overlay.digest,
            repeat=task.key.repeat,
            fingerprint=target.fingerprint,
        )
        context = ScoringContext(as_of=day, locale=planned.locale, readable=_gold_readable(case, names, facts))
        return _Question(
            ask=self._means.stage(planned, principal, _past(day, run.as_of)),
            inputs=key,
            may_be_earlier=case.as_of is None,
            context=context,
            subject=assessment_subject(planned.case_digest, context),
        )

    def _stored(self, task: Task, question: _Question) -> Reply | None:
        """Return what a release that cannot run any more answered to exactly this before, however long ago."""
        if task.key.arm is Arm.CANDIDATE:
            return None
        with self._instance.engine.connect() as connection:
            days = asked_days(connection, question.inputs.release) if question.may_be_earlier else ()
            for key in question.keys(days):
                found = cached_generation(connection, key, not_before=None)
                if found is not None:
                    return Reply(generation=found)
        return None

    def _cached(self, arm: Arm, question: _Question) -> Generation | None:
        if self._plan.run.cause is Cause.SCHEDULE or not self._means.may_reuse:
            return None
        # What another version of Pilotage, or another model, answered says nothing of this one (gates.md 1.2, 1.4).
        not_before = max(self._plan.run.requested_at - CACHE_DAYS, self._reuse_since)
        not_before = max(not_before, self._changed.get(arm) or not_before)
        with self._instance.engine.connect() as connection:
            return cached_generation(connection, question.key, not_before=not_before)

    async def _answer(self, target: Target, question: _Question) -> tuple[Reply, Reserved | None]:
        """Return an answer with what was reserved for it; none is asked for that the run's cap may not hold."""
        room = await self._budget.reserve(target, question.ask)
        if room is None:
            return Reply(generation=Generation(answer="", error=TargetFailure.BUDGET)), None
        async with self._slots:
            return await target.answer(question.ask), room

    def _known(self, generation: Digest, subject: Digest) -> dict[str, Assessment]:
        with self._instance.engine.connect() as connection:
            return assessments_of(connection, generation, subject)

    def _retry(self, task: Task, reply: Reply, room: Reserved | None) -> None:
        due_at = self._instance.clock.now() + backoff(task.failures + 1)
        error = "" if reply.generation.error is None else reply.generation.error.value
        with self._instance.engine.begin() as connection:
            retry_task(connection, task, due_at=due_at, error=error)
            self._budget.settle(connection, room, reply.generation)

    def _is_strange(self, connection: Connection, arm: Arm, reply: Reply) -> bool:
        """Tell whether another model answered than the release's: a later run that met it would not know."""
        answered = () if reply.identity is None else (reply.identity,)
        known = known_identities(connection, self._plan.run.arms[arm], self._plan.run.space)
        return strange_reason(answered, known) is not None

    def _commit(self, task: Task, answer: _Answer) -> None:
        question, reply = answer.question, answer.reply
        generation, now = reply.generation, self._instance.clock.now()
        is_cached = reply.latency_us is None and generation.error is None
        with self._instance.engine.begin() as connection:
            put_generation(connection, generation, corpus=reply.corpus, at=now)
            if generation.error is None and not is_cached and not self._is_strange(connection, task.key.arm, reply):
                put_cache(connection, question.key, generation.digest, at=now)
            put_assessments(connection, question.subject, answer.found)
            self._budget.settle(connection, answer.room, generation)
            answered = Answered(
                generation=generation.digest,
                context=question.context,
                is_cached=is_cached,
                latency_us=reply.latency_us,
                ttft_us=reply.ttft_us,
                error=None if generation.error is None else generation.error.value,
                model=None if reply.identity is None else reply.identity.model,
                fingerprint=None if reply.identity is None else reply.identity.fingerprint,
            )
            if not finish_task(connection, task, answered):
                message = f"Task {task.key.case_id} of run {task.key.run} has another worker; nothing was written."
                raise Conflict("LEASE_LOST", message, hint="The other worker finishes the run.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """One task made ready: what is asked, all its answer rests on, and what its scoring depends on.

    `may_be_earlier`: its day only says which documents are in force, so what was said of the same ones counts.
    """

    ask: Ask
    inputs: GenerationKey
    context: ScoringContext
    subject: Digest
    may_be_earlier: bool

    @property
    def key(self) -> Digest:
        """The key of its answer in the cache."""
        return self.inputs.digest

    def keys(self, days: Sequence[date]) -> Iterator[Digest]:
        """Yield the key of its day, then those of other days."""
        yield self.key
        for day in days:
            yield replace(self.inputs, day=day.isoformat()).digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one task came to; `room` is what was reserved for it, None when nothing was asked."""

    question: _Question
    reply: Reply
    found: Sequence[Assessment]
    room: Reserved | None


def _past(day: date, today: date) -> date | None:
    """Return the day to ask for; today is asked for as anybody does, by naming none."""
    return None if day == today else day


def _gold_readable(case: GoldenCase, names: frozenset[str], facts: VersionFacts | None) -> frozenset[str] | None:
    """Return the gold documents of a case that its asker may read; None when it names none."""
    gold = {entry.partition("#")[0] for entry in case.expect.retrieve}
    gold |= {entry.partition("#")[0] for one in case.expect.citations for entry in one}
    if not gold or facts is None:
        return None
    return frozenset(document for document in gold if facts.may_read(names, document))


def measured(progress: Progress) -> dict[str, Json]:
    """Return what no rerun repeats: counts of cached answers, errors and repeated calls."""
    return {
        "cached": progress.cached,
        "errors": progress.errors,
        "not_asked": progress.not_asked,
        "repeated_calls": progress.repeated_calls,
    }
