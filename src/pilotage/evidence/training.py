"""Training records: rows of CSV, YAML (`training:`) or JSON with `person, course, completed_at`.

Rule: a person is trained for 365 days from the date of a row, if that is not in the future of the file's receipt; who
must be comes from the rota and the operator roles, and a gate asks both again when it decides. Fail mode: nobody
required leaves `share` without a number; no row is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from typing import Final

from pilotage.evidence.csv_rows import has_columns
from pilotage.evidence.own_document import has_key, rows_of
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable
from pilotage.evidence.times import file_time

VALID: Final = timedelta(days=365)
"""How long a training counts (operations.md 10)."""
_NEEDED = ("person", "course", "completed_at")


def is_training(content: Content) -> bool:
    """Tell whether the file has `training` at its top, or the columns of one."""
    return has_key(content, "training") or has_columns(content, *_NEEDED)


def read_training(source: Source, context: ReadContext) -> Reading:
    """Read who completed which course."""
    rows = list(rows_of(source, "training"))
    if not rows:
        raise Unreadable("EV_EMPTY", "The file holds no training record.", observed="0 rows")
    trained: dict[str, datetime] = {}
    for number, row in enumerate(rows, start=1):
        person = row.get("person", "").strip()
        if not person or not row.get("course", "").strip():
            raise Unreadable("EV_MALFORMED", f"Row {number} has no person or no course.")
        at = file_time(row.get("completed_at"))
        if at is not None and _counts(at, context.received_at):
            who = context.people.get(person.lower(), person)
            trained[who] = max(at, trained.get(who, at))
    required = context.required_people
    claims = training_claims(required, trained)
    return Reading(
        kind=source.kind,
        reader="training",
        claims=claims,
        summary=f"{claims['completed']:.0f} of {len(required)} required people trained",
        names={
            "trained": tuple(sorted(trained)),
            "trained_until": tuple(f"{who} {(at + VALID).date()}" for who, at in sorted(trained.items())),
            "missing": tuple(sorted(required - trained.keys())),
        },
    )


def _counts(at: datetime, received_at: datetime | None) -> bool:
    return received_at is None or timedelta() <= received_at - at <= VALID


def trained_now(names: Mapping[str, tuple[str, ...]], now: datetime) -> frozenset[str]:
    """Return who of a reading is trained still; a reading of before ends were kept counts as it was read."""
    if "trained_until" not in names:
        return frozenset(names.get("trained", ()))
    ends = (one.rpartition(" ") for one in names["trained_until"])
    return frozenset(who for who, _, end in ends if date.fromisoformat(end) >= now.date())


def training_claims(required: AbstractSet[str], trained: Collection[str]) -> dict[str, float]:
    """Return how many of the required people are trained; without anybody required there is no share."""
    done = len(required & set(trained))
    claims = {"required": float(len(required)), "completed": float(done)}
    return {**claims, "share": done / len(required)} if required else claims
