"""What one gate is decided from, made of what was read for the release, the declared workspace and our own facts.

Rule: a fact is computed once per space and release. Fail mode: a fact that cannot be known is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypedDict

from pilotage import __version__
from pilotage.control.evidence_context import operators
from pilotage.control.gate_case import Chain
from pilotage.control.gate_facts import Claims, FactContext, facts_of
from pilotage.control.gate_pack import PackState, pack_state
from pilotage.control.gate_preflight import undecidable_metrics
from pilotage.control.gate_roster import policy_of
from pilotage.control.standard_scope import standing_of
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.superseding import current_items
from pilotage.gate.acceptance import accepting
from pilotage.gate.lapse import FLOATING
from pilotage.gate.records import Facts, GateInput, RiskAcceptance, Roster
from pilotage.gate.risks import Exposed, Risk, declared_risks, generated_risks, mitigation_risks
from pilotage.gate.standard import replaced_gates
from pilotage.gate.vocabulary import GateStatus, Half, RiskLevel, VoteDecision
from pilotage.release.residency import floating_models
from pilotage.rollout.plan_form import plan_digest
from pilotage.space.digest import space_digest
from pilotage.space.settings import Space, Tier
from pilotage.store.gate_votes import Attempt
from pilotage.workspace.gate import Gate, GateHalf
from pilotage.workspace.workflow import Workflow

RUN_MARGIN: Final = 1.5
LONGEST_RUN: Final = timedelta(days=30)
_IN_A_REGION: Final = frozenset({"failover", "recovery", "drill.rollback"})
EXPIRES_SOON: Final = timedelta(days=30)


def gate_input(
    chain: Chain, gate: Gate, half: Half, before: Mapping[str, GateStatus], space: SpaceName | None
) -> GateInput:
    """Return what one half of a gate is decided from; `before` are the statuses of the gates it comes after."""
    attempt = chain.attempts.get(gate.name)
    number = 1 if attempt is None else attempt.number
    about = _space_of(chain, gate, space)
    rules = gate.post if half is Half.POST and gate.post is not None else gate.pre
    pack = _pack(chain, gate, attempt)
    return GateInput(
        gate=gate,
        half=half,
        policy=policy_of(gate, chain.workflow),
        release=chain.release,
        evidence=chain.evidence,
        votes=tuple(vote for vote in chain.votes if vote.gate == gate.name and vote.half is half),
        roster=_roster_at(chain, gate, attempt, number),
        acceptances=tuple(risk for risk in chain.acceptances if risk.gate == gate.name),
        facts=Facts(
            instance=chain.instance.workspace.id,
            attempt=number,
            attempt_opened_at=None if attempt is None else attempt.opened_at,
            space=space if is_per_space(gate) else None,
            space_config=None if about is None else space_digest(about),
            plan=_plan(chain.workflow),
            cab_pack=None if pack is None else pack.digest,
            pack_outdated=() if pack is None else pack.outdated,
            gates=before,
            paths=_paths(chain.workflow, about),
            switches=frozenset({"workflow.code"}) if chain.workflow.code else frozenset(),
            claims=_claims(chain, about, _fact_kinds(rules), pack),
            reasons=dict(chain.notes),
            editors=chain.editors,
            guards_production=_guards_production(chain, gate),
            is_local_demo=chain.instance.workspace.identity.local_demo,
            spaces=guarded_spaces(chain, gate),
            rejected_elsewhere=_rejected(chain, gate),
            unrecorded=chain.unrecorded,
            standard_change=half is Half.PRE and _is_standard(chain, gate),
            promoters=chain.reading.snapshot.promoters.get(chain.stored.digest, frozenset()),
            **_who_and_what(chain, rules),
        ),
    )


def _fact_kinds(rules: GateHalf) -> frozenset[str]:
    return frozenset(kind for criterion in rules.criteria for kind in criterion.of if kind.startswith("fact."))


def _runs(chain: Chain, rules: GateHalf) -> tuple[datetime | None, datetime | None]:
    """Return from when until when a board's approval lasts by the rollout under way: its plan's length by half more."""
    found = chain.reading.snapshot.runs.get(chain.stored.digest)
    if found is None or rules.board is None:
        return None, None
    lasts = min(found.plan.stated * RUN_MARGIN, LONGEST_RUN)
    return found.since, found.since + lasts


class _Running(TypedDict):
    runs_since: datetime | None
    runs_until: datetime | None
    operators: frozenset[str]
    engine: str
    engine_since: datetime


def _who_and_what(chain: Chain, rules: GateHalf) -> _Running:
    """Return the rollout under way, who runs the service, and this version of Pilotage; one not noted has just come."""
    since, until = _runs(chain, rules)
    seen = chain.reading.snapshot.engine
    return _Running(
        runs_since=since,
        runs_until=until,
        operators=operators(chain.instance.workspace, chain.workflow),
        engine=__version__,
        engine_since=seen.since if seen is not None and seen.version == __version__ else chain.now,
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


def _is_standard(chain: Chain, gate: Gate) -> bool:
    """Tell whether a template the board approved stands in for the sign-offs of this gate."""
    if not chain.changes or gate.name not in replaced_gates(chain.instance.workspace.gates):
        return False
    standing = standing_of(chain)
    return standing is not None and standing.holds


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
    if is_per_space(gate):
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
            reading=chain.reading,
            release=chain.stored,
            manifest=chain.manifest,
            workflow=chain.workflow,
            space=space,
            evidence=chain.evidence,
            risks=risk_register(chain) if "fact.risks" in wanted else (),
            undecidable=undecidable_metrics(chain.workflow, chain.reading.history)
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
    people = [str(one) for one in chain.instance.workspace.people]
    declared = () if assessment is None else declared_risks(assessment.notes, people)
    results = [
        (gate, criterion)
        for (gate, half), report in chain.reports.items()
        if half is Half.PRE
        for criterion in report.criteria
    ]
    known = {risk.id: risk for risk in declared}
    generated = generated_risks(
        chain.flags,
        results,
        chain.acceptances,
        owner=str(chain.workflow.owner),
        treated=known,
        exposed=_exposed(chain),
    )
    # No declared row stands for a mitigation: those are closed by a run or an acceptance alone.
    mitigations = mitigation_risks(chain.mitigations, people, chain.now)
    return tuple({risk.id: risk for risk in (*generated, *declared, *mitigations)}.values())


def _exposed(chain: Chain) -> Exposed:
    used = {name for report in chain.reports.values() for name in report.acceptances}
    soon = chain.now + EXPIRES_SOON
    return Exposed(
        is_floating=is_floating(chain),
        pinned_by=next(filter(None, (accepted_floating(chain, given) for given in chain.inputs.values())), None),
        undecidable=undecidable_metrics(chain.workflow, chain.reading.history) or 0,
        untested=_untested(chain),
        ending=tuple(risk for risk in chain.acceptances if risk.id in used and risk.expires <= soon),
    )


def _untested(chain: Chain) -> tuple[str, ...]:
    """Return the regions the plan goes to in none of whose spaces load, failover, recovery or rollback was tested."""
    spaces, rollout = chain.instance.workspace.spaces, chain.workflow.rollout
    waves = () if rollout is None else rollout.plans[rollout.default_plan].waves
    aims = {spaces[wave.space].region or "an undeclared region" for wave in waves if wave.space in spaces}
    made = {
        spaces[item.space].region
        for item in current_items(chain.evidence, chain.now)
        if item.space is not None
        and item.space in spaces
        and (item.kind in _IN_A_REGION or item.kind.startswith("load."))
        and changed_reason(item) is None
    }
    return tuple(sorted(aims - made))


def is_floating(chain: Chain) -> bool:
    """Tell whether a model of the release is named by an alias, or cannot be read."""
    models = chain.reading.models_of(chain.manifest)
    return models is None or bool(floating_models(*models))


def accepted_floating(chain: Chain, given: GateInput) -> RiskAcceptance | None:
    """Return the acceptance, at a gate that was decided, of a model without a fixed version."""
    return accepted_finding(chain, given, FLOATING)


def accepted_finding(chain: Chain, given: GateInput, finding: str) -> RiskAcceptance | None:
    """Return the acceptance of medium severity or higher, at a gate that was decided, that names a finding."""
    if not any(finding in risk.findings for risk in given.acceptances):
        return None
    counted = {name for report in chain.reports.values() if report.gate == given.gate.name for name in report.evidence}
    current = [one for one in given.evidence if one.id in counted]
    return accepting(finding, given, chain.now, current, level=RiskLevel.MEDIUM)


def _pack(chain: Chain, gate: Gate, attempt: Attempt | None) -> PackState | None:
    if "cab_pack" not in {one.value for one in gate.binds}:
        return None
    if gate.name not in chain.packs:
        chain.packs[gate.name] = pack_state(
            attempt,
            chain.reading.snapshot.packs,
            earlier={name: report for (name, half), report in chain.reports.items() if half is Half.PRE},
            plan=_plan(chain.workflow),
            risks=risk_register(chain),
            spaces=[chain.instance.workspace.spaces[SpaceName(name)] for name in guarded_spaces(chain, gate)],
        )
    return chain.packs[gate.name]


def is_per_space(gate: Gate) -> bool:
    """Tell whether the gate runs once per production space."""
    return gate.guards == "production"
