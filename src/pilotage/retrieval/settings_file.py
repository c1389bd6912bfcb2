"""Reads part `retrieval`: `workflows/<name>/retrieval.yaml`, or the same value from a sealed release.

Rule: a corpus is `NAME` (the latest accepted version when sealed) or `NAME@N`, one per data stage; a plain string is
the production corpus. Fail mode: every mistake at once; corpora must exist with a fitting data stage (checked by the
workspace as a whole).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pilotage.core.digest import Digest
from pilotage.core.fields import (
    ANY,
    TEXT,
    Fields,
    Reader,
    choice,
    converted,
    integer,
    map_of,
    matching,
    read_record,
    record,
)
from pilotage.core.ids import SLUG, CorpusName
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.pins import PinKind, read_pin
from pilotage.core.readers import FRACTIONAL_SECONDS, SECRET_REF, SHARE
from pilotage.core.urls import check_url
from pilotage.corpus.analyser import ANALYSER_ID
from pilotage.corpus.settings import DataStage
from pilotage.retrieval.settings import CorpusRef, Embedding, MinimumCoverage, Pooling, RetrievalSettings, VectorMode

_REF = re.compile(rf"({SLUG.pattern})(?:@([1-9][0-9]{{0,8}}))?")
_CELLS = matching(re.compile(r"sha256:[0-9a-f]{64}"), "the digest of sealed cells, sha256: and 64 hex digits")
_HEADER = matching(re.compile(r"[A-Za-z0-9-]{1,64}"), "the name of a header, such as Authorization or api-key")
_FOLDER = matching(
    re.compile(r"(?!.*\.\.)[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*"), "a folder below the workspace, models/NAME"
)
_STAGES = [stage.value for stage in DataStage]


def _whole_address(text: str) -> str:
    if not urlsplit(check_url(text)).path.endswith("/embeddings"):
        message = f"{text[:80]!r} is not the whole address of an endpoint. Write https://HOST/v1/embeddings."
        raise ValueError(message)
    return text


_ENDPOINT = converted(_whole_address, "")


def parse_retrieval(at: Located, problems: Problems) -> RetrievalSettings:
    """Read the retrieval settings; mistakes go to `problems`, with stand-ins in the result."""
    return read_record(at, problems, _retrieval)


def _retrieval(fields: Fields) -> RetrievalSettings:
    vectors = fields.get("vectors", choice(VectorMode), VectorMode.EXACT)
    embedding = fields.get("embedding", record(_embedding), None)
    corpora = fields.need("corpus", _CORPORA)
    settings = RetrievalSettings(
        corpora=corpora,
        top_k=fields.get("top_k", integer(1, 50), 5),
        rrf_k=fields.get("rrf_k", integer(1, 1000), 60),
        candidates=fields.get("candidates", integer(1, 1000), 50),
        minimum_coverage=fields.get("minimum_coverage", record(_coverage), MinimumCoverage()),
        vectors=vectors,
        cells=_cells(fields, vectors, corpora),
        embedding=embedding,
        analyser=fields.get("analyser", TEXT, ANALYSER_ID),
    )
    if vectors is VectorMode.APPROXIMATE and embedding is None:
        fields.problem("vectors", "Approximate vectors need an embedding model", "Write embedding, or vectors: exact.")
    if settings.analyser != ANALYSER_ID:
        what = f"The analyser {settings.analyser!r} is not the one of this version"
        fields.problem("analyser", what, f"Write {ANALYSER_ID}, or remove the key.")
    if settings.candidates < settings.top_k:
        what = f"candidates {settings.candidates} is below top_k {settings.top_k}"
        fields.problem("candidates", what, f"Write {settings.top_k} or more.")
    return settings


def _cells(fields: Fields, vectors: VectorMode, corpora: Mapping[DataStage, CorpusRef]) -> Mapping[DataStage, Digest]:
    """Read the cells of each stage, or one digest for all of them."""
    if not fields.has("cells"):
        return {}
    if vectors is VectorMode.EXACT:
        fields.problem("cells", "Exact vectors are not searched by cells", "Remove the key.")
        return {}
    at = fields.place("cells")
    if not isinstance(at.node, Mapping):
        return dict.fromkeys(corpora, Digest(_CELLS.read(at, fields.problems)))
    for key in at.node.keys() - corpora.keys():
        fields.problem("cells", f"No corpus of stage {key!r} is named", f"Remove {key}.")
    named = map_of(_CELLS).read(at, fields.problems)
    return {stage: Digest(named[stage]) for stage in corpora if stage in named}


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
    prefixes = fields.get("prefix", record(_prefixes), {})
    pin_kind, pin = fields.get("pin", record(read_pin), (PinKind.FLOATING, ""))
    if pin_kind is PinKind.BUILTIN:
        fields.problem("pin", "No embedding model is built in", "Write kind: dated, revision, weights or floating.")
    path = fields.get("path", _FOLDER, None)
    if path is not None and fields.has("endpoint"):
        fields.problem("endpoint", "An embedding model has a path and an endpoint", "Write one of them.")
    if path is not None and pin_kind is not PinKind.WEIGHTS:
        hint = f"Write pin: {{kind: weights, id: sha256:{'0' * 64}}}; sealing names the digest of its files."
        fields.problem("pin", "A local embedding model is pinned by its weights", hint)
    return Embedding(
        model=fields.need("model", TEXT),
        dimension=fields.need("dimension", integer(1, 8192)),
        endpoint=fields.need("endpoint", _ENDPOINT) if path is None else fields.get("endpoint", _ENDPOINT, ""),
        path=path,
        pooling=fields.get("pooling", choice(Pooling), Pooling.MEAN),
        max_tokens=fields.get("max_tokens", integer(1, 8192), 512),
        region=fields.get("region", TEXT, None),
        auth_ref=fields.get("auth", SECRET_REF, None),
        auth_header=fields.get("auth_header", _HEADER, "Authorization"),
        parameters={key: value.plain() for key, value in fields.get("parameters", map_of(ANY), {}).items()},
        timeout_s=fields.get("timeout", FRACTIONAL_SECONDS, 10.0),
        batch=fields.get("batch", integer(1, 2048), 64),
        pin_kind=pin_kind,
        pin=pin,
        **prefixes,
    )


def _prefixes(fields: Fields) -> dict[str, str]:
    return {f"{name}_prefix": fields.get(name, TEXT, "") for name in ("question", "passage")}
