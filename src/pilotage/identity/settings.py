"""How an identity provider's tokens are read (serving.md 2.1, 2.2). Declared in `pilotage.yaml: identity.oidc`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pilotage.identity.roles import Role

DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """How people sign in to console and command line. `public_url` is where browsers find this console.

    `client_secret` is a reference (`env:` or `file:`); without one the client is public and PKCE alone proves it.
    Endpoints that are None are those the issuer publishes. `device_client_id` is the client of the command line.
    """

    client_id: str
    public_url: str
    client_secret: str | None = None
    device_client_id: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    end_session_endpoint: str | None = None
    device_authorization_endpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An identity provider. Claim paths are dotted. `alias` prefixes group names of this issuer (`alias/group`).

    `skew_s` is 0..120; `role_map` maps a claim value to a role; `delegates` are services that may act for a person.
    `allow_private` are networks (CIDR) the provider may stand in although they are not public.
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
    allow_private: tuple[str, ...] = ()
    sign_in: SignInSettings | None = None
