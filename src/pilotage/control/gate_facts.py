"""What Pilotage itself knows about a release on its way: every `fact.*` of gates.md 3, computed when it is asked for.

Rule: a fact comes from our own tables and the declared workspace, never from an upload. Fail mode: what cannot be known
is absent with a note that says why, and its criterion is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.gate.risks import Risk, untreated, without_owner
from pilotage.incident.duty import days_covered, on_duty
from pilotage.release.manifest import Manifest, PartKind
from pilotage.rollout.freezes import frozen
from pilotage.rollout.target import Served, TargetKind, rollback_target
from pilotage.space.digest import differences
from pilotage.space.settings import Space, Tier
from pilotage.store.gate_facts import answering, last_interaction, newest_fact, overdue_takedowns, unrecorded
from pilotage.store.incidents import StoredIncident, list_incidents
from pilotage.store.releases import StoredRelease, find_release
from pilotage.store.routes import acks_of, read_route, served_before
from pilotage.workspace.workflow import Workflow

Claims = Mapping[str, float]
_ANSWER_WINDOW = timedelta(days=1)
_SAMPLE_WINDOW = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactContext:
    """What facts are computed from. `space`: the one the gate looks at; `risks`: the register; `pack`: its facts."""

    connection: Connection
    instance: Instance
    release: StoredRelease
    manifest: Manifest
    workflow: Workflow
    space: Space | None
    now: datetime
    risks: tuple[Risk, ...] = ()
    undecidable: int | None = None
    pack_missing: int | None = None
    notes: dict[str, str] = field(default_factory=dict)


def facts_of(context: FactContext, kinds: frozenset[str]) -> dict[str, Claims]:
    """Return the claims of every asked `fact.*` kind that can be known."""
    return {kind: _FACTS[kind](context) for kind in sorted(kinds) if kind in _FACTS}


def _release(context: FactContext) -> Claims:
    return {"parts_present": float(len(set(context.manifest.parts) & set(PartKind)))}


def _corpora(context: FactContext) -> tuple[str, ...]:
    return tuple(str(one.name) for one in context.workflow.retrieval.corpora.values())


def _corpus(context: FactContext) -> Claims:
    declared = context.instance.workspace.corpora
    names = _corpora(context)
    settings = [one for name, one in declared.items() if name in names]
    # A derived corpus keeps what its source keeps; its text passed the redaction or was rejected, document by document.
    without = sum(1 for one in settings if one.retention_days is None and one.derived_from is None)
    claims = {
        "without_retention": float(without),
        "overdue_takedowns": float(overdue_takedowns(context.connection, names, context.now)),
    }
    stage = None if context.space is None else context.space.data_stage
    reference = None if stage is None else context.workflow.retrieval.corpora.get(stage)
    used = None if reference is None else declared.get(reference.name)
    if used is not None:
        claims["unredacted_pii"] = 0.0 if used.derived_from is not None or used.data_stage == stage else 1.0
    return claims


def _residency(context: FactContext) -> Claims:
    spaces = [space for space in context.instance.workspace.spaces.values() if space.tier is not Tier.SANDBOX]
    return {"violations": float(len(residency_violations(context, spaces)))}


def residency_violations(context: FactContext, spaces: list[Space]) -> list[str]:
    """Return, for each space whose data or model would stand outside its regions, what does."""
    found: list[str] = []
    provider = context.instance.workspace.providers.get(context.workflow.model.provider)
    for space in spaces:
        if not space.regions:
            continue
        reference = context.workflow.retrieval.corpora.get(space.data_stage)
        settings = None if reference is None else context.instance.workspace.corpora.get(reference.name)
        region = None if provider is None else provider.region
        if region is not None and region not in space.regions:
            found.append(f"{space.name}: model in {region}")
        if settings is not None and settings.region not in {*space.regions, "global"}:
            found.append(f"{space.name}: corpus {settings.name} in {settings.region}")
    return found


def _deployment(context: FactContext) -> Claims:
    if context.space is None:
        return {}
    name, digest = context.space.name, context.release.digest
    route = read_route(context.connection, name, context.workflow.name)
    acks = [ack for ack in acks_of(context.connection, name, context.workflow.name) if ack.is_alive]
    ready = [ack for ack in acks if digest in ack.loaded]
    answered = answering(context.connection, name, context.workflow.name, digest, since=context.now - _ANSWER_WINDOW)
    serves = digest in {route.stable, route.candidate}
    context.notes["fact.deployment"] = f"{len(ready)} processes ready, {answered.answered} answers in 24 h in {name}."
    return {
        "healthy": float(serves and (bool(ready) or answered.answered > answered.failed)),
        "digest_match": float(serves),
        "answering": float(answered.answered > 0),
        "ready_instances": float(len(ready)),
    }


def _monitoring(context: FactContext) -> Claims:
    space, workspace = context.space, context.instance.workspace
    claims: dict[str, float] = {"dashboard": 1.0}
    if space is not None:
        since = context.now - _SAMPLE_WINDOW
        last = last_interaction(context.connection, space.name, context.workflow.name, since=since)
        named = {*space.monitoring.metrics_export, *space.monitoring.destinations}
        claims["logs"] = float(last is not None)
        claims["metrics"] = float(last is not None)
        claims["exporters_ok"] = float(all(one in workspace.exporters or one in workspace.channels for one in named))
        if last is not None:
            claims["last_sample_age_s"] = max(0.0, (context.now - last).total_seconds())
        context.notes["fact.monitoring"] = f"Last sample of {space.name}: {last or 'never'}."
    tested = newest_fact(context.connection, "alert_test", workflow=context.workflow.name)
    claims["alert_test_ok"] = float(tested is not None)
    if tested is not None:
        claims["alert_test_age_h"] = (context.now - tested.at).total_seconds() / 3600
    return claims


def _space(context: FactContext) -> Claims:
    spaces = context.instance.workspace.spaces
    production = [space for space in spaces.values() if space.tier is Tier.PRODUCTION]
    if context.space is None or not production:
        return {}
    found = set(differences(context.space, production[0]))
    allowed = context.space.differs_from
    open_ = sorted(key for key in found if not any(key.startswith(one) for one in allowed))
    if open_:
        context.notes["fact.space"] = f"Not listed under differs_from: {', '.join(open_[:8])}."
    return {"unapproved_differences_to_production": float(len(open_))}


def _oncall(context: FactContext) -> Claims:
    rota = context.instance.workspace.operations.rotas.get(context.workflow.on_call)
    if rota is None:
        context.notes["fact.oncall"] = f"There is no rota {context.workflow.on_call!r} in oncall.yaml."
        return {}
    duty = on_duty(rota, context.now)
    page = newest_fact(context.connection, "test_page", workflow=context.workflow.name)
    is_fresh = page is not None and context.now - page.at <= timedelta(days=1)
    return {
        "primary_now": float(len(duty) > 0 and duty[0] is not None),
        "secondary_now": float(len(duty) > 1 and duty[1] is not None),
        "days_covered": float(days_covered(rota, context.now)),
        "acknowledged_test_page": float(is_fresh),
    }


def _roster(context: FactContext) -> Claims:
    seats = context.instance.workspace.seats
    return {"seats_filled": float(len(seats)), "seats_empty": 0.0}


def _risks(context: FactContext) -> Claims:
    open_ = untreated(context.risks)
    if open_:
        context.notes["fact.risks"] = f"Untreated: {', '.join(one.id for one in open_[:8])}."
    return {"untreated": float(len(open_)), "without_owner": float(len(without_owner(context.risks)))}


def _rollout(context: FactContext) -> Claims:
    claims: dict[str, float] = {}
    if context.space is not None:
        history = [
            _served(context, digest)
            for digest in served_before(context.connection, context.space.name, context.workflow.name)
        ]
        target = rollback_target(history, away_from=context.release.digest)
        claims["rollback_target_authorised"] = float(target.kind is not TargetKind.MAINTENANCE)
        context.notes["fact.rollout"] = f"Rollback target in {context.space.name}: {target.release or target.kind}."
    if context.undecidable is not None:
        claims["undecidable_metrics"] = float(context.undecidable)
    return claims


def _served(context: FactContext, digest: Digest) -> Served:
    found = find_release(context.connection, digest)
    if found is None:
        return Served(release=digest, state=context.release.state, loads=False)
    return Served(release=found.digest, state=found.state)


def _budget(context: FactContext) -> Claims:
    approval = context.workflow.documents.get("budget-approval")
    claims = {"approved": float(approval is not None and bool(approval.notes.get("approved_by")))}
    month = context.workflow.budgets.cost_month_nano
    if month is None:
        context.notes["fact.budget"] = "workflow.yaml sets no cost_month budget to forecast against."
        return claims
    costs = context.instance.workspace.operations.costs.lines
    usage = sum(
        line.amount
        for line in costs
        if line.cost_class.value == "usage"
        and line.per.value == "month"
        and line.workflow in {None, context.workflow.name}
    )
    claims["forecast_over_budget"] = float(usage > month / 1_000_000_000)
    return claims


def _cab_pack(context: FactContext) -> Claims:
    if context.pack_missing is None:
        return {}
    return {"generated": 1.0, "sections_missing": float(context.pack_missing)}


def _freeze(context: FactContext) -> Claims:
    if context.space is None:
        return {}
    found = frozen(context.instance.workspace.freezes, context.space.name, context.now)
    incidents = [one for one in _open_incidents(context) if one.freezes and one.freeze_lifted_at is None]
    if found:
        context.notes["fact.freeze"] = found[0].text
    return {"active": float(len(found) + len(incidents))}


def _open_incidents(context: FactContext) -> list[StoredIncident]:
    listed = list_incidents(context.connection, workflow=context.workflow.name, only_open=True)
    return [one for one in listed if not one.is_drill]


def _incident(context: FactContext) -> Claims:
    space = context.space
    critical = [
        one
        for one in _open_incidents(context)
        if one.severity.pages and (space is None or space.name in one.spaces or one.space == space.name)
    ]
    return {"open_critical": float(len(critical))}


def _drift(context: FactContext) -> Claims:
    if context.space is None:
        return {}
    return {"open": float(len(drift_of(context, context.space.name)))}


def drift_of(context: FactContext, space: SpaceName) -> list[str]:
    """Return the live processes of a space that do not serve what its routing row names."""
    route = read_route(context.connection, space, context.workflow.name)
    acks = [ack for ack in acks_of(context.connection, space, context.workflow.name) if ack.is_alive]
    return [
        ack.process
        for ack in acks
        if ack.generation != route.generation or (route.stable is not None and route.stable not in ack.loaded)
    ]


def _ledger(context: FactContext) -> Claims:
    until = context.now - timedelta(minutes=1)
    since = until - timedelta(days=1)
    return {"unrecorded": float(unrecorded(context.connection, context.workflow.name, since=since, until=until))}


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
