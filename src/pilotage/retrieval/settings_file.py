"""Reads part `retrieval`: `workflows/<name>/retrieval.yaml`, or the same value from a sealed release.

Rule: a corpus is `NAME` (the latest accepted version when sealed) or `NAME@N`, one per data stage; a plain string is
the production corpus. Fail mode: every mistake at once; corpora must exist with a fitting data stage (checked by the
workspace as a whole).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilotage.core.digest import Digest
from pilotage.core.fields import TEXT, Fields, Reader, choice, integer, matching, read_record, record
from pilotage.core.ids import SLUG, CorpusName
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.readers import SHARE
from pilotage.core.urls import URL
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.settings import CorpusRef, Embedding, MinimumCoverage, RetrievalSettings, VectorMode

_REF = re.compile(rf"({SLUG.pattern})(?:@([1-9][0-9]{{0,8}}))?")
_HASH = matching(re.compile(r"(?:sha256:)?[0-9a-f]{64}"), "64 lowercase hex digits")
_CELLS = matching(re.compile(r"sha256:[0-9a-f]{64}"), "the digest of the index's cells, sha256: and 64 hex digits")
_STAGES = [stage.value for stage in DataStage]


def parse_retrieval(at: Located, problems: Problems) -> RetrievalSettings:
    """Read the retrieval settings; mistakes go to `problems`, with stand-ins in the result."""
    return read_record(at, problems, _retrieval)


def _retrieval(fields: Fields) -> RetrievalSettings:
    vectors = fields.get("vectors", choice(VectorMode), VectorMode.EXACT)
    embedding = fields.get("embedding", record(_embedding), None)
    settings = RetrievalSettings(
        corpora=fields.need("corpus", _CORPORA),
        top_k=fields.get("top_k", integer(1, 50), 5),
        rrf_k=fields.get("rrf_k", integer(1, 1000), 60),
        candidates=fields.get("candidates", integer(1, 1000), 50),
        minimum_coverage=fields.get("minimum_coverage", record(_coverage), MinimumCoverage()),
        vectors=vectors,
        cells=_cells(fields, vectors, embedding),
        embedding=embedding,
        analyser=fields.get("analyser", TEXT, ANALYSER_ID),
    )
    if settings.analyser != ANALYSER_ID:
        what = f"The analyser {settings.analyser!r} is not the one of this version"
        fields.problem("analyser", what, f"Write {ANALYSER_ID}, or remove the key.")
    if settings.candidates < settings.top_k:
        what = f"candidates {settings.candidates} is below top_k {settings.top_k}"
        fields.problem("candidates", what, f"Write {settings.top_k} or more.")
    return settings


def _cells(fields: Fields, vectors: VectorMode, embedding: Embedding | None) -> Digest | None:
    if vectors is VectorMode.EXACT:
        if fields.get("cells", _CELLS, None) is not None:
            fields.problem("cells", "Exact vectors are not searched by cells", "Remove the key.")
        return None
    if embedding is None:
        fields.problem("vectors", "Approximate vectors need an embedding model", "Write embedding, or vectors: exact.")
    return Digest(fields.need("cells", _CELLS))


def _read_ref(at: Located, problems: Problems, stage: DataStage) -> CorpusRef:
    text = TEXT.read(at, problems)
    match = _REF.fullmatch(text)
    if match is None:
        if text.strip():
            problems.add(at, f"{text[:80]!r} is not a corpus", "Write NAME, or NAME@N for an accepted version.")
        return CorpusRef(name=CorpusName(""))
    problems.refer("corpus", match[1], at)
    problems.refer(f"{stage} corpus", match[1], at)
    return CorpusRef(name=CorpusName(match[1]), version=int(match[2]) if match[2] else None)


def _read_corpora(at: Located, problems: Problems) -> Mapping[DataStage, CorpusRef]:
    if not isinstance(at.node, Mapping):
        return {DataStage.PRODUCTION: _read_ref(at, problems, DataStage.PRODUCTION)}
    found: dict[DataStage, CorpusRef] = {}
    for key, child in at.node.items():
        if key in _STAGES:
            found[DataStage(key)] = _read_ref(child, problems, DataStage(key))
        else:
            problems.add(child, f"{key!r} is not a data stage", did_you_mean(key, _STAGES, instead="Write one of"))
    if not at.node:
        problems.add(at, "No corpus is named", "Write production: NAME, and uat: NAME for spaces that read UAT data.")
    return found


_CORPORA: Reader[Mapping[DataStage, CorpusRef]] = Reader(read=_read_corpora, stand_in=dict)


def _coverage(fields: Fields) -> MinimumCoverage:
    return MinimumCoverage(best=fields.get("best", SHARE, 0.35), union=fields.get("union", SHARE, 0.60))


def _embedding(fields: Fields) -> Embedding:
    embedding = Embedding(
        model=fields.need("model", TEXT),
        dimension=fields.need("dimension", integer(1, 8192)),
        endpoint=fields.get("endpoint", URL, None),
        path=fields.get("path", TEXT, None),
        sha256=fields.get("sha256", _HASH, None),
    )
    if (embedding.endpoint is None) == (embedding.path is None):
        fields.problem("endpoint", "An embedding model has exactly one of endpoint and path", "Write one of them.")
    if embedding.path is not None and embedding.sha256 is None:
        fields.problem("sha256", "A local embedding model is not pinned", "Write the sha256 of its file.")
    return embedding
