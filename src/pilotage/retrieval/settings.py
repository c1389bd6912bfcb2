"""What `workflows/<name>/retrieval.yaml` declares: corpora per data stage, ranking and minimum coverage.

Part `retrieval` of a release; the corpus versions themselves are pinned in part `corpus` at seal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage


class VectorMode(StrEnum):
    """Exact scan (default), or nearest cells first, meant for > 200,000 chunks (corpus-and-ledger.md 3.4)."""

    EXACT = "exact"
    APPROXIMATE = "approximate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRef:
    """`NAME` (latest accepted when sealed: `version` is None) or `NAME@N`."""

    name: CorpusName
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumCoverage:
    """Below either share the extractive model answers "not found" (serving.md 6.3). Both in [0, 1]."""

    best: float = 0.35
    union: float = 0.60


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """A local or OpenAI-compatible embedding model, pinned by hash; never downloaded."""

    model: str
    dimension: int
    endpoint: str | None = None
    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """Retrieval behaviour of a release. `top_k` passages (1..50) go into the prompt; `rrf_k` is the fusion constant.

    `cells` names the quantiser of the approximate mode (quantiser.py), None when vectors are exact.
    """

    corpora: Mapping[DataStage, CorpusRef]
    top_k: int = 5
    rrf_k: int = 60
    candidates: int = 50
    minimum_coverage: MinimumCoverage = MinimumCoverage()
    vectors: VectorMode = VectorMode.EXACT
    cells: Digest | None = None
    embedding: Embedding | None = None
    analyser: str = "pilotage-analyser/1"
