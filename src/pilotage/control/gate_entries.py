"""What ledger entries say of the rows a gate is decided from: written with the row, and compared with it afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC

from pilotage.core.canonical import Form, Json
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of, digest_of_json
from pilotage.core.ids import WorkflowName
from pilotage.evaluation.mitigation import Closing, Mitigation
from pilotage.evidence.records import Evidence
from pilotage.evidence.superseding import ENGINE, VERDICT
from pilotage.gate.records import RiskAcceptance, Vote
from pilotage.gate.standard import StandardChange, StandardTemplate, TemplateVote


def vote_data(vote: Vote) -> dict[str, Json]:
    """Return what the entry of a vote says; person and comment are opened apart."""
    return {
        "release": vote.release,
        "gate": vote.gate,
        "half": vote.half.value,
        "attempt": vote.attempt,
        "role": vote.role.value,
        "seat": vote.is_seat,
        "decision": vote.decision.value,
        "bind": vote.bind,
        "evidence_set": vote.bound.evidence_set,
        "policy": vote.bound.policy,
    }


def evidence_data(item: Evidence) -> dict[str, Json]:
    """Return what the entry of an item says that never changes; its state does."""
    return {
        "sha256": item.sha256,
        "kind": item.kind,
        "about": {"kind": item.subject_kind.value, "id": item.subject},
        "trust": item.trust.value,
        "suite": item.suite,
        "claims": fixed(item.claims),
        "produced_at": to_text(item.produced_at),
        "verdict": item.refs.get(VERDICT, ""),
        "engine": item.refs.get(ENGINE, ""),
        "reading": reading_digest(item),
    }


def reading_digest(item: Evidence) -> str:
    """Return the digest of all that a reader made of the bytes, and of where it was made."""
    findings: list[Json] = []  # one flat list: the canonical form of ten thousand objects takes a second
    for one in item.findings:
        findings += [one.rule, one.severity.value, one.title, one.component, one.version, one.location, one.suppressed]
    return digest_of_json(
        {
            "claims": {name: repr(float(value)) for name, value in item.claims.items() if math.isfinite(value)},
            "findings": findings,
            "names": {name: list(values) for name, values in item.names.items()},
            "refs": dict(item.refs),
            "reader": item.reader,
            "summary": item.summary,
            "space": item.space or "",
            "space_config": item.space_config or "",
        },
        form=Form.PLAIN,
    )


def risk_data(risk: RiskAcceptance) -> dict[str, Json]:
    """Return what the entry of a risk acceptance says; risk and rationale are opened apart."""
    return {
        "release": risk.release,
        "gate": risk.gate,
        "severity": risk.severity.value,
        "criteria": list(risk.criteria),
        "seats": [seat.value for seat in risk.seats],
        "findings": len(risk.findings),
        "open": None if risk.open_then is None else _open_digest(risk),
        "spaces": list(risk.spaces),
        "expires": risk.expires.astimezone(UTC).isoformat(),
        "approvers": len(risk.approvers),
    }


def _open_digest(risk: RiskAcceptance) -> str:
    found: list[Json] = [one.as_json() for one in risk.open_then or ()]
    return digest_of_json({"findings": list(risk.findings), "open": found}, form=Form.PLAIN)


def template_data(one: StandardTemplate) -> dict[str, Json]:
    """Return what the entry of a proposed template says; reason and proposer are opened apart."""
    return {
        "workflow": one.workflow,
        "parts": list(one.parts),
        "max_share_ppm": round(one.max_share * 1_000_000),
        "max_documents": one.max_documents,
    }


def template_vote_data(template: str, vote: TemplateVote) -> dict[str, Json]:
    """Return what the entry of a vote about a template says; person and comment are opened apart."""
    return {"template": template, "role": vote.role.value, "decision": vote.decision.value}


def change_data(one: StandardChange, workflow: WorkflowName) -> dict[str, Json]:
    """Return what the entry of a standard change says; who declared it is opened apart."""
    return {"release": one.release, "workflow": workflow, "template": one.template}


def mitigation_data(one: Mitigation) -> dict[str, Json]:
    """Return what the entry of a mitigation says; owner and opener are opened apart."""
    return {
        "workflow": one.workflow,
        "release": one.release_before,
        "run": one.run_before,
        "attribute": one.finding.attribute,
        "metric": one.finding.metric,
        "value": _number(one.finding.value),
        "action": digest_of(one.action.encode()),
        "due": one.due.isoformat(),
    }


def closing_data(closing: Closing) -> dict[str, Json]:
    """Return what the entry of a closed mitigation says; its approver is opened apart."""
    return {
        "decision": closing.decision.value,
        "release": closing.release_after,
        "run": closing.run_after,
        "value": _number(closing.value_after),
        "acceptance": closing.acceptance,
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def fixed(claims: Mapping[str, float]) -> dict[str, Json]:
    """Return numbers as the ledger takes them: no fractions, so six digits of text."""
    return {name: int(value) if value == int(value) else f"{value:.6g}" for name, value in sorted(claims.items())}
