"""Rosters and policies as the instance first saw them, delegations, and risk acceptances.

Rule: what a file says today is compared with what was seen before, so a role granted just before a vote is known as
such; the first roster of an instance counts as held from the beginning. Fail mode: a version never seen has no tenure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.gate.records import Approver, Claim, Delegation, OpenCheck, OpenThen, RiskAcceptance, Tenure
from pilotage.gate.vocabulary import RiskLevel
from pilotage.identity.roles import Role
from pilotage.store.tables.gates import gate_delegation, policy_version, risk_acceptance, roster_version
from pilotage.store.together import Rows, StoredRow

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_VERSIONS = (roster_version, policy_version)
_KNOWN = text(
    "SELECT EXISTS (SELECT 1 FROM roster_version WHERE digest = :roster)"
    " AND EXISTS (SELECT 1 FROM policy_version WHERE digest = :policy)"
)


def see_roster(connection: Connection, digest: Digest, body: Mapping[str, Any], *, by: str, at: datetime) -> bool:
    """Note a roster version; True when it was not known."""
    row = insert(roster_version).values(digest=digest, seen_at=at, seen_by=by, body=dict(body))
    return connection.execute(row.on_conflict_do_nothing().returning(roster_version.c.digest)).first() is not None


def see_policy(connection: Connection, digest: Digest, body: Mapping[str, Any], *, by: str, at: datetime) -> bool:
    """Note a policy version; True when it was not known."""
    row = insert(policy_version).values(digest=digest, seen_at=at, seen_by=by, body=dict(body))
    return connection.execute(row.on_conflict_do_nothing().returning(policy_version.c.digest)).first() is not None


def knows(connection: Connection, roster: Digest, policy: Digest) -> bool:
    """Tell whether both versions were seen before."""
    return bool(connection.scalar(_KNOWN, {"roster": roster, "policy": policy}))


def tenures(connection: Connection) -> tuple[Tenure, ...]:
    """Return since when each person holds each role."""
    query = select(roster_version.c.seen_at, roster_version.c.body).order_by(roster_version.c.seen_at)
    return tenures_from(connection.execute(query).mappings().all())


def tenures_from(rosters: Rows) -> tuple[Tenure, ...]:
    """Return since when each person holds each role, from the versions in the order they were seen."""
    running: dict[tuple[Role, PersonId], datetime] = {}
    done: list[Tenure] = []
    for number, row in enumerate(rosters):
        seen_at, roles = row["seen_at"], row["body"]["roles"]
        holding = {(Role(role), PersonId(person)) for role, people in roles.items() for person in people}
        ended = [key for key in running if key not in holding]
        done += [Tenure(role=key[0], person=key[1], since=running.pop(key), until=seen_at) for key in ended]
        for key in holding - set(running):
            running[key] = BEGINNING if number == 0 else seen_at
    done += [Tenure(role=role, person=person, since=since) for (role, person), since in running.items()]
    return tuple(sorted(done, key=lambda one: (one.role.value, one.person, one.since)))


def editors(connection: Connection, *, since: datetime) -> dict[PersonId, datetime]:
    """Return who changed roster or policy lately."""
    queries = (select(table.c.seen_by, table.c.seen_at).order_by(table.c.seen_at) for table in _VERSIONS)
    return editors_from(*(connection.execute(query).mappings().all() for query in queries), since=since)


def editors_from(*versions: Rows, since: datetime) -> dict[PersonId, datetime]:
    """Return who changed roster or policy lately, from the versions of each; the founding ones are nobody's edit."""
    found: dict[PersonId, datetime] = {}
    for rows in versions:
        for row in rows[1:]:
            seen_by, seen_at = row["seen_by"], row["seen_at"]
            if seen_at >= since and not seen_by.startswith("system:"):
                found[PersonId(seen_by)] = max(seen_at, found.get(PersonId(seen_by), seen_at))
    return found


def add_delegation(connection: Connection, one: Delegation) -> None:
    """Write a delegation."""
    connection.execute(
        gate_delegation.insert().values(
            id=one.id,
            giver=one.giver,
            receiver=one.to,
            role=one.role.value,
            gates=sorted(one.gates),
            starts_at=one.start,
            until=one.until,
            reason=one.reason,
            made_at=one.made_at,
        )
    )


def revoke_delegation(connection: Connection, name: str, at: datetime) -> bool:
    """End a delegation early; False when there is none that still runs."""
    table = gate_delegation
    query = update(table).where(table.c.id == name, table.c.revoked_at.is_(None)).values(revoked_at=at)
    return connection.execute(query).rowcount == 1


def delegations(connection: Connection) -> tuple[Delegation, ...]:
    """Return every delegation, oldest first."""
    query = select(gate_delegation).order_by(gate_delegation.c.made_at, gate_delegation.c.id)
    return tuple(delegation_from(row) for row in connection.execute(query).mappings())


def delegation_from(row: StoredRow) -> Delegation:
    """Return a delegation from its row."""
    return Delegation(
        id=row["id"],
        giver=PersonId(row["giver"]),
        to=PersonId(row["receiver"]),
        role=Role(row["role"]),
        gates=frozenset(row["gates"]),
        start=row["starts_at"],
        until=row["until"],
        reason=row["reason"],
        made_at=row["made_at"],
        revoked_at=row["revoked_at"],
    )


