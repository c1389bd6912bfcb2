"""A synthetic corpus with readers, for the retrieval benchmark: words by Zipf's law, unit vectors, 5,000 groups.

Every document names one division (10 % of all documents), one department (1 %), one team (0.1 %), one project and the
auditors, who may read everything. An asker is in one group of their level and in three projects. Seeded: the same
corpus on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from pilotage.corpus.settings import Classification
from pilotage.retrieval.allowed import Asking, DocumentRow, RevisionRow, Visibility, make_visibility
from pilotage.retrieval.build import IndexChunk

Floats: TypeAlias = NDArray[np.float32]

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PER_DOCUMENT = 4
DIMENSION = 384
VOCABULARY = 30_000
WORDS_OF_QUESTION = 6
EVERYTHING = "group:auditors"
LEVELS = {"0.1 %": ("team", 1_000), "1 %": ("department", 100), "10 %": ("division", 10), "100 %": ("auditors", 1)}
PROJECTS = 3_889
_BLOCK = 50_000


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """`words` (n, length) are word numbers, 0 where a chunk is shorter; `vectors` (n, 384); `readers` by document.

    `public` (p, 384) are vectors of chunks that everybody may read, which no question looks for.
    """

    words: NDArray[np.uint16]
    vectors: Floats
    readers: tuple[tuple[str, ...], ...]
    public: Floats

    @property
    def chunks(self) -> int:
        """Return how many chunks there are."""
        return len(self.words)

    def text(self, chunk: int) -> str:
        """Return the words of a chunk as text."""
        return " ".join(self.tokens(chunk))

    def tokens(self, chunk: int) -> list[str]:
        """Return the words of a chunk."""
        return [f"w{word}" for word in self.words[chunk].tolist() if word]

    def index_chunks(self) -> Iterator[IndexChunk]:
        """Yield what the index is built from."""
        for chunk in range(self.chunks):
            document = chunk // PER_DOCUMENT
            yield IndexChunk(
                rev=document,
                ordinal=chunk % PER_DOCUMENT,
                document=f"d{document:07d}",
                effective_from="",
                tokens=self.tokens(chunk),
                vector=self.vectors[chunk],
            )

    def visible(self, names: frozenset[str]) -> NDArray[np.int64]:
        """Return the chunks these names may read, found without any index."""
        documents = [number for number, readers in enumerate(self.readers) if not names.isdisjoint(readers)]
        return (np.array(documents, dtype=np.int64)[:, None] * PER_DOCUMENT + np.arange(PER_DOCUMENT)).ravel()


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of one asker."""

    names: frozenset[str]
    terms: tuple[str, ...]
    vector: Floats

    @property
    def asking(self) -> Asking:
        """The permission decision it asks for."""
        return Asking(names=self.names, version=1, day=DAY, at=AT)


def make_corpus(chunks: int, *, seed: int = 1, folder: Path | None = None, public: int = 0) -> Corpus:
    """Return the corpus; with a folder its arrays are files there, mapped, and not memory of the process.

    `public` vectors are drawn beside it, of the same topics.
    """
    rng = np.random.default_rng(seed)
    odds = 1 / (np.arange(1, VOCABULARY + 1) + 2.7) ** 1.07
    numbers = np.arange(1, VOCABULARY + 1, dtype=np.uint16)
    words: NDArray[np.uint16] = _array(folder, "words", (chunks, 160), np.uint16)
    for rows in _blocks(chunks):
        words[rows] = rng.choice(numbers, size=(rows.stop - rows.start, 160), p=odds / odds.sum())
    lengths = rng.integers(40, 161, size=chunks)
    for rows in _blocks(chunks):
        words[rows][np.arange(160)[None, :] >= lengths[rows, None]] = 0
    # Topics: neighbours exist, as they do among real embeddings.
    topics = rng.standard_normal((200, DIMENSION), dtype=np.float32)
    topic = rng.integers(0, 200, size=chunks)
    vectors: Floats = _array(folder, "vectors", (chunks, DIMENSION), np.float32)
    for rows in _blocks(chunks):
        vectors[rows] = _vectors(rng, topics[topic[rows]])
    words, vectors = _written(folder, "words", words), _written(folder, "vectors", vectors)
    readers = tuple(_readers(rng, chunks // PER_DOCUMENT))
    beside = _vectors(rng, topics[rng.integers(0, len(topics), size=public)])
    return Corpus(words=words, vectors=vectors, readers=readers, public=beside)


def _vectors(rng: np.random.Generator, topics: Floats) -> Floats:
    found: Floats = topics + rng.standard_normal(topics.shape, dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _blocks(chunks: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, chunks)) for start in range(0, chunks, _BLOCK))


def _array(folder: Path | None, name: str, shape: tuple[int, int], kind: type[np.generic]) -> NDArray[Any]:
    if folder is None:
        return np.empty(shape, dtype=kind)
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=kind, shape=shape)


def _written(folder: Path | None, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array again, from its file read-only: pages still to be written would count as private memory."""
    if folder is None:
        return array
    array.flush()  # type: ignore[attr-defined] - a memmap
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def _readers(rng: np.random.Generator, documents: int) -> Iterator[tuple[str, ...]]:
    columns = [(kind, rng.integers(0, many, size=documents).tolist()) for kind, many in LEVELS.values() if many > 1]
    projects = rng.integers(0, PROJECTS, size=documents).tolist()
    for number in range(documents):
        groups = [f"group:{kind}-{column[number]}" for kind, column in columns]
        yield (*groups, f"group:project-{projects[number]}", EVERYTHING)


def make_questions(corpus: Corpus, level: str, *, askers: int, many: int, seed: int = 2) -> list[Question]:
    """Return `many` questions put in turn by `askers` people of one level."""
    rng = np.random.default_rng(seed)
    kind, groups = LEVELS[level]
    people = [
        frozenset({EVERYTHING if groups == 1 else f"group:{kind}-{rng.integers(groups)}"})
        | frozenset(f"group:project-{number}" for number in rng.integers(0, PROJECTS, size=3))
        for _ in range(askers)
    ]
    return [_question(corpus, rng, people[number % askers]) for number in range(many)]


def _question(corpus: Corpus, rng: np.random.Generator, names: frozenset[str]) -> Question:
    tokens = corpus.tokens(int(rng.integers(corpus.chunks)))
    near = corpus.vectors[rng.integers(corpus.chunks)] + 0.05 * rng.standard_normal(DIMENSION, dtype=np.float32)
    return Question(
        names=names,
        terms=tuple(rng.choice(tokens, size=WORDS_OF_QUESTION).tolist()),
        vector=near / np.linalg.norm(near),
    )


def make_visibility_of(corpus: Corpus, *, generation: int = 1, versions: dict[int, BitMap] | None = None) -> Visibility:
    return make_visibility(
        generation,
        documents=[
            DocumentRow(
                id=f"d{number:07d}", acl=readers, classification=Classification.INTERNAL, region="us", is_live=True
            )
            for number, readers in enumerate(corpus.readers)
        ],
        revisions=[
            RevisionRow(
                rev=number, document=f"d{number:07d}", effective_from=None, effective_to=None, retained_until=None
            )
            for number in range(len(corpus.readers))
        ],
        versions=versions or {1: BitMap(range(len(corpus.readers)))},
    )
