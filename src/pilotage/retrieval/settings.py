"""What `workflows/<name>/retrieval.yaml` declares: corpora per data stage, ranking and minimum coverage.

Part `retrieval` of a release; the corpus versions themselves are pinned in part `corpus` at seal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import CorpusName
from pilotage.core.pins import PinKind
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


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one: their mean, or the first one's."""

    MEAN = "mean"
    CLS = "cls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """An embedding model; never downloaded. `endpoint` is the whole address, its query included.

    `path` instead names a folder of the workspace with ONNX weights, pinned by their digest; `pooling` and `max_tokens`
    are for those.

    `auth_ref` is `env:NAME` or `file:PATH`; `parameters` go into every request. The prefixes stand before what is
    embedded, as models of the kind of E5 need them. `timeout_s` is for one question, `batch` passages at a time.
    Without a pin the model is named by an alias.
    """

    model: str
    dimension: int
    endpoint: str = ""
    path: str | None = None
    pooling: Pooling = Pooling.MEAN
    max_tokens: int = 512
    region: str | None = None
    auth_ref: str | None = None
    auth_header: str = "Authorization"
    parameters: Mapping[str, Json] = field(default_factory=dict)
    question_prefix: str = ""
    passage_prefix: str = ""
    timeout_s: float = 10.0
    batch: int = 64
    pin_kind: PinKind = PinKind.FLOATING
    pin: str = ""

    @property
    def key(self) -> Digest:
        """The name of the vectors it gives passages: the digest of all that decides them."""
        return digest_of_json(
            {
                "v": 1,
                "model": self.model,
                "dimension": self.dimension,
                "endpoint": self.endpoint,
                "parameters": dict(self.parameters),
                "prefix": self.passage_prefix,
                **({} if self.path is None else {"pooling": self.pooling.value, "max_tokens": self.max_tokens}),
                **({} if self.pin_kind is PinKind.FLOATING else {"pin": f"{self.pin_kind} {self.pin}"}),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """Which vectors an index holds: those of the model that `key` names, in `cells` where they are approximate."""

    key: Digest
    dimension: int
    cells: Digest | None = None

    @property
    def name(self) -> str:
        """The name of such an index."""
        return self.key if self.cells is None else f"{self.key} {self.cells}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """Retrieval behaviour of a release. `top_k` passages (1..50) go into the prompt; `rrf_k` is the fusion constant.

    `cells` name the quantisers of the approximate mode (quantiser.py) by stage: empty when vectors are exact, or before
    sealing has trained them.
    """

    corpora: Mapping[DataStage, CorpusRef]
    top_k: int = 5
    rrf_k: int = 60
    candidates: int = 50
    minimum_coverage: MinimumCoverage = MinimumCoverage()
    vectors: VectorMode = VectorMode.EXACT
    cells: Mapping[DataStage, Digest] = field(default_factory=dict)
    embedding: Embedding | None = None
    analyser: str = "pilotage-analyser/1"

    def vectors_of(self, stage: DataStage) -> Vectors | None:
        """Return which vectors the index of a stage holds, None where words stand alone."""
        if self.embedding is None:
            return None
        return Vectors(key=self.embedding.key, dimension=self.embedding.dimension, cells=self.cells.get(stage))
