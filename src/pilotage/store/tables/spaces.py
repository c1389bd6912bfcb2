"""Health of spaces, what serving processes report, and where that is not what was approved.

Mirror of the schema; what each column means stands in `store/migrations/sql/0011_regions.sql`, `0012_drift.sql` and
`0021_report_lags.sql`.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from pilotage.store.tables.metadata import metadata

space_report = Table(
    "space_report",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("successes", Integer, nullable=False),
    Column("reasons", JSONB, nullable=False, server_default=text("'[]'")),
    Column("holds", JSONB, nullable=False, server_default=text("'{}'")),
)

space_health = Table(
    "space_health",
    metadata,
    Column("space", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
    Column("checked_at", TIMESTAMP(timezone=True), nullable=False),
    Column("reasons", JSONB, nullable=False, server_default=text("'[]'")),
    Column("failover", Text),
    Column("failover_at", TIMESTAMP(timezone=True)),
    Column("drift_at", TIMESTAMP(timezone=True)),
    CheckConstraint("state IN ('unknown', 'healthy', 'unhealthy')"),
)

drift = Table(
    "drift",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("release", Text, primary_key=True, nullable=False),
    Column("part", Text, primary_key=True, nullable=False),
    Column("observed", Text, nullable=False),
    Column("approved", Text, nullable=False),
    Column("opened_at", TIMESTAMP(timezone=True), nullable=False),
    Column("report_at", TIMESTAMP(timezone=True)),
    Column("seen", Integer, nullable=False, server_default=text("1")),
    Column("evicts", Boolean, nullable=False, server_default=text("false")),
)

report_lag = Table(
    "report_lag",
    metadata,
    Column("process", Text, primary_key=True, nullable=False),
    Column("space", Text, primary_key=True, nullable=False),
    Column("workflow", Text, primary_key=True, nullable=False),
    Column("since", TIMESTAMP(timezone=True), nullable=False),
)
