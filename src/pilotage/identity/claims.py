"""From verified claims of an access token to a Principal (serving.md 2.2). Pure; the signature was checked before.

Rule: e-mail is a label, never an identity; a list the provider cut short (overage markers, over 2,000 groups) never
serves. Fail mode: `groups_unresolved` or `invalid_token`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.core.ids import PersonId, PrincipalId
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.refused import CredentialCode, CredentialRefused
from pilotage.identity.roles import DERIVED_ROLES, Role
from pilotage.identity.settings import OidcSettings

MAX_GROUPS = 2000
MAX_SUBJECT = 255
_LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The declared person behind an account (`iss|sub`): their id, and the roles the roster gives them."""

    person: PersonId
    roles: frozenset[Role] = frozenset()
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    names: tuple[str, ...] = ()
    is_whole: bool = True


def principal_from_claims(
    claims: Mapping[str, Json], settings: OidcSettings, *, linked: Mapping[str, Linked] | None = None
) -> Principal | CredentialRefused:
    """Return who the token speaks for. Roles are those of the claim and those the roster gives the linked person."""
    issuer, subject = claims.get("iss"), claims.get("sub")
    if issuer != settings.issuer or not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT:
        return CredentialRefused(code=CredentialCode.INVALID_TOKEN, text="The token is not valid here.")
    account = f"{issuer}|{subject}"
    groups = _names_at(claims, settings.groups_claim)
    if not groups.is_whole or _has_overage(claims, settings.groups_claim):
        text = "Your groups do not fit into the token; ask your administrator to limit the groups claim."
        return CredentialRefused(code=CredentialCode.GROUPS_UNRESOLVED, text=text)
    person = (linked or {}).get(account)
    return Principal(
        id=PrincipalId(account),
        kind=PrincipalKind.PERSON,
        person=person.person if person is not None else None,
        groups=frozenset(_aliased(group, settings.alias) for group in groups.names),
        roles=_roles(claims, settings) | (person.roles if person is not None else frozenset()),
        region=_region(claims, settings, person),
        label=_label(claims, settings, fallback=subject),
        via="oidc",
    )


def value_at(claims: Mapping[str, Json], path: str) -> Json:
    """Return the claim at a dotted path; None when a step is missing. A claim of that whole name goes first."""
    if path in claims:
        return claims[path]
    value: Json = claims
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def _names_at(claims: Mapping[str, Json], path: str) -> _Names:
    """Read a string or a list of strings; anything else in it makes the list unusable."""
    value = value_at(claims, path)
    if value is None:
        return _Names()
    if isinstance(value, str):
        return _Names(names=(value,) if value else ())
    if not isinstance(value, Sequence) or len(value) > MAX_GROUPS:
        return _Names(is_whole=False)
    names = tuple(name for name in value if isinstance(name, str) and name)
    return _Names(names=names, is_whole=len(names) == len(value))


def _has_overage(claims: Mapping[str, Json], path: str) -> bool:
    """Tell whether the provider says that groups stand elsewhere (OpenID Connect Core 5.6.2; `hasgroups`)."""
    elsewhere = claims.get("_claim_names")
    moved = isinstance(elsewhere, Mapping) and (path in elsewhere or path.split(".", maxsplit=1)[0] in elsewhere)
    return moved or claims.get("hasgroups") not in {None, False, "false"}


def _aliased(group: str, alias: str | None) -> str:
    return f"{alias}/{group}" if alias else group


def _roles(claims: Mapping[str, Json], settings: OidcSettings) -> frozenset[Role]:
    """Map claim values to roles; a value that names no role grants nothing, and derived roles cannot be claimed."""
    known = {role.value: role for role in Role} | dict(settings.role_map)
    found = {known[name] for name in _names_at(claims, settings.roles_claim).names if name in known}
    return frozenset(found - DERIVED_ROLES)


def _region(claims: Mapping[str, Json], settings: OidcSettings, person: Linked | None) -> str | None:
    claimed = value_at(claims, settings.region_claim) if settings.region_claim else None
    if isinstance(claimed, str) and claimed:
        return claimed
    return person.region if person is not None else None


def _label(claims: Mapping[str, Json], settings: OidcSettings, *, fallback: str) -> str:
    value = value_at(claims, settings.label_claim)
    return (value if isinstance(value, str) and value else fallback)[:_LABEL_LENGTH]
