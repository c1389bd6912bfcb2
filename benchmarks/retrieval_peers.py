"""The other engines of the retrieval benchmark, each in its best exact configuration: LanceDB, PostgreSQL + pgvector.

Both get the same chunks, words, vectors and readers, an index for each of the three, and give the top 10 of the same
fusion (reciprocal ranks, k = 60). Neither is asked for per-asker statistics, which they do not have.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import psycopg
from retrieval_data import DIMENSION, EVERYTHING, PER_DOCUMENT, Corpus, Question

from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import psycopg_url

Ask: TypeAlias = Callable[[Question], list[int]]
"""Answers a question with chunk numbers, best first."""

LIMIT, CANDIDATES, RRF = 10, 50, 60
_BATCH = 20_000


def fused(*lists: list[int]) -> list[int]:
    """Return the ten best by reciprocal rank."""
    sums: dict[int, float] = {}
    for ranked in lists:
        for rank, chunk in enumerate(ranked, 1):
            sums[chunk] = sums.get(chunk, 0.0) + 1 / (RRF + rank)
    return sorted(sums, key=lambda chunk: -sums[chunk])[:LIMIT]


def lancedb_module() -> ModuleType | None:
    """Return the library where it is installed."""
    return importlib.import_module("lancedb") if importlib.util.find_spec("lancedb") else None


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard an index of vectors looks: cells, `ef` of a graph, and `refine` x candidates scored again exactly."""

    probes: int
    ef: int | None = None
    refine: int | None = None

    def __str__(self) -> str:
        parts = [f"{self.probes} probes", f"ef {self.ef}" if self.ef else "", f"refine {self.refine}"]
        return ", ".join(part for part in parts[: 3 if self.refine else 2] if part)


