"""The gates of a release, computed together: one reading of the store, one report per gate in the order of `after`.

Rule: nothing here is kept; the same connection that decides reads every input, so a decision and what it leads to stand
on one snapshot. Fail mode: a gate whose input cannot be read is `blocked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of, workflow_of
from pilotage.control.gate_facts import Claims, FactContext, facts_of
from pilotage.control.gate_pack import PackState, pack_state
from pilotage.control.gate_preflight import undecidable_metrics
from pilotage.control.gate_roster import EDITOR_SPAN, policy_extra, seen_roster
from pilotage.control.instance import Instance
from pilotage.control.release_reports import diff_on
from pilotage.core.canonical import parse_json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.gate.binding import policy_digest
from pilotage.gate.decide import decide
from pilotage.gate.records import (
    Facts,
    GateInput,
    GateReport,
    GateStatus,
    Half,
    ReleaseFacts,
    RiskAcceptance,
    Roster,
    SeatAt,
    Tenure,
    Vote,
    VoteDecision,
)
from pilotage.gate.risks import Risk, declared_risks, generated_risks
from pilotage.identity.roles import Role
from pilotage.release.authorship import persons
from pilotage.release.manifest import Manifest, read_manifest
from pilotage.rollout.plan_form import plan_digest
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.evidence import evidence_about
from pilotage.store.gate_facts import first_traffic
from pilotage.store.gate_people import acceptances_of, delegations, editors, tenures
from pilotage.store.gate_votes import Attempt, attempts_of, recusals_of, rejections_elsewhere, votes_of
from pilotage.store.releases import StoredRelease, authors_of_parts, find_release
from pilotage.store.routes import served_before
from pilotage.workspace.gate import Gate
from pilotage.workspace.workflow import Workflow


@dataclass(slots=True, kw_only=True)
class Chain:
    """Everything read for one release, and the reports made so far."""

    connection: Connection
    instance: Instance
    stored: StoredRelease
    manifest: Manifest
    workflow: Workflow
    release: ReleaseFacts
    evidence: tuple[Evidence, ...]
    votes: tuple[Vote, ...]
    elsewhere: tuple[Vote, ...]
    acceptances: tuple[RiskAcceptance, ...]
    attempts: Mapping[str, Attempt]
    roster: Roster
    recused: Mapping[tuple[str, int], Mapping[Role, PersonId]]
    editors: Mapping[PersonId, datetime]
    now: datetime
    flags: tuple[str, ...] = ()
    reports: dict[tuple[str, Half], GateReport] = field(default_factory=dict)
    inputs: dict[tuple[str, Half], GateInput] = field(default_factory=dict)
    facts: dict[tuple[str, str], Claims] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    packs: dict[str, PackState] = field(default_factory=dict)


def open_chain(connection: Connection, instance: Instance, stored: StoredRelease, now: datetime) -> Chain:
    """Read once what every gate of a release is decided from."""
    workflow = workflow_of(instance, stored.workflow)
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    flags: tuple[str, ...] = ()
    if stored.parent is not None and find_release(connection, stored.parent) is not None:
        flags = tuple(str(flag) for flag in diff_on(connection, stored.parent, stored.digest).flags)
    return Chain(
        connection=connection,
        instance=instance,
        stored=stored,
        manifest=manifest,
        workflow=workflow,
        release=_release_facts(connection, instance, stored, manifest),
        evidence=evidence_about(connection, subjects_of(stored)),
        votes=votes_of(connection, stored.digest),
        elsewhere=rejections_elsewhere(connection, stored.parts_digest, stored.digest),
        acceptances=acceptances_of(connection, stored.digest),
        attempts=attempts_of(connection, stored.digest),
        roster=_roster(connection, instance),
        recused=recusals_of(connection, stored.digest),
        editors=editors(connection, since=now - EDITOR_SPAN),
        now=now,
        flags=flags,
    )


def _release_facts(
    connection: Connection, instance: Instance, stored: StoredRelease, manifest: Manifest
) -> ReleaseFacts:
    authors = authors_of_parts(connection, manifest.parts.values())
    production = [space.name for space in instance.workspace.spaces.values() if space.tier is Tier.PRODUCTION]
    before = {one for space in production for one in served_before(connection, space, stored.workflow)}
    return ReleaseFacts(
        digest=stored.digest,
        parts_digest=stored.parts_digest,
        workflow=stored.workflow,
        parts={str(kind): digest for kind, digest in manifest.parts.items()},
        state=str(stored.state),
        is_verified=manifest.digest == stored.digest,
        authors={str(kind): persons(authors[digest]) for kind, digest in manifest.parts.items()},
        sealer=PersonId(stored.sealed_by),
        sealed_at=stored.sealed_at,
        source_tree=_source_tree(stored),
        is_first=not before - {stored.digest},
    )


def _source_tree(stored: StoredRelease) -> str | None:
    seal = parse_json(stored.seal)
    source = seal.get("source") if isinstance(seal, Mapping) else None
    tree = source.get("tree") if isinstance(source, Mapping) else None
    return tree if isinstance(tree, str) and tree else None


def _roster(connection: Connection, instance: Instance) -> Roster:
    known: tuple[Tenure, ...] = tenures(connection)
    people = instance.workspace.people.values()
    return Roster(
        version=seen_roster(instance.workspace).digest,
        tenures=known,
        seats=tuple(
            SeatAt(role=seat.role, holder=seat.holder, alternates=seat.alternates) for seat in instance.workspace.seats
        ),
        reports_to={one.id: one.reports_to for one in people if one.reports_to is not None},
        delegations=delegations(connection),
    )


def report_of(chain: Chain, name: str, *, half: Half = Half.PRE, space: SpaceName | None = None) -> GateReport:
    """Return the report of a gate, after those it comes after; each is computed once a chain."""
    gate = chain.instance.workspace.gates.get(name)
    if gate is None:
        known = ", ".join(sorted(chain.instance.workspace.gates)) or "none"
        raise NotFound("GATE_UNKNOWN", f"There is no gate {name!r}.", hint=f"Declared in gates/: {known}.")
    key = (_key(name, space if _is_per_space(gate) else None), half)
    if key not in chain.reports:
        before = {one: report_of(chain, one, space=space).status for one in gate.after}
        given = _input(chain, gate, half, before, space)
        chain.inputs[key] = given
        chain.reports[key] = decide(given, chain.now)
    return chain.reports[key]


def input_of(chain: Chain, name: str, *, half: Half = Half.PRE, space: SpaceName | None = None) -> GateInput:
    """Return what a gate was decided from."""
    report_of(chain, name, half=half, space=space)
    gate = chain.instance.workspace.gates[name]
    return chain.inputs[(_key(name, space if _is_per_space(gate) else None), half)]


def _key(name: str, space: SpaceName | None) -> str:
    return name if space is None else f"{name}@{space}"


def _is_per_space(gate: Gate) -> bool:
    return gate.guards == "production"


def _input(
    chain: Chain, gate: Gate, half: Half, before: Mapping[str, GateStatus], space: SpaceName | None
) -> GateInput:
    attempt = chain.attempts.get(gate.name)
    number = 1 if attempt is None else attempt.number
    about = _space_of(chain, gate, space)
    rules = gate.post if half is Half.POST and gate.post is not None else gate.pre
    kinds = frozenset(kind for criterion in rules.criteria for kind in criterion.of if kind.startswith("fact."))
    pack = _pack(chain, gate, attempt)
    return GateInput(
        gate=gate,
        half=half,
        policy=policy_digest(gate, extra=policy_extra(chain.workflow)),
        release=chain.release,
        evidence=chain.evidence,
        votes=tuple(vote for vote in chain.votes if vote.gate == gate.name and vote.half is half),
        roster=_roster_at(chain, gate, attempt, number),
        acceptances=tuple(risk for risk in chain.acceptances if risk.gate == gate.name),
        facts=Facts(
            instance=chain.instance.workspace.id,
            attempt=number,
            attempt_opened_at=None if attempt is None else attempt.opened_at,
            space=space if _is_per_space(gate) else None,
            space_config=None if about is None else space_digest(about),
            plan=_plan(chain.workflow),
            cab_pack=None if pack is None else pack.digest,
            pack_outdated=() if pack is None else pack.outdated,
            gates=before,
            paths=_paths(chain.workflow, about),
            switches=frozenset({"workflow.code"}) if chain.workflow.code else frozenset(),
            claims=_claims(chain, about, kinds, pack),
            reasons=dict(chain.notes),
            editors=chain.editors,
            guards_production=_guards_production(chain, gate),
            is_local_demo=chain.instance.workspace.identity.local_demo,
            spaces=guarded_spaces(chain, gate),
            rejected_elsewhere=_rejected(chain, gate),
        ),
    )


def _roster_at(chain: Chain, gate: Gate, attempt: Attempt | None, number: int) -> Roster:
    """Return the roster with the seats as they were when the attempt's evidence was complete."""
    return replace(
        chain.roster,
        snapshot=None if attempt is None else attempt.snapshot,
        recused=dict(chain.recused.get((gate.name, number), {})),
    )


