"""Who asks: the authenticated principal, as every later step sees it.

Rule: identity comes from verified credentials only, never from a header, a body field or metadata. `acl_names` is the
one place that turns a principal into the names an ACL may grant; `group:everyone` is every authenticated person of the
workspace, services excluded. Fail mode: an unknown name grants nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.ids import PersonId, PrincipalId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.roles import Role


class PrincipalKind(StrEnum):
    """A person, a service with its own key, or a test persona that can never log in."""

    PERSON = "person"
    SERVICE = "service"
    PERSONA = "persona"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """One authenticated asker.

    `id` is stable: `iss|sub` (OIDC), `local|<person>`, `key|<service>`, `persona|<name>`. `person` is the declared
    person behind it, when there is one. `label` is for people to read; `via` says how the principal was authenticated
    (`oidc`, `local`, or the id of a key). `spaces`, `workflows`: what a service's key names; empty is no limit.
    """

    id: PrincipalId
    kind: PrincipalKind
    person: PersonId | None = None
    groups: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    region: str | None = None
    label: str
    via: str
    spaces: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()


def outside_key(principal: Principal, *, workflow: str, space: str | None = None) -> Refusal | None:
    """Return why a service does nothing to this workflow, or in this space, by the key it came with.

    `space` None is every space at once, which a key that names spaces does not reach.
    """
    if principal.workflows and workflow not in principal.workflows:
        what, named = workflow, principal.workflows
    elif principal.spaces and space not in principal.spaces:
        what, named = space or "every space at once", principal.spaces
    else:
        return None
    text = f"The key of {principal.label} is for {', '.join(sorted(named))}, not for {what}."
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, where=space or workflow),))


EVERYONE = "group:everyone"


def acl_names(principal: Principal) -> frozenset[str]:
    """Return the ACL names this principal holds: `user:`, `group:` and `service:` names."""
    names = {f"group:{group}" for group in principal.groups} - {EVERYONE}
    match principal.kind:
        case PrincipalKind.SERVICE:
            names.add(f"service:{principal.id.removeprefix('key|')}")
        case PrincipalKind.PERSON | PrincipalKind.PERSONA:
            names |= {f"user:{principal.id}", EVERYONE}
            if principal.person is not None:
                names.add(f"user:{principal.person}")
    return frozenset(names)


def local_principal_id(person: PersonId) -> PrincipalId:
    """Return the stable id of a declared person in local identity mode."""
    return PrincipalId(f"local|{person}")


def service_principal_id(service: str) -> PrincipalId:
    """Return the stable id of a service that holds keys."""
    return PrincipalId(f"key|{service}")
