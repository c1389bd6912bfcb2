"""The shadow arm of a process: sampled requests, answered once more by the candidate, seen by nobody (rollouts.md 9).

The user has been answered when a pair begins: `take` only puts it in a queue of 64, and never waits or raises. The same
asker, permissions, space and guards; no interaction, no idempotency key, no feedback, no tools. Rule: whatever cannot
be run or scored is a lost pair; one that never ran is found missing by the reconciler, which knows every sampled
record. Fail mode: the pair is lost; no user's answer is touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Protocol

import psycopg

from pilotage.evaluation.pair_scorer import PairScorer
from pilotage.rollout.pairing import PAIRS_PER_DAY, Label, Scored, score_pair
from pilotage.serving.context import Routed
from pilotage.serving.ending import end
from pilotage.serving.headless import HeadlessPath
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.pair_sides import Side, moved_between, stable_side, walked_side
from pilotage.serving.run import Finished
from pilotage.serving.service import Serving
from pilotage.store.serving_pairs import Allowance, PairRow

logger = logging.getLogger(__name__)

QUEUE: Final = 64
WALKERS: Final = 4
LATE_S: Final = 60.0
"""A pair that waited longer is lost: permissions and documents may have moved since."""

_MARGIN: Final = 2
_REMEMBERED: Final = 50_000


class PairStore(Protocol):
    """Where pairs are kept. Real: store/serving_pairs.py."""

    async def allowance(self, rollout: str, label: Label, day: date) -> Allowance | None:
        """Return what the phase may still spend on a day; None when it has ended."""
        ...

    async def write(self, row: PairRow) -> None:
        """Write the pair with its texts and its cost in one transaction; writing it again changes nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    rollout: str
    finished: Finished
    context: Routed
    taken: float

    @property
    def day(self) -> date:
        return self.context.at.date()


class ShadowArm:
    """Runs beside the pipeline. `lost` counts pairs that this process gave up, by why."""

    def __init__(self, serving: Serving, store: PairStore, scorer: PairScorer) -> None:
        self._serving = serving
        self._store = store
        self._scorer = scorer
        self._queue: deque[_Waiting] = deque()
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._taken: Counter[tuple[str, str, date]] = Counter()
        self.lost: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Pairs that wait for a walker."""
        return len(self._queue)

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._run(), name=f"shadow-{number}") for number in range(WALKERS)]

    async def stop(self) -> None:
        """End; what waits is lost, and found missing by the reconciler."""
        await end(*self._tasks)

    def take(self, finished: Finished) -> None:
        """Take a request that has ended, when it was sampled. Returns at once, whatever happens."""
        try:
            self._take(finished)
        except Exception:
            # The edge between a user's answer and its shadow: nothing here may reach the user.
            self.lost["broken"] += 1
            logger.exception("A request could not be taken into the shadow arm.")

    def _take(self, finished: Finished) -> None:
        context = finished.context
        if not isinstance(context, Routed) or context.shadowed_for is None:
            return
        waiting = _Waiting(
            rollout=context.shadowed_for, finished=finished, context=context, taken=self._serving.monotonic()
        )
        if not self._is_wanted(waiting):
            return
        if len(self._queue) >= QUEUE:
            self.lost["queue_full"] += 1
            return
        self._queue.append(waiting)
        self._woken.set()

    def _is_wanted(self, waiting: _Waiting) -> bool:
        """Tell whether the asker's pairs of the day are not full; the ledger's order may differ by a few."""
        if len(self._taken) >= _REMEMBERED:
            self._taken.clear()
        key = (waiting.rollout, waiting.context.asker.pseudonym, waiting.day)
        self._taken[key] += 1
        return self._taken[key] <= PAIRS_PER_DAY + _MARGIN

    async def _run(self) -> None:
        while True:
            while not self._queue:
                self._woken.clear()
                await self._woken.wait()
            waiting = self._queue.popleft()
            try:
                await self._pair(waiting)
            except (psycopg.Error, OSError, TimeoutError) as error:
                self.lost["store"] += 1
                logger.warning("A shadow pair could not be written (%s).", type(error).__name__)
            except Exception:
                # The edge of a loop that must outlive any single pair; without it every later pair would be lost.
                self.lost["broken"] += 1
                logger.exception("The shadow pair of interaction %s failed.", waiting.context.interaction)

    async def _pair(self, waiting: _Waiting) -> None:
        allowance = await self._store.allowance(waiting.rollout, Label.SHADOW, waiting.day)
        if allowance is None:
            return
        if allowance.is_spent:
            await self._store.write(self._row(waiting, state="skipped", why="cost_cap"))
            return
        if self._serving.monotonic() - waiting.taken > LATE_S:
            await self._lose(waiting, "late")
            return
        stable = stable_side(waiting.finished, self._serving.workspace)
        if stable.lost is not None:
            await self._lose(waiting, stable.lost)
            return
        candidate = await self._ask(waiting)
        if candidate is None:
            await self._lose(waiting, "not_loaded")
            return
        cost = allowance.cost_of(candidate.cost_nano)
        why = moved_between(stable, candidate)
        if why is not None:
            await self._lose(waiting, why, cost_nano=cost)
            return
        try:
            # Beside the event loop: grading takes milliseconds, and users' requests wait for none of them.
            scored = await asyncio.to_thread(
                score_pair,
                self._scorer,
                f"{waiting.rollout}/{waiting.context.interaction}",
                stable=stable.shown,
                candidate=candidate.shown,
            )
        except Exception:
            # The edge of a scorer: what it cannot judge is lost, and said to be.
            logger.exception("The shadow pair of interaction %s could not be scored.", waiting.context.interaction)
            await self._lose(waiting, "unscored", cost_nano=cost)
            return
        row = self._row(waiting, state="scored", cost_nano=cost)
        await self._store.write(with_answers(row, scored, stable, candidate))

    async def _ask(self, waiting: _Waiting) -> Side | None:
        """Let the candidate answer as the same asker, in the same space, as of the same moment."""
        serving, context = self._serving, waiting.context
        digest = context.place.row.shadow
        table = serving.routing
        if digest is None or not table.is_serving(digest):
            return None
        path = HeadlessPath(serving, table.releases[digest], context.place.space)
        asker = replace(context.asker, kind=TrafficKind.SHADOW)
        asked = replace(context.asked, stream=False, idempotency_key=None)
        walked = await path.ask_as(asker, asked, interaction=context.interaction, at=context.at)
        return walked_side(walked, serving.workspace)

    async def _lose(self, waiting: _Waiting, why: str, *, cost_nano: int = 0) -> None:
        self.lost[why] += 1
        await self._store.write(self._row(waiting, state="lost", why=why, cost_nano=cost_nano))

    def _row(self, waiting: _Waiting, *, state: str, why: str | None = None, cost_nano: int = 0) -> PairRow:
        return PairRow(
            rollout=waiting.rollout,
            label=Label.SHADOW,
            interaction=waiting.context.interaction,
            principal=waiting.context.asker.pseudonym,
            day=waiting.day,
            state=state,
            scorer=self._scorer.version,
            why=why,
            cost_nano=cost_nano,
            at=waiting.context.at,
        )


def with_answers(row: PairRow, scored: Scored, stable: Side, candidate: Side) -> PairRow:
    """Return the row of a scored pair, with its result and its redacted texts."""
    return replace(
        row,
        result=scored.result,
        is_swapped=scored.is_swapped,
        question=candidate.shown.question or stable.shown.question,
        stable=stable.shown.text or "",
        candidate=candidate.shown.text or "",
        documents=tuple(sorted(stable.documents | candidate.documents)),
    )
