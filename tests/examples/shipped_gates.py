"""The shipped pipeline with everything it demands just met: what each gate asks, and its people, evidence and facts.

`DEMANDS` is written from the mission and the specification, not from the files it is held against. Each row reads:
criterion, kinds, claim, a value just refused, a value just taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from tests.gate.builders import LONG_AGO, NOW, SPONSOR, evidence, facts, holder, release, vote

from pilotage.control.load_workspace import load_workspace
from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput, Roster, SeatAt, Tenure
from pilotage.gate.report import CriterionResult, GateReport
from pilotage.gate.vocabulary import GateStatus, Half
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Gate, Trust

BANK = Path(__file__).parents[2] / "examples" / "northlake-bank"
PATHS = {
    "workflow.sla.p95_ms": 2_000.0,
    "workflow.targets.answer_accuracy": 0.80,
    "workflow.targets.hallucination_answer": 0.05,
    "workflow.integrations.count": 4.0,
    "space.rto_s": 300.0,
    "space.rpo_s": 60.0,
    "space.min_instances": 3.0,
}
WHOLE = {"complete": 1.0, "placeholders": 0.0, "valid_days": 30.0}

DEMANDS = {
    "development": """
        model-artifact fact.release parts_present 7 8
        unit-tests tests.unit failed 1 0
        unit-tests tests.unit errors 1 0
        unit-tests tests.unit executed 19 20
        unit-tests tests.unit skipped_share 0.21 0.2
        coverage coverage line_rate 0.8 0.801
        benchmark evaluation scored 29 30
        benchmark evaluation unscored 1 0
        benchmark evaluation p95_ms 2001 2000
    """,
    "code-review": """
        no-critical scan.sast,scan.deps critical 1 0
        no-critical scan.sast,scan.deps unknown 1 0
        no-high scan.sast,scan.deps high 1 0
        audited scan.deps unaudited 1 0
        no-secrets scan.secrets verified 1 0
        no-secrets scan.secrets unverified 1 0
        no-secrets scan.secrets files_scanned 0 1
        licences sbom denied 1 0
        licences sbom unknown_licence 1 0
        licences sbom components 0 1
        quality quality score 90 90.1
        quality quality gate_ok 0 1
        quality quality hotspots_to_review 1 0
        tests tests.unit failed 1 0
        tests tests.unit errors 1 0
        tests tests.unit executed 19 20
        no-open-change-request review.code changes_requested 1 0
    """,
    "model-validation": """
        accuracy evaluation must_pass_failed 1 0
        accuracy evaluation unscored 1 0
        answers evaluation answer_accuracy_lcb 0.79 0.8
        baseline evaluation regressions 1 0
        hallucination evaluation hallucination_answer_ucb 0.051 0.05
        permissions permissions leaks 1 0
        permissions permissions scored 19 20
        red-team redteam critical_failures 1 0
        red-team redteam scored 58 59
        fairness fairness groups 1 2
        fairness fairness min_group_n 29 30
        fairness fairness worst_gap_ucb 0.11 0.1
        fairness fairness worst_ratio_lcb 0.79 0.8
        latency load.expected p95 2001 2000
        latency load.expected error_rate 0.001 0.0009
        stress load.stress error_rate 0.01 0.009
        data-audit lineage without_lineage 1 0
        data-audit lineage without_owner 1 0
    """,
    "compliance": """
        lineage lineage without_lineage 1 0
        classification classification unlabelled 1 0
        classification classification pii_unhandled 1 0
        retention fact.corpus without_retention 1 0
        retention fact.corpus overdue_takedowns 1 0
        residency fact.residency violations 1 0
        redaction redteam pii_leaks 1 0
    """,
    "dev-exit": """
        deployed fact.deployment healthy 0 1
        deployed fact.deployment digest_match 0 1
        deployed fact.deployment answering 0 1
        automated tests.integration,tests.api,tests.smoke failed 1 0
        automated tests.integration,tests.api,tests.smoke errors 1 0
        automated tests.integration,tests.api,tests.smoke executed 0 1
        automated tests.integration,tests.api,tests.smoke skipped_share 0.21 0.2
        developer-tests tests.functional failed 1 0
        developer-tests tests.functional errors 1 0
        developer-tests tests.functional executed 0 1
        load load.expected error_rate 0.01 0.009
        monitoring fact.monitoring logs 0 1
        monitoring fact.monitoring metrics 0 1
        monitoring fact.monitoring dashboard 0 1
        monitoring fact.monitoring last_sample_age_s 121 120
    """,
    "qa": """
        critical-path coverage critical_rate 0.99 1
        critical-path coverage missing_critical 1 0
        coverage coverage line_rate 0.89 0.9
        suites tests.functional,tests.regression,tests.e2e failed 1 0
        suites tests.functional,tests.regression,tests.e2e errors 1 0
        suites tests.functional,tests.regression,tests.e2e executed 0 1
        suites tests.functional,tests.regression,tests.e2e skipped_share 0.11 0.1
        integrations tests.integration failed 1 0
        integrations tests.integration points_tested 3 4
        accessibility accessibility critical 1 0
        accessibility accessibility serious 1 0
        accessibility accessibility rules_run 49 50
        load load.expected p95 2001 2000
        load load.expected error_rate 0.001 0.0009
        stress load.stress volume_ratio 1.9 2
        stress load.stress error_rate 0.01 0.009
        pentest pentest critical 1 0
        pentest pentest high 1 0
        pentest pentest independent 0 1
        authorisation tests.security failed 1 0
        authorisation tests.security errors 1 0
        authorisation tests.security executed 0 1
        permissions permissions leaks 1 0
        permissions permissions scored 2999 3000
        encryption tests.encryption failed 1 0
        encryption tests.encryption executed 0 1
    """,
    "uat": """
        identical fact.space unapproved_differences_to_production 1 0
        no-production-pii fact.corpus unredacted_pii 1 0
        uat uat testers 4 5
        uat uat pass_rate 0.94 0.95
        uat uat open_critical 1 0
        uat uat blocked 1 0
        peak load.peak p95 2001 2000
        peak load.peak error_rate 0.001 0.0009
        sustained load.sustained duration_s 86399 86400
        sustained load.sustained max_gap_s 61 60
        sustained load.sustained error_rate 0.001 0.0009
        sustained load.sustained drift_ratio 1.21 1.2
        failover failover runs 0 1
        failover failover rto_s 301 300
        failover failover lost_requests 1 0
        recovery recovery runs 0 1
        recovery recovery rpo_s 61 60
        rollback-drill drill.rollback verified 0 1
        rollback-drill drill.rollback seconds_to_zero_traffic 300 299
        on-call fact.oncall primary_now 0 1
        on-call fact.oncall secondary_now 0 1
        on-call fact.oncall days_covered 29 30
        training training share 0.99 1
    """,
    "cab": """
        risks-treated fact.risks untreated 1 0
        risks-treated fact.risks without_owner 1 0
        rollback-drill drill.rollback verified 0 1
        rollback-drill drill.rollback seconds_to_zero_traffic 300 299
        rollback-target fact.rollout rollback_target_authorised 0 1
        preflight fact.rollout undecidable_metrics 1 0
        budget fact.budget approved 0 1
        budget fact.budget forecast_over_budget 1 0
        support fact.oncall primary_now 0 1
        support fact.oncall secondary_now 0 1
        support fact.oncall days_covered 29 30
        pack fact.cab_pack generated 0 1
        pack fact.cab_pack sections_missing 1 0
    """,
    "go-live": """
        no-freeze fact.freeze active 1 0
        no-incident fact.incident open_critical 1 0
        no-drift fact.drift open 1 0
        monitoring-ready fact.monitoring exporters_ok 0 1
        monitoring-ready fact.monitoring alert_test_ok 0 1
        monitoring-ready fact.monitoring alert_test_age_h 25 24
        on-call-now fact.oncall primary_now 0 1
        on-call-now fact.oncall acknowledged_test_page 0 1
    """,
    "go-live post": """
        deployed fact.deployment healthy 0 1
        deployed fact.deployment digest_match 0 1
        deployed fact.deployment ready_instances 2 3
        monitoring-active fact.monitoring logs 0 1
        monitoring-active fact.monitoring metrics 0 1
        monitoring-active fact.monitoring last_sample_age_s 61 60
        recording fact.ledger unrecorded 1 0
    """,
}
"""By gate, and `go-live post` for what is confirmed after the first traffic."""

DOCUMENTS = {
    "development": "architecture security-considerations",
    "code-review": "architecture api",
    "model-validation": "model-card risk-assessment validation-report",
    "compliance": "pia data-retention terms-of-service subprocessors",
    "uat": "runbook incident-response rollback-procedure user-guide api operations-manual training-material",
    "cab": "risk-assessment rollback-procedure runbook communication-plan budget-approval",
}
SIGNERS = {
    "code-review": ["senior-engineer", "senior-engineer"],
    "model-validation": ["model-risk"],
    "compliance": ["data-governance-lead", "privacy-officer", "compliance-officer", "legal"],
    "dev-exit": ["devops-lead"],
    "qa": ["qa-lead"],
    "uat": ["business-owner", "uat-participant", "uat-participant", "operations-manager"],
    "cab": [
        "it-director",
        "business-leadership",
        "security-director",
        "risk-management",
        "operations-lead",
        "business-sponsor",
        "executive-sponsor",
    ],
    "go-live": ["operations-lead"],
    "go-live post": ["operations-lead"],
}
"""Who signs, in order; a role as often as different people of it are needed."""

CHECKLISTS = {
    ("model-validation", "model-risk"): (
        "model card reviewed",
        "training data audited",
        "architecture assessed",
        "bias acceptable",
    ),
    ("compliance", "data-governance-lead"): ("lineage", "classification", "PII handling", "retention"),
    ("compliance", "privacy-officer"): ("PIA", "GDPR", "anonymisation", "consent"),
    ("compliance", "compliance-officer"): (
        *("SEC", "FINRA", "Bank Secrecy Act", "Fair Lending"),
        *("sec.records", "sec.statements", "sec.customer-information", "sec.inside-information"),
        "sec.recommendations",
        *("finra.supervision", "finra.vendors", "finra.records", "finra.communications"),
        *("bsa.no-tipping-off", "bsa.records", "bsa.escalation"),
    ),
    ("compliance", "legal"): ("terms", "liability", "intellectual property"),
    ("qa", "qa-lead"): ("exploratory testing done", "usability findings filed"),
}


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One claim of one kind that a criterion asks for."""

    criterion: str
    kind: str
    claim: str
    refused: float
    taken: float


