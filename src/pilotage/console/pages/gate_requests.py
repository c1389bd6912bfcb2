"""Gate: the part with what people there want changed."""

from __future__ import annotations

from pilotage.console.pages.gate import gate_query
from pilotage.console.reply import Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.request_changes import Wish, close_request, request_changes
from pilotage.core.reason import Refusal


def ask(visit: Visit) -> Reply | Refusal:
    """Ask the release's authors for a change."""
    gate, digest = visit.params["gate"], visit.params["digest"]
    space = visit.typed("space") or None
    wish = Wish(gate=gate, role=visit.typed("role"), text=visit.typed("change"), space=space)
    done = request_changes(visit.instance, actor=visit.actor, release=digest, wish=wish)
    return done if isinstance(done, Refusal) else _back(visit)


def close(visit: Visit) -> Reply | Refusal:
    """Close a request of one's own."""
    request, reason = visit.typed("request"), visit.typed("reason")
    done = close_request(visit.instance, actor=visit.actor, request=request, reason=reason)
    return done if isinstance(done, Refusal) else _back(visit)


def _back(visit: Visit) -> Redirect:
    return Redirect(to=f"/releases/{visit.params['digest']}/gates/{visit.params['gate']}{gate_query(visit)}#changes")
