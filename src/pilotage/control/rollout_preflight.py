"""What a plan can prove with the traffic there is, told before it starts (rollouts.md 4).

Rule: requests per day come from the last 14 days, else from the figure the workflow declares or the starter gives; the
forecast and the choice that was made go to the ledger. Fail mode: a step that cannot be decided refuses the start
unless the plan says `undecidable: hold`; an unlikely one asks for a confirmation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.rollout.choices import choices
from pilotage.rollout.preflight import Decidability, Preflight, StepForecast, Traffic, as_json, daily_figure, preflight
from pilotage.store.cohorts import History, Place, read_history
from pilotage.workspace.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """The forecast, what stands against starting, and the ways out. `per_day` None: nobody knows the traffic."""

    forecast: Preflight
    per_day: float | None
    against: tuple[Reason, ...] = ()
    ways_out: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the figures as the rollout keeps them."""
        return {
            "per_day": self.per_day,
            "forecast": as_json(self.forecast),
            "against": [dict(reason.as_json()) for reason in self.against],
            "choices": list(self.ways_out),
        }

    @property
    def digest(self) -> Digest:
        """Return the digest that the ledger holds."""
        return digest_of_json(self.as_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the start is to be foreseen with. `expected`: requests per day when history says nothing."""

    workflow: str
    attempt: int
    accepted: bool
    expected: float | None = None


def foresee(connection: Connection, plan: Plan, asked: Asked, *, now: datetime) -> Foresight:
    """Return what the plan's steps can prove in their spaces."""
    traffic = traffic_of(connection, plan, asked, now)
    forecast = preflight(plan, traffic, attempt=asked.attempt)
    doubts = () if asked.accepted else tuple(_unconfirmed(reason) for reason in forecast.doubts())
    against = (*forecast.refusals(), *doubts)
    return Foresight(
        forecast=forecast,
        per_day=traffic[plan.waves[0].space].per_day,
        against=against,
        ways_out=_ways_out(plan, forecast, asked.attempt) if against else (),
    )


def traffic_of(connection: Connection, plan: Plan, asked: Asked, now: datetime) -> Mapping[SpaceName, Traffic]:
    """Return the traffic of each space of the plan, from history or from the expected figure."""
    return foreseen_traffic(plan, asked, read_history(connection, places_of(plan, asked.workflow), now=now))


def places_of(plan: Plan, workflow: str) -> tuple[Place, ...]:
    """Return the spaces of a plan, and the cohorts that its steps send there."""
    return tuple(
        Place(workflow=workflow, space=wave.space, cohorts=tuple(step.cohort for step in wave.steps if step.cohort))
        for wave in plan.waves
    )


def foreseen_traffic(
    plan: Plan, asked: Asked, history: Mapping[tuple[str, str], History]
) -> Mapping[SpaceName, Traffic]:
    """Return the traffic of each space of the plan, from a history that was read."""
    found: dict[SpaceName, Traffic] = {}
    for wave in plan.waves:
        known = history[(asked.workflow, wave.space)]
        shares = {step.name: known.shares[step.cohort] for step in wave.steps if step.cohort in known.shares}
        askers = daily_figure(known.principals, None)
        found[wave.space] = Traffic(
            per_day=daily_figure(known.days, asked.expected),
            principals=None if askers is None else int(askers),
            cohort_share=shares,
        )
    return found


def _unconfirmed(reason: Reason) -> Reason:
    text = f"{reason.text} Start all the same with --yes."
    return Reason(code="UNLIKELY", text=text, where=reason.where, observed=reason.observed, limit=reason.limit)


def _ways_out(plan: Plan, forecast: Preflight, attempt: int) -> tuple[str, ...]:
    """Return the five choices for the first step that is not decidable."""
    hard = next((step for step in forecast.steps if _is_hard(step)), None)
    if hard is None:
        return ()
    return tuple(choice.text for choice in choices(plan, hard, hard.worst, attempt=attempt))


def _is_hard(step: StepForecast) -> bool:
    return step.worst.decidability is not Decidability.DECIDABLE