def demands(name: str) -> list[Demand]:
    """Return every demand of a gate."""
    rows = (line.split() for line in DEMANDS[name].strip().splitlines())
    return [
        Demand(criterion=criterion, kind=kind, claim=claim, refused=float(refused), taken=float(taken))
        for criterion, kinds, claim, refused, taken in rows
        for kind in kinds.split(",")
    ]


def gate_named(name: str) -> tuple[Gate, Half]:
    """Return the shipped gate, and which half of it a name of `DEMANDS` means."""
    gate, _, half = name.partition(" ")
    return _gates()[gate], Half(half or "pre")


@cache
def _gates() -> Mapping[str, Gate]:
    return load_workspace(BANK).gates


def claims_met(name: str) -> dict[str, dict[str, float]]:
    """Return claims by kind that just meet every demand."""
    met: dict[str, dict[str, float]] = {}
    for one in demands(name):
        met.setdefault(one.kind, {})[one.claim] = one.taken
    for document in DOCUMENTS.get(name, "").split():
        met[f"document.{document}"] = dict(WHOLE)
    return met


def given(name: str, claims: Mapping[str, Mapping[str, float]]) -> GateInput:
    """Return a gate's input with these claims and nobody's vote; every gate before it is approved."""
    gate, half = gate_named(name)
    space = None if gate.space is None else SpaceName(gate.space)
    brought = tuple(
        evidence(kind, held, space=space, trust=Trust.ATTESTED)
        for kind, held in claims.items()
        if not kind.startswith("fact.")
    )
    known = replace(
        facts(gate),
        gates=dict.fromkeys(gate.after, GateStatus.APPROVED),
        paths=PATHS,
        switches=frozenset({"workflow.code"}),
        claims={kind: held for kind, held in claims.items() if kind.startswith("fact.")},
        guards_production=gate.name in {"cab", "go-live"},
    )
    return GateInput(
        gate=gate,
        half=half,
        policy=digest_of(b"policy"),
        release=release(),
        evidence=brought,
        votes=(),
        roster=_roster(gate),
        acceptances=(),
        facts=known,
    )


