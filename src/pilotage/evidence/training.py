"""Training records: rows of CSV, YAML (`training:`) or JSON with `person, course, completed_at`.

Rule: a person is trained when one row has a date that is not in the future of the file's receipt; who must be comes
from the rota and the operator roles, and a gate asks again when it decides. Fail mode: nobody required leaves `share`
without a number; no row is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet

from pilotage.evidence.csv_rows import has_columns
from pilotage.evidence.own_document import has_key, rows_of
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable
from pilotage.evidence.times import file_time

_NEEDED = ("person", "course", "completed_at")


def is_training(content: Content) -> bool:
    """Tell whether the file has `training` at its top, or the columns of one."""
    return has_key(content, "training") or has_columns(content, *_NEEDED)


def read_training(source: Source, context: ReadContext) -> Reading:
    """Read who completed which course."""
    rows = list(rows_of(source, "training"))
    if not rows:
        raise Unreadable("EV_EMPTY", "The file holds no training record.", observed="0 rows")
    trained: set[str] = set()
    for number, row in enumerate(rows, start=1):
        person = row.get("person", "").strip()
        if not person or not row.get("course", "").strip():
            raise Unreadable("EV_MALFORMED", f"Row {number} has no person or no course.")
        at = file_time(row.get("completed_at"))
        if at is not None and (context.received_at is None or at <= context.received_at):
            trained.add(context.people.get(person.lower(), person))
    required = context.required_people
    claims = training_claims(required, trained)
    return Reading(
        kind=source.kind,
        reader="training",
        claims=claims,
        summary=f"{claims['completed']:.0f} of {len(required)} required people trained",
        names={"trained": tuple(sorted(trained)), "missing": tuple(sorted(required - trained))},
    )


def training_claims(required: AbstractSet[str], trained: Collection[str]) -> dict[str, float]:
    """Return how many of the required people are trained; without anybody required there is no share."""
    done = len(required & set(trained))
    claims = {"required": float(len(required)), "completed": float(done)}
    return {**claims, "share": done / len(required)} if required else claims
