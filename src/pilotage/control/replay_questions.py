"""Replay: recorded questions, asked again of both releases under what their askers may see today (rollouts.md 9).

Questions are redacted, of the last 30 days and of the rollout's own space, chosen by a hash; five of one asker count.
Rule: a pair is a row, so whoever takes the work over after a crash goes on where it stands; one that was begun three
times without an end is lost. Fail mode: an asker whose permissions of today are not known here is not replayed; without
questions the phase ends INCONCLUSIVE.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, PrincipalId
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.pair_scorer import PairScorer, Shown, SupportScorer, both_failed
from pilotage.evaluation.target import Ask, Reply, Target, Targets
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.rollout.pairing import PAIRS_PER_DAY, Label, sample_bucket, score_pair
from pilotage.rollout.states import State
from pilotage.store.replay_rows import asker_behind, open_pairs, question_of, recorded_questions, try_pair
from pilotage.store.rollouts import StoredRollout, find_rollout
from pilotage.store.serving_pairs import Allowance, PairRow, allowance_of, settle_pair
from pilotage.store.shadow_pairs import Expected, StoredPhase, expect_pairs, save_phase, stored_phases
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.principals import local_principal
from pilotage.workspace.records import Workspace

logger = logging.getLogger(__name__)

REPLAYED_DAYS: Final = timedelta(days=30)
MOST_REPLAYED: Final = 1_000
_LOOKED_AT: Final = 20_000
_AT_ONCE: Final = 4
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayTools:
    """What a replay works with. `redact` makes text fit to be kept; `is_stopping` ends it between two questions."""

    targets: Targets
    redact: Callable[[str], str]
    is_stopping: Callable[[], bool] = lambda: False
    scorer: PairScorer = field(default_factory=SupportScorer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    instance: Instance
    tools: ReplayTools
    phase: StoredPhase
    stable: Target
    candidate: Target

    async def run(self) -> bool:
        """Ask what is left; tell whether nothing is."""
        while not self.tools.is_stopping():
            batch = await asyncio.to_thread(self._open)
            if not batch:
                return batch is not None
            await asyncio.gather(*(self._pair(interaction) for interaction in batch))
        return False

    def _open(self) -> tuple[str, ...] | None:
        """Return what to ask next: nothing once the rollout has left its proof, None while it is paused."""
        with self.instance.engine.connect() as connection:
            stored = find_rollout(connection, self.phase.rollout)
            if stored is not None and stored.state is State.PAUSED:
                return None
            if stored is None or stored.state is not State.SHADOWING:
                return ()
            return open_pairs(connection, self.phase.rollout, Label.REPLAY, most=_AT_ONCE)

    async def _pair(self, interaction: str) -> None:
        ready = await asyncio.to_thread(self._ready, interaction)
        if ready is None:
            return
        ask, row, allowance = ready
        stable, candidate = await asyncio.gather(self.stable.answer(ask), self.candidate.answer(ask))
        paid = [allowance.cost_of(_cost(reply.generation)) for reply in (stable, candidate)]
        row = replace(row, cost_nano=sum(paid))
        await asyncio.to_thread(self._settle, self._scored(row, ask, stable, candidate))

    def _ready(self, interaction: str) -> tuple[Ask, PairRow, Allowance] | None:
        """Return the question with its asker as of today; settle at once what cannot be asked."""
        phase, now = self.phase, self.instance.clock.now()
        with self.instance.engine.begin() as connection:
            tries = try_pair(connection, phase.rollout, Label.REPLAY, interaction)
            if tries is None:
                return None
            row = PairRow(
                rollout=phase.rollout,
                label=Label.REPLAY,
                interaction=interaction,
                principal="",
                day=now.date(),
                state="lost",
                scorer=self.tools.scorer.version,
                at=now,
            )
            allowance = allowance_of(connection, phase.rollout, Label.REPLAY, row.day)
            asker = asker_behind(connection, phase.rollout, Label.REPLAY, interaction)
            principal = None if asker is None else principal_today(self.instance.workspace, asker)
            question = question_of(connection, interaction)
            if tries > _TRIES:
                settle_pair(connection, replace(row, why="crashed"))
            elif allowance is None or allowance.is_spent:
                settle_pair(connection, replace(row, state="skipped", why="cost_cap"))
            elif principal is None or question is None:
                settle_pair(connection, replace(row, why="erased"))
            else:
                return Ask(principal=principal, question=question), row, allowance
        return None

    def _scored(self, row: PairRow, ask: Ask, stable: Reply, candidate: Reply) -> PairRow:
        first, second = self._shown(ask, stable), self._shown(ask, candidate)
        why = both_failed(first, second)
        if why is not None:
            return replace(row, why=why)
        try:
            scored = score_pair(self.tools.scorer, f"{row.rollout}/{row.interaction}", stable=first, candidate=second)
        except Exception:
            # The edge of a scorer: what it cannot judge is lost, and said to be.
            logger.exception("The replayed pair of interaction %s could not be scored.", row.interaction)
            return replace(row, why="unscored")
        return replace(
            row,
            state="scored",
            result=scored.result,
            is_swapped=scored.is_swapped,
            question=ask.question,
            stable=first.text or "",
            candidate=second.text or "",
            documents=tuple(sorted(_documents(stable) | _documents(candidate))),
        )

    def _shown(self, ask: Ask, reply: Reply) -> Shown:
        said = reply.generation
        if said.error is not None:
            return Shown(question=ask.question, text=None)
        settings = None if reply.corpus is None else self._language(reply.corpus)
        return Shown(
            question=ask.question,
            text=self.tools.redact(said.answer),
            refusal=(said.refusal_reason or "guard") if said.refused else None,
            sources={one.marker: one.text for one in said.passages},
            language=settings or "en",
        )

    def _language(self, corpus: str) -> str | None:
        found = [one.language for one in self.instance.workspace.corpora.values() if one.name == corpus]
        return found[0] if found else None

    def _settle(self, row: PairRow) -> None:
        with self.instance.engine.begin() as connection:
            settle_pair(connection, row)


async def replay_questions(instance: Instance, rollout: str, tools: ReplayTools) -> bool:
    """Replay what a rollout's replay phase has still to ask; tell whether it is finished."""
    phase = await asyncio.to_thread(_listed, instance, rollout)
    if phase is None:
        return True
    stable, candidate = [
        await tools.targets.open(release, phase.space, Overlay()) for release in (phase.stable, phase.release)
    ]
    return await _Replay(instance=instance, tools=tools, phase=phase, stable=stable, candidate=candidate).run()


