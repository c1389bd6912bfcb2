"""The scorer of shadow and replay pairs: which of two answers to one question is the better one (rollouts.md 9).

It reads what the two askers' screens would show and the passages behind it, with the guard's own functions, whatever
the releases' policies check themselves. Rule: it never learns which answer is whose, nor how long it took; both failing
is a tie. Fail mode: an exception; the pair is then lost and counted, never a win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Protocol

from pilotage.corpus.analyser import analyse
from pilotage.guard.citations import Statement, check_citations
from pilotage.guard.grounding import grounding_of
from pilotage.guard.numbers import unsupported_numbers

GROUNDED: Final = 0.5
"""Least grounding of every statement of a supported answer."""

_HONEST: Final = "not_found"


class Choice(StrEnum):
    """Which answer is better."""

    A = "a"
    B = "b"
    TIE = "tie"


class Grade(IntEnum):
    """What an answer is worth to its asker; a higher one is better."""

    FAILED = 0
    """Error or timeout: nothing was answered."""
    UNSUPPORTED = 1
    """An answer whose statements, numbers or citations its passages do not support."""
    BLOCKED = 2
    """A check stopped it."""
    REFUSED = 3
    """An honest "not found"."""
    SUPPORTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One answer as a scorer may see it. `text` None: it failed. `sources`: each marker's passage.

    `refusal` is the reason of a content refusal. `question` and `text` are redacted.
    """

    question: str
    text: str | None
    refusal: str | None = None
    sources: Mapping[int, str] | None = None
    language: str = "en"


class PairScorer(Protocol):
    """Compares two answers blind. `version` changes whenever its judgement could."""

    @property
    def version(self) -> str:
        """Name of scorer and version; counts of another version are counts of their own."""
        ...

    def better(self, a: Shown, b: Shown) -> Choice:
        """Return the better answer of two to the same question."""
        ...


@dataclass(frozen=True, slots=True)
class SupportScorer:
    """Deterministic: the higher grade wins, equal grades tie."""

    version: str = "pilotage-support-v1"

    def better(self, a: Shown, b: Shown) -> Choice:
        """Return the better answer by grade."""
        first, second = grade(a), grade(b)
        if first == second:
            return Choice.TIE
        return Choice.A if first > second else Choice.B


def both_failed(stable: Shown, candidate: Shown) -> str | None:
    """Return why a pair without any answer says nothing: an outage of both is no evidence that they are alike."""
    return "both_failed" if stable.text is None and candidate.text is None else None


def grade(shown: Shown) -> Grade:
    """Return what an answer is worth."""
    if shown.text is None:
        return Grade.FAILED
    if shown.refusal is not None:
        return Grade.REFUSED if shown.refusal == _HONEST else Grade.BLOCKED
    return Grade.SUPPORTED if _is_supported(shown, shown.text) else Grade.UNSUPPORTED


def _is_supported(shown: Shown, text: str) -> bool:
    sources = shown.sources or {}
    citations = check_citations(text, sources, analyse=lambda part: analyse(part, language=shown.language))
    if citations.unknown or citations.share < 1.0:
        return False
    return all(_stands(statement, shown, sources) for statement in citations.statements)


def _stands(statement: Statement, shown: Shown, sources: Mapping[int, str]) -> bool:
    cited = [sources[marker] for marker in statement.markers]
    if not cited:
        return True  # too short to be a claim: `check_citations` has asked for a citation wherever one is due
    score = grounding_of(statement.text, cited, idf={}, analyse=lambda part: analyse(part, language=shown.language))
    return score >= GROUNDED and not unsupported_numbers(statement.text, "\n".join([*cited, shown.question]))
