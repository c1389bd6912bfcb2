"""Incident: what now? State and times, the timeline, the commands, and the post-mortem with what the records say.

Rule: every change is `incident update`, with the reasons of CLI and API. Fail mode: a Refusal with everything that is
missing, shown above the form; what was typed is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.incident_reports import incident_detail, incident_list
from pilotage.control.manage_incident import Change, update_incident
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Action, may
from pilotage.incident.records import IncidentState

MOST: Final = 50
ACTIONS: Final = 3
_TIMES: Final = ("started", "detected", "acknowledged", "mitigated", "resolved", "closed")
_TEXTS: Final = ("summary", "impact", "detection", "cause", "informed")
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
    due = found["post_mortem_due"]
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
            "actions": range(1, ACTIONS + 1),
            "may_not": () if refusal is None else refusal.reasons,
        },
    )


def change(visit: Visit) -> Reply | Refusal:
    """Move it on, lift its freeze, approve its post-mortem, or add a line."""
    word, note = visit.typed("do"), visit.typed("note").strip()
    match word:
        case "approve":
            return _changed(visit, Change(approve=True, note=note))
        case "lift":
            return _changed(visit, Change(lift_freeze=True, note=note))
        case "note":
            return _noted(visit, note)
    if word not in {state.value for state in IncidentState}:
        raise UsageError("STATE_MISSING", "Choose what happened: taken on, mitigated, resolved or closed.")
    return _changed(visit, Change(state=IncidentState(word), note=note))


def write(visit: Visit) -> Reply | Refusal:
    """Write the post-mortem, in place of one before."""
    written: dict[str, Any] = {name: visit.typed(name).strip() for name in _TEXTS if visit.typed(name).strip()}
    rows = [
        {name: visit.typed(f"action.{number}.{name}").strip() for name in ("text", "owner", "due", "aim")}
        for number in range(1, ACTIONS + 1)
    ]
    written["actions"] = [row for row in rows if row["text"]]
    return _changed(visit, Change(post_mortem=written))


def _noted(visit: Visit, note: str) -> Reply | Refusal:
    if not note:
        raise UsageError("NOTE_MISSING", "Write what the timeline should say.")
    return _changed(visit, Change(note=note))


def _changed(visit: Visit, wanted: Change) -> Reply | Refusal:
    incident = visit.params["incident"]
    done = update_incident(visit.instance, actor=visit.actor, incident=incident, change=wanted)
    return done if isinstance(done, Refusal) else Redirect(to=f"/incidents/{incident}")