def _listed(instance: Instance, rollout: str) -> StoredPhase | None:
    """Return the replay phase with its questions chosen; None when it does not run."""
    with instance.engine.begin() as connection:
        stored = find_rollout(connection, rollout, lock=True)
        phases = () if stored is None else stored_phases(connection, rollout)
        phase = next((one for one in phases if one.label is Label.REPLAY and one.ended_at is None), None)
        if phase is None or stored is None or stored.state.is_over or phase.listed_at is not None:
            return None if stored is None or stored.state.is_over else phase
        listed = replace(phase, listed_at=instance.clock.now())
        expect_pairs(connection, phase, _chosen(connection, instance, stored, phase), due=None)
        save_phase(connection, listed)
        return listed


def _chosen(connection: Connection, instance: Instance, stored: StoredRollout, phase: StoredPhase) -> list[Expected]:
    """Return at most 1,000 questions, five of one asker, of people whose permissions of today are known."""
    now = instance.clock.now()
    taken: Counter[str] = Counter()
    found: list[Expected] = []
    recorded = recorded_questions(connection, phase, salt=stored.salt, since=now - REPLAYED_DAYS, most=_LOOKED_AT)
    for one in recorded:
        is_sampled = sample_bucket(stored.salt, one.interaction) < phase.sample_ppm
        if not is_sampled or principal_today(instance.workspace, one.asker) is None:
            continue
        taken[one.principal] += 1
        if taken[one.principal] <= PAIRS_PER_DAY and len(found) < MOST_REPLAYED:
            found.append(Expected(interaction=one.interaction, principal=one.principal, day=now.date()))
    return found


def principal_today(workspace: Workspace, asker: PrincipalId) -> Principal | None:
    """Return an asker with the groups, roles and region of today; None where only their next login would tell."""
    person = PersonId(asker.partition("|")[2])
    if workspace.identity.mode is not IdentityMode.LOCAL or asker != local_principal_id(person):
        return None
    try:
        return local_principal(workspace, person)
    except NotFound:
        return None


def _documents(reply: Reply) -> frozenset[str]:
    return frozenset(f"{reply.corpus}/{one.document}" for one in reply.generation.passages)


def _cost(said: Generation) -> int | None:
    """Return what an answer cost; one without any tokens cost nothing."""
    if said.cost_nano is None and not (said.tokens_in or said.tokens_out):
        return 0
    return said.cost_nano