def _roster(gate: Gate) -> Roster:
    roles = {Role(one) for some in SIGNERS.values() for one in some} - {Role.EXECUTIVE_SPONSOR}
    held = [Tenure(role=role, person=holder(role, number), since=LONG_AGO) for role in roles for number in (0, 1)]
    held.append(Tenure(role=Role.EXECUTIVE_SPONSOR, person=SPONSOR, since=LONG_AGO))
    board = gate.pre.board
    seats = tuple(SeatAt(role=role, holder=holder(role)) for role in (board.seats if board is not None else ()))
    return Roster(version=digest_of(b"roster"), tenures=tuple(held), seats=seats, snapshot=seats)


def signed(name: str, signers: Sequence[str], *, unanswered: str = "") -> GateInput:
    """Return a gate's input with every demand met, signed by these; `unanswered` names an item left open."""
    asked = given(name, claims_met(name))
    for place, signer in enumerate(signers):
        role = Role(signer)
        person = None if role is Role.EXECUTIVE_SPONSOR else holder(role, signers[:place].count(signer))
        answers = {item: "yes" for item in CHECKLISTS.get((name, signer), ()) if item != unanswered}
        cast = replace(vote(asked, role, person=person, at=NOW), checklist=answers)
        asked = replace(asked, votes=(*asked.votes, cast))
    return asked


def report(asked: GateInput) -> GateReport:
    """Return what is decided now."""
    return decide(asked, NOW)


def unmet(found: GateReport) -> list[CriterionResult]:
    """Return the criteria that do not hold."""
    return [one for one in found.criteria if not one.holds]
