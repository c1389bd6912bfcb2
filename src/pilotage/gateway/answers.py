"""An answer as HTTP: the complete body, the frames of a stream, and the headers (serving.md 1.2, 1.3).

Offsets count code points of `content`. Findings carry counts, never the value they found. Fail mode: a stream that
ends without `[DONE]` holds no valid answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pilotage.core.canonical import Json
from pilotage.core.ids import COMPLETION_PREFIX
from pilotage.gateway.errors import Headers, error_value
from pilotage.release.generation import FinishReason
from pilotage.serving.context import Answer, Cited
from pilotage.serving.refusal import Refusal

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

_encode = msgspec.json.Encoder().encode
_FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.NOT_FOUND: "stop",
}


def finish_reason(answer: Answer) -> str:
    """Return stop, length or content_filter; a refusal by content is content_filter unless nothing was found."""
    if answer.refusal is None:
        return _FINISH[answer.finish]
    return "stop" if answer.refusal == "not_found" else "content_filter"


def annotations_value(answer: Answer) -> list[Json]:
    """Return `message.annotations`, in order of the text they support."""
    return [_annotation(cited) for cited in answer.cited]


def _annotation(cited: Cited) -> Json:
    return {
        "type": "file_citation",
        "index": cited.marker,
        "document": cited.document,
        "title": cited.title,
        "section": cited.section,
        "chunk": cited.ordinal,
        "start": cited.start,
        "end": cited.end,
        "quote": cited.quote,
        "uri": cited.uri,
        "effective_date": cited.effective_date,
    }


def own_value(answer: Answer) -> dict[str, Json]:
    """Return the `pilotage` object."""
    return {
        "interaction": answer.interaction,
        "release": answer.release,
        "corpus_version": answer.corpus_version,
        "space": answer.space,
        "arm": answer.arm,
        "refused": answer.refusal is not None,
        "refusal": answer.refusal,
        "citations": [
            {"document": cited.document, "section": cited.section, "quote": cited.quote} for cited in answer.cited
        ],
        "findings": [
            {"check": found.check, "type": found.type, "count": found.count, "action": found.action}
            for found in answer.findings
        ],
        "warnings": list(answer.warnings),
        "usage_source": "estimated" if answer.usage.estimated else "provider",
        "cost_nano": answer.cost_nano,
        "cached": answer.cached,
        "draft": bool(answer.reviews),
        "reviews": [{"id": one.id, "when": one.when, "role": one.role} for one in answer.reviews],
    }


def usage_value(answer: Answer) -> dict[str, Json]:
    """Return the `usage` object."""
    prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def complete_body(answer: Answer) -> bytes:
    """Return the body of an answer that is not streamed."""
    message = {"role": "assistant", "content": answer.text, "annotations": annotations_value(answer)}
    return _encode(
        {
            "id": f"{COMPLETION_PREFIX}{answer.interaction}",
            "object": "chat.completion",
            "created": int(answer.at.timestamp()),
            "model": answer.workflow,
            "choices": [{"index": 0, "finish_reason": finish_reason(answer), "message": message}],
            "usage": usage_value(answer),
            "pilotage": own_value(answer),
        }
    )


def headers(*, interaction: str, request_id: str, release: str | None = None) -> Headers:
    """Return the headers every answer carries, errors included."""
    found: Headers = [
        (b"x-pilotage-interaction", interaction.encode()),
        (b"x-request-id", request_id.encode()),
    ]
    if release is not None:
        found.append((b"x-pilotage-release", release.encode()))
    return found


class Frames:
    """The frames of one stream, in their fixed order; the caller sends them."""

    def __init__(self, *, interaction: str, created: int, model: str) -> None:
        self._head: dict[str, Json] = {
            "id": f"{COMPLETION_PREFIX}{interaction}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }

    def role(self) -> bytes:
        """Frame (a)."""
        return self._choice({"role": "assistant", "content": ""}, None)

    def content(self, text: str) -> bytes:
        """Frame (b)."""
        return self._choice({"content": text}, None)

    def end(self, answer: Answer) -> bytes:
        """Frame (c): the finish reason, the annotations and the whole `pilotage` object."""
        choice: Json = {
            "index": 0,
            "delta": {"annotations": annotations_value(answer)},
            "finish_reason": finish_reason(answer),
        }
        return _frame({**self._head, "choices": [choice], "pilotage": own_value(answer)})

    def usage(self, answer: Answer) -> bytes:
        """Frame (d)."""
        return _frame({**self._head, "choices": [], "usage": usage_value(answer)})

    @staticmethod
    def error(refusal: Refusal) -> bytes:
        """Return an error frame: the last one, never followed by `[DONE]`."""
        return b"data: " + _encode(error_value(refusal)) + b"\n\n"

    def _choice(self, delta: Mapping[str, Json], finish: str | None) -> bytes:
        return _frame({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _frame(value: Mapping[str, Json]) -> bytes:
    return b"data: " + _encode(value) + b"\n\n"
