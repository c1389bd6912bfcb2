"""`pilotage promote`: a release enters a space, when its gates, order, soak and everything else allow it.

Rule: checks and writes stand in one transaction; the routing row, the deployment with the gate reports it rests on, and
the ledger entry commit together. In production the release waits for its rollout, which brings the traffic. Fail mode:
a Refusal with every reason; nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.control.emergency_reports import alert_above_limit
from pilotage.control.gate_case import Chain, open_chain
from pilotage.control.gate_chain import (
    chain_problems,
    critical_incidents,
    gates_before,
    gates_into,
    input_of,
    report_of,
    to_do,
)
from pilotage.control.gate_facts import listed_by
from pilotage.control.gate_inputs import accepted_floating
from pilotage.control.gate_roster import notice_changes
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.rollout_facts import quarantine_reasons
from pilotage.control.space_diff import changes_ahead
from pilotage.control.space_fitness import Candidate, space_fitness
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.emergency import standing
from pilotage.gate.lapse import FLOATING
from pilotage.gate.promotion import PromotionInput, Stay, previous_space, promotion_problems
from pilotage.gate.report import GateReport
from pilotage.identity.principal import Principal, PrincipalKind, outside_key
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.content import ReleaseContent
from pilotage.release.residency import floating_models, misplaced, unlisted_providers
from pilotage.release.stages import stage_problem
from pilotage.rollout.freezes import frozen
from pilotage.rollout.plan_form import plan_digest
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.deployments import Deployment, add_deployment, deployments_of, retire_others
from pilotage.store.gate_facts import answering
from pilotage.store.incidents import incident_freezes
from pilotage.store.releases import StoredRelease, load_release, named_release
from pilotage.store.rollouts import find_rollout, holder_of
from pilotage.store.routes import read_route, write_route


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """The release in its space. `status`: active (it serves there now) or waiting (for its rollout)."""

    space: SpaceName
    digest: Digest
    deployment: str
    status: str
    created: bool = True

    def as_json(self) -> dict[str, Json]:
        """Return the documented result."""
        return {
            "space": self.space,
            "digest": self.digest,
            "deployment": self.deployment,
            "status": self.status,
            "created": self.created,
        }


def promote_release(instance: Instance, *, actor: Principal, release: str, space: str) -> Promoted | Refusal:
    """Let a release into a space, or return every reason why it may not."""
    target = instance.workspace.spaces.get(SpaceName(space))
    if target is None:
        known = ", ".join(instance.workspace.order)
        raise NotFound("SPACE_UNKNOWN", f"There is no space {space!r}.", hint=f"Declared: {known}.")
    refusal = may(actor.roles, Action.PROMOTE, within=target.tier.value)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        stored = named_release(connection, release)
        outside = outside_key(actor, workflow=stored.workflow, space=target.name)
        if outside is not None:
            return outside
        route = read_route(connection, target.name, stored.workflow, lock=True)
        chain = open_chain(connection, instance, stored, now)
        held = _standing(chain, target)
        if held is not None and route.stable == stored.digest:
            return Promoted(
                space=target.name, digest=stored.digest, deployment=held.id, status=held.state, created=False
            )
        given = _input(chain, target, actor)
        reasons = promotion_problems(given, now)
        if reasons:
            is_next = bool(given.gates) and given.emergency is None
            return Refusal(reasons=(*reasons, *(to_do(chain, target) if is_next else ())))
        return _write(chain, target, actor, basis=_basis(chain, target, given))


def _basis(chain: Chain, target: Space, given: PromotionInput) -> str:
    """Return emergency when the release would not have come in without one, standard when a template let it in."""
    if given.emergency is not None:
        alone = replace(given, emergency=None, gates=chain_problems(chain, target, with_emergency=False))
        if promotion_problems(alone, chain.now):
            return "emergency"
    names = gates_into(chain, target)
    by_template = any(input_of(chain, name, space=target.name).facts.standard_change for name in names)
    return "standard" if by_template else "normal"


def _standing(chain: Chain, target: Space) -> Deployment | None:
    found = deployments_of(chain.connection, chain.stored.workflow, releases=[chain.stored.digest])
    standing = [one for one in found if one.space == target.name and one.state in {"active", "waiting"}]
    return standing[-1] if standing else None


def _input(chain: Chain, target: Space, actor: Principal) -> PromotionInput:
    instance, stored, now = chain.instance, chain.stored, chain.now
    workspace = instance.workspace
    previous = None if target.tier is Tier.SANDBOX else previous_space(workspace.order, workspace.spaces, target.name)
    content = load_release(chain.connection, stored.digest)
    emergency = standing(chain.emergencies, target.name, now)
    voters = frozenset(vote.person for vote in chain.votes)
    return PromotionInput(
        release=stored.digest,
        state=str(stored.state),
        is_verified=chain.release.is_verified,
        authors=frozenset(who for people in chain.release.authors.values() for who in people),
        voters=voters,
        accepters=frozenset(who.person for risk in chain.acceptances for who in risk.approvers),
        sealer=chain.release.sealer,
        promoter=PersonId(str(actor.person or actor.id)),
        is_person=actor.kind is PrincipalKind.PERSON,
        floating=floating_models(content.model, content.retrieval.embedding),
        space=target,
        previous=previous,
        stays=stays(chain),
        gates=chain_problems(chain, target),
        freezes=(*frozen(workspace.freezes, target.name, now), *incident_freezes(chain.connection, stored.workflow)),
        incidents=critical_incidents(chain, target.name),
        stage=stage_problem(content, target, workspace.corpora),
        residency=_residency(chain, content, target),
        approved_config=_approved_config(chain, target),
        live_config=space_digest(target),
        unfit=_unfit(chain, target.name),
        rollout=_active_rollout(chain, target),
        accepted=_accepted(chain, target),
        emergency=None if emergency is None else emergency.incident,
    )


def _accepted(chain: Chain, target: Space) -> frozenset[str]:
    """Return what of a promotion's own findings an acceptance at a gate into the space names."""
    for name in gates_into(chain, target):
        report_of(chain, name, space=target.name)
        risk = accepted_floating(chain, input_of(chain, name, space=target.name))
        if risk is not None and target.name in risk.spaces:
            return frozenset({FLOATING})
    return frozenset()


