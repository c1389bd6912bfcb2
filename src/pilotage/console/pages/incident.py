"""Incident: what now? State and times, the timeline, the commands, and the post-mortem with what the records say.

Rule: every change is `incident update`, with the reasons of CLI and API. Fail mode: a Refusal with everything that is
missing, shown above the form; what was typed is kept. A post-mortem is approved or replaced as it was read, or not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.incident_reports import incident_detail, incident_list
from pilotage.control.manage_incident import Change, may_approve, read_as, update_incident
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Action, may
from pilotage.incident.records import IncidentState

MOST: Final = 50
ACTIONS: Final = 3
_TIMES: Final = ("started", "detected", "acknowledged", "mitigated", "resolved", "closed")
_TEXTS: Final = {
    "summary": "What happened",
    "impact": "Whom it met",
    "detection": "How it was noticed",
    "cause": "Why it happened",
    "went_well": "What went well",
    "went_badly": "What went badly",
    "lucky": "Where we were lucky",
    "informed": "Who was informed",
}
_ACTION: Final = ("text", "owner", "due", "aim")
_MOVES: Final = (
    ("acknowledged", "Take it on"),
    ("mitigated", "It is mitigated"),
    ("resolved", "It is resolved"),
    ("closed", "Close it"),
)


def show_incidents(visit: Visit) -> Page:
    """Show what is open."""
    found: Any = incident_list(visit.reading, only_open=True)
    rows = [(one, datetime.fromisoformat(one["detected_at"])) for one in found["incidents"]]
    values = {"rows": rows[:MOST], "total": len(rows)}
    return Page(template="incidents.html", title="Incidents", values=values)


def show_incident(visit: Visit) -> Page:
    """Show one incident."""
    found: Any = incident_detail(visit.reading, visit.params["incident"])
    refusal = may(visit.actor.roles, Action.MANAGE_INCIDENT)
    times = [(word, datetime.fromisoformat(found[f"{word}_at"])) for word in _TIMES if found[f"{word}_at"]]
    due, told = found["post_mortem_due"], found["postmortem"] or {}
    held = told.get("actions", [])
    against = may_approve(told["author"], found["commander"], visit.actor.person) if told else None
    return Page(
        template="incident.html",
        title=f"Incident of {found['workflow']}",
        about=found["incident"],
        values={
            "found": found,
            "times": times,
            "lines": [(datetime.fromisoformat(one["at"]), one) for one in found["timeline"]],
            "due": None if due is None else datetime.fromisoformat(due),
            "moves": _MOVES,
            "texts": _TEXTS,
            "actions": [(place, held[place - 1] if place <= len(held) else {}) for place in range(1, _rows(held) + 1)],
            "read": read_as(found["postmortem"]),
            "against": () if against is None else against.reasons,
            "may_not": () if refusal is None else refusal.reasons,
        },
    )


def change(visit: Visit) -> Reply | Refusal:
    """Move it on, lift its freeze, approve its post-mortem, or add a line."""
    word, note = visit.typed("do"), visit.typed("note").strip()
    match word:
        case "approve":
            return _changed(visit, Change(approve=True, note=note, read=visit.typed("read")))
        case "lift":
            return _changed(visit, Change(lift_freeze=True, note=note))
        case "note":
            return _noted(visit, note)
    if word not in {state.value for state in IncidentState}:
        raise UsageError("STATE_MISSING", "Choose what happened: taken on, mitigated, resolved or closed.")
    return _changed(visit, Change(state=IncidentState(word), note=note))


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
