"""How an identity provider's tokens are read (serving.md 2.1, 2.2). Declared in `pilotage.yaml: identity.oidc`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.identity.roles import Role

DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An identity provider. Claim paths are dotted. `alias` prefixes group names of this issuer (`alias/group`).

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
