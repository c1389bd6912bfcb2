"""Why a credential is not accepted: codes of serving.md 1.5 that stand for authentication.

Rule: an outage is never reported as a bad credential, and a bad credential never says what a good one would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CredentialCode(StrEnum):
    """Stable codes; the HTTP status of each stands in serving.md 1.5."""

    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code of the API, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code of the API, not a secret
    INVALID_KEY = "invalid_key"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    GROUPS_UNRESOLVED = "groups_unresolved"
    HEADERS_TOO_LARGE = "headers_too_large"
    IDENTITY_PROVIDER_UNAVAILABLE = "identity_provider_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRefused:
    """The credential is not accepted. `text` is for the caller: what to do, nothing about the check that failed."""

    code: CredentialCode
    text: str
