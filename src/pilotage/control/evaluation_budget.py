"""The cost cap of one run (evaluation.md 8): what is unpriced is refused, what could pass the cap is not asked.

Rule: a call is asked only once the most it can cost is reserved; while others are in flight, one that does not fit
waits for what they leave. Once one does not fit, the rest of the run is `unscored: budget`. Fail mode: an answer of
unknown cost counts as all that was reserved for it, a call without a price is not made.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from pilotage.control.instance import Instance
from pilotage.control.sealed_golden import Plan
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.run import EvaluationRun, Progress, RunKind
from pilotage.evaluation.target import Ask, Target
from pilotage.release.content import ReleaseContent
from pilotage.release.model import Provider
from pilotage.release.residency import embedding_host
from pilotage.store.evaluation_spend import reserve_spend, settle_spend
from pilotage.store.evaluation_tasks import progress_of
from pilotage.store.releases import load_release
from pilotage.workspace.workflow import Workflow

_NANO = 10**9


def unpriced(instance: Instance, connection: Connection, plan: Plan) -> Reason | None:
    """Return why no cap could hold this run: a model of it has no price in the cap's currency."""
    settings, run = plan.settings, plan.run
    if settings.cost_cap_nano is None or run.kind is RunKind.PERMISSIONS:
        return None
    declared = instance.workspace.workflows.get(run.workflow)
    for release in run.arms.values():
        sealed = load_release(connection, release)
        if not _is_priced(sealed, declared, settings.cost_cap_currency):
            text = (
                f"A model of {release[:19]} ({_named(sealed)}) has no price in {settings.cost_cap_currency}, so "
                f"the run's cost cap cannot hold. {_remedy(sealed, declared, release)}"
            )
            return Reason(code="UNPRICED", text=text, where=release, limit=_amount(plan, settings.cost_cap_nano))
    return None


def _named(sealed: ReleaseContent) -> str:
    embedding = sealed.retrieval.embedding
    return sealed.model.model if embedding is None else f"{sealed.model.model}, {embedding.model}"


def _remedy(sealed: ReleaseContent, declared: Workflow | None, release: Digest) -> str:
    """Return what to do about a missing price: in the workflow where it has this model, else for the release alone."""
    if sealed.is_model(None if declared is None else declared.model):
        return "Write `prices` (`embedding` too) in model.yaml, in the currency of `cost_cap` in evaluation.yaml."
    if sealed.prices is None:
        return f"Its workflow moved on; say what it costs: pilotage release price {release[:19]} --input N --output N."
    return "It was sealed with a price in another currency; compare with another release, or cap in that currency."


def _is_priced(sealed: ReleaseContent, declared: Workflow | None, currency: str) -> bool:
    prices = sealed.prices_by(None if declared is None else declared.model)
    embedding = sealed.retrieval.embedding
    is_outside = embedding is not None and embedding_host(embedding) is not None
    if is_outside and (prices is None or prices.embedding_nano is None or prices.currency != currency):
        return False
    if sealed.model.provider is Provider.EXTRACTIVE:
        return True
    return prices is not None and (prices.unmetered is not None or prices.currency == currency)


def over_cap(plan: Plan, run: EvaluationRun, progress: Progress) -> Reason:
    """Return what a run that passed its cap says of itself."""
    text = f"{progress.not_asked} of {progress.total} questions were not asked: each could have passed the cost cap."
    return Reason(
        code="COST_CAP",
        text=text,
        observed=_amount(plan, run.spent_nano),
        limit=_amount(plan, plan.settings.cost_cap_nano or 0),
    )


def _amount(plan: Plan, nano: int) -> str:
    return f"{nano / _NANO:.4f} {plan.settings.cost_cap_currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Room for one call."""

    nano: int


class Budget:
    """What one process's calls of a run may spend."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self._run = plan.run.id
        self._cap = plan.settings.cost_cap_nano
        self._is_spent = False
        self._open = 0
        self._freed = asyncio.Condition()

    def begin(self, connection: Connection) -> None:
        """Take over from whoever drove the run before: what passed the cap then passes it now."""
        self._is_spent = progress_of(connection, self._run).not_asked > 0

    async def reserve(self, target: Target, ask: Ask) -> Reserved | None:
        """Reserve the most an answer can cost; None when the cap does not leave it."""
        if self._cap is None:
            return Reserved(nano=0)
        most = None if self._is_spent else await target.most_nano(ask)
        async with self._freed:
            while most is not None and not self._is_spent:
                if await asyncio.to_thread(self._take, most):
                    self._open += 1
                    return Reserved(nano=most)
                self._is_spent = self._open == 0
                if not self._is_spent:
                    await self._freed.wait()
            self._is_spent = True
            self._freed.notify_all()
        return None

    def _take(self, nano: int) -> bool:
        with self._engine.begin() as connection:
            return reserve_spend(connection, self._run, nano=nano, cap=self._cap or 0)

    def settle(self, connection: Connection, reserved: Reserved | None, generation: Generation) -> None:
        """Count what the call cost, in the transaction that writes its answer; nothing was asked without `reserved`."""
        if self._cap is not None and reserved is not None:
            unknown = generation.cost_nano is None or reserved.nano == 0
            paid = reserved.nano if unknown else generation.cost_nano or 0
            settle_spend(connection, self._run, reserved=reserved.nano, paid=paid)

    async def free(self) -> None:
        """Let those that wait look again; a call of theirs may fit now."""
        if self._cap is not None:
            async with self._freed:
                self._open -= 1
                self._freed.notify_all()
