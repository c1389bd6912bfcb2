"""Shadow and replay: phases of a rollout, their pairs, their texts and their costs.

Mirror of the schema; what each column means stands in `store/migrations/sql/0011_shadow.sql`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from pilotage.store.tables.metadata import metadata

rollout_shadow = Table(
    "rollout_shadow",
    metadata,
    Column("rollout", Text, ForeignKey("rollout.id"), primary_key=True, nullable=False),
    Column("label", Text, primary_key=True, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("release", Text, ForeignKey("release.digest"), nullable=False),
    Column("stable", Text, ForeignKey("release.digest"), nullable=False),
    Column("scorer", Text, nullable=False),
    Column("sample_ppm", Integer, nullable=False),
    Column("cap_nano", BigInteger),
    Column("started_at", TIMESTAMP(timezone=True), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("listed_at", TIMESTAMP(timezone=True)),
    Column("ended_at", TIMESTAMP(timezone=True)),
    Column("outcome", Text),
    Column("verdict", Text),
    CheckConstraint("label IN ('replay', 'shadow')"),
    CheckConstraint("outcome IN ('go', 'no_go', 'inconclusive')"),
)

Index("rollout_shadow_release", rollout_shadow.c.release, rollout_shadow.c.space, rollout_shadow.c.label)

rollout_pair = Table(
    "rollout_pair",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("label", Text, primary_key=True, nullable=False),
    Column("interaction", Text, primary_key=True, nullable=False),
    Column("principal", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("is_counted", Boolean, nullable=False, server_default=text("false")),
    Column("due_at", TIMESTAMP(timezone=True)),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("scorer", Text),
    Column("result", Text),
    Column("is_swapped", Boolean),
    Column("why", Text),
    Column("cost_nano", BigInteger, nullable=False, server_default=text("0")),
    ForeignKeyConstraint(["rollout", "label"], ["rollout_shadow.rollout", "rollout_shadow.label"]),
    CheckConstraint("state IN ('expected', 'scored', 'lost', 'skipped')"),
    CheckConstraint("result IN ('worse', 'better', 'tie')"),
)

Index("rollout_pair_principal", *(rollout_pair.c[name] for name in ("rollout", "label", "principal", "day")))

rollout_pair_text = Table(
    "rollout_pair_text",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("label", Text, primary_key=True, nullable=False),
    Column("interaction", Text, primary_key=True, nullable=False),
    Column("question", Text, nullable=False),
    Column("stable", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("documents", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("at", TIMESTAMP(timezone=True), nullable=False),
    ForeignKeyConstraint(
        ["rollout", "label", "interaction"],
        ["rollout_pair.rollout", "rollout_pair.label", "rollout_pair.interaction"],
    ),
)

Index("rollout_pair_text_at", rollout_pair_text.c.at)

Index("rollout_pair_text_documents", rollout_pair_text.c.documents, postgresql_using="gin")

rollout_shadow_cost = Table(
    "rollout_shadow_cost",
    metadata,
    Column("rollout", Text, primary_key=True, nullable=False),
    Column("label", Text, primary_key=True, nullable=False),
    Column("day", Date, primary_key=True, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    ForeignKeyConstraint(["rollout", "label"], ["rollout_shadow.rollout", "rollout_shadow.label"]),
)
