"""The people, identity mode, roster and board seats that `pilotage.yaml` declares.

Rule: an owner is a person, never a group; one person may hold several roles, and separation of duties is computed on
the person. Fail mode: the parser refuses unknown people and groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.ids import PersonId
from pilotage.identity.roles import Role
from pilotage.identity.settings import OidcSettings


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
