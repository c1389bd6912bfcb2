"""The half of a CAB pack that is about the release: what it is, what it is for, what changed, what the gates found.

Rule: every value comes from the sealed release, the declared workflow or a gate's report; ages count from the chain's
time. Fail mode: what is not there is `MISSING`.
"""

from __future__ import annotations

from pilotage.control.gate_case import Chain
from pilotage.control.gate_facts import listed_by
from pilotage.control.release_diffs import diff_on
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.records import Evidence
from pilotage.gate.pack import MISSING, or_missing
from pilotage.gate.report import CriterionResult, GateReport, SignoffResult
from pilotage.gate.vocabulary import Half
from pilotage.release.manifest import PartKind
from pilotage.release.residency import embedding_host, outside_host
from pilotage.retrieval.settings import Embedding
from pilotage.store.releases import find_release
from pilotage.workspace.workflow import Kpi, WorkflowDocument

FIRST_RELEASE = "none: this is the first release"
_HOUR_S = 3600
_MOST_LINES = 40


def overview(chain: Chain) -> Json:
    """Return what is decided about, who answers for it, and who wrote each part."""
    flow, stored = chain.workflow, chain.stored
    return {
        "title": or_missing(flow.title),
        "workflow": flow.name,
        "description": or_missing(flow.description),
        "owner": or_missing(flow.owner),
        "data_owner": or_missing(flow.data_owner),
        "security_owner": or_missing(flow.security_owner),
        "risk_tier": flow.risk_tier.value,
        "release": stored.digest,
        "parent": stored.parent or FIRST_RELEASE,
        "sealed_by": stored.sealed_by,
        "sealed_at": to_text(stored.sealed_at),
        "parts": [
            {
                "part": str(kind),
                "digest": chain.manifest.parts[kind],
                "authors": or_missing(sorted(chain.release.authors.get(str(kind), ()))),
            }
            for kind in PartKind
        ],
    }


def justification(chain: Chain) -> Json:
    """Return the KPIs with baseline and target, and the targets of quality."""
    flow = chain.workflow
    return {
        "kpis": or_missing([_kpi(kpi) for kpi in flow.kpis]),
        "targets": {name: flow.targets[name] for name in sorted(flow.targets)},
        "latency_p95_ms": flow.sla_p95_ms,
        "requests_per_day": or_missing(flow.expected_per_day),
        "objectives": [
            {"name": slo.name, "metric": slo.metric.value, "objective": slo.objective, "days": slo.window_days}
            for slo in flow.slos
        ],
    }


def _kpi(kpi: Kpi) -> Json:
    return {
        "id": kpi.id,
        "name": kpi.name,
        "unit": kpi.unit,
        "direction": kpi.direction.value,
        "baseline": or_missing(kpi.baseline),
        "baseline_date": or_missing(None if kpi.baseline_date is None else kpi.baseline_date.isoformat()),
        "target": kpi.target,
        "source": kpi.source.value,
    }


def architecture(chain: Chain) -> Json:
    """Return what answers from which data in which region, what it may reach, and the architecture document's state."""
    flow = chain.workflow
    return {
        "model": _model(chain),
        "data": or_missing([_data(chain, str(stage), str(ref.name)) for stage, ref in flow.retrieval.corpora.items()]),
        "checks": [
            {"id": one.id, "stage": str(one.stage), "action": str(one.action), "on_failure": str(one.fail)}
            for one in flow.guard.checks
        ],
        "tools": [f"{one.server}/{one.tool}" for one in flow.guard.tools],
        "egress": [f"{one.host}:{one.port} ({one.purpose})" for one in flow.guard.egress],
        "integrations": [
            {"id": one.id, "system": one.system, "owner": or_missing(one.owner)} for one in flow.integrations
        ],
        "human_review": [{"id": one.id, "when": one.when, "role": one.role} for one in flow.human_review],
        "document": document(chain, "architecture"),
    }


def _model(chain: Chain) -> Json:
    """Return the sealed model, where it answers, and who outside sees what it is asked; MISSING for what nobody says.

    A model on this machine or in the process has no subprocessor.
    """
    models = chain.reading.models_of(chain.manifest)
    if models is None:
        return MISSING
    sealed, embedding = models
    host = outside_host(sealed)
    regions = None if host is None else listed_by(chain.evidence, chain.now).get(host)
    return {
        "provider": str(sealed.provider),
        "model": sealed.model,
        "pin": f"{sealed.pin_kind} {sealed.pin}",
        "region": or_missing(sealed.region) if host is not None else sealed.region or "inside the process",
        "subprocessor": "none" if host is None else or_missing(regions and f"{host} ({', '.join(regions)})"),
        **({} if embedding is None else {"embedding": _embedding(chain, embedding)}),
    }


