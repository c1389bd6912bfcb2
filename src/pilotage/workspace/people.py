"""The people, identity mode, roster and board seats that `pilotage.yaml` declares.

Rule: an owner is a person, never a group; one person may hold several roles, and separation of duties is computed on
the person. Fail mode: the parser refuses unknown people and groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage.core.ids import PersonId
from pilotage.identity.roles import Role

DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


class IdentityMode(StrEnum):
    """`local`: people and groups of this file, with keys made by Pilotage. `oidc`: an identity provider's tokens."""

    LOCAL = "local"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A declared person. `reports_to` lets risk acceptances be kept away from an owner's own reports.

    `accounts` are OIDC stable ids (`iss|sub`) that belong to this person; `emails` map Git authors.
    """

    id: PersonId
    name: str
    emails: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset()
    region: str | None = None
    reports_to: PersonId | None = None
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An identity provider (serving.md 2.1, 2.2). Claim paths are dotted. `alias` prefixes group names of this issuer.

    `skew_s` is 0..120; `role_map` maps a claim value to a role; `delegates` are services that may act for a person.
    """

    issuer: str
    audience: str
    jwks_uri: str
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    groups_claim: str = "groups"
    roles_claim: str = "roles"
    region_claim: str | None = None
    label_claim: str = "email"
    alias: str | None = None
    skew_s: int = 60
    accept_id_tokens: bool = False
    role_map: Mapping[str, Role] = field(default_factory=dict)
    delegates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """How askers prove who they are. `local_demo` tries production gates in local mode, marking every record."""

    mode: IdentityMode
    oidc: OidcSettings | None = None
    local_demo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A board seat: its role, who holds it, and the registered alternates who may stand in."""

    role: Role
    holder: PersonId
    alternates: tuple[PersonId, ...] = ()
