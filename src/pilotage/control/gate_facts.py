"""What Pilotage itself knows about a release on its way: every `fact.*` of gates.md 3, computed when it is asked for.

Rule: a fact comes from our own tables and the declared workspace, never from an upload. Fail mode: what cannot be known
is absent with a note that says why, and its criterion is inconclusive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pilotage.control.gate_reading import Reading
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evaluation.mitigation import MitigationState
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import current_items
from pilotage.gate.risks import Risk, untreated, without_owner
from pilotage.incident.duty import days_covered, on_duty
from pilotage.release.manifest import Manifest, PartKind
from pilotage.release.residency import misplaced, unlisted_providers
from pilotage.release.subprocessors import DOCUMENT, Listed, from_lines
from pilotage.rollout.freezes import frozen
from pilotage.rollout.target import TargetKind, rollback_target
from pilotage.space.digest import differences
from pilotage.space.settings import Space, Tier
from pilotage.store.gate_facts import Answering
from pilotage.store.gate_snapshot import GateSnapshot
from pilotage.store.incidents import StoredIncident
from pilotage.store.releases import StoredRelease
from pilotage.store.routes import Ack, Route
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow

Claims = Mapping[str, float]
_NOTHING = Answering(answered=0, failed=0, last_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactContext:
    """What facts are computed from. `space`: the one the gate looks at; `risks`: the register; `pack`: its facts.

    `evidence` is what was brought about the release, which the votes bind.
    """

    reading: Reading
    release: StoredRelease
    manifest: Manifest
    workflow: Workflow
    space: Space | None
    evidence: tuple[Evidence, ...] = ()
    risks: tuple[Risk, ...] = ()
    undecidable: int | None = None
    pack_missing: int | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        """What is declared."""
        return self.reading.instance.workspace

    @property
    def now(self) -> datetime:
        """When the gate is decided."""
        return self.reading.now

    @property
    def snapshot(self) -> GateSnapshot:
        """What was read of the store."""
        return self.reading.snapshot


def facts_of(context: FactContext, kinds: frozenset[str]) -> dict[str, Claims]:
    """Return the claims of every asked `fact.*` kind that can be known."""
    return {kind: _FACTS[kind](context) for kind in sorted(kinds) if kind in _FACTS}


def _release(context: FactContext) -> Claims:
    return {"parts_present": float(len(set(context.manifest.parts) & set(PartKind)))}


def _corpus(context: FactContext) -> Claims:
    """Count over the corpora that are sealed and those that are declared for the workflow now."""
    declared = context.workspace.corpora
    pins = context.reading.pins.get(context.manifest.parts[PartKind.CORPUS])
    if pins is None:
        context.notes["fact.corpus"] = "The sealed corpus cannot be read, so nobody can tell what is kept of it."
        return {}
    used_now = context.workflow.retrieval.corpora.values()
    names = {str(pin.name) for pin in pins.values()} | {str(one.name) for one in used_now}
    settings = [one for name, one in declared.items() if name in names]
    # A derived corpus keeps what its source keeps; its text passed the redaction or was rejected, document by document.
    without = {str(one.name) for one in settings if one.retention_days is None and one.derived_from is None}
    without |= names - {str(name) for name in declared}
    if without:
        context.notes["fact.corpus"] = f"Nothing declares how long these are kept: {', '.join(sorted(without)[:8])}."
    claims = {
        "without_retention": float(len(without)),
        "overdue_takedowns": float(sum(context.snapshot.overdue.get(name, 0) for name in names)),
    }
    stage = None if context.space is None else context.space.data_stage
    reference = None if stage is None else context.workflow.retrieval.corpora.get(stage)
    used = None if reference is None else declared.get(reference.name)
    if used is not None:
        claims["unredacted_pii"] = 0.0 if used.derived_from is not None or used.data_stage == stage else 1.0
    return claims


def _residency(context: FactContext) -> Claims:
    spaces = [space for space in context.workspace.spaces.values() if space.tier is not Tier.SANDBOX]
    models = context.reading.models_of(context.manifest)
    pins = context.reading.pins.get(context.manifest.parts[PartKind.CORPUS])
    if models is None or pins is None:
        context.notes["fact.residency"] = (
            "The sealed models or corpus cannot be read, so nobody can tell where they stand."
        )
        return {}
    model, embedding = models
    found = misplaced(model, pins, embedding=embedding, spaces=spaces, corpora=context.workspace.corpora)
    found += unlisted_providers(model, embedding, listed_by(context.evidence, context.now))
    context.notes["fact.residency"] = "; ".join(found)
    return {"violations": float(len(found))}


def listed_by(evidence: Iterable[Evidence], now: datetime) -> Listed:
    """Return the subprocessors of the current document that lists them; without one nobody is listed."""
    documents = [
        one
        for one in current_items(evidence, now)
        if one.kind == f"document.{DOCUMENT}" and changed_reason(one) is None
    ]
    return from_lines(documents[-1].names.get(DOCUMENT, ())) if documents else {}


def _deployment(context: FactContext) -> Claims:
    if context.space is None:
        return {}
    name, digest = context.space.name, context.release.digest
    route = _route(context, name)
    ready = [ack for ack in _alive(context, name) if digest in ack.loaded]
    answered = context.reading.traffic.answering.get((name, context.workflow.name, digest), _NOTHING)
    serves = digest in {route.stable, route.candidate}
    processes = "1 process" if len(ready) == 1 else f"{len(ready)} processes"
    context.notes["fact.deployment"] = f"{processes} ready, {answered.answered} answers in 24 h in {name}."
    return {
        "healthy": float(serves and (bool(ready) or answered.answered > answered.failed)),
        "digest_match": float(serves),
        "answering": float(answered.answered > 0),
        "ready_instances": float(len(ready)),
    }


def _monitoring(context: FactContext) -> Claims:
    space, workspace = context.space, context.workspace
    claims: dict[str, float] = {"dashboard": 1.0}
    if space is not None:
        last = context.reading.traffic.last.get((space.name, context.workflow.name))
        named = {*space.monitoring.metrics_export, *space.monitoring.destinations}
        claims["logs"] = float(last is not None)
        claims["metrics"] = float(last is not None)
        if last is not None:
            claims["last_sample_age_s"] = max(0.0, (context.now - last).total_seconds())
        context.notes["fact.monitoring"] = f"Last sample of {space.name}: {last or 'never'}."
        if named:
            known = {*workspace.exporters, *workspace.channels}
            claims["exporters_ok"] = float(named <= known)
        else:
            context.notes["fact.monitoring"] += " It names no exporter under monitoring, so nobody is told of anything."
    tested = context.snapshot.stated.get(("alert_test", context.workflow.name))
    claims["alert_test_ok"] = float(tested is not None)
    if tested is not None:
        claims["alert_test_age_h"] = (context.now - tested).total_seconds() / 3600
    return claims


def _space(context: FactContext) -> Claims:
    spaces = context.workspace.spaces
    production = [space for space in spaces.values() if space.tier is Tier.PRODUCTION]
    if context.space is None or not production:
        return {}
    found = set(differences(context.space, production[0]))
    allowed = context.space.differs_from
    open_ = sorted(key for key in found if not any(key == one or key.startswith(f"{one}.") for one in allowed))
    if open_:
        context.notes["fact.space"] = f"Not listed under differs_from: {', '.join(open_[:8])}."
    return {"unapproved_differences_to_production": float(len(open_))}


def _oncall(context: FactContext) -> Claims:
    rota = context.workspace.operations.rotas.get(context.workflow.on_call)
    if rota is None:
        context.notes["fact.oncall"] = f"There is no rota {context.workflow.on_call!r} in oncall.yaml."
        return {}
    duty = on_duty(rota, context.now)
    page = context.snapshot.stated.get(("test_page", context.workflow.name))
    is_fresh = page is not None and context.now - page <= timedelta(days=1)
    return {
        "primary_now": float(len(duty) > 0 and duty[0] is not None),
        "secondary_now": float(len(duty) > 1 and duty[1] is not None),
        "days_covered": float(days_covered(rota, context.now)),
        "acknowledged_test_page": float(is_fresh),
    }


def _roster(context: FactContext) -> Claims:
    seats = context.workspace.seats
    return {"seats_filled": float(len(seats)), "seats_empty": 0.0}


def _risks(context: FactContext) -> Claims:
    open_ = untreated(context.risks, context.now.date())
    if open_:
        context.notes["fact.risks"] = f"Untreated: {', '.join(one.id for one in open_[:8])}."
    states = Counter(
        one.state(context.now) for one in context.snapshot.mitigations if one.workflow == context.workflow.name
    )
    late = states[MitigationState.OVERDUE]
    return {
        "untreated": float(len(open_)),
        "without_owner": float(len(without_owner(context.risks))),
        "mitigations_open": float(states[MitigationState.OPEN] + late),
        "mitigations_overdue": float(late),
    }


def _rollout(context: FactContext) -> Claims:
    claims: dict[str, float] = {}
    if context.space is not None:
        history = context.snapshot.served.get((context.space.name, context.workflow.name), ())
        target = rollback_target(history, away_from=context.release.digest)
        claims["rollback_target_authorised"] = float(target.kind is not TargetKind.MAINTENANCE)
        context.notes["fact.rollout"] = f"Rollback target in {context.space.name}: {target.release or target.kind}."
    if context.undecidable is not None:
        claims["undecidable_metrics"] = float(context.undecidable)
    return claims


def _budget(context: FactContext) -> Claims:
    approval = context.workflow.documents.get("budget-approval")
    claims = {"approved": float(approval is not None and bool(approval.notes.get("approved_by")))}
    month = context.workflow.budgets.cost_month_nano
    if month is None:
        context.notes["fact.budget"] = "workflow.yaml sets no cost_month budget to forecast against."
        return claims
    costs = context.workspace.operations.costs.lines
    usage = sum(
        line.amount
        for line in costs
        if line.cost_class.value == "usage"
        and line.per.value == "month"
        and line.workflow in {None, context.workflow.name}
    )
    claims["forecast_over_budget"] = float(usage * 1_000_000_000 > month)
    return claims


def _cab_pack(context: FactContext) -> Claims:
    if context.pack_missing is None:
        return {}
    return {"generated": 1.0, "sections_missing": float(context.pack_missing)}


def _freeze(context: FactContext) -> Claims:
    if context.space is None:
        return {}
    found = frozen(context.workspace.freezes, context.space.name, context.now)
    incidents = [one for one in _open_incidents(context) if one.freezes and one.freeze_lifted_at is None]
    if found:
        context.notes["fact.freeze"] = found[0].text
    return {"active": float(len(found) + len(incidents))}


def _open_incidents(context: FactContext) -> list[StoredIncident]:
    return [one for one in context.snapshot.incidents if one.workflow == context.workflow.name]


def _incident(context: FactContext) -> Claims:
    space, name = context.space, context.workflow.name
    if space is None:
        critical = [one for one in _open_incidents(context) if one.severity.pages]
    else:
        critical = [one for one in context.snapshot.incidents if one.stands_against(name, space.name)]
    if critical:
        context.notes["fact.incident"] = f"Open: {', '.join(one.id for one in critical[:8])}."
    return {"open_critical": float(len(critical))}


def _drift(context: FactContext) -> Claims:
    """Count open differences and processes behind the routing row; a routed space nobody looked at for 180 s is one."""
    if context.space is None:
        return {}
    name, release = context.space.name, context.release.digest
    found = [*_differing(context, name, release), *_drifted(context, name)]
    if _route(context, name).generation > 0 and name not in context.snapshot.looked:
        found.append("DRIFT_UNKNOWN")
    if found:
        context.notes["fact.drift"] = f"In {name}: {', '.join(found[:8])}."
    return {"open": float(len(found))}


def _differing(context: FactContext, space: SpaceName, release: Digest) -> list[str]:
    """Return the open drift of the workflow in a space that stands against a release."""
    return [
        one.reason.code
        for one in context.snapshot.drift
        if (one.space, one.workflow) == (space, context.workflow.name)
        and one.stands_against(release)
        and one.counts(context.now)
    ]


def _drifted(context: FactContext, space: SpaceName) -> list[str]:
    """Return the live processes of a space that do not serve what its routing row names."""
    route = _route(context, space)
    return [
        ack.process
        for ack in _alive(context, space)
        if ack.generation != route.generation or (route.stable is not None and route.stable not in ack.loaded)
    ]


def _ledger(context: FactContext) -> Claims:
    return {"unrecorded": float(context.reading.traffic.unrecorded.get(context.workflow.name, 0))}


def _route(context: FactContext, space: SpaceName) -> Route:
    name = context.workflow.name
    return context.snapshot.routes.get((space, name)) or Route(space=space, workflow=name)


def _alive(context: FactContext, space: SpaceName) -> list[Ack]:
    return [ack for ack in context.snapshot.acks.get((space, context.workflow.name), ()) if ack.is_alive]


_FACTS: Mapping[str, Callable[[FactContext], Claims]] = {
    "fact.release": _release,
    "fact.corpus": _corpus,
    "fact.residency": _residency,
    "fact.deployment": _deployment,
    "fact.monitoring": _monitoring,
    "fact.space": _space,
    "fact.oncall": _oncall,
    "fact.roster": _roster,
    "fact.risks": _risks,
    "fact.rollout": _rollout,
    "fact.budget": _budget,
    "fact.cab_pack": _cab_pack,
    "fact.freeze": _freeze,
    "fact.incident": _incident,
    "fact.drift": _drift,
    "fact.ledger": _ledger,
}
