"""How an answer or a refusal leaves for whoever asked in this process: the record of `pilotage ask`, or its error."""

from __future__ import annotations

from typing import Any

from pilotage.core.errors import Conflict, NotFound, NotPermitted, PilotageError, Unavailable, UsageError
from pilotage.serving.context import Answer
from pilotage.serving.refusal import Refusal


def answer_record(answer: Answer) -> dict[str, Any]:
    """Return the documented result of `pilotage ask`."""
    return {
        "interaction": answer.interaction,
        "answer": answer.text,
        "refused": answer.refusal is not None,
        "refusal": answer.refusal,
        "citations": [{"document": one.document, "section": one.section, "quote": one.quote} for one in answer.cited],
        "release": answer.release,
        "corpus_version": answer.corpus_version,
        "space": answer.space,
        "findings": [finding.as_json() for finding in answer.findings],
        "warnings": list(answer.warnings),
        "draft": bool(answer.reviews),
        "reviews": [{"id": one.id, "when": one.when, "role": one.role} for one in answer.reviews],
    }


def error_of(refusal: Refusal, *, hint: str = "") -> PilotageError:
    """Return a refusal by authority or capacity as the error that leaves with its exit code."""
    code, message = refusal.code.value, refusal.message
    match refusal.status:
        case 401 | 403:
            return NotPermitted(code, message, hint=hint)
        case 404:
            return NotFound(code, message, hint=hint)
        case 409 | 429:
            return Conflict(code, message, hint=hint)
        case status if status >= 500:
            return Unavailable(code, message, hint=hint)
        case _:
            return UsageError(code, message, hint=hint)