def _residency(chain: Chain, content: ReleaseContent, target: Space) -> tuple[str, ...]:
    """Return what of a release would stand outside a space's regions, or with a provider that nobody listed."""
    corpora = chain.instance.workspace.corpora
    listed, embedding = listed_by(chain.evidence, chain.now), content.retrieval.embedding
    found = misplaced(content.model, content.corpora, embedding=embedding, spaces=[target], corpora=corpora)
    return (*found, *unlisted_providers(content.model, embedding, listed))


def _unfit(chain: Chain, space: SpaceName) -> tuple[Reason, ...]:
    """Return what is known against more traffic in a space; one that serves nobody has nothing against it."""
    workflow, release = chain.stored.workflow, chain.stored.digest
    candidate = Candidate(workflow=workflow, release=release)
    fitness = space_fitness(chain.connection, [space], of=candidate, now=chain.now)
    return (*quarantine_reasons(chain.connection, workflow, release), *fitness.known)


def _active_rollout(chain: Chain, target: Space) -> str | None:
    holder = holder_of(chain.connection, chain.stored.workflow, target.name)
    found = None if holder is None else find_rollout(chain.connection, holder)
    return None if found is None or found.release == chain.stored.digest else found.id


def _approved_config(chain: Chain, target: Space) -> Digest | None:
    """Return the space settings that the gates into the space bound, when one binds them."""
    bound = [
        vote
        for name in gates_into(chain, target)
        for vote in chain.votes
        if vote.gate == name and chain.instance.workspace.gates[name].space is None and vote.decision == "approve"
    ]
    configs = [vote.bound.space_config for vote in bound if vote.bound.space in {None, target.name}]
    return configs[-1] if configs and target.name in gate_targets(chain, target) else None


def gate_targets(chain: Chain, target: Space) -> frozenset[str]:
    """Return the spaces whose settings the gates into `target` bind: the ones those gates name as guarded."""
    gates = chain.instance.workspace.gates
    return frozenset(gates[name].guards for name in gates_into(chain, target))


def stays(chain: Chain) -> tuple[Stay, ...]:
    """Return where the release stands now, and since when it is healthy: it answered, and failed less than that."""
    found: list[Stay] = []
    for one in deployments_of(chain.connection, chain.stored.workflow, releases=[chain.stored.digest]):
        if one.state != "active":
            continue
        seen = answering(chain.connection, one.space, one.workflow, one.release, since=one.at)
        is_healthy = seen.answered > seen.failed and not _unfit(chain, one.space)
        found.append(Stay(space=one.space, at=one.at, healthy_since=one.at if is_healthy else None))
    return tuple(found)


def _write(chain: Chain, target: Space, actor: Principal, *, basis: str) -> Promoted | Refusal:
    connection, stored, now = chain.connection, chain.stored, chain.now
    route = read_route(connection, target.name, stored.workflow, lock=True)
    waits = target.tier is Tier.PRODUCTION and chain.workflow.rollout is not None
    rollout = chain.workflow.rollout
    one = Deployment(
        id=new_ulid(now),
        workflow=stored.workflow,
        space=target.name,
        release=stored.digest,
        basis=basis,
        engine=__version__,
        promoted_by=str(actor.person or actor.id),
        at=now,
        previous=route.stable,
        state="waiting" if waits else "active",
        plan=None if rollout is None else plan_digest(rollout.plans[rollout.default_plan]),
        space_config=space_digest(target),
        healthy_since=now,
        space_change=changes_ahead(chain.instance.workspace)[target.name].as_json(),
    )
    reports = [report_of(chain, name, space=target.name) for name in gates_before(chain, target)]
    add_deployment(connection, one, [_report_json(report) for report in reports])
    if not waits:
        retire_others(connection, one)
        wanted = replace(route, stable=stored.digest, candidate=None, fraction_ppm=0, closed=None, reason="promoted")
        if write_route(connection, route, wanted, fence=route.fence, at=now) is None:
            text = f"The routing row of {target.name} moved at the same moment. Run the command again."
            return Refusal(reasons=(Reason(code="ROUTE_MOVED", text=text, where=target.name),))
    _record(connection, one, stored, actor, reports)
    if basis == "emergency":
        alert_above_limit(connection, chain.instance, now)
    return Promoted(space=target.name, digest=stored.digest, deployment=one.id, status=one.state)


def _report_json(report: GateReport) -> dict[str, Json]:
    return {"gate": report.gate, "status": report.status.value, "input_digest": report.bind}


def _record(
    connection: Connection, one: Deployment, stored: StoredRelease, actor: Principal, reports: list[GateReport]
) -> None:
    record(
        connection,
        EntryKind.DEPLOYMENT_PROMOTED,
        actor=actor,
        at=one.at,
        subject=one.id,
        space=one.space,
        data={
            "workflow": stored.workflow,
            "release": stored.digest,
            "deployment": one.id,
            "state": one.state,
            "basis": one.basis,
            "previous": one.previous,
            "gates": [_report_json(report) for report in reports],
            "space_change": None if one.space_change is None else digest_of_json(dict(one.space_change)),
            "at": to_text(one.at),
        },
    )
