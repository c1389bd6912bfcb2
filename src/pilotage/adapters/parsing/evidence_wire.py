"""What the evidence process and its owner say to each other: JSON of frozen records, no pickle.

Fail mode: bytes that are no such record are WireError; the owner then replaces the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from pilotage.adapters.parsing.wire import WireError
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

READY: Final = b"ready"
MAX_ANSWER: Final = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to read a file as."""

    kind: str | None
    name: str
    context: ReadContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A reader broke on the file: the error's name, never its text, which may quote the file."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    reading: Reading | None = None
    refusal: ReadRefusal | None = None
    failed: Failed | None = None


_QUESTION: Final = msgspec.json.Decoder(Question)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


def encode_question(question: Question) -> bytes:
    """Return a question's bytes."""
    return msgspec.json.encode(question)


def read_question(data: bytes) -> Question:
    """Return the question that bytes hold."""
    try:
        return _QUESTION.decode(data)
    except msgspec.DecodeError as error:
        message = f"no question: {error}"
        raise WireError(message) from None


def encode_answer(answer: Reading | ReadRefusal | Failed) -> bytes:
    """Return an answer's bytes."""
    match answer:
        case Reading():
            return msgspec.json.encode(_Answer(reading=answer))
        case ReadRefusal():
            return msgspec.json.encode(_Answer(refusal=answer))
        case Failed():
            return msgspec.json.encode(_Answer(failed=answer))


def read_answer(data: bytes | None) -> Reading | ReadRefusal | Failed:
    """Return the answer that bytes hold."""
    try:
        found = _ANSWER.decode(data or b"")
    except msgspec.DecodeError as error:
        message = f"no answer: {error}"
        raise WireError(message) from None
    answer = found.reading or found.refusal or found.failed
    if answer is None:
        raise WireError("an empty answer")
    return answer