def _rejected(chain: Chain, gate: Gate) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                vote.release
                for vote in chain.elsewhere
                if vote.gate == gate.name and vote.decision == VoteDecision.REJECT
            }
        )
    )


def _plan(workflow: Workflow) -> Digest | None:
    rollout = workflow.rollout
    return None if rollout is None else plan_digest(rollout.plans[rollout.default_plan])


def guarded_spaces(chain: Chain, gate: Gate) -> tuple[str, ...]:
    """Return the spaces a gate opens: the one it guards, and for the board every production space of the plan."""
    spaces = chain.instance.workspace.spaces
    guarded = spaces.get(SpaceName(gate.guards))
    if guarded is None:
        return ()
    rollout = chain.workflow.rollout
    if guarded.tier is not Tier.PRODUCTION or rollout is None:
        return (guarded.name,)
    return tuple(wave.space for wave in rollout.plans[rollout.default_plan].waves) or (guarded.name,)


def _guards_production(chain: Chain, gate: Gate) -> bool:
    guarded = chain.instance.workspace.spaces.get(SpaceName(gate.guards))
    return gate.guards == "production" or (guarded is not None and guarded.tier is Tier.PRODUCTION)


def _space_of(chain: Chain, gate: Gate, space: SpaceName | None) -> Space | None:
    """Return the space whose settings and facts the gate looks at."""
    spaces = chain.instance.workspace.spaces
    if _is_per_space(gate):
        return None if space is None else spaces.get(space)
    if gate.space is not None:
        return spaces.get(SpaceName(gate.space))
    return spaces.get(SpaceName(gate.guards))