def add_acceptance(connection: Connection, risk: RiskAcceptance, body_sha256: str) -> None:
    """Write an acceptance, or add the approvers of the same text to the one that is there."""
    row = insert(risk_acceptance).values(
        id=risk.id,
        release=risk.release,
        gate=risk.gate,
        body_sha256=body_sha256,
        body=_risk_json(risk),
        approvers=_approvers_json(risk.approvers),
        created=risk.created,
        expires=risk.expires,
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["release", "gate", "body_sha256"], set_={"approvers": row.excluded.approvers}
        )
    )


def acceptance_of_text(connection: Connection, release: Digest, gate: str, body_sha256: str) -> RiskAcceptance | None:
    """Return the acceptance written from the same file, locked."""
    table = risk_acceptance
    query = select(table).where(table.c.release == release, table.c.gate == gate, table.c.body_sha256 == body_sha256)
    row = connection.execute(query.with_for_update()).mappings().first()
    return None if row is None else acceptance_from(row)


def acceptance_by_id(connection: Connection, name: str) -> RiskAcceptance | None:
    """Return one acceptance, locked, or None."""
    table = risk_acceptance
    row = connection.execute(select(table).where(table.c.id == name).with_for_update()).mappings().first()
    return None if row is None else acceptance_from(row)


def findings_accepted(connection: Connection, release: Digest) -> frozenset[str]:
    """Return every finding that an acceptance of a release names, whether it holds or not."""
    query = select(risk_acceptance).where(risk_acceptance.c.release == release)
    rows = connection.execute(query).mappings()
    return frozenset(finding for row in rows for finding in acceptance_from(row).findings)


def acceptances_of_risk(connection: Connection, risk: str) -> tuple[RiskAcceptance, ...]:
    """Return every acceptance of the same named risk, in any release: renewals are counted over these."""
    table = risk_acceptance
    query = select(table).where(table.c.body["risk"].astext == risk).order_by(table.c.created, table.c.id)
    return tuple(acceptance_from(row) for row in connection.execute(query).mappings())


def withdraw_acceptance(connection: Connection, name: str, at: datetime) -> bool:
    """End an acceptance early."""
    table = risk_acceptance
    query = update(table).where(table.c.id == name, table.c.withdrawn_at.is_(None)).values(withdrawn_at=at)
    return connection.execute(query).rowcount == 1


def _approvers_json(approvers: Sequence[Approver]) -> list[dict[str, Any]]:
    return [
        {"person": one.person, "role": one.role.value, "at": to_text(one.at), "is_person": one.is_person}
        for one in approvers
    ]


def _risk_json(risk: RiskAcceptance) -> dict[str, Any]:
    return {
        "risk": risk.risk,
        "severity": risk.severity.value,
        "criteria": list(risk.criteria),
        "seats": [seat.value for seat in risk.seats],
        "findings": list(risk.findings),
        "rationale": risk.rationale,
        "controls": list(risk.controls),
        "likelihood": risk.likelihood,
        "impact": risk.impact,
        "owner": risk.owner,
        "requester": risk.requester,
        "spaces": list(risk.spaces),
        "review_at": None if risk.review_at is None else to_text(risk.review_at),
        "revoke_when": [{"kind": one.kind, "text": one.text} for one in risk.revoke_when],
        "renewals": risk.renewals,
        "first_created": None if risk.first_created is None else to_text(risk.first_created),
        "same_rationale": risk.same_rationale,
        "open_then": None if risk.open_then is None else [one.as_json() for one in risk.open_then],
    }


def _open_from(body: Sequence[Mapping[str, Any]] | None) -> tuple[OpenThen, ...] | None:
    if body is None:
        return None
    return tuple(
        OpenThen(
            criterion=one["criterion"],
            checks=tuple(
                OpenCheck(kind=kind, condition=condition, observed=observed, series=" ".join(series))
                for kind, condition, observed, *series in one["checks"]
            ),
            findings=tuple(one["findings"]),
        )
        for one in body
    )


def acceptance_from(row: StoredRow) -> RiskAcceptance:
    """Return an acceptance from its row."""
    body = row["body"]
    return RiskAcceptance(
        id=row["id"],
        risk=body["risk"],
        severity=RiskLevel(body["severity"]),
        gate=row["gate"],
        criteria=tuple(body["criteria"]),
        seats=tuple(Role(seat) for seat in body["seats"]),
        findings=tuple(body["findings"]),
        rationale=body["rationale"],
        controls=tuple(body["controls"]),
        likelihood=body["likelihood"],
        impact=body["impact"],
        owner=PersonId(body["owner"]),
        requester=PersonId(body["requester"]),
        approvers=tuple(
            Approver(
                person=PersonId(one["person"]),
                role=Role(one["role"]),
                at=from_text(one["at"]),
                is_person=one["is_person"],
            )
            for one in row["approvers"]
        ),
        release=row["release"],
        spaces=tuple(body["spaces"]),
        created=row["created"],
        expires=row["expires"],
        review_at=None if body["review_at"] is None else from_text(body["review_at"]),
        revoke_when=tuple(Claim(**one) for one in body["revoke_when"]),
        renewals=body["renewals"],
        first_created=None if body["first_created"] is None else from_text(body["first_created"]),
        same_rationale=body["same_rationale"],
        withdrawn_at=row["withdrawn_at"],
        open_then=_open_from(body.get("open_then")),
    )
