"""Whether whoever gives a command is a declared person, so that all their accounts, and all they did, are known.

Rule: asked wherever people decide and a service does not. Fail mode: a reason for everybody else.
"""

from __future__ import annotations

from pilotage.core.reason import Reason
from pilotage.identity.principal import Principal, PrincipalKind


def person_problem(actor: Principal, deeds: str) -> Reason | None:
    """Return why this actor does none of the `deeds` ("closes a session"): a service, or nobody declared."""
    if actor.kind is not PrincipalKind.PERSON:
        text = f"A service never {deeds}; people do."
        return Reason(code="SOD_SERVICE", text=text, where=actor.label)
    if actor.person is None:
        text = "Your account belongs to no declared person. Have it added to your accounts in pilotage.yaml."
        return Reason(code="SOD_CONFLICT", text=text, where=actor.label)
    return None