class Lance:
    """A LanceDB table with a full-text, a label-list and a number index; vectors are scanned, which is exact.

    With `vectors`, the class of an index and its settings, questions that name an effort use that index. A table that
    is in the folder already is opened.
    """

    def __init__(
        self, lancedb: ModuleType, folder: Path, corpus: Corpus, *, vectors: tuple[str, Mapping[str, int]] | None = None
    ) -> None:
        index = importlib.import_module("lancedb.index")
        self._corpus = corpus
        database = lancedb.connect(folder)
        if (folder / "ready").exists():
            self._table = database.open_table("chunks")
        else:
            self._table = self._create(database, index)
            if vectors is not None:
                kind, settings = vectors
                self._table.create_index("vector", config=getattr(index, kind)(distance_type="dot", **settings))
            (folder / "ready").touch()
        self._reranker = importlib.import_module("lancedb.rerankers").RRFReranker(K=RRF)
        self._threads = ThreadPoolExecutor(4)

    def _create(self, database: Any, index: ModuleType) -> Any:  # noqa: ANN401 - the library has no types
        arrow = importlib.import_module("pyarrow")
        first = _batch(arrow, self._corpus, 0)
        batches = (_batch(arrow, self._corpus, start) for start in range(0, self._corpus.chunks, _BATCH))
        table = database.create_table("chunks", data=batches, schema=first.schema, mode="overwrite")
        words = {"stem": False, "remove_stop_words": False, "ascii_folding": False}
        table.create_index("text", config=index.FTS(base_tokenizer="whitespace", **words))
        table.create_index("acl", config=index.LabelList())
        table.create_index("document", config=index.BTree())
        return table

    def configurations(self, effort: Effort | None = None) -> Mapping[str, Ask]:
        """Return every way to ask; the benchmark takes the fastest of each visibility."""
        labels, listed = _labels, self._listed
        return {
            "hybrid query, label index": lambda one: self._hybrid(one, labels(one), effort),
            "two queries at once, label index": lambda one: self._two(one, labels(one), effort),
            "two queries at once, list of documents": lambda one: self._two(one, listed(one), effort),
        }

    def nearest(self, question: Question, effort: Effort | None = None) -> list[int]:
        """Return the ten nearest visible chunks by vector alone."""
        return self._vector(question, _labels(question), LIMIT, effort)

    def _listed(self, question: Question) -> str | None:
        if EVERYTHING in question.names:
            return None
        documents = np.unique(self._corpus.visible(question.names) // PER_DOCUMENT)
        return f"document IN ({', '.join(map(str, documents.tolist()))})"

    def _hybrid(self, question: Question, where: str | None, effort: Effort | None) -> list[int]:
        query = self._table.search(query_type="hybrid").vector(question.vector).text(" ".join(question.terms))
        query = _looking(query.distance_type("dot"), effort)
        if where is not None:
            query = query.where(where, prefilter=True)
        found = query.select(["id"]).limit(CANDIDATES).rerank(self._reranker).to_arrow()
        return _ids(found)[:LIMIT]

    def _two(self, question: Question, where: str | None, effort: Effort | None) -> list[int]:
        words = self._threads.submit(self._words, question, where)
        return fused(words.result(), self._vector(question, where, CANDIDATES, effort))

    def _words(self, question: Question, where: str | None) -> list[int]:
        query = self._table.search(" ".join(question.terms), query_type="fts")
        return _ids(_cut(query, where, CANDIDATES, "_score").to_arrow())

    def _vector(self, question: Question, where: str | None, limit: int, effort: Effort | None) -> list[int]:
        query = _looking(self._table.search(question.vector).distance_type("dot"), effort)
        return _ids(_cut(query, where, limit, "_distance").to_arrow())


def _batch(arrow: ModuleType, corpus: Corpus, start: int) -> Any:  # noqa: ANN401 - the library has no types
    chunks = range(start, min(start + _BATCH, corpus.chunks))
    vectors = arrow.array(np.asarray(corpus.vectors[chunks.start : chunks.stop]).ravel())
    columns = {
        "id": arrow.array(chunks),
        "document": arrow.array([chunk // PER_DOCUMENT for chunk in chunks]),
        "text": arrow.array([corpus.text(chunk) for chunk in chunks]),
        "acl": arrow.array(
            [corpus.readers[chunk // PER_DOCUMENT] for chunk in chunks], type=arrow.list_(arrow.string())
        ),
        "vector": arrow.FixedSizeListArray.from_arrays(vectors, DIMENSION),
    }
    return arrow.RecordBatch.from_pydict(columns)


def _looking(query: Any, effort: Effort | None) -> Any:  # noqa: ANN401 - the library has no types
    if effort is None:
        return query.bypass_vector_index()
    query = query.nprobes(effort.probes)
    query = query if effort.ef is None else query.ef(effort.ef)
    return query if effort.refine is None else query.refine_factor(effort.refine)


def _cut(query: Any, where: str | None, limit: int, score: str) -> Any:  # noqa: ANN401 - the library has no types
    query = query if where is None else query.where(where, prefilter=True)
    return query.select(["id", score]).limit(limit)


def _ids(found: Any) -> list[int]:  # noqa: ANN401 - an arrow table
    return [int(value) for value in found["id"].to_pylist()]


def _labels(question: Question) -> str | None:
    """Return the filter; an asker who may read everything is asked for without one, in the peer's favour."""
    if EVERYTHING in question.names:
        return None
    return f"array_has_any(acl, [{', '.join(repr(name) for name in sorted(question.names))}])"


_SCHEMA = f"""
CREATE EXTENSION vector;
CREATE TABLE passage (id int PRIMARY KEY, acl text[] NOT NULL, words tsvector NOT NULL,
                      vector vector({DIMENSION}) NOT NULL);
ALTER TABLE passage ALTER COLUMN vector SET STORAGE PLAIN;
"""
# The sub-select makes the groups a constant of the query, so that the policy can use the index on acl.
_AFTER = """
CREATE INDEX ON passage USING gin (acl);
CREATE INDEX ON passage USING gin (words);
ALTER TABLE passage ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON passage USING (acl && (SELECT current_setting('bench.names')::text[]));
CREATE ROLE asker LOGIN;
GRANT SELECT ON passage TO asker;
VACUUM (ANALYZE) passage;
"""
_HYBRID = f"""
WITH near AS (
    SELECT id, row_number() OVER (ORDER BY far) AS rank FROM (
        SELECT id, vector <#> %(vector)s::vector AS far FROM passage ORDER BY far LIMIT {CANDIDATES}) AS n),
worded AS (
    SELECT id, row_number() OVER (ORDER BY score DESC) AS rank FROM (
        SELECT id, ts_rank(words, %(words)s::tsquery) AS score FROM passage WHERE words @@ %(words)s::tsquery
         ORDER BY score DESC LIMIT {CANDIDATES}) AS w)
SELECT coalesce(near.id, worded.id)
  FROM near FULL JOIN worded ON near.id = worded.id
 ORDER BY coalesce(1.0 / ({RRF} + near.rank), 0) + coalesce(1.0 / ({RRF} + worded.rank), 0) DESC LIMIT {LIMIT}
"""
_NEAREST = f"SELECT id FROM passage ORDER BY vector <#> %(vector)s::vector LIMIT {LIMIT}"


class Vectors:
    """PostgreSQL with pgvector; row security on the readers, statements prepared, exact scan of the visible rows."""

    def __init__(self, url: str, corpus: Corpus) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_SCHEMA)
            with connection.cursor().copy("COPY passage FROM STDIN") as copy:
                for chunk in range(corpus.chunks):
                    copy.write_row(self._row(corpus, chunk))
            for statement in filter(str.strip, _AFTER.split(";")):
                connection.execute(statement.encode())
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        for setting in ("ROLE asker", "jit = off", "work_mem = '64MB'"):
            self._connection.execute(f"SET {setting}".encode())

    @staticmethod
    def _row(corpus: Corpus, chunk: int) -> tuple[object, ...]:
        places: dict[str, list[str]] = {}
        for place, word in enumerate(corpus.tokens(chunk), 1):
            places.setdefault(word, []).append(str(place))
        words = " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())
        return chunk, list(corpus.readers[chunk // PER_DOCUMENT]), words, _written(corpus.vectors[chunk])

    def ask(self, question: Question) -> list[int]:
        """Return the ten best of the fused lists."""
        words = " | ".join(f"'{word}'" for word in set(question.terms))
        return self._run(_HYBRID, question, {"vector": _written(question.vector), "words": words})

    def nearest(self, question: Question) -> list[int]:
        """Return the ten nearest visible chunks by vector alone."""
        return self._run(_NEAREST, question, {"vector": _written(question.vector)})

    def _run(self, statement: str, question: Question, values: Mapping[str, str]) -> list[int]:
        names = "{" + ",".join(f'"{name}"' for name in sorted(question.names)) + "}"
        with self._connection.pipeline():
            self._connection.execute("SELECT set_config('bench.names', %s, false)", (names,))
            found = self._connection.execute(statement.encode(), values)
            return [int(row[0]) for row in found.fetchall()]


def _written(vector: np.ndarray[Any, Any]) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


@contextmanager
def pgvector(folder: Path, corpus: Corpus) -> Iterator[Vectors]:
    """Run a server of its own for pgvector, with room for the whole table in its cache."""
    home = folder / "home"
    with EmbeddedServer(home) as server, psycopg.connect(psycopg_url(server.url), autocommit=True) as connection:
        for setting in (
            "shared_buffers = '1GB'",
            "effective_cache_size = '4GB'",
            "max_parallel_workers_per_gather = 2",
        ):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
    with EmbeddedServer(home) as server:
        yield Vectors(psycopg_url(server.url), corpus)
