"""Standard changes as rows: templates with their votes, and the releases that go by one.

Rule: rows are written once; the caller owns the transaction. Fail mode: None for an id that names none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.gate.standard import StandardChange, StandardTemplate, TemplateVote
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.store.tables.gates import standard_change, standard_template, standard_vote
from pilotage.store.together import Rows, StoredRow

CAME_BY_ITS_GATES = (
    "EXISTS (SELECT FROM deployment d JOIN release r ON r.digest = d.release WHERE d.release = one.digest"
    " AND d.space = ANY(:spaces) AND d.state IN ('active', 'superseded', 'retired')"
    " AND d.basis IN ('normal', 'standard') AND r.state NOT IN ('quarantined', 'revoked')"
    " AND NOT EXISTS (SELECT FROM space_quarantine q WHERE q.release = d.release AND q.workflow = d.workflow"
    " AND q.space = d.space AND q.lifted_at IS NULL))"
)
"""Whether release `one` came into one of `:spaces` by its gates, and was neither withdrawn nor rolled back."""

_BY_ITS_GATES = text(f"SELECT {CAME_BY_ITS_GATES} FROM release one WHERE one.digest = :release")  # noqa: S608 - constants


def add_template(connection: Connection, one: StandardTemplate) -> None:
    """Write a new template."""
    names = ("id", "workflow", "max_share", "max_documents", "reason", "proposed_by", "proposed_at")
    values = {name: getattr(one, name) for name in names}
    connection.execute(standard_template.insert().values(**values, parts=list(one.parts)))


def add_template_vote(connection: Connection, template: str, vote: TemplateVote) -> None:
    """Write one vote; the caller holds the template's row."""
    values = {"id": vote.id, "person": vote.person, "role": vote.role.value, "decision": vote.decision.value}
    connection.execute(standard_vote.insert().values(**values, template=template, at=vote.at))


def add_change(connection: Connection, one: StandardChange) -> bool:
    """Write that a release goes by a template; False when it was written before."""
    values = {name: getattr(one, name) for name in StandardChange.__dataclass_fields__}
    row = insert(standard_change).values(values).on_conflict_do_nothing(index_elements=["release", "template"])
    return connection.execute(row.returning(standard_change.c.id)).first() is not None


def find_template(connection: Connection, name: str, *, lock: bool = False) -> StandardTemplate | None:
    """Return a template with its votes, its row locked when asked."""
    query = select(standard_template).where(standard_template.c.id == name)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else templates_from([row], _votes(connection, [name]))[0]


def list_templates(connection: Connection, workflow: str | None = None) -> tuple[StandardTemplate, ...]:
    """Return the templates of a workflow, or all, oldest first."""
    table = standard_template
    wanted = [] if workflow is None else [table.c.workflow == workflow]
    rows = connection.execute(select(table).where(*wanted).order_by(table.c.proposed_at, table.c.id)).mappings().all()
    return templates_from(rows, _votes(connection, [row["id"] for row in rows]))


def changes_of(connection: Connection, releases: Collection[Digest]) -> dict[Digest, tuple[StandardChange, ...]]:
    """Return by which templates these releases go, the newest first; a release without any is left out."""
    table = standard_change
    query = select(table).where(table.c.release.in_(list(releases)))
    found: dict[Digest, list[StandardChange]] = {}
    for row in connection.execute(query.order_by(table.c.declared_at.desc(), table.c.id.desc())).mappings():
        one = change_from(row)
        found.setdefault(one.release, []).append(one)
    return {release: tuple(changes) for release, changes in found.items()}


def change_from(row: StoredRow) -> StandardChange:
    """Return a standard change from its row."""
    return StandardChange(
        id=row["id"],
        release=Digest(row["release"]),
        template=row["template"],
        declared_by=PersonId(row["declared_by"]),
        declared_at=row["declared_at"],
    )


def came_by_its_gates(connection: Connection, release: Digest, spaces: Collection[SpaceName]) -> bool:
    """Tell whether a release came into one of these spaces by its gates, and was neither withdrawn nor rolled back."""
    return bool(connection.scalar(_BY_ITS_GATES, {"release": release, "spaces": list(spaces)}))


def templates_from(rows: Rows, votes: Rows) -> tuple[StandardTemplate, ...]:
    """Return templates from their rows, with the votes of theirs."""
    given = _votes_from(votes)
    return tuple(_template(row, given.get(row["id"], ())) for row in rows)


def _votes(connection: Connection, templates: Collection[str]) -> Rows:
    table = standard_vote
    query = select(table).where(table.c.template.in_(list(templates))).order_by(table.c.at, table.c.id)
    return connection.execute(query).mappings().all()


def _votes_from(rows: Rows) -> dict[str, list[TemplateVote]]:
    found: dict[str, list[TemplateVote]] = {}
    for row in rows:
        vote = TemplateVote(
            id=row["id"],
            person=PersonId(row["person"]),
            role=Role(row["role"]),
            decision=VoteDecision(row["decision"]),
            at=row["at"],
        )
        found.setdefault(row["template"], []).append(vote)
    return found


def _template(row: StoredRow, votes: Sequence[TemplateVote]) -> StandardTemplate:
    return StandardTemplate(
        **{
            **row,
            "workflow": WorkflowName(row["workflow"]),
            "parts": tuple(row["parts"]),
            "proposed_by": PersonId(row["proposed_by"]),
            "votes": tuple(votes),
        }
    )
