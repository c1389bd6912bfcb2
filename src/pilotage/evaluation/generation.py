"""One scored generation: what the target gave for one case, as plain values, and the context it is scored in.

Rule: every scorer reads a `Generation`, a golden case and a `ScoringContext`, and nothing else; the digest covers every
field, so an assessment is a function of (generation digest, case digest, scorer version). Fail mode: a target that did
not answer is a Generation with `error` set; no scorer gives it a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.guard.finding import Finding


class TargetFailure(StrEnum):
    """Why there is no answer to score; harmful in every aggregate.

    UNREACHED: what the release asks was away; BUDGET: never asked, the run's cap is spent.
    """

    TARGET_ERROR = "target_error"
    UNREACHED = "unreached"
    TIMEOUT = "timeout"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage shown to the model, in rank order. `marker` is the n of `[n]`; `text` is heading and text as shown.

    `allowed`: the asker may read it. `effective`: its document is in force at `as_of` and in the pinned version.
    """

    marker: int
    document: str
    section: str
    chunk: str
    text: str
    allowed: bool = True
    effective: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A marker of the answer and what it points at; one record per marker, however often it is written.

    `valid`: the chunk was shown and is not taken down; `allowed` and `effective` as for a Passage. A marker that
    resolves to nothing is `valid=False` with an empty document.
    """

    marker: int
    document: str
    section: str
    chunk: str
    text: str
    valid: bool = True
    allowed: bool = True
    effective: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The answer as delivered, with its `[n]` markers, and how it came about.

    `refusal_reason` is serving's own word (`not_found`, `guard`, `citation`, `grounding`) or a RefusalReason.
    `findings` are the guard's findings over the answer as delivered. `latency_ms` and `ttft_ms` are None when nothing
    was measured (a cached generation), `cost_nano` (10^-9 of the currency) None without a price.
    """

    answer: str
    refused: bool = False
    refusal_reason: str | None = None
    citations: tuple[Citation, ...] = ()
    passages: tuple[Passage, ...] = ()
    prompt_sha256: str = ""
    findings: tuple[Finding, ...] = ()
    latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_nano: int | None = None
    error: TargetFailure | None = None
    digest: Digest = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Fix the digest over every other field."""
        object.__setattr__(self, "digest", digest_of_json(generation_json(self), form=Form.PLAIN))


def generation_json(generation: Generation) -> dict[str, Json]:
    """Return every field but the digest, as it is stored: times in whole microseconds, so that no float is hashed."""
    return {
        "answer": generation.answer,
        "refused": generation.refused,
        "refusal_reason": generation.refusal_reason,
        "citations": _records(generation.citations),
        "passages": _records(generation.passages),
        "prompt_sha256": generation.prompt_sha256,
        "findings": [dict(finding.as_json()) for finding in generation.findings],
        "latency_us": _micros(generation.latency_ms),
        "ttft_us": _micros(generation.ttft_ms),
        "tokens_in": generation.tokens_in,
        "tokens_out": generation.tokens_out,
        "cost_nano": generation.cost_nano,
        "error": None if generation.error is None else generation.error.value,
    }


def _records(records: Sequence[Citation | Passage]) -> list[Json]:
    return [{name: getattr(record, name) for name in _NAMES[type(record)]} for record in records]


_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in (Citation, Passage)}


def _micros(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringContext:
    """What scoring needs beside case and generation; equal for both arms of a comparison.

    `as_of` is the case's date or the run's; `locale` the golden file's (numbers and dates are read by it);
    `readable` names the gold documents the case's persona may read in the pinned corpus version, None when every one
    may be read. It never depends on the generation.
    """

    as_of: date
    locale: str = "en"
    readable: frozenset[str] | None = None