def _paths(workflow: Workflow, space: Space | None) -> dict[str, float]:
    paths = {
        "workflow.sla.p95_ms": float(workflow.sla_p95_ms),
        "workflow.integrations.count": float(len(workflow.integrations)),
    }
    if workflow.budgets.latency_p95_ms is not None:
        paths["workflow.budgets.latency_p95_ms"] = float(workflow.budgets.latency_p95_ms)
    paths |= {f"workflow.targets.{name}": float(limit) for name, limit in workflow.targets.items()}
    if space is not None:
        named = {
            "space.min_instances": space.scaling.min_instances,
            "space.max_instances": space.scaling.max_instances,
            "space.target_latency_ms": space.scaling.target_latency_ms,
            "space.rto_s": space.rto_s,
            "space.rpo_s": space.rpo_s,
        }
        paths |= {name: float(value) for name, value in named.items() if value is not None}
    return paths


def _claims(chain: Chain, space: Space | None, kinds: frozenset[str], pack: PackState | None) -> dict[str, Claims]:
    name = "" if space is None else space.name
    wanted = frozenset(kind for kind in kinds if (kind, name) not in chain.facts)
    if wanted:
        context = FactContext(
            connection=chain.connection,
            instance=chain.instance,
            release=chain.stored,
            manifest=chain.manifest,
            workflow=chain.workflow,
            space=space,
            now=chain.now,
            risks=risk_register(chain) if "fact.risks" in wanted else (),
            undecidable=undecidable_metrics(chain.connection, chain.workflow, chain.now)
            if "fact.rollout" in wanted
            else None,
            pack_missing=None if pack is None else pack.sections_missing,
            notes=chain.notes,
        )
        for kind, claims in facts_of(context, wanted).items():
            chain.facts[(kind, name)] = claims
    return {kind: chain.facts[(kind, name)] for kind in kinds if (kind, name) in chain.facts}


def risk_register(chain: Chain) -> tuple[Risk, ...]:
    """Return declared and generated risks, the latter from flags and from gates decided so far."""
    assessment = chain.workflow.documents.get("risk-assessment")
    declared = () if assessment is None else declared_risks(assessment.notes, map(str, chain.instance.workspace.people))
    results = [
        (gate, criterion)
        for (gate, half), report in chain.reports.items()
        if half is Half.PRE
        for criterion in report.criteria
    ]
    known = {risk.id: risk for risk in declared}
    generated = generated_risks(chain.flags, results, chain.acceptances, owner=str(chain.workflow.owner), treated=known)
    return tuple({risk.id: risk for risk in (*generated, *declared)}.values())


