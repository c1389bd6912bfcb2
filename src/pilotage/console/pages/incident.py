"""Incident: what now? State and times, the timeline, the commands, and the post-mortem with what the records say.

The live region is one macro: the whole page shows it, and the stream sends it again when something changed. Rule: every
change is `incident update`, with the reasons of CLI and API. Fail mode: a Refusal with everything that is missing,
shown above the form; what was typed is kept. A post-mortem is approved or replaced as it was read, or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.incident_reports import incident_detail
from pilotage.control.manage_incident import Change, update_incident
from pilotage.control.view_incident import APPROVE, CHANGE, LIFT, PSEUDONYM, IncidentView, view_desk
from pilotage.core.digest import digest_of_json, short
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.incident.records import IncidentState, Severity
from pilotage.workspace.records import Workspace

ACTIONS: Final = 3
_TIMES: Final = ("started", "detected", "acknowledged", "mitigated", "resolved", "closed")
_TEXTS: Final = MappingProxyType(
    {
        "summary": "What happened",
        "impact": "Whom it met",
        "detection": "How it was noticed",
        "cause": "Why it happened",
        "went_well": "What went well",
        "went_badly": "What went badly",
        "lucky": "Where we were lucky",
        "informed": "Who was informed",
    }
)
_DECIDING: Final = ("state", "severity", "commander", "freezes", "acknowledged_at")
_ACTION: Final = ("text", "owner", "due", "aim")
_MOVES: Final = (
    ("acknowledged", "Take it on"),
    ("mitigated", "It is mitigated"),
    ("resolved", "It is resolved"),
    ("closed", "Close it"),
    ("open", "Open it again"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One line, with the name of who wrote it where that is known."""

    at: datetime
    by: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the live region shows, the same to everybody. `state` changes with what the commands depend on."""

    told: Mapping[str, Any]
    state: str
    lines: Sequence[TimelineRow]
    times: Sequence[tuple[str, datetime]]
    due: datetime | None
    texts: Mapping[str, str] = field(default_factory=lambda: _TEXTS)


def show_incident(visit: Visit) -> Page:
    """Show one incident."""
    view, desk = view_desk(visit.reading, visit.params["incident"], actor=visit.actor)
    shown = shown_of(visit.instance.workspace, view)
    found, held = shown.told, (shown.told["postmortem"] or {}).get("actions", [])
    against: Mapping[str, Sequence[Reason]] = desk.against
    return Page(
        template="incident.html",
        title=f"Incident of {found['workflow']}",
        about=found["incident"],
        values={
            "found": found,
            "shown": shown,
            "read": view.read,
            "moves": [(state, word, against[state]) for state, word in _MOVES if state in against],
            "against": {"lift": against[LIFT], "approve": against[APPROVE]},
            "may_not": against[CHANGE],
            "leaders": desk.leaders,
            "severities": [one.value for one in Severity if one.value != found["severity"]],
            "actions": [(place, held[place - 1] if place <= len(held) else {}) for place in range(1, _rows(held) + 1)],
        },
    )


def shown_of(workspace: Workspace, view: IncidentView) -> Shown:
    """Return what the live region shows of it."""
    told, people = view.told, workspace.people
    names = {pseudonym: people[person].name for pseudonym, person in view.people.items()}
    due = told["post_mortem_due"]
    return Shown(
        told=told,
        state=_state(view),
        lines=[
            TimelineRow(
                at=datetime.fromisoformat(one["at"]),
                by=names.get(one["actor"], one["actor"]),
                text=PSEUDONYM.sub(lambda found: names.get(found[0], found[0]), one["text"]),
            )
            for one in told["timeline"]
        ],
        times=[(word, datetime.fromisoformat(told[f"{word}_at"])) for word in _TIMES if told[f"{word}_at"]],
        due=None if due is None else datetime.fromisoformat(due),
    )


def _state(view: IncidentView) -> str:
    """Return a word that changes with what the forms beside the region print."""
    told: dict[str, Any] = {name: view.told[name] for name in _DECIDING}
    led = list(view.stored.former_commanders)
    held = {**told, "read": view.read, "is_verified": view.is_verified, "led": led}
    return f"{told['state']} {short(digest_of_json(held))}"


def change(visit: Visit) -> Reply | Refusal:
    """Move it on or back, lift its freeze, approve its post-mortem, grade it, name who leads it, or add a line."""
    word, note = visit.typed("do"), visit.typed("note").strip()
    match word:
        case "approve":
            return _changed(visit, Change(approve=True, note=note, read=visit.typed("read")))
        case "lift":
            return _changed(visit, Change(lift_freeze=True, note=note))
        case "severity":
            return _changed(visit, Change(severity=_severity(visit), note=note))
        case "commander":
            return _changed(visit, Change(commander=_commander(visit), note=note))
        case "note":
            return _noted(visit, note)
    if word not in {state.value for state in IncidentState}:
        raise UsageError("STATE_MISSING", "Choose what happened: taken on, mitigated, resolved, closed or open again.")
    return _changed(visit, Change(state=IncidentState(word), note=note))


def _severity(visit: Visit) -> Severity:
    typed = visit.typed("severity")
    if typed not in {one.value for one in Severity}:
        raise UsageError("SEVERITY_MISSING", "Choose a severity from SEV1, the worst, to SEV4.")
    return Severity(typed)


def _commander(visit: Visit) -> str:
    if not visit.typed("commander"):
        raise UsageError("COMMANDER_MISSING", "Choose who leads it from now on.")
    return visit.typed("commander")


def write(visit: Visit) -> Reply | Refusal:
    """Write the post-mortem, in place of one before; golden cases that it names stay, the form holds none."""
    before: Any = incident_detail(visit.reading, visit.params["incident"])["postmortem"] or {}
    written: dict[str, Any] = {name: visit.typed(name).strip() for name in _TEXTS if visit.typed(name).strip()}
    if before.get("golden_cases"):
        written["golden_cases"] = before["golden_cases"]
    written["actions"] = _actions(visit, _rows(before.get("actions", [])))
    return _changed(visit, Change(post_mortem=written, read=visit.typed("read")))


def _rows(held: list[Any]) -> int:
    """Return for how many actions the form has room: one more than there are."""
    return max(ACTIONS, len(held) + 1)


def _actions(visit: Visit, most: int) -> list[dict[str, str]]:
    found = []
    for number in range(1, most + 1):
        row = {name: visit.typed(f"action.{number}.{name}").strip() for name in _ACTION}
        if row["text"]:
            found.append(row)
        elif row["owner"] or row["due"]:
            raise UsageError("ACTION_TEXT_MISSING", f"Action {number} does not say what will be done.")
    return found


def _noted(visit: Visit, note: str) -> Reply | Refusal:
    if not note:
        raise UsageError("NOTE_MISSING", "Write what the timeline should say.")
    return _changed(visit, Change(note=note))


def _changed(visit: Visit, wanted: Change) -> Reply | Refusal:
    incident = visit.params["incident"]
    done = update_incident(visit.instance, actor=visit.actor, incident=incident, change=wanted)
    return done if isinstance(done, Refusal) else Redirect(to=f"/incidents/{incident}")
