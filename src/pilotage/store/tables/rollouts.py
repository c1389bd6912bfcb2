"""Rollouts, verdicts, acknowledgements of routing, incidents and drills.

Mirror of the schema; what each column means stands in `store/migrations/sql/0004_rollouts.sql`
for hard events in `0013_hard_events.sql`, for the course in `0031_rollout_course.sql`, for the last stream in
`0033_lapses_and_streams.sql`, for what follows completion and for excused windows in `0037_after_completion.sql`.
`route_admission.earlier` and `earlier_at` wait to be dropped.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

route_ack = Table(
    "route_ack",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("loaded", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("clock_offset_ms", Integer),
)

route_admission = Table(
    "route_admission",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("release", Text, primary_key=True, nullable=False),
    Column("admitted", BigInteger, nullable=False),
    Column("last_at", TIMESTAMP(timezone=True), nullable=False),
    Column("earlier", BigInteger, nullable=False, server_default=text("0")),
    Column("earlier_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("streams", Integer),
    Column("streams_at", TIMESTAMP(timezone=True)),
)

route_probe = Table(
    "route_probe",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("generation", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("right_release", Boolean, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("release", Text, primary_key=True, nullable=False),
)

rollout = Table(
    "rollout",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("state_at", TIMESTAMP(timezone=True), nullable=False),
    Column("state_before", Text),
    Column("wave", Integer, nullable=False, server_default=text("0")),
    Column("step", Integer, nullable=False, server_default=text("0")),
    Column("step_at", TIMESTAMP(timezone=True)),
    Column("extended_s", Integer, nullable=False, server_default=text("0")),
    Column("decision", Text),
    Column("decision_outcome", Text),
    Column("latched", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("zeroed", Boolean, nullable=False, server_default=text("false")),
    Column("why", JSONB, nullable=False, server_default=text("'[]'")),
    Column("started_by", Text, nullable=False),
    Column("preflight", JSONB, nullable=False, server_default=text("'{}'")),
    Column("flipped_at", TIMESTAMP(timezone=True)),
    Column("flipped", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("target", Text),
    Column("flipped_db", TIMESTAMP(timezone=True)),
    Column("zero_at", TIMESTAMP(timezone=True)),
    Column("zero_s", Double),
    Column("zero_streams_s", Double),
    Column("clock_offset_s", Double),
    Column("incident", Text),
    Column("reminded", Integer, nullable=False, server_default=text("0")),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_until", TIMESTAMP(timezone=True)),
    Column("created_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
)

rollout_wave = Table(
    "rollout_wave",
    metadata,
    Column("rollout", Text, ForeignKey("rollout.id"), primary_key=True, nullable=False),
    Column("number", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("stable", Text),
    Column("started_at", TIMESTAMP(timezone=True)),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("cursor", BigInteger, nullable=False, server_default=text("-1")),
    Column("counted_from", BigInteger),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'")),
    Column("ratings", JSONB, nullable=False, server_default=text("'{}'")),
    CheckConstraint("state IN ('waiting', 'live', 'left', 'done', 'rolled_back')"),
)

rollout_step = Table(
    "rollout_step",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("wave", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("step", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("fraction_ppm", Integer, nullable=False),
    Column("cohort_share", Double, nullable=False),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    ForeignKeyConstraint(["rollout", "wave"], ["rollout_wave.rollout", "rollout_wave.number"]),
)

rollout_principal = Table(
    "rollout_principal",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("wave", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("principal", Text, primary_key=True, nullable=False),
    Column("counts", JSONB, nullable=False),
    ForeignKeyConstraint(["rollout", "wave"], ["rollout_wave.rollout", "rollout_wave.number"]),
)

rollout_course = Table(
    "rollout_course",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("wave", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("arm", Text, primary_key=True, nullable=False),
    Column("at", TIMESTAMP(timezone=True), primary_key=True, nullable=False),
    Column("counts", JSONB, nullable=False),
    CheckConstraint("arm IN ('stable', 'candidate')"),
    ForeignKeyConstraint(["rollout", "wave"], ["rollout_wave.rollout", "rollout_wave.number"]),
)

rollout_verdict = Table(
    "rollout_verdict",
    metadata,
    Column("rollout", Text, ForeignKey("rollout.id"), primary_key=True, nullable=False),
    Column("digest", Text, primary_key=True, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("is_decision", Boolean, nullable=False, server_default=text("false")),
)

rollout_signature = Table(
    "rollout_signature",
    metadata,
    Column("rollout", Text, ForeignKey("rollout.id"), primary_key=True, nullable=False),
    Column("verdict", Text, primary_key=True, nullable=False),
    Column("kind", Text, primary_key=True, nullable=False),
    Column("role", Text, nullable=False),
    Column("person", Text, primary_key=True, nullable=False),
    Column("acceptance", JSONB(none_as_null=True)),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    CheckConstraint("kind IN ('go', 'overrule')"),
)

release_watch = Table(
    "release_watch",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("wave", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("counted_from", BigInteger, nullable=False),
    Column("per_year", Double, nullable=False),
    Column("sums", JSONB, nullable=False),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("ended_why", Text),
    Column("rollback", Text),
    CheckConstraint("ended_why IN ('left', 'regression')"),
    ForeignKeyConstraint(["rollout", "wave"], ["rollout_wave.rollout", "rollout_wave.number"]),
)

rollout_excuse = Table(
    "rollout_excuse",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rollout", Text, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("from_at", TIMESTAMP(timezone=True), nullable=False),
    Column("to_at", TIMESTAMP(timezone=True), nullable=False),
    Column("incident", Text, ForeignKey("incident.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("first_by", Text, nullable=False),
    Column("first_at", TIMESTAMP(timezone=True), nullable=False),
    Column("second_by", Text),
    Column("second_at", TIMESTAMP(timezone=True)),
    Column("removed", JSONB, nullable=False, server_default=text("'{}'")),
    UniqueConstraint("rollout", "wave", "from_at", "to_at", "incident"),
    ForeignKeyConstraint(["rollout", "wave"], ["rollout_wave.rollout", "rollout_wave.number"]),
)

space_quarantine = Table(
    "space_quarantine",
    metadata,
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), primary_key=True, nullable=False),
    Column("rollout", Text),
    Column("reason", Text, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("lifted_at", TIMESTAMP(timezone=True)),
    Column("hard", Boolean, nullable=False, server_default=text("false")),
)

hard_sign = Table(
    "hard_sign",
    metadata,
    Column("kind", Text, primary_key=True, nullable=False),
    Column("subject", Text, primary_key=True, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("release", Text),
    Column("summary", Text, nullable=False),
    Column("first_at", TIMESTAMP(timezone=True), nullable=False),
    Column("declared_at", TIMESTAMP(timezone=True)),
)

hard_look = Table(
    "hard_look",
    metadata,
    Column("name", Text, primary_key=True),
    Column("until", TIMESTAMP(timezone=True), nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("spaces", ARRAY(Text), nullable=False),
    Column("release", Text),
    Column("cause", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("rollout", Text),
    Column("verdict", Text),
    Column("is_drill", Boolean, nullable=False, server_default=text("false")),
    Column("commander", Text),
    Column("responders", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("detected_by", Text, nullable=False),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("detected_at", TIMESTAMP(timezone=True), nullable=False),
    Column("acknowledged_at", TIMESTAMP(timezone=True)),
    Column("mitigated_at", TIMESTAMP(timezone=True)),
    Column("resolved_at", TIMESTAMP(timezone=True)),
    Column("closed_at", TIMESTAMP(timezone=True)),
    Column("freezes", Boolean, nullable=False, server_default=text("false")),
    Column("freeze_lifted_at", TIMESTAMP(timezone=True)),
    Column("postmortem", JSONB(none_as_null=True)),
    Column("former_commanders", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    CheckConstraint("severity IN ('SEV1', 'SEV2', 'SEV3', 'SEV4')"),
    CheckConstraint("state IN ('open', 'acknowledged', 'mitigated', 'resolved', 'closed')"),
)

incident_line = Table(
    "incident_line",
    metadata,
    Column("incident", Text, ForeignKey("incident.id"), primary_key=True, nullable=False),
    Column("number", Integer, primary_key=True, autoincrement=False, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("text", Text, nullable=False),
)

wall_firing = Table(
    "wall_firing",
    metadata,
    Column("interaction", Text, primary_key=True),
    Column("incident", Text, ForeignKey("incident.id"), nullable=False),
)

drill = Table(
    "drill",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("space_digest", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("finished_at", TIMESTAMP(timezone=True)),
    Column("valid_until", TIMESTAMP(timezone=True)),
    Column("incident", Text, ForeignKey("incident.id")),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),
    CheckConstraint("kind IN ('rollback', 'failover')"),
    CheckConstraint("state IN ('running', 'passed', 'failed')"),
)

Index("rollout_workflow", rollout.c.workflow, rollout.c.created_at)
Index(
    "rollout_one_active",
    rollout_wave.c.workflow,
    rollout_wave.c.space,
    unique=True,
    postgresql_where=text("state IN ('waiting', 'live', 'left')"),
)
Index("release_watch_open", release_watch.c.rollout, postgresql_where=text("ended_at IS NULL"))
Index("rollout_verdict_at", rollout_verdict.c.rollout, rollout_verdict.c.at)
Index(
    "rollout_signature_role",
    rollout_signature.c.rollout,
    rollout_signature.c.verdict,
    rollout_signature.c.role,
    unique=True,
    postgresql_where=text("kind = 'go'"),
)
Index(
    "incident_one_open",
    incident.c.workflow,
    incident.c.space,
    text("coalesce(release, '')"),
    incident.c.cause,
    incident.c.is_drill,
    unique=True,
    postgresql_where=text("state IN ('open', 'acknowledged', 'mitigated')"),
)
Index("incident_workflow", incident.c.workflow, incident.c.detected_at)
Index("drill_space", drill.c.workflow, drill.c.space, drill.c.kind, drill.c.started_at)
