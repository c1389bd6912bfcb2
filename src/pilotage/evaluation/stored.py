"""Generations and assessments as they are stored, read back; and the keys their caches are found by (evaluation.md 8).

Rule: a generation is looked up by everything that could change it, an assessment by everything it is a function of.
Fail mode: a stored value that does not read back raises, so the task is asked again instead of scored from a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.evaluation.assessment import Assessment, Source, Status
from pilotage.evaluation.generation import Citation, Generation, Passage, ScoringContext, TargetFailure
from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationKey:
    """Everything that may change an answer. `permissions` covers who the asker is and which documents they may read.

    `day` is the ISO date it is asked for, `space` empty for a headless run, `overlay` empty without one; `fingerprint`
    is the provider's.
    """

    release: Digest
    space: str
    input_digest: Digest
    permissions: Digest
    day: str
    overlay: str
    repeat: int
    fingerprint: str

    @property
    def digest(self) -> Digest:
        """The cache key."""
        return digest_of_json({name: getattr(self, name) for name in self.__dataclass_fields__}, form=Form.PLAIN)


def assessment_subject(case_digest: Digest, context: ScoringContext) -> Digest:
    """Return what beside generation and scorer an assessment depends on: the case, and the context it is scored in."""
    return digest_of_json({"case": case_digest, **context_json(context)}, form=Form.PLAIN)


def context_json(context: ScoringContext) -> dict[str, Json]:
    """Return a scoring context as it is stored."""
    readable: Json = None if context.readable is None else sorted(context.readable)
    return {"as_of": context.as_of.isoformat(), "locale": context.locale, "readable": readable}


def read_context(value: Mapping[str, Any]) -> ScoringContext:
    """Return the scoring context that `context_json` wrote."""
    readable = value["readable"]
    return ScoringContext(
        as_of=date.fromisoformat(value["as_of"]),
        locale=value["locale"],
        readable=None if readable is None else frozenset(readable),
    )


def read_generation(value: Mapping[str, Any]) -> Generation:
    """Return the generation that `generation_json` wrote."""
    return Generation(
        answer=value["answer"],
        refused=value["refused"],
        refusal_reason=value["refusal_reason"],
        citations=tuple(Citation(**one) for one in value["citations"]),
        passages=tuple(Passage(**one) for one in value["passages"]),
        prompt_sha256=value["prompt_sha256"],
        findings=_findings(value["findings"]),
        latency_ms=_millis(value["latency_us"]),
        ttft_ms=_millis(value["ttft_us"]),
        tokens_in=value["tokens_in"],
        tokens_out=value["tokens_out"],
        cost_nano=value["cost_nano"],
        error=None if value["error"] is None else TargetFailure(value["error"]),
    )


def _findings(values: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    return tuple(Finding(**{**one, "action": Action(one["action"])}) for one in values)


def _millis(micros: int | None) -> float | None:
    return None if micros is None else micros / 1000


def read_assessment(value: Mapping[str, Any]) -> Assessment:
    """Return the assessment that `Assessment.as_json` wrote."""
    given = dict(value)
    given |= {"source": Source(value["source"]), "status": Status(value["status"])}
    return Assessment(**given)
