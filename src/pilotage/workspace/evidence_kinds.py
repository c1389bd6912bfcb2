"""The closed vocabulary of gates: evidence kinds with their claims, document types, and what may never be accepted.

Source: gates.md 2.3, 3 and 4.5. Rule: a criterion may only name a claim of its kind; a criterion over a never claim,
or a never criterion of the default pipeline, cannot be lowered by a file. Fail mode: the gate parser refuses the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TESTS = _words("executed passed failed errors skipped skipped_share flaky duplicates points_tested")
_SCAN = _words("critical high medium low unknown suppressed unaudited exploitable tools targets")
_LOAD = _words("requests errors error_rate p50 p95 p99 rps duration_s max_gap_s drift_ratio volume_ratio")
_DRILL = _words("runs rto_s rpo_s lost_requests")
_METRICS = _words(
    "key_fact_recall forbidden_fact exact_match token_recall token_f1 format coverage "
    "answer_accuracy superseded_source pii_leak policy_violation citation_validity "
    "citation_coverage citation_precision_gold citation_recall_gold citation_anchor "
    "citation_recall_entailed citation_precision_entailed grounding hallucination_answer "
    "hallucination_statement refusal_correct refusal_recall refusal_precision over_refusal "
    "balanced_accuracy recall_at_k hit_at_k precision_at_k mrr ndcg_at_k tokens_in tokens_out "
    "cost"
)
_RUN = _words(
    "scored unscored must_pass_failed regressions ratchet_regressions leaks pii_leaks critical_failures p50_ms "
    "p95_ms p99_ms ttft_p50_ms ttft_p95_ms ttft_p99_ms"
)
_EVALUATION = _RUN | {f"{name}{bound}" for name in _METRICS for bound in ("", "_lcb", "_ucb")}

KINDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{
            f"tests.{suite}": _TESTS
            for suite in _words("unit integration api smoke functional regression e2e security encryption")
        },
        "coverage": _words("line_rate lines_valid branch_rate files critical_rate missing_critical"),
        **{f"scan.{scan}": _SCAN for scan in _words("sast deps container iac dast")},
        "scan.secrets": _words("verified unverified files_scanned"),
        "quality": _words("gate_ok score ratings duplicated hotspots_to_review new_issues"),
        **{
            kind: _words("components denied unknown_licence vulnerable_by_severity critical high medium low unknown")
            for kind in ("sbom", "licences", "vex")
        },
        "review.code": _words("approvals_on_head changes_requested unmapped"),
        "evaluation": _EVALUATION,
        "permissions": _EVALUATION,
        "redteam": _EVALUATION,
        "fairness": _words(
            "groups min_group_n worst_gap worst_gap_lcb worst_gap_ucb worst_ratio worst_ratio_lcb "
            "worst_ratio_ucb scored unscored flips bias_scored bias_unscored worst_bias worst_bias_ucb"
        ),
        **{f"load.{load}": _LOAD for load in _words("expected stress peak sustained")},
        "failover": _DRILL,
        "recovery": _DRILL,
        "drill.rollback": _words("seconds_to_zero_traffic verified"),
        "drill.failover": _words("seconds_to_detect seconds_to_redirect wrong_region_answers verified"),
        "accessibility": _words("critical serious moderate minor incomplete rules_run pages"),
        "pentest": _words("critical high independent scope_hosts"),
        "lineage": _words("documents unlabelled without_owner without_lineage pii_unhandled"),
        "classification": _words("documents unlabelled without_owner without_lineage pii_unhandled"),
        "data_quality": _words("documents rejected duplicates conflicting stale unreadable"),
        "uat": _words("scenarios passed failed blocked open_critical testers pass_rate"),
        "training": _words("required completed share"),
        "fact.release": frozenset({"parts_present"}),
        "fact.corpus": _words("without_retention overdue_takedowns unredacted_pii"),
        "fact.residency": frozenset({"violations"}),
        "fact.deployment": _words("healthy digest_match answering ready_instances"),
        "fact.monitoring": _words(
            "logs metrics dashboard last_sample_age_s exporters_ok alert_test_ok alert_test_age_h"
        ),
        "fact.space": frozenset({"unapproved_differences_to_production"}),
        "fact.oncall": _words("primary_now secondary_now days_covered acknowledged_test_page"),
        "fact.roster": _words("seats_filled seats_empty"),
        "fact.risks": _words("untreated without_owner mitigations_open mitigations_overdue"),
        "fact.rollout": _words("rollback_target_authorised undecidable_metrics"),
        "fact.budget": _words("approved forecast_over_budget"),
        "fact.cab_pack": _words("generated sections_missing"),
        "fact.freeze": frozenset({"active"}),
        "fact.incident": frozenset({"open_critical"}),
        "fact.drift": frozenset({"open"}),
        "fact.ledger": frozenset({"unrecorded"}),
    }
)

DOCUMENTS = _words(
    "architecture security-considerations api model-card risk-assessment validation-report pia "
    "data-retention terms-of-service subprocessors runbook incident-response rollback-procedure "
    "user-guide operations-manual training-material communication-plan budget-approval "
    "override-guidance"
)
"""Document types that the default pipeline and the specifications name; a workspace may add its own."""

NEVER_CLAIMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{f"scan.{scan}": frozenset({"critical", "unknown"}) for scan in _words("sast deps container iac dast")},
        "scan.secrets": frozenset({"verified", "unverified"}),
        "permissions": frozenset({"leaks"}),
        "tests.security": frozenset({"failed", "errors"}),
        "redteam": frozenset({"pii_leaks"}),
        "drill.rollback": frozenset({"verified", "seconds_to_zero_traffic"}),
        "drill.failover": _words("seconds_to_detect seconds_to_redirect wrong_region_answers verified"),
        "fact.residency": frozenset({"violations"}),
        "fact.rollout": frozenset({"rollback_target_authorised"}),
        "fact.freeze": frozenset({"active"}),
        "fact.incident": frozenset({"open_critical"}),
        "fact.ledger": frozenset({"unrecorded"}),
        "fact.deployment": frozenset({"digest_match"}),
        "fact.release": frozenset({"parts_present"}),
    }
)
"""Claims whose failure nobody may accept, wherever a criterion names them."""

NEVER_CRITERIA: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("development", "model-artifact"): ("parts_present = 8",),
        ("code-review", "no-critical"): ("critical = 0", "unknown = 0"),
        ("code-review", "no-secrets"): ("verified = 0", "unverified = 0", "files_scanned > 0"),
        ("model-validation", "permissions"): ("leaks = 0", "scored >= 20"),
        ("compliance", "residency"): ("violations = 0",),
        ("compliance", "redaction"): ("pii_leaks = 0",),
        ("dev-exit", "deployed"): ("healthy = 1", "digest_match = 1", "answering = 1"),
        ("qa", "authorisation"): ("failed = 0", "errors = 0", "executed >= 1"),
        ("qa", "permissions"): ("leaks = 0", "scored >= 3000"),
        ("uat", "no-production-pii"): ("unredacted_pii = 0",),
        ("uat", "rollback-drill"): ("verified = 1", "seconds_to_zero_traffic < 300"),
        ("cab", "rollback-drill"): ("verified = 1", "seconds_to_zero_traffic < 300"),
        ("cab", "rollback-target"): ("rollback_target_authorised = 1",),
        ("go-live", "no-freeze"): ("active = 0",),
        ("go-live", "no-incident"): ("open_critical = 0",),
        ("go-live", "deployed"): ("healthy = 1", "digest_match = 1", "ready_instances >= @space.min_instances"),
        ("go-live", "monitoring-active"): ("logs = 1", "metrics = 1", "last_sample_age_s <= 60"),
        ("go-live", "recording"): ("unrecorded = 0",),
    }
)
"""Criteria of the default pipeline marked `never`, with the conditions a gate of that name must keep."""

WORKFLOW_PATHS = frozenset({"sla.p95_ms", "integrations.count", "budgets.latency_p95_ms"})
SPACE_PATHS = frozenset({"rto_s", "rpo_s", "min_instances", "max_instances", "target_latency_ms"})
TARGET_METRICS = frozenset(_EVALUATION)
"""Metrics that `workflow.yaml: targets` may set and `@workflow.targets.<metric>` may name."""

SWITCHES = frozenset({"workflow.code"})
"""What a criterion's `when` may name."""
