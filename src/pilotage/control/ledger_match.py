"""Whether the rows a release is decided from still say what the ledger recorded of them (LEDGER_MISMATCH).

Compared are votes, evidence, risk acceptances, mitigations and standard changes with their templates, each with its
entry, and a withdrawn release's state with the newest entry about it. Rule: a row that differs, or has no entry,
blocks every gate of its release until it is as recorded. Fail mode: a field the entry does not name is not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pilotage.control.gate_entries import (
    change_data,
    closing_data,
    evidence_data,
    mitigation_data,
    risk_data,
    template_data,
    template_vote_data,
    vote_data,
)
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.reason import Reason
from pilotage.evaluation.mitigation import Mitigation
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.gate.records import RiskAcceptance, Vote
from pilotage.gate.standard import StandardChange, StandardTemplate, TemplateVote
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_said import Said
from pilotage.store.releases import StoredRelease

_Entries = Mapping[str, tuple[Said, ...]]
_KEPT = frozenset({EvidenceState.ACCEPTED, EvidenceState.SUPERSEDED})
_ITEM_STATES: Mapping[EntryKind, EvidenceState] = {
    EntryKind.EVIDENCE_WITHDRAWN: EvidenceState.WITHDRAWN,
    EntryKind.EVIDENCE_ATTACHED: EvidenceState.ACCEPTED,
    EntryKind.EVIDENCE_REJECTED: EvidenceState.REJECTED,
}
"""The state an item has by its entries: the first kind there is."""
_STATE_OF: Mapping[str, ReleaseState] = {
    EntryKind.RELEASE_DEPRECATED: ReleaseState.DEPRECATED,
    EntryKind.RELEASE_QUARANTINED: ReleaseState.QUARANTINED,
    EntryKind.RELEASE_REVOKED: ReleaseState.REVOKED,
}


def ledger_mismatches(
    said: _Entries,
    stored: StoredRelease,
    *,
    votes: Sequence[Vote],
    evidence: Sequence[Evidence],
    acceptances: Sequence[RiskAcceptance],
) -> tuple[Reason, ...]:
    """Return a reason for every row that is not as the ledger recorded it; `said` are the entries about each."""
    return (
        *_release(stored, said),
        *(reason for vote in votes for reason in _vote(vote, said)),
        *(reason for item in evidence for reason in _item(item, said)),
        *(reason for risk in acceptances for reason in _risk(risk, said)),
    )


def standard_mismatches(
    said: _Entries, stored: StoredRelease, changes: Sequence[StandardChange], templates: Iterable[StandardTemplate]
) -> tuple[Reason, ...]:
    """Return a reason for every row that a release's standard change rests on and that is not as recorded."""
    return (
        *(reason for one in changes for reason in _change(one, stored, said)),
        *(reason for one in templates for reason in _template(one, said)),
    )


def mitigation_mismatches(said: _Entries, mitigations: Iterable[Mitigation]) -> tuple[Reason, ...]:
    """Return a reason for every mitigation that is not as recorded."""
    return tuple(reason for one in mitigations for reason in _mitigation(one, said))


def _mitigation(one: Mitigation, said: _Entries) -> Iterator[Reason]:
    entry = _newest(said, one.id, EntryKind.EVALUATION_MITIGATION_OPENED)
    if entry is not None and "owner" in entry.opened:
        entry = replace(entry, data={**entry.data, "owner": entry.opened["owner"]})
    changed = _newest(said, one.id, EntryKind.EVALUATION_MITIGATION_CHANGED)
    if entry is not None and changed is not None:
        entry = replace(entry, data={**entry.data, **changed.data, **_owner(changed)})
    now = mitigation_data(one) | {"owner": one.owner, "time": to_text(one.opened_at), "person": one.opened_by}
    yield from _compared("mitigation", one.id, now, entry)
    if one.closing is not None:
        closed = closing_data(one.closing) | {"time": to_text(one.closing.at), "person": one.closing.approver}
        last = _newest(said, one.id, EntryKind.EVALUATION_MITIGATION_CLOSED)
        yield from _compared("closing of mitigation", one.id, closed, last)
        again = _newest(said, one.id, EntryKind.EVALUATION_MITIGATION_REOPENED)
        is_later = again is not None and last is not None and again.at >= last.at
        if again is not None and is_later and (one.closing.until is None or one.closing.until > again.at):
            yield _differs("mitigation", one.id, "state", "closed", "reopened")


def _owner(changed: Said) -> dict[str, Json]:
    return {"owner": changed.opened["owner"]} if "owner" in changed.opened else {}


def _newest(said: _Entries, subject: str, kind: EntryKind) -> Said | None:
    return next((one for one in reversed(said.get(subject, ())) if one.kind == kind), None)