def _pack(chain: Chain, gate: Gate, attempt: Attempt | None) -> PackState | None:
    if "cab_pack" not in {one.value for one in gate.binds}:
        return None
    if gate.name not in chain.packs:
        chain.packs[gate.name] = pack_state(
            chain.connection,
            attempt,
            earlier={name: report for (name, half), report in chain.reports.items() if half is Half.PRE},
            plan=_plan(chain.workflow),
            risks=risk_register(chain),
            spaces=[chain.instance.workspace.spaces[SpaceName(name)] for name in guarded_spaces(chain, gate)],
        )
    return chain.packs[gate.name]


def gates_into(chain: Chain, space: Space) -> tuple[str, ...]:
    """Return the gates that must be approved before a release enters a space; none for a sandbox."""
    if space.tier is Tier.SANDBOX:
        return ()
    names = [
        gate.name
        for gate in chain.instance.workspace.gates.values()
        if gate.guards == space.name
        or (space.tier is Tier.PRODUCTION and gate.guards != "production" and space.name in guarded_spaces(chain, gate))
    ]
    return tuple(dict.fromkeys(names))


def chain_problems(chain: Chain, space: Space, *, with_go_live: bool = False) -> tuple[Reason, ...]:
    """Return a reason for every gate into the space that is not approved now."""
    names = gates_into(chain, space)
    if not names and space.tier is not Tier.SANDBOX:
        text = f"No gate guards {space.name}. Declare one in gates/; an unguarded space lets nobody in."
        return (Reason(code="GATE_NOT_MET", text=text, where=space.name),)
    found = _problems(report_of(chain, name, space=space.name) for name in names)
    return tuple(found + _go_live(chain, space)) if with_go_live else tuple(found)


def _go_live(chain: Chain, space: Space) -> list[Reason]:
    """Return what go-live lacks: its pre half before the first traffic of the space, its post half from then on."""
    if space.tier is not Tier.PRODUCTION:
        return []
    names = [gate.name for gate in chain.instance.workspace.gates.values() if gate.guards == "production"]
    since = first_traffic(chain.connection, space.name, chain.stored.workflow, chain.stored.digest)
    if since is None:
        return _problems(report_of(chain, name, space=space.name) for name in names)
    return [reason for name in names for reason in _post_problems(chain, name, space.name, since)]


def _post_problems(chain: Chain, name: str, space: SpaceName, since: datetime) -> list[Reason]:
    rules = chain.instance.workspace.gates[name].post
    if rules is None:
        return []
    report = report_of(chain, name, half=Half.POST, space=space)
    elapsed = (chain.now - since).total_seconds()
    found: list[Reason] = []
    unmet = [one.id for one in report.criteria if not one.holds]
    if unmet and elapsed > (rules.machine_within_s or 0):
        text = f"After the first traffic in {space} {name} still lacks {', '.join(unmet)}."
        found.append(Reason(code="GATE_NOT_MET", text=text, where=name, observed=f"{elapsed:.0f} s"))
    unsigned = [one.role.value for one in report.signoffs if not one.is_complete]
    if unsigned and elapsed > (rules.confirm_within_s or 0):
        text = f"Nobody confirmed {name} in {space} in time: {', '.join(unsigned)}."
        found.append(Reason(code="POST_UNCONFIRMED", text=text, where=name, observed=f"{elapsed:.0f} s"))
    return found


def _problems(reports: Iterable[GateReport]) -> list[Reason]:
    found: list[Reason] = []
    for report in reports:
        if report.status.is_approved:
            continue
        first = report.reasons[0].text if report.reasons else ""
        first = first or (report.missing[0].text if report.missing else "")
        text = f"Gate {report.gate} is {report.status}. {first}".strip()
        found.append(
            Reason(code="GATE_NOT_MET", text=text, where=report.gate, observed=report.status.value, limit="approved")
        )
    return found


def chain_holds(
    connection: Connection, instance: Instance, *, release: Digest, space: SpaceName, now: datetime
) -> tuple[Reason, ...]:
    """Return a reason for every gate of a space that does not hold for a release; nothing means all hold."""
    stored = find_release(connection, release)
    if stored is None:
        return (Reason(code="RELEASE_UNKNOWN", text=f"There is no release {release}.", where=release),)
    chain = open_chain(connection, instance, stored, now)
    return chain_problems(chain, instance.workspace.spaces[space], with_go_live=True)
