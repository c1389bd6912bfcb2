"""The chat-completions wire format of a provider: what we send and how its frames become events.

Pure: bytes in, records out. Fail mode: WireError with a short reason, without the provider's text, which could quote a
prompt or a key.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pilotage.core.canonical import Json
from pilotage.release.generation import FinishReason, GenerationRequest, Usage
from pilotage.release.model import ModelSettings

_FINISH = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class WireError(ValueError):
    """The provider sent something that is not a chat completion."""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Frame(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    error: msgspec.Raw | None = None


class Reply(msgspec.Struct, kw_only=True):
    """What the frames said so far. `finish` is None until the provider gave its reason to stop."""

    model: str
    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None
    fingerprint: str | None = None


_decoder = msgspec.json.Decoder(_Frame)


def encode_request(settings: ModelSettings, request: GenerationRequest) -> bytes:
    """Return the JSON body: messages, the sealed parameters, the token limit; nothing that names the asker."""
    body: dict[str, Json] = dict(settings.parameters)
    limit: Literal["max_completion_tokens", "max_tokens"] = (
        "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    )
    body["model"] = settings.model
    body["messages"] = [{"role": item.role, "content": item.content} for item in request.messages]
    body[limit] = min(request.max_tokens, settings.max_tokens)
    if is_streamed(settings):
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def is_streamed(settings: ModelSettings) -> bool:
    """Streaming is the rule; a sealed parameter `stream: false` serves providers without it."""
    return settings.parameters.get("stream", True) is not False


def read_frame(data: bytes, reply: Reply) -> str:
    """Take one frame (or a whole JSON answer) into `reply` and return the answer text it adds."""
    try:
        frame = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = "sent a frame that is not a chat completion"
        raise WireError(message) from None
    if frame.error is not None:
        message = "reported an error inside the stream"
        raise WireError(message)
    reply.model = frame.model or reply.model
    reply.fingerprint = frame.system_fingerprint or reply.fingerprint
    if frame.usage is not None:
        reply.usage = Usage(prompt_tokens=frame.usage.prompt_tokens, completion_tokens=frame.usage.completion_tokens)
    if not frame.choices:
        return ""
    choice = frame.choices[0]
    if choice.finish_reason is not None:
        reply.finish = _finish(choice.finish_reason)
    part = choice.delta or choice.message
    return (part.content or "") if part is not None else ""


def _finish(reason: str) -> FinishReason:
    found = _FINISH.get(reason)
    if found is None:
        message = "stopped for a reason that is no answer"
        raise WireError(message)
    return found
