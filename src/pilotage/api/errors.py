"""Refusals and errors as HTTP: one body, with the same codes and reasons as command line and console.

`{"error": {"code", "message", "hint", "reasons": [...]}}`. 403 when it is about the person, 409 when the answer is no,
404, 422 and 503 as the error tree says. Fail mode: a code this file does not know is a 500.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage.core.errors import Conflict, NotFound, NotPermitted, PilotageError, Unavailable, UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.serving.refusal import Refusal as ServingRefusal

ABOUT_THE_PERSON: Final = frozenset(
    {"NOT_PERMITTED", "NOT_STEWARD", "SECOND_PERSON_NEEDED", "SOD_CONFLICT", "SOD_SERVICE"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One JSON answer."""

    status: int
    body: Mapping[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def problem(status: int, code: str, message: str, *, hint: str = "", reasons: tuple[Reason, ...] = ()) -> Answer:
    """Return an error answer."""
    shown = reasons or (Reason(code=code, text=message),)
    error = {"code": code, "message": message, "hint": hint, "reasons": [reason.as_json() for reason in shown]}
    headers = ((b"www-authenticate", b'Bearer realm="pilotage"'),) if status == 401 else ()
    return Answer(status=status, body={"error": error}, headers=headers)


def of_refusal(refusal: Refusal) -> Answer:
    """Return an expected no, with every reason."""
    about_person = any(reason.code in ABOUT_THE_PERSON for reason in refusal.reasons)
    first = refusal.reasons[0]
    return problem(403 if about_person else 409, first.code, first.text, reasons=refusal.reasons)


def of_serving(refusal: ServingRefusal) -> Answer:
    """Return why a credential was not accepted."""
    return problem(refusal.status, refusal.code.value.upper(), refusal.message)


def of_error(error: PilotageError) -> Answer:
    """Return an error of the tree."""
    return problem(_status(error), error.code, error.message, hint=error.hint)


def _status(error: PilotageError) -> int:
    match error:
        case NotFound():
            return 404
        case UsageError():
            return 422
        case NotPermitted():
            return 403
        case Conflict():
            return 409
        case Unavailable():
            return 503
        case _:
            return 500
