"""A chat-completions body as `Asked`: the table of serving.md 1.1, field by field.

What would change the sealed behaviour is refused or ignored with a warning; what we do not know is ignored with a
warning, because client libraries add fields. Nothing here touches identity: `user` and `metadata` are labels. Fail
mode: a Refusal that names the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import msgspec

from pilotage.core.canonical import Json
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.serving.context import Asked, Turn
from pilotage.serving.refusal import Code, Refusal, RefusedError

MAX_MESSAGES = 256
MAX_LABEL_BYTES = 512
MAX_KEY_CHARACTERS = 128
_MAX_WARNINGS = 20

_ROLES = frozenset({"user", "assistant", "system", "developer"})
_PINNED = frozenset({"temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty"})
_KNOWN = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "user",
        "metadata",
        "pilotage",
    }
)

_ALLOWED: Mapping[str, Callable[[Json], bool]] = {
    "n": lambda value: value == 1 and not isinstance(value, bool),
    "logprobs": lambda value: value is False,
    "top_logprobs": lambda value: value == 0,
    "logit_bias": lambda value: value == {},
    "tools": lambda value: value == [],
    "tool_choice": lambda value: value == "none",
    "functions": lambda value: value == [],
    "function_call": lambda value: value == "none",
    "parallel_tool_calls": lambda value: False,  # noqa: ARG005 - the table has one signature
    "modalities": lambda value: value == ["text"],
    "audio": lambda value: False,  # noqa: ARG005 - the table has one signature
    "response_format": lambda value: value == {"type": "text"},
}
"""Fields we support only with the value that asks for nothing."""


def parse_chat(body: Json, *, space: SpaceName | None, header_key: str | None, body_hash: str) -> Asked:
    """Return what is asked; raise RefusedError with the refusal to send."""
    if not isinstance(body, Mapping):
        raise _invalid("The body must be a JSON object.", None)
    for name, value in body.items():
        is_allowed = _ALLOWED.get(name)
        if is_allowed is not None and value is not None and not is_allowed(value):
            raise RefusedError(
                Refusal(
                    code=Code.UNSUPPORTED_PARAMETER, message=f"{name} with this value is not supported.", param=name
                )
            )
    own = _object(body, "pilotage")
    if own and (unknown := sorted(own.keys() - {"as_of", "idempotency_key"})):
        what = f"pilotage.{unknown[0][:64]} is not a known field."
        raise _invalid(what, "pilotage")
    turns, warnings = _messages(body)
    warnings += [f"unknown_field:{name[:64]}" for name in body if name not in _KNOWN and name not in _OTHER]
    return Asked(
        workflow=WorkflowName(_text(body, "model")),
        messages=turns,
        space=space,
        stream=_flag(body, "stream"),
        include_usage=_flag(_object(body, "stream_options"), "include_usage"),
        max_tokens=_max_tokens(body),
        as_of=_as_of(own),
        label=_label(body),
        idempotency_key=_key(own, header_key),
        body_hash=body_hash,
        pinned={name: value for name, value in body.items() if name in _PINNED and value is not None},
        warnings=tuple(warnings[:_MAX_WARNINGS]),
    )


_OTHER = frozenset({*_ALLOWED, *_PINNED})


def _invalid(what: str, param: str | None, code: Code = Code.INVALID_REQUEST) -> RefusedError:
    return RefusedError(Refusal(code=code, message=what, param=param))


def _text(body: Mapping[str, Json], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        what = f"{name} must be a text."
        raise _invalid(what, name)
    return value


def _flag(body: Mapping[str, Json], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        what = f"{name} must be true or false."
        raise _invalid(what, name)
    return value is True


def _object(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        what = f"{name} must be an object."
        raise _invalid(what, name)
    return value


def _messages(body: Mapping[str, Json]) -> tuple[tuple[Turn, ...], list[str]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        what = f"messages must be a list of 1 to {MAX_MESSAGES} messages."
        raise _invalid(what, "messages")
    turns = tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages))
    if turns[-1].role != "user":
        raise _invalid("The last message must have role user.", f"messages[{len(turns) - 1}].role")
    demoted = any(turn.role in {"system", "developer"} for turn in turns)
    return turns, ["system_message_demoted"] if demoted else []


def _turn(message: Json, where: str) -> Turn:
    if not isinstance(message, Mapping):
        raise _invalid("A message must be an object.", where)
    role = message.get("role")
    if role not in _ROLES:
        code = Code.UNSUPPORTED_PARAMETER if role in {"tool", "function"} else Code.INVALID_REQUEST
        raise _invalid("role must be user, assistant, system or developer.", f"{where}.role", code)
    if message.get("tool_calls") or message.get("function_call"):
        raise _invalid("Tool calls are not supported.", f"{where}.tool_calls", Code.UNSUPPORTED_PARAMETER)
    return Turn(role=str(role), text=_content(message.get("content"), f"{where}.content"))


def _content(content: Json, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or not content:
        raise _invalid("content must be a text or a list of text parts.", where)
    texts: list[str] = []
    for part in content:
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
            raise _invalid("A part must be an object with a type.", where)
        if part["type"] != "text":
            raise _invalid("Only parts of type text are supported.", where, Code.UNSUPPORTED_PARAMETER)
        if not isinstance(text := part.get("text"), str):
            raise _invalid("A text part must hold a text.", where)
        texts.append(text)
    return "\n".join(texts)


def _max_tokens(body: Mapping[str, Json]) -> int | None:
    given: list[int] = []
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            what = f"{name} must be a whole number of at least 1."
            raise _invalid(what, name)
        given.append(value)
    if len(set(given)) > 1:
        raise _invalid("max_tokens and max_completion_tokens differ; give one of them.", "max_completion_tokens")
    return given[0] if given else None


def _as_of(own: Mapping[str, Json]) -> date | None:
    value = own.get("as_of")
    if value is None:
        return None
    try:
        return date.fromisoformat(value if isinstance(value, str) and len(value) == 10 else "")
    except ValueError:
        raise _invalid("pilotage.as_of must be a date, YYYY-MM-DD.", "pilotage.as_of") from None


def _key(own: Mapping[str, Json], header: str | None) -> str | None:
    value = own.get("idempotency_key")
    if value is None:
        value = header
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_KEY_CHARACTERS or not value.isascii():
        raise _invalid("The idempotency key must be 1 to 128 printable ASCII characters.", "pilotage.idempotency_key")
    if not value.isprintable() or (header is not None and value != header):
        raise _invalid("The idempotency keys differ or are not printable.", "pilotage.idempotency_key")
    return value


def _label(body: Mapping[str, Json]) -> str:
    parts: list[str] = []
    user = body.get("user")
    if user is not None:
        parts.append(_text(body, "user"))
    metadata = _object(body, "metadata")
    if metadata:
        parts.append(msgspec.json.encode(metadata).decode())
    label = " ".join(parts)
    if len(label.encode()) > MAX_LABEL_BYTES:
        what = f"user and metadata may hold {MAX_LABEL_BYTES} bytes together."
        raise _invalid(what, "metadata" if metadata else "user")
    return label
