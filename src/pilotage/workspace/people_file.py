"""Reads `identity` and `people` of `pilotage.yaml` (serving.md 2).

Rule: an allow-list of algorithms that can never hold `none` or an HMAC; an issuer is compared byte for byte.
Fail mode: every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pilotage.core.fields import BOOLEAN, TEXT, Fields, Reader, choice, converted, list_of, map_of, matching, record
from pilotage.core.ids import PersonId
from pilotage.core.located import Located, Problems
from pilotage.core.readers import NETWORKS, PERSON, PERSON_ID, SECONDS, SECRET_REF
from pilotage.core.urls import URL
from pilotage.identity.settings import DEFAULT_ALGORITHMS, OidcSettings, SignInSettings
from pilotage.workspace.gate_file import ROLE
from pilotage.workspace.people import IdentityMode, IdentitySettings, Person

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_PERSON_ID = matching(PERSON_ID, "lower-case letters, digits, dots, hyphens and underscores, such as maria.chen")
_EMAIL = matching(re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}"), "an address such as maria.chen@bank.example")
_ACCOUNT = matching(re.compile(r"\S+\|\S+"), "issuer|subject")
_CLAIM = matching(re.compile(r"[^.\s]+(?:\.[^.\s]+)*"), "the dotted path of a claim, such as realm_access.roles")
_SCOPE = matching(re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+"), "a scope without spaces, such as openid")
_GROUP_NAME = matching(re.compile(r"\S(?:.{0,118}\S)?"), "a group name without leading or trailing space")


def _algorithm(text: str) -> str:
    if text not in ALGORITHMS:
        message = f"{text[:20]!r} cannot verify tokens. Write some of {', '.join(ALGORITHMS)}; never none or HS256."
        raise ValueError(message)
    return text


def parse_person(fields: Fields) -> Person:
    """Read one person."""
    person = Person(
        id=PersonId(fields.need("id", _PERSON_ID)),
        name=fields.need("name", TEXT),
        emails=fields.get("email", list_of(_EMAIL, or_one=True), ()) + fields.get("emails", list_of(_EMAIL), ()),
        groups=frozenset(fields.get("groups", list_of(_GROUP_NAME, or_one=True), ())),
        roles=frozenset(fields.get("roles", list_of(ROLE, or_one=True), ())),
        region=fields.get("region", TEXT, None),
        reports_to=fields.get("reports_to", PERSON, None),
        accounts=fields.get("accounts", list_of(_ACCOUNT, or_one=True), ()),
    )
    if "everyone" in person.groups:
        hint = "Remove it: group:everyone is every authenticated person already."
        fields.problem("groups", "The group 'everyone' cannot be joined", hint)
    return person


def read_identity_word(at: Located, problems: Problems) -> IdentitySettings | None:
    """Read `identity: local`; None when it is written as a mapping."""
    if isinstance(at.node, Mapping):
        return None
    mode = choice(IdentityMode).read(at, problems)
    if mode is IdentityMode.OIDC:
        problems.add(at, "identity: oidc does not say which provider", "Write identity: {mode: oidc, oidc: {...}}.")
    return IdentitySettings(mode=mode)


def parse_identity(fields: Fields) -> IdentitySettings:
    """Read `identity` as a mapping."""
    identity = IdentitySettings(
        mode=fields.need("mode", choice(IdentityMode)),
        oidc=fields.get("oidc", record(_oidc), None),
        local_demo=fields.get("local_demo", BOOLEAN, default=False),
    )
    if identity.mode is IdentityMode.OIDC and not fields.has("oidc"):
        fields.problem("mode", "mode: oidc without a provider", "Write oidc: {issuer, audience, jwks_uri} beside it.")
    if identity.mode is IdentityMode.OIDC and identity.local_demo:
        fields.problem("local_demo", "local_demo is for local mode", "Remove the key.")
    return identity


def _oidc(fields: Fields) -> OidcSettings:
    settings = OidcSettings(
        issuer=fields.need("issuer", URL),
        audience=fields.need("audience", TEXT),
        jwks_uri=fields.need("jwks_uri", URL),
        algorithms=fields.get("algorithms", _ALGORITHMS, DEFAULT_ALGORITHMS),
        groups_claim=fields.get("groups_claim", _CLAIM, "groups"),
        roles_claim=fields.get("roles_claim", _CLAIM, "roles"),
        region_claim=fields.get("region_claim", _CLAIM, None),
        label_claim=fields.get("label_claim", _CLAIM, "email"),
        alias=fields.get("alias", TEXT, None),
        skew_s=fields.get("skew", SECONDS, 60),
        accept_id_tokens=fields.get("accept_id_tokens", BOOLEAN, default=False),
        role_map=fields.get("role_map", map_of(ROLE), {}),
        delegates=fields.get("delegates", list_of(TEXT, or_one=True), ()),
        allow_private=fields.get("allow_private", NETWORKS, ()),
        sign_in=fields.get("sign_in", record(_sign_in), None),
    )
    if settings.skew_s > 120:
        fields.problem("skew", f"A skew of {settings.skew_s} s", "Write at most 120s.")
    return settings


def _sign_in(fields: Fields) -> SignInSettings:
    settings = SignInSettings(
        client_id=fields.need("client_id", TEXT),
        public_url=fields.need("public_url", URL),
        client_secret=fields.get("client_secret", SECRET_REF, None),
        device_client_id=fields.get("device_client_id", TEXT, None),
        scopes=fields.get("scopes", list_of(_SCOPE), ("openid", "profile", "email")),
        authorization_endpoint=fields.get("authorization_endpoint", URL, None),
        token_endpoint=fields.get("token_endpoint", URL, None),
        end_session_endpoint=fields.get("end_session_endpoint", URL, None),
        device_authorization_endpoint=fields.get("device_authorization_endpoint", URL, None),
    )
    if "openid" not in settings.scopes:
        fields.problem("scopes", "The scopes lack openid", "Write [openid, profile, email] and what you need besides.")
    if urlsplit(settings.public_url).path not in {"", "/"}:
        fields.problem(
            "public_url", "The address has a path", "Write the origin alone, such as https://pilotage.bank.example."
        )
    return settings


_ALGORITHMS: Reader[tuple[str, ...]] = list_of(converted(_algorithm, "RS256"), at_least=1)
