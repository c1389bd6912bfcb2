"""Cases and generations in one line each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from pilotage.core.digest import Digest
from pilotage.evaluation.assessment import Assessment
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Citation, Generation, Passage, ScoringContext
from pilotage.evaluation.registry import SCORERS
from pilotage.workspace.golden import Expect, GoldenCase

CONTEXT = ScoringContext(as_of=date(2026, 1, 1))


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned case."""

    case: GoldenCase
    case_digest: Digest


def make_case(question: str = "What is the threshold?", **expect: Any) -> GoldenCase:
    return GoldenCase(id="c1", question=question, asker="lena", cluster="c1", line=1, expect=Expect(**expect))


def make_citation(marker: int = 1, document: str = "a", text: str = "", **changed: Any) -> Citation:
    return Citation(marker=marker, document=document, section="", chunk="1:0", text=text, **changed)


def make_passage(marker: int = 1, document: str = "a", text: str = "", **changed: Any) -> Passage:
    return Passage(marker=marker, document=document, section="", chunk="1:0", text=text, **changed)


def assess(name: str, case: GoldenCase, generation: Generation, context: ScoringContext = CONTEXT) -> Assessment:
    return SCORERS[name].score(Plan(case, case_digest(case)), generation, context)
