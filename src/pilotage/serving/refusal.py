"""Why a request gets no answer: the stable codes of the HTTP surface, their status and their type (serving.md 1.5).

A refusal names the asker's own mistake or our own state; nothing in it comes from documents or from other askers, so
its bytes are the same whether or not hidden documents exist. Fail mode: an unexpected exception becomes `internal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Code(StrEnum):
    """Every code a client can meet. They are part of the public interface: never renamed."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    QUESTION_TOO_LONG = "question_too_long"
    SPACE_AMBIGUOUS = "space_ambiguous"
    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the name of a code
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - the name of a code
    INVALID_KEY = "invalid_key"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    IP_NOT_ALLOWED = "ip_not_allowed"
    NOT_PERMITTED = "not_permitted"
    GROUPS_UNRESOLVED = "groups_unresolved"
    RESIDENCY_MISMATCH = "residency_mismatch"
    SCOPE_MISSING = "scope_missing"
    DELEGATION_REQUIRED = "delegation_required"
    TOOL_NOT_ALLOWED = "tool_not_allowed"
    MODEL_NOT_FOUND = "model_not_found"
    SPACE_NOT_FOUND = "space_not_found"
    INTERACTION_NOT_FOUND = "interaction_not_found"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    IDEMPOTENCY_IN_PROGRESS = "idempotency_in_progress"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    BODY_TOO_LARGE = "body_too_large"
    URI_TOO_LONG = "uri_too_long"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    HEADERS_TOO_LARGE = "headers_too_large"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TOO_MANY_STREAMS = "too_many_streams"
    INTERNAL = "internal"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    OVERLOADED = "overloaded"
    RECORDER_SATURATED = "recorder_saturated"
    STORE_UNAVAILABLE = "store_unavailable"
    ROUTING_STALE = "routing_stale"
    INDEX_NOT_READY = "index_not_ready"
    ACL_STALE = "acl_stale"
    MODEL_UNPRICED = "model_unpriced"
    IDENTITY_PROVIDER_UNAVAILABLE = "identity_provider_unavailable"
    SPACE_PAUSED = "space_paused"
    RELEASE_WITHDRAWN = "release_withdrawn"
    PERMISSION_CHANGED = "permission_changed"
    NO_RELEASE_LOADED = "no_release_loaded"
    NO_AUTHORISED_RELEASE = "no_authorised_release"
    REGION_UNAVAILABLE = "region_unavailable"


_BY_STATUS: Mapping[int, tuple[Code, ...]] = {
    400: (
        Code.INVALID_JSON,
        Code.INVALID_REQUEST,
        Code.UNSUPPORTED_PARAMETER,
        Code.QUESTION_TOO_LONG,
        Code.SPACE_AMBIGUOUS,
    ),
    401: (
        Code.MISSING_CREDENTIALS,
        Code.INVALID_TOKEN,
        Code.TOKEN_EXPIRED,
        Code.INVALID_KEY,
        Code.KEY_EXPIRED,
        Code.KEY_REVOKED,
    ),
    403: (
        Code.IP_NOT_ALLOWED,
        Code.NOT_PERMITTED,
        Code.GROUPS_UNRESOLVED,
        Code.RESIDENCY_MISMATCH,
        Code.SCOPE_MISSING,
        Code.DELEGATION_REQUIRED,
        Code.TOOL_NOT_ALLOWED,
    ),
    404: (Code.MODEL_NOT_FOUND, Code.SPACE_NOT_FOUND, Code.INTERACTION_NOT_FOUND, Code.NOT_FOUND),
    405: (Code.METHOD_NOT_ALLOWED,),
    408: (Code.REQUEST_TIMEOUT,),
    409: (Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_MISMATCH),
    413: (Code.BODY_TOO_LARGE,),
    414: (Code.URI_TOO_LONG,),
    415: (Code.UNSUPPORTED_MEDIA_TYPE,),
    429: (Code.RATE_LIMITED, Code.BUDGET_EXHAUSTED, Code.TOO_MANY_STREAMS),
    431: (Code.HEADERS_TOO_LARGE,),
    500: (Code.INTERNAL,),
    502: (Code.UPSTREAM_FAILED,),
    503: (
        Code.OVERLOADED,
        Code.RECORDER_SATURATED,
        Code.STORE_UNAVAILABLE,
        Code.ROUTING_STALE,
        Code.INDEX_NOT_READY,
        Code.ACL_STALE,
        Code.MODEL_UNPRICED,
        Code.IDENTITY_PROVIDER_UNAVAILABLE,
        Code.SPACE_PAUSED,
        Code.RELEASE_WITHDRAWN,
        Code.PERMISSION_CHANGED,
        Code.NO_RELEASE_LOADED,
        Code.NO_AUTHORISED_RELEASE,
        Code.REGION_UNAVAILABLE,
    ),
    504: (Code.UPSTREAM_TIMEOUT, Code.DEADLINE_EXCEEDED),
}

STATUS: Mapping[Code, int] = MappingProxyType({code: status for status, codes in _BY_STATUS.items() for code in codes})
"""The HTTP status of every code."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "server_error",
    504: "upstream_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No answer, and why. `retry_after_s` is given for every 429 and 503; `param` names the offending field.

    `is_of_release`: the model was reached and refuses what the release asks of it.
    """

    code: Code
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    is_of_release: bool = False

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def type(self) -> str:
        """The OpenAI error type."""
        return _TYPES.get(self.status, "invalid_request_error")

    @property
    def wait_s(self) -> int | None:
        """What `Retry-After` says: whole seconds for 429 and 503, else None."""
        if self.status not in {429, 503}:
            return None
        return self.retry_after_s if self.retry_after_s is not None else 1


class RefusedError(Exception):
    """Carries a refusal out of a callback that cannot return one; the pipeline turns it back into a value."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
