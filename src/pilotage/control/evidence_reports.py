"""`pilotage evidence list | show | withdraw`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.reason import Reason, Refusal
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.evidence.superseding import current_items
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.space.settings import Tier
from pilotage.store.evidence import evidence_about, evidence_by_id, withdraw
from pilotage.store.releases import named_release


def list_evidence(instance: Instance, release: str) -> list[dict[str, Json]]:
    """Return every item about a release, newest first, with its age and whether it is current."""
    with instance.engine.connect() as connection:
        items = evidence_about(connection, subjects_of(named_release(connection, release)))
    now = instance.clock.now()
    current = {item.id for item in current_items(items, now)}
    return [{**item.as_json(), **_standing(instance, item, current, now)} for item in reversed(items)]


def _standing(instance: Instance, item: Evidence, current: Collection[str], now: datetime) -> dict[str, Json]:
    """Return whether an item is current, its age and window in days, and until when it counts.

    `outdated`: it is older than its window, or past the last day that the document names.
    """
    space = None if item.space is None else instance.workspace.spaces.get(item.space)
    window = window_of(item.kind, in_production=space is not None and space.tier is Tier.PRODUCTION)
    age, last_day = age_of(item, now), item.refs.get("valid_until", "")
    is_past = item.kind.startswith("document.") and last_day != "" and now.date().isoformat() > last_day
    is_replaced = item.state is EvidenceState.ACCEPTED and item.id not in current
    return {
        "state": EvidenceState.SUPERSEDED.value if is_replaced else item.state.value,
        "current": item.id in current,
        "age": f"{age.total_seconds() / 86_400:.1f} d of {window.days} d",
        "expires": to_text(now - age + window),
        "outdated": age > window or is_past,
    }


def show_evidence(instance: Instance, name: str) -> dict[str, Json]:
    """Return one item with its findings and references, and whether it counts among those about its subject."""
    with instance.engine.connect() as connection:
        item = evidence_by_id(connection, name)
        beside = evidence_about(connection, {item.subject_kind: [item.subject]})
    now = instance.clock.now()
    current = {one.id for one in current_items(beside, now)}
    return {**item.as_json(), **_standing(instance, item, current, now), **_detail(item)}


def _detail(item: Evidence) -> dict[str, Json]:
    return {
        "size": item.size,
        "refs": dict(item.refs),
        "names": {purpose: list(listed[:200]) for purpose, listed in item.names.items()},
        "open_findings": [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "title": one.title,
                "component": one.component,
                "version": one.version,
                "location": one.location,
                "suppressed": one.suppressed,
            }
            for one in item.findings[:500]
        ],
    }


def withdraw_evidence(instance: Instance, *, actor: Principal, evidence: str, reason: str) -> Refusal | None:
    """Withdraw an item; only who brought it may."""
    with instance.engine.begin() as connection:
        item = evidence_by_id(connection, evidence)
        if item.producer != str(actor.person or actor.id):
            text = f"{evidence} was brought by {item.producer}; only its producer withdraws it."
            return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=evidence),))
        withdraw_item(connection, item, actor=actor, reason=reason, at=instance.clock.now())
    return None


def withdraw_item(connection: Connection, item: Evidence, *, actor: Principal, reason: str, at: datetime) -> None:
    """Withdraw an item with its entry, in the caller's transaction; may it be withdrawn is the caller's question."""
    withdraw(connection, item.id, Reason(code="WITHDRAWN", text=reason))
    record(
        connection,
        EntryKind.EVIDENCE_WITHDRAWN,
        actor=actor,
        at=at,
        subject=item.id,
        data={"kind": item.kind, "sha256": item.sha256},
        opened={"reason": reason},
    )
