"""Evaluation runs, tasks, generations, assessments and their caches.

Mirror of the `evaluation` schema; what each column means stands in `store/migrations/sql/0003_evaluation.sql`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from pilotage.store.tables import gates, releases
from pilotage.store.tables.metadata import metadata

evaluation_run = Table(
    "evaluation_run",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("release", Text, ForeignKey(releases.release.c.digest), nullable=False),
    Column("baseline", Text, ForeignKey(releases.release.c.digest)),
    Column("space", Text, nullable=False, server_default=text("''")),
    Column("golden", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("golden_digest", Text, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("is_gating", Boolean, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("verdict", Text),
    Column("result", LargeBinary),
    Column("result_sha256", Text),
    Column("measured", JSONB, nullable=False, server_default=text("'{}'")),
    Column("evidence", Text),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", TIMESTAMP(timezone=True), nullable=False),
    Column("started_at", TIMESTAMP(timezone=True)),
    Column("finished_at", TIMESTAMP(timezone=True)),
    Column("voided_at", TIMESTAMP(timezone=True)),
    Column("spent_nano", BigInteger, nullable=False, server_default=text("0")),
    Column("approved", Text, ForeignKey(releases.release.c.digest)),
    Column("oldest", Text, ForeignKey(releases.release.c.digest)),
    CheckConstraint("spent_nano >= 0"),
    CheckConstraint("kind IN ('evaluation', 'permissions', 'fairness', 'redteam')"),
    CheckConstraint("repeats >= 1"),
    CheckConstraint("state IN ('queued', 'running', 'completed', 'cancelled', 'over_budget', 'failed')"),
)

Index("evaluation_run_release", evaluation_run.c.release, evaluation_run.c.kind, evaluation_run.c.requested_at)

Index("evaluation_run_workflow", evaluation_run.c.workflow, evaluation_run.c.kind, evaluation_run.c.requested_at)

evaluation_task = Table(
    "evaluation_task",
    metadata,
    Column("run", Text, ForeignKey("evaluation_run.id"), primary_key=True, nullable=False),
    Column("arm", Text, primary_key=True, nullable=False),
    Column("case_id", Text, primary_key=True, nullable=False),
    Column("repeat", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("due_at", TIMESTAMP(timezone=True), nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", TIMESTAMP(timezone=True)),
    Column("generation", Text),
    Column("context", JSONB),
    Column("is_cached", Boolean, nullable=False, server_default=text("false")),
    Column("latency_us", BigInteger),
    Column("ttft_us", BigInteger),
    Column("error", Text),
    Column("model", Text),
    Column("fingerprint", Text),
    CheckConstraint("arm IN ('candidate', 'baseline', 'oldest')"),
    CheckConstraint("state IN ('waiting', 'done')"),
)

Index(
    "evaluation_task_waiting",
    evaluation_task.c.run,
    evaluation_task.c.ordinal,
    postgresql_where=text("state = 'waiting'"),
)

evaluation_generation = Table(
    "evaluation_generation",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("documents", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

Index("evaluation_generation_documents", evaluation_generation.c.documents, postgresql_using="gin")

evaluation_cache = Table(
    "evaluation_cache",
    metadata,
    Column("key", Text, primary_key=True),
    Column("generation", Text, ForeignKey("evaluation_generation.digest", ondelete="CASCADE"), nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

Index("evaluation_cache_generation", evaluation_cache.c.generation)

evaluation_assessment = Table(
    "evaluation_assessment",
    metadata,
    Column(
        "generation",
        Text,
        ForeignKey("evaluation_generation.digest", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    Column("subject", Text, primary_key=True, nullable=False),
    Column("version", Text, primary_key=True, nullable=False),
    Column("body", JSONB, nullable=False),
)

evaluation_void = Table(
    "evaluation_void",
    metadata,
    Column("run", Text, ForeignKey("evaluation_run.id"), primary_key=True, nullable=False),
    Column("person", Text, primary_key=True, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
)

golden_candidate = Table(
    "golden_candidate",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("row", JSONB, nullable=False),
    Column("sources", ARRAY(Text), nullable=False),
    Column("asked_by", ARRAY(Text), nullable=False),
    Column("blocked_by", Text, nullable=False, server_default=text("''")),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", TIMESTAMP(timezone=True)),
    Column("reason", Text, nullable=False, server_default=text("''")),
    Column("golden", Text, nullable=False, server_default=text("''")),
    CheckConstraint("state IN ('open', 'blocked', 'accepted', 'rejected')"),
    CheckConstraint("origin IN ('feedback', 'imported')"),
    CheckConstraint("(state IN ('accepted', 'rejected')) = (decided_by IS NOT NULL AND decided_at IS NOT NULL)"),
    Index("golden_candidate_workflow", "workflow", "state", "at"),
)

mitigation = Table(
    "mitigation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("release_before", Text, ForeignKey(releases.release.c.digest), nullable=False),
    Column("run_before", Text, ForeignKey("evaluation_run.id"), nullable=False),
    Column("attribute", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("finding", Text, nullable=False),
    Column("value_before", Double),
    Column("action", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("due", Date, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("decision", Text),
    Column("approver", Text),
    Column("closed_at", TIMESTAMP(timezone=True)),
    Column("release_after", Text, ForeignKey(releases.release.c.digest)),
    Column("run_after", Text, ForeignKey("evaluation_run.id")),
    Column("value_after", Double),
    Column("acceptance", Text, ForeignKey(gates.risk_acceptance.c.id)),
    Column("told_at", TIMESTAMP(timezone=True)),
    Column("reopened_at", TIMESTAMP(timezone=True)),
    CheckConstraint("decision IN ('go', 'risk_accepted')"),
    CheckConstraint("approver <> owner"),
    CheckConstraint("(decision IS NULL) = (approver IS NULL) AND (decision IS NULL) = (closed_at IS NULL)"),
    CheckConstraint("(decision IS NOT DISTINCT FROM 'go') = (run_after IS NOT NULL AND release_after IS NOT NULL)"),
    CheckConstraint("(decision IS NOT DISTINCT FROM 'risk_accepted') = (acceptance IS NOT NULL)"),
    Index("mitigation_workflow", "workflow", "opened_at"),
)