def _embedding(chain: Chain, sealed: Embedding) -> Json:
    """Return the sealed embedding model as the model that answers; it sees every question and every passage."""
    host = embedding_host(sealed)
    regions = None if host is None else listed_by(chain.evidence, chain.now).get(host)
    return {
        "model": sealed.model,
        "pin": f"{sealed.pin_kind} {sealed.pin}".strip(),
        "region": or_missing(sealed.region) if host is not None else sealed.region or "on this machine",
        "subprocessor": "none" if host is None else or_missing(regions and f"{host} ({', '.join(regions)})"),
    }


def _data(chain: Chain, stage: str, name: str) -> Json:
    found = next((one for key, one in chain.instance.workspace.corpora.items() if key == name), None)
    if found is None:
        return {"stage": stage, "corpus": name, "region": MISSING, "retention_days": MISSING}
    kept = found.retention_days
    source = "as its source" if found.derived_from is not None else MISSING
    return {
        "stage": stage,
        "corpus": name,
        "region": str(found.region),
        "retention_days": source if kept is None else kept,
    }


def document(chain: Chain, kind: str) -> Json:
    """Return a declared document's owner, version and validity; `MISSING` when there is none."""
    found: WorkflowDocument | None = chain.workflow.documents.get(kind)
    if found is None:
        return MISSING
    return {
        "file": found.file,
        "owner": or_missing(found.owner),
        "version": or_missing(found.version),
        "valid_until": or_missing(None if found.valid_until is None else found.valid_until.isoformat()),
        "words": found.words,
    }


def changes(chain: Chain) -> Json:
    """Return the difference to the parent release part by part; with the flags of that to the last approved one too."""
    parent = chain.stored.parent
    if parent is None:
        return {"before": FIRST_RELEASE, "flags": [], "parts": []}
    if find_release(chain.connection, parent) is None:
        return {"before": parent, "flags": MISSING, "parts": MISSING}
    found = diff_on(chain.connection, parent, chain.stored.digest)
    parts: list[Json] = [
        {"part": str(one.kind), "state": "same" if one.is_same else "changed", "detail": _shortened(one.detail)}
        for one in found.parts
    ]
    return {"before": parent, "flags": [*chain.flags], "parts": parts}


def _shortened(detail: tuple[str, ...]) -> list[Json]:
    rest = len(detail) - _MOST_LINES
    return [*detail[:_MOST_LINES], *([f"and {rest} more lines"] if rest > 0 else [])]


def gates(chain: Chain, names: tuple[str, ...]) -> Json:
    """Return the result of every gate before the board: numbers, sign-offs, evidence ids and ages."""
    by_id = {item.id: item for item in chain.evidence}
    return or_missing([_gate(chain, chain.reports[(name, Half.PRE)], by_id) for name in names])


def _gate(chain: Chain, report: GateReport, by_id: dict[str, Evidence]) -> Json:
    rows = [row for criterion in report.criteria for row in _criterion(criterion)]
    current = [by_id[name] for name in report.evidence if name in by_id]
    return {
        "gate": report.gate,
        "status": report.status.value,
        "attempt": report.attempt,
        "criteria": rows,
        "signoffs": [_signoff(one) for one in report.signoffs],
        "evidence": [_evidence(chain, item) for item in current],
    }


def _criterion(one: CriterionResult) -> list[Json]:
    """Return a row per condition; one without any for a criterion that is not applicable or has no evidence."""
    nothing = "-" if one.state == "n/a" else MISSING
    shared: dict[str, Json] = {"criterion": one.id, "accepted_by": one.accepted_by}
    if not one.checks:
        return [
            {**shared, "kind": "-", "condition": "-", "observed": nothing, "state": one.state, "evidence": []},
        ]
    return [
        {
            **shared,
            "kind": check.kind,
            "condition": check.condition,
            "observed": check.observed or nothing,
            "state": check.outcome.value,
            "evidence": list(check.evidence),
        }
        for check in one.checks
    ]


def _signoff(one: SignoffResult) -> Json:
    return {
        "role": one.role.value,
        "needed": one.needed,
        "approved_by": sorted({*one.approved_by, *one.via_review}),
        "rejected_by": sorted(one.rejected_by),
    }


def _evidence(chain: Chain, item: Evidence) -> Json:
    age_h = age_of(item, chain.now).total_seconds() / _HOUR_S
    return {
        "id": item.id,
        "kind": item.kind,
        "trust": item.trust.value,
        "producer": item.producer,
        "age_h": round(age_h, 1),
        "counts_until": to_text(min(item.produced_at, item.received_at) + window_of(item.kind)),
        "sha256": item.sha256,
    }
