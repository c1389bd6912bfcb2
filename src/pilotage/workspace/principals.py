"""From declared people, personas and stored keys to Principals.

Rule: roles are those of the person and of the roster; a local key works in local identity mode only. Fail mode:
NotFound for an unknown person or persona; a key whose person is gone is refused.
"""

from __future__ import annotations

from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, PrincipalId
from pilotage.core.located import did_you_mean
from pilotage.identity.claims import Linked
from pilotage.identity.principal import Principal, PrincipalKind, local_principal_id, service_principal_id
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.roles import Role
from pilotage.identity.service_key import KeyKind, ServiceKey
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow


def roles_of(workspace: Workspace, person: PersonId) -> frozenset[Role]:
    """Return every role a declared person holds, by their own line or by the roster."""
    return frozenset(role for role, members in workspace.roster.items() if person in members)


def local_principal(workspace: Workspace, person: PersonId, *, via: str = "local") -> Principal:
    """Return a declared person as a principal; raise NotFound with the nearest known id."""
    declared = workspace.people.get(person)
    if declared is None:
        hint = did_you_mean(person, [str(known) for known in workspace.people], instead="Declared people")
        message = f"There is no person {person!r} in pilotage.yaml."
        raise NotFound("PERSON_UNKNOWN", message, hint=hint)
    return Principal(
        id=local_principal_id(person),
        kind=PrincipalKind.PERSON,
        person=person,
        groups=declared.groups,
        roles=roles_of(workspace, person),
        region=declared.region,
        label=declared.name,
        via=via,
    )


def persona_principal(workflow: Workflow, persona: str) -> Principal:
    """Return a test persona of the workflow as a principal; it can never log in."""
    declared = workflow.evaluation.personas.get(persona)
    if declared is None:
        hint = did_you_mean(persona, sorted(workflow.evaluation.personas), instead="Declared personas")
        message = f"The workflow {workflow.name!r} has no persona {persona!r}."
        raise NotFound("PERSONA_UNKNOWN", message, hint=hint)
    return Principal(
        id=PrincipalId(f"persona|{persona}"),
        kind=PrincipalKind.PERSONA,
        groups=declared.groups,
        roles=declared.roles,
        region=declared.region,
        label=persona,
        via="evaluation",
    )


def key_principal(workspace: Workspace, key: ServiceKey) -> Principal | CredentialRefused:
    """Return who a proven, live key speaks for."""
    match key.kind:
        case KeyKind.SERVICE:
            return Principal(
                id=service_principal_id(key.name),
                kind=PrincipalKind.SERVICE,
                groups=frozenset(key.groups),
                roles=frozenset({Role.SERVICE}),
                label=key.name,
                via=key.id,
                spaces=frozenset(key.spaces),
                workflows=frozenset(key.workflows),
            )
        case KeyKind.LOCAL:
            is_local = workspace.identity.mode is IdentityMode.LOCAL
            if not is_local or key.name not in workspace.people:
                text = "The key is not valid here." if is_local else "Local keys are off; sign in with your provider."
                return CredentialRefused(code=CredentialCode.INVALID_KEY, text=text)
            return local_principal(workspace, PersonId(key.name), via=key.id)


def linked_accounts(workspace: Workspace) -> dict[str, Linked]:
    """Return the declared person behind each OIDC account (`iss|sub`)."""
    return {
        account: Linked(person=person.id, roles=roles_of(workspace, person.id), region=person.region)
        for person in workspace.people.values()
        for account in person.accounts
    }
