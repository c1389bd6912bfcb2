"""Whether the rows a release is decided from still say what the ledger recorded of them (LEDGER_MISMATCH).

Compared are votes, evidence, risk acceptances and standard changes with their templates, each with its entry, and a
withdrawn release's state with the newest entry about it. Rule: a row that differs, or has no entry, blocks every gate
of its release until it is as recorded. Fail mode: a field the entry does not name cannot be compared and is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from pilotage.control.gate_entries import (
    change_data,
    evidence_data,
    risk_data,
    template_data,
    template_vote_data,
    vote_data,
)
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.gate.records import RiskAcceptance, Vote
from pilotage.gate.standard import StandardChange, StandardTemplate, TemplateVote
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_said import Said
from pilotage.store.releases import StoredRelease

_Entries = Mapping[str, tuple[Said, ...]]
_KEPT = frozenset({EvidenceState.ACCEPTED, EvidenceState.SUPERSEDED})
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
    entry = _newest(said, vote.id, EntryKind.GATE_SIGNED_OFF)
    if entry is None:
        yield _unrecorded("vote", vote.id)
        return
    yield from _compared("vote", vote.id, vote_data(vote), entry)
    yield from _at("vote", vote.id, vote.at, entry)
    yield from _person("vote", vote.id, vote.person, entry)


def _item(item: Evidence, said: _Entries) -> Iterator[Reason]:
    if item.state not in _KEPT:
        return  # what is rejected or withdrawn counts for nothing
    entry = _newest(said, item.id, EntryKind.EVIDENCE_ATTACHED)
    if entry is None:
        yield _unrecorded("evidence", item.id)
        return
    if _newest(said, item.id, EntryKind.EVIDENCE_WITHDRAWN) is not None:
        yield _differs("evidence", item.id, "state", item.state.value, EvidenceState.WITHDRAWN.value)
    yield from _compared("evidence", item.id, evidence_data(item), entry)
    yield from _at("evidence", item.id, item.received_at, entry)


def _risk(risk: RiskAcceptance, said: _Entries) -> Iterator[Reason]:
    entry = _newest(said, risk.id, EntryKind.GATE_RISK_ACCEPTED)
    if entry is None:
        yield _unrecorded("risk acceptance", risk.id)
        return
    if risk.withdrawn_at is None and _newest(said, risk.id, EntryKind.GATE_RISK_WITHDRAWN) is not None:
        yield _differs("risk acceptance", risk.id, "withdrawn_at", "never", "withdrawn")
    yield from _compared("risk acceptance", risk.id, risk_data(risk), entry)


def _change(one: StandardChange, stored: StoredRelease, said: _Entries) -> Iterator[Reason]:
    entry = _newest(said, one.id, EntryKind.GATE_STANDARD_DECLARED)
    if entry is None:
        yield _unrecorded("standard change", one.id)
        return
    yield from _compared("standard change", one.id, change_data(one, stored.workflow), entry)
    yield from _at("standard change", one.id, one.declared_at, entry)
    yield from _person("standard change", one.id, one.declared_by, entry)


def _template(one: StandardTemplate, said: _Entries) -> Iterator[Reason]:
    for vote in one.votes:
        yield from _template_vote(one.id, vote, said)
    entry = _newest(said, one.id, EntryKind.GATE_STANDARD_PROPOSED)
    if entry is None:
        yield _unrecorded("template", one.id)
        return
    yield from _compared("template", one.id, template_data(one), entry)
    yield from _at("template", one.id, one.proposed_at, entry)
    yield from _person("template", one.id, one.proposed_by, entry)


def _template_vote(template: str, vote: TemplateVote, said: _Entries) -> Iterator[Reason]:
    entry = _newest(said, vote.id, EntryKind.GATE_STANDARD_SIGNED)
    if entry is None:
        yield _unrecorded("vote about a template", vote.id)
        return
    yield from _compared("vote about a template", vote.id, template_vote_data(template, vote), entry)
    yield from _at("vote about a template", vote.id, vote.at, entry)
    yield from _person("vote about a template", vote.id, vote.person, entry)


def _compared(what: str, name: str, now: Mapping[str, Json], entry: Said) -> Iterator[Reason]:
    for field, value in now.items():
        if field in entry.data and entry.data[field] != value:
            yield _differs(what, name, field, str(value), str(entry.data[field]))


def _at(what: str, name: str, at: datetime, entry: Said) -> Iterator[Reason]:
    if to_text(at) != to_text(entry.at):
        yield _differs(what, name, "time", to_text(at), to_text(entry.at))


def _person(what: str, name: str, person: PersonId, entry: Said) -> Iterator[Reason]:
    opened = entry.opened.get("person")
    if opened is not None and opened != person:
        yield _differs(what, name, "person", person, opened)


def _differs(what: str, name: str, field: str, observed: str, limit: str) -> Reason:
    text = (
        f"The {what} {name} says {field} {observed}; the ledger recorded {limit}. Somebody changed the database: run "
        "`pilotage ledger fsck` and restore the row."
    )
    return Reason(code="LEDGER_MISMATCH", text=text, where=name, observed=observed, limit=limit)


def _unrecorded(what: str, name: str) -> Reason:
    text = f"The {what} {name} has no ledger entry, so no command of ours wrote it. Run `pilotage ledger fsck`."
    return Reason(code="LEDGER_MISMATCH", text=text, where=name)
