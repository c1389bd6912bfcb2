"""Minutes of a board's session: one record of what was decided, by whom, on what, with dissent word for word.

Rule: facts only, gathered at the close and kept by their digest; page, HTML and PDF print the same layout as a pack.
Fail mode: a seat that did not speak is `absent`, a question without answer `unanswered`; nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pilotage.core.canonical import Json, in_nfc
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import PersonId
from pilotage.gate.pack import MISSING
from pilotage.gate.pack_layout import Block, Heading, Layout, Note, Pairs, blocks_of, label_of, text_of
from pilotage.gate.records import RiskAcceptance, Vote
from pilotage.gate.report import GateReport, SignoffResult
from pilotage.gate.session import Question, Seated, Session, seated
from pilotage.gate.vocabulary import GateStatus, VoteDecision

_HEAD = ("organisation", "session", "gate", "starts_at", "called_by", "closed_at", "closed_by", "as_of", "note")
_ITEM = ("result", "release", "attempt", "pack", "sealed_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discussed:
    """One release of the agenda as the board left it. `votes` are those at this gate, oldest first."""

    workflow: str
    release: Digest
    sealed_by: PersonId
    report: GateReport
    pack: Digest | None
    votes: Sequence[Vote] = ()
    acceptances: Sequence[RiskAcceptance] = ()
    questions: Sequence[Question] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Who closes the session, when, and what they add. Without it minutes are a draft."""

    by: PersonId
    at: datetime
    note: str = ""


def minutes_of(
    session: Session, items: Iterable[Discussed], *, organisation: str, as_of: datetime, closing: Closing | None = None
) -> dict[str, Json]:
    """Return the record of a session, item by item in the order of its agenda; words are in NFC."""
    return {
        "v": 1,
        "organisation": in_nfc(organisation),
        "session": session.id,
        "gate": session.gate,
        "starts_at": to_text(session.starts_at),
        "called_by": session.called_by,
        "as_of": to_text(as_of),
        "closed_at": None if closing is None else to_text(closing.at),
        "closed_by": None if closing is None else closing.by,
        "note": "" if closing is None else in_nfc(closing.note),
        "items": [in_nfc(_item(one, session)) for one in items],
    }


def _item(one: Discussed, session: Session) -> dict[str, Json]:
    report = one.report
    last = {(vote.role, vote.person): vote for vote in one.votes if vote.attempt == report.attempt}
    return {
        "workflow": one.workflow,
        "release": one.release,
        "sealed_by": one.sealed_by,
        "attempt": report.attempt,
        "pack": one.pack or "none was made",
        "result": report.status.value,
        "reasons": [reason.text for reason in report.reasons],
        "board": [row for seat in report.signoffs if seat.is_seat for row in _spoken(seat, last.values(), session)],
        "after_the_board": [
            row for role in report.signoffs if not role.is_seat for row in _spoken(role, last.values(), session)
        ],
        "dissent": [_dissent(vote, report) for vote in last.values() if vote.decision is not VoteDecision.APPROVE],
        "accepted_risks": [_accepted(risk) for risk in one.acceptances if risk.id in report.acceptances],
        "questions": [question.as_json() for question in one.questions],
    }


def _spoken(one: SignoffResult, votes: Iterable[Vote], session: Session) -> list[Json]:
    """Return who spoke in a seat or role and whether that counts; one row of `absent` when nobody did."""
    key = "seat" if one.is_seat else "role"
    counted = {*one.approved_by, *one.rejected_by, *one.abstained_by}
    rows: list[Json] = [
        {
            key: one.role.value,
            "person": vote.person,
            "decision": vote.decision.value,
            "at": to_text(vote.at),
            "given": "before the session" if vote.at < session.starts_at else "in the session",
            "counts": "yes" if vote.person in counted else "no",
            "comment": vote.comment,
        }
        for vote in votes
        if vote.role is one.role
    ]
    if seated(one) is Seated.ABSENT and not rows:
        given = "covered by a risk acceptance" if one.covered_by else "-"
        absent = {"decision": Seated.ABSENT.value, "at": "-", "given": given, "counts": "no", "comment": ""}
        rows.append({key: one.role.value, "person": ", ".join(one.eligible) or "nobody", **absent})
    return rows


def _dissent(vote: Vote, report: GateReport) -> Json:
    cover = next((one.covered_by for one in report.signoffs if one.role is vote.role), None)
    return {
        "seat": vote.role.value,
        "person": vote.person,
        "decision": vote.decision.value,
        "comment": vote.comment,
        "accepted_by": cover or "not covered",
    }


def _accepted(risk: RiskAcceptance) -> Json:
    return {
        "id": risk.id,
        "risk": risk.risk,
        "severity": risk.severity.value,
        "rationale": risk.rationale,
        "controls": list(risk.controls),
        "owner": risk.owner,
        "people": [f"{who.person} ({who.role.value})" for who in risk.approvers],
        "expires": to_text(risk.expires),
    }


def results_in(facts: Mapping[str, Json]) -> dict[Digest, GateStatus]:
    """Return what the board left each release as; an item without a result that we know is left out."""
    items = facts.get("items")
    known = {status.value: status for status in GateStatus}
    return {
        Digest(str(one["release"])): known[str(one["result"])]
        for one in (items if isinstance(items, Sequence) else ())
        if isinstance(one, Mapping) and one.get("result") in known
    }


def lay_out_minutes(facts: Mapping[str, Json]) -> Layout:
    """Return how minutes stand on paper; a draft says that it is one."""
    is_closed = facts.get("closed_at") is not None
    rows = [(label_of(name), text_of(facts.get(name))) for name in _HEAD if facts.get(name)]
    rows.append(("minutes", digest_of_json(dict(facts)) if is_closed else "draft: the session is not closed"))
    items = facts.get("items")
    blocks: list[Block] = []
    for number, item in enumerate(items if isinstance(items, Sequence) else (), start=1):
        blocks += _printed(number, item) if isinstance(item, Mapping) else [Note(text=MISSING)]
    if not blocks:
        blocks.append(Note(text="No release stood on the agenda."))
    title = f"{'Minutes' if is_closed else 'Draft minutes'} of the {text_of(facts.get('gate'))} session"
    return Layout(title=title, head=Pairs(rows=tuple(rows)), blocks=tuple(blocks))


def _printed(number: int, item: Mapping[str, Json]) -> list[Block]:
    plain = {key: item.get(key) for key in _ITEM}
    blocks: list[Block] = [
        Heading(
            level=1, text=f"{number}. {text_of(item.get('workflow'))}, release {text_of(item.get('release'))[:19]}"
        ),
        Pairs(rows=tuple((label_of(key), text_of(value).replace("_", " ")) for key, value in plain.items())),
    ]
    for part in ("reasons", "board", "after_the_board", "dissent", "accepted_risks", "questions"):
        rows = item.get(part)
        blocks.append(Heading(level=2, text=label_of(part)))
        if not isinstance(rows, Sequence) or isinstance(rows, str):
            blocks.append(Note(text=MISSING))
        else:
            blocks += blocks_of(rows) if rows else (Note(text="None."),)
    return blocks
