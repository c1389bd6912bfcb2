"""Declaring a hard event: one fact that takes a release out of every space at once (rollouts.md 8.1).

Rule: who may declare which is fixed by role; on-call may declare any. What a guard blocked before it was sent is no
breach. Fail mode: a Refusal that names the roles; nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.roll_back import RollbackRequest, roll_back
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.incident.records import HardKind
from pilotage.store.rollouts import StoredRollout

DECLARERS: Final[Mapping[HardKind, frozenset[Role]]] = {
    HardKind.SECURITY_BREACH: frozenset({Role.SECURITY_ENGINEER, Role.ON_CALL}),
    HardKind.DATA_LOSS: frozenset({Role.OPERATIONS_MANAGER, Role.OPERATIONS_LEAD, Role.ON_CALL}),
    HardKind.BUSINESS_FUNCTION: frozenset({Role.OPERATIONS_MANAGER, Role.OPERATIONS_LEAD, Role.ON_CALL}),
    HardKind.COMPLIANCE_VIOLATION: frozenset({Role.LEGAL, Role.PRIVACY_OFFICER, Role.COMPLIANCE_OFFICER, Role.ON_CALL}),
}


def declare_hard_event(
    instance: Instance, *, actor: Principal, kind: HardKind, workflow: str, reason: str, space: str | None = None
) -> tuple[StoredRollout, ...] | Refusal:
    """Declare it, roll back everywhere, and open the incident; `space` says where it was found."""
    able = DECLARERS[kind]
    if able.isdisjoint(actor.roles):
        roles = ", ".join(sorted(role.value for role in able))
        text = f"A {kind.value} is declared by one of {roles}; {actor.label} is none of them."
        return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, limit=roles),))
    request = RollbackRequest(workflow=workflow, reason=reason, space=space, hard=kind)
    return roll_back(instance, actor=actor, request=request)