def _release(stored: StoredRelease, said: _Entries) -> Iterator[Reason]:
    """Yield that a release looks better than its newest entry: who sets a state writes one."""
    about = [one for one in said.get(stored.digest, ()) if not one.space]
    moves = [one for one in about if one.kind in {*_STATE_OF, EntryKind.RELEASE_RESTORED}]
    expected = _STATE_OF.get(moves[-1].kind) if moves else None
    if expected is not None and stored.state is not expected:
        yield _differs("release", stored.digest, "state", stored.state.value, expected.value)


def _vote(vote: Vote, said: _Entries) -> Iterator[Reason]:
    now = vote_data(vote) | {"time": to_text(vote.at), "person": vote.person}
    return _compared("vote", vote.id, now, _newest(said, vote.id, EntryKind.GATE_SIGNED_OFF))


def _item(item: Evidence, said: _Entries) -> Iterator[Reason]:
    expected = next((state for kind, state in _ITEM_STATES.items() if _newest(said, item.id, kind) is not None), None)
    if expected is not None and item.state is not expected and not {item.state, expected} <= _KEPT:
        yield _differs("evidence", item.id, "state", item.state.value, expected.value)
    elif expected is not None and item.state not in _KEPT:
        return  # what is rejected or withdrawn counts for nothing
    now = evidence_data(item) | {"time": to_text(item.received_at), "person": item.producer}
    entry = _newest(said, item.id, EntryKind.EVIDENCE_ATTACHED)
    later = _newest(said, item.id, EntryKind.EVIDENCE_READING_RECORDED)
    if entry is not None and later is not None:
        # What was attached before entries held a reading; one that holds it is never overruled.
        entry = replace(entry, data={**later.data, **entry.data}, opened={**later.opened, **entry.opened})
    yield from _compared("evidence", item.id, now, entry)


def _risk(risk: RiskAcceptance, said: _Entries) -> Iterator[Reason]:
    if risk.withdrawn_at is None and _newest(said, risk.id, EntryKind.GATE_RISK_WITHDRAWN) is not None:
        yield _differs("risk acceptance", risk.id, "withdrawn_at", "never", "withdrawn")
    entry = _newest(said, risk.id, EntryKind.GATE_RISK_ACCEPTED)
    yield from _compared("risk acceptance", risk.id, risk_data(risk), entry)


def _change(one: StandardChange, stored: StoredRelease, said: _Entries) -> Iterator[Reason]:
    now = change_data(one, stored.workflow) | {"time": to_text(one.declared_at), "person": one.declared_by}
    return _compared("standard change", one.id, now, _newest(said, one.id, EntryKind.GATE_STANDARD_DECLARED))


def _template(one: StandardTemplate, said: _Entries) -> Iterator[Reason]:
    for vote in one.votes:
        yield from _template_vote(one.id, vote, said)
    now = template_data(one) | {"time": to_text(one.proposed_at), "person": one.proposed_by}
    yield from _compared("template", one.id, now, _newest(said, one.id, EntryKind.GATE_STANDARD_PROPOSED))


def _template_vote(template: str, vote: TemplateVote, said: _Entries) -> Iterator[Reason]:
    now = template_vote_data(template, vote) | {"time": to_text(vote.at), "person": vote.person}
    return _compared("vote about a template", vote.id, now, _newest(said, vote.id, EntryKind.GATE_STANDARD_SIGNED))


def _compared(what: str, name: str, now: Mapping[str, Json], entry: Said | None) -> Iterator[Reason]:
    """Yield where a row differs from its entry; `time` and `person` are those of the entry itself."""
    if entry is None:
        yield _unrecorded(what, name)
        return
    recorded: dict[str, Json] = {**entry.data, "time": to_text(entry.at)}
    if entry.opened.get("person") is not None:
        recorded["person"] = entry.opened["person"]
    for field, value in now.items():
        if field in recorded and recorded[field] != value:
            yield _differs(what, name, field, str(value), str(recorded[field]))


def _differs(what: str, name: str, field: str, observed: str, limit: str) -> Reason:
    text = (
        f"The {what} {name} says {field} {observed}; the ledger recorded {limit}. Somebody changed the database: run "
        "`pilotage ledger fsck` and restore the row."
    )
    return Reason(code="LEDGER_MISMATCH", text=text, where=name, observed=observed, limit=limit)


def _unrecorded(what: str, name: str) -> Reason:
    text = f"The {what} {name} has no ledger entry, so no command of ours wrote it. Run `pilotage ledger fsck`."
    return Reason(code="LEDGER_MISMATCH", text=text, where=name)
