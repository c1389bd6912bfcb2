"""`pilotage rollout status`: where a rollout stands, with the verdict's numbers and what it waits for."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.excuse_window import excuse_json
from pilotage.control.follow_rollback import zero_json
from pilotage.control.instance import Instance
from pilotage.control.rollout_arms import read_arms
from pilotage.control.rollout_desk import find_named
from pilotage.control.shadow_status import view_phases
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.control.view_watches import view_watches
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.rollout.states import WaveState
from pilotage.store.excuses import excuses_of
from pilotage.store.rollout_verdicts import latest_verdict, signatures_of
from pilotage.store.rollouts import RolloutFilter, StoredRollout, list_rollouts, steps_of, waves_of
from pilotage.store.routes import admissions_of, read_route


def rollout_status(instance: Instance, identifier: str) -> dict[str, Json]:
    """Return one rollout in full; raise NotFound for an unknown id."""
    with instance.engine.connect() as connection:
        stored = find_named(connection, identifier)
        phases: list[Json] = [one.as_json() for one in view_phases(connection, stored, instance.clock.now())]
        fitness = _fitness(connection, instance, stored)
        return {**summary(stored), **_detail(connection, stored), **fitness, "shadow": phases}


ROLLOUTS: Final = 50
"""Rollouts on one page."""


def list_status(instance: Instance, wanted: RolloutFilter) -> dict[str, Json]:
    """Return a page of rollouts, newest first, and the key of the next page."""
    with instance.engine.connect() as connection:
        found = list_rollouts(connection, wanted, most=ROLLOUTS + 1)
    shown = found[:ROLLOUTS]
    more = shown[-1].id if len(found) > len(shown) else None
    return {"rollouts": [summary(stored) for stored in shown], "next_page": more}


def summary(stored: StoredRollout) -> dict[str, Json]:
    """Return what a list shows."""
    step = stored.place.of(stored.plan)
    return {
        "rollout": stored.id,
        "workflow": stored.workflow,
        "release": stored.release,
        "space": stored.space,
        "plan": stored.plan.name,
        "state": stored.state.value,
        "since": to_text(stored.state_at),
        "step": step.name,
        "weight": "0%" if stored.zeroed else f"{100 * step.weight:g}%",
        "decide": [role.value for role in step.decide] or "auto",
        "attempt": stored.attempt,
        "started_by": stored.started_by,
        "incident": stored.incident,
        "why": [dict(reason.as_json()) for reason in stored.why],
    }


def _detail(connection: Connection, stored: StoredRollout) -> dict[str, Json]:
    newest = latest_verdict(connection, stored.id)
    body: dict[str, Any] = {} if newest is None else json.loads(newest.body)
    signed = () if stored.decision is None else signatures_of(connection, stored.id, stored.decision, kind="go")
    return {
        "verdict": {
            "digest": None if newest is None else newest.digest,
            "decision": stored.decision,
            "outcome": body.get("outcome"),
            "effect": body.get("effect"),
            "reasons": body.get("reasons", []),
        },
        "observed": body.get("tests", {}),
        "arms": read_arms(connection, stored, waves_of(connection, stored.id)).as_json(),
        "signed": [{"role": one.role, "at": to_text(one.at)} for one in signed],
        "waves": _waves(connection, stored),
        "excused": [excuse_json(stored, one) for one in excuses_of(connection, stored.id)],
        "watched": [one.as_json() for one in view_watches(connection, stored)],
        "rollback": None
        if stored.flipped_at is None
        else {
            "spaces": list(stored.flipped),
            "to": stored.target,
            "at": to_text(stored.flipped_at),
            **zero_json(stored),
        },
    }


def _fitness(connection: Connection, instance: Instance, stored: StoredRollout) -> dict[str, Json]:
    """Return what stands against more traffic: health, failover and drift of its spaces."""
    live = [wave.space for wave in waves_of(connection, stored.id) if wave.state is WaveState.LIVE]
    candidate = Candidate(workflow=stored.workflow, release=stored.release, since=stored.created_at)
    found = space_fitness(connection, (stored.space, *live), of=candidate, now=instance.clock.now())
    return {
        "unfit": [dict(reason.as_json()) for reason in found.holding],
        "unseen": [dict(reason.as_json()) for reason in found.unseen],
    }


def _waves(connection: Connection, stored: StoredRollout) -> list[Json]:
    steps = steps_of(connection, stored.id)
    return [
        {
            "space": wave.space,
            "state": wave.state.value,
            "stable": wave.stable,
            "fraction_ppm": read_route(connection, wave.space, stored.workflow).fraction_ppm,
            "admitted": admissions_of(connection, wave.space, stored.workflow, stored.release).admitted,
            "quarantined": wave.totals.get("quarantined", 0),
            "steps": [
                {
                    "step": stored.plan.waves[step.wave].steps[step.step].name,
                    "fraction_ppm": step.fraction_ppm,
                    "started_at": to_text(step.started_at),
                    "ended_at": None if step.ended_at is None else to_text(step.ended_at),
                }
                for step in steps
                if step.wave == wave.number
            ],
        }
        for wave in waves_of(connection, stored.id)
    ]
