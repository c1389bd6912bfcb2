"""What else people may do when a verdict waits: give the step more time, or overrule it as one of two persons.

Rule: both are the commands of CLI and API; an acceptance is bound to the verdict, release, space and step that the page
showed, and the second person signs the same texts. Fail mode: a Refusal or UsageError, shown above the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pilotage.console.pages.gate import check_typed
from pilotage.console.reply import Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.decide_rollout import extend_step
from pilotage.control.overrule_rollout import overrule_rollout
from pilotage.core.clock import read_moment, to_text
from pilotage.core.durations import parse_duration
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal

_TEXTS: Final = ("verdict", "release", "space", "step", "bound", "owner", "severity", "reason")


def extend(visit: Visit) -> Reply | Refusal:
    """Give the step more time."""
    rollout, text = visit.params["rollout"], visit.typed("by").strip()
    try:
        seconds = int(parse_duration(text).total_seconds())
    except ValueError as error:
        raise UsageError("DURATION", f"How much longer? {error}", hint="Write it as 12h or 2d.") from error
    note = visit.typed("note").strip()
    done = extend_step(visit.instance, actor=visit.actor, rollout=rollout, seconds=seconds, note=note)
    return done if isinstance(done, Refusal) else Redirect(to=f"/rollouts/{rollout}")


def overrule(visit: Visit) -> Reply | Refusal:
    """Sign an acceptance of what the statistic did not clear; with the second signature the rollout goes on."""
    check_typed(visit, visit.typed("release"))
    done = overrule_rollout(
        visit.instance,
        visit.services.ports,
        actor=visit.actor,
        rollout=visit.params["rollout"],
        acceptance=_acceptance(visit.form),
    )
    if isinstance(done, Refusal):
        return done
    return Redirect(to=f"/rollouts/{visit.params['rollout']}{'?said=signed' if done.waits else ''}")


def _acceptance(form: Mapping[str, str]) -> dict[str, Any]:
    texts = {name: form.get(name, "").strip() for name in _TEXTS}
    missing = [name for name in ("bound", "owner", "severity", "reason") if not texts[name]]
    if missing:
        raise UsageError("ACCEPTANCE", f"An acceptance also says its {', '.join(missing)}.", hint="Write it below.")
    return {**texts, "expires_at": to_text(read_moment(form.get("expires_at", "").strip()))}
