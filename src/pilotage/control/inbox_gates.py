"""Gates that wait for a person: of every workflow's newest release, and of the releases that are rolled out.

Rule: a gate stands here when its criteria hold and a sign-off of it lacks this person; go-live once for each production
space of the default plan, and again after its first traffic, to be confirmed in time. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlalchemy import Connection

from pilotage.control.gate_case import Chain, open_chains
from pilotage.control.gate_chain import is_reached, report_of
from pilotage.control.gate_inputs import is_per_space
from pilotage.control.gate_status import ordered_gates, space_for
from pilotage.control.inbox_task import Task
from pilotage.control.instance import Instance
from pilotage.core.digest import short
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.gate.report import SignoffResult
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.store.gate_facts import traffic_under_way
from pilotage.store.releases import heads_of, releases_by_digest
from pilotage.workspace.gate import Gate

_OPEN = frozenset({GateStatus.READY, GateStatus.IN_REVIEW, GateStatus.STALE})


def gate_tasks(connection: Connection, instance: Instance, actor: Principal) -> list[Task]:
    """Return the gates of the newest releases, and of those that are rolled out, that wait for this person."""
    workflows = _signed_by(instance, actor)
    if not workflows or actor.person is None:
        return []
    rolling = traffic_under_way(connection)
    heads = heads_of(connection, workflows)
    older = releases_by_digest(connection, rolling.keys() - {one.digest for one in heads})
    chains = open_chains(connection, instance, (*heads, *older), instance.clock.now())
    return [
        task for chain in chains for task in _turns(chain, actor.person, since=rolling.get(chain.stored.digest, {}))
    ]


def _signed_by(instance: Instance, actor: Principal) -> list[WorkflowName]:
    """Return the workflows whose gates ask for a role this person holds; for everybody else nothing is read."""
    asked = {role for gate in instance.workspace.gates.values() for role in _roles_of(gate)}
    return sorted(instance.workspace.workflows) if asked & actor.roles else []


def _roles_of(gate: Gate) -> set[Role]:
    halves = [half for half in (gate.pre, gate.post) if half is not None]
    seats = {role for half in halves if half.board is not None for role in half.board.seats}
    return seats | {one.role for half in halves for one in half.signoffs}


def _turns(chain: Chain, person: PersonId, *, since: Mapping[str, datetime]) -> list[Task]:
    """Return the gates of a release that wait for this person. `since`: from when it has had traffic, by space."""
    gates = chain.instance.workspace.gates
    found: list[Task | None] = []
    for name in ordered_gates(chain.instance):
        for space in _spaces(chain, gates[name]):
            if is_reached(chain, name, space=space):  # else `blocked`, which is not open: nothing of it is read
                found.append(_turn(chain, name, person, space=space))
            if space is not None and space in since and gates[name].post is not None:
                found.append(_confirmation(chain, name, person, space=space, since=since[space]))
    return [task for task in found if task is not None]


def _spaces(chain: Chain, gate: Gate) -> Sequence[SpaceName | None]:
    """Return the production spaces of the default plan for a gate that is decided for each, else none."""
    rollout = chain.workflow.rollout
    if not is_per_space(gate):
        return (None,)
    if rollout is None:
        return (space_for(chain.instance, gate.name, None),)
    return [wave.space for wave in rollout.plans[rollout.default_plan].waves]


def _turn(chain: Chain, name: str, person: PersonId, *, space: SpaceName | None, half: Half = Half.PRE) -> Task | None:
    report = report_of(chain, name, half=half, space=space)
    asked = [one for one in report.signoffs if _waits_for(one, person)]
    if report.status not in _OPEN or not asked:
        return None
    digest = short(chain.stored.digest)
    named = {key: value for key, value in (("space", space), ("half", half if half is Half.POST else None)) if value}
    return Task(
        key="/".join(("gate", digest, name, half.value, *((space,) if space else ()))),
        sentence=f"Decide about release {digest} at gate {name}{f' for {space}' if space else ''}",
        path=f"/releases/{digest}/gates/{name}{f'?{urlencode(named)}' if named else ''}",
        since=chain.stored.sealed_at,
        why=f"Its criteria hold, and it waits for you as {asked[0].role.value}.",
        minutes=15,
        others=tuple(sorted(one for one in asked[0].eligible if one != person and _waits_for(asked[0], one))),
    )


def _confirmation(
    chain: Chain, name: str, person: PersonId, *, space: SpaceName | None, since: datetime
) -> Task | None:
    """Return the half of a gate that follows the first traffic, which has a time to be confirmed in."""
    task = _turn(chain, name, person, space=space, half=Half.POST)
    rules = chain.instance.workspace.gates[name].post
    if task is None or rules is None:
        return None
    digest = short(chain.stored.digest)
    due = None if rules.confirm_within_s is None else since + timedelta(seconds=rules.confirm_within_s)
    return replace(task, sentence=f"Confirm {name} of release {digest} in {space}", since=since, due=due)


def _waits_for(one: SignoffResult, person: PersonId) -> bool:
    voted = {*one.approved_by, *one.rejected_by, *one.abstained_by}
    return not one.is_complete and person in one.eligible and person not in voted
