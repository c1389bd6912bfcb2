"""Reads the file of `pilotage gate accept-risk --file RISK.yaml` (gates.md 4.5).

Rule: every mistake at once with its line. Fail mode: InvalidFiles; nothing is accepted from a file with a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from pilotage.core.errors import InvalidFiles
from pilotage.core.fields import TEXT, Fields, choice, integer, list_of, read_record, record
from pilotage.core.ids import PersonId
from pilotage.core.located import Problems
from pilotage.core.readers import DATE, PERSON
from pilotage.core.yaml_source import load_yaml
from pilotage.gate.records import Claim
from pilotage.gate.vocabulary import RiskLevel
from pilotage.identity.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFile:
    """A risk acceptance as written. Dates end at midnight UTC."""

    risk: str
    severity: RiskLevel
    criteria: tuple[str, ...]
    seats: tuple[Role, ...]
    findings: tuple[str, ...]
    rationale: str
    controls: tuple[str, ...]
    likelihood: int
    impact: int
    owner: PersonId
    requester: PersonId | None
    spaces: tuple[str, ...]
    expires: datetime
    review_at: datetime | None
    revoke_when: tuple[Claim, ...]


def read_risk_file(data: bytes, *, file: str) -> RiskFile:
    """Return the acceptance; raise InvalidFiles with every mistake."""
    problems = Problems()
    at = load_yaml(data, file=file, problems=problems)
    if at is None:
        raise InvalidFiles(tuple(problems.found))
    found = read_record(at, problems, _risk)
    if problems.found:
        raise InvalidFiles(tuple(problems.found))
    return found


def _risk(fields: Fields) -> RiskFile:
    residual = fields.need("residual", record(_residual))
    return RiskFile(
        risk=fields.need("risk", TEXT),
        severity=fields.need("severity", choice(RiskLevel)),
        criteria=fields.get("criteria", list_of(TEXT, or_one=True), ()),
        seats=fields.get("seats", list_of(choice(Role), or_one=True), ()),
        findings=fields.get("findings", list_of(TEXT, or_one=True), ()),
        rationale=fields.need("rationale", TEXT),
        controls=fields.need("compensating_controls", list_of(TEXT, or_one=True)),
        likelihood=residual[0],
        impact=residual[1],
        owner=fields.need("owner", PERSON),
        requester=fields.get("requester", PERSON, None),
        spaces=fields.need("spaces", list_of(TEXT, or_one=True)),
        expires=_midnight(fields.need("expires", DATE)),
        review_at=_or_none(fields.get("review_at", DATE, None)),
        revoke_when=fields.get("revoke_when", list_of(record(_claim)), ()),
    )


def _residual(fields: Fields) -> tuple[int, int]:
    return fields.need("likelihood", integer(1, 5)), fields.need("impact", integer(1, 5))


def _claim(fields: Fields) -> Claim:
    return Claim(kind=fields.need("kind", TEXT), text=fields.need("when", TEXT))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _or_none(day: date | None) -> datetime | None:
    return None if day is None else _midnight(day)
