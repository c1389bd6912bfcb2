"""Cells of the approximate mode: directions that a release is sealed with, and the chunks nearest to each.

Rule: no hidden document has a say in them. They are trained on chunks that everybody may read, or, where those are too
few, are seeded directions. A cell is decided in whole numbers: coordinates rounded to 2^-11 are summed exactly by a
float32 product, in any order, since partial sums stay below 2^24; so it depends on its vector alone, not on what is
computed beside it. Lists of cells as in Sivic and Zisserman, Video Google (2003); corpus-and-ledger.md 3.4.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pilotage.core.digest import Digest, digest_of
from pilotage.retrieval.arrays import F32, U16, Ids

MOST_CELLS: Final = 1_024
LEAST_CELLS: Final = 64
PER_CELL: Final = 39
"""Public chunks that a cell is trained on, at least."""

_WRITTEN: Final = re.compile(rb"pilotage/cells/1\0([1-9][0-9]*)\0\(([1-9][0-9]*), ([1-9][0-9]*)\)\0")
_SCALE = np.float32(2**11)
_SAMPLE_PER_CELL = 256
_ROUNDS = 12
_ROWS = 4_096
_ASKED = 400
_NEIGHBOURS = 10
_FOUND = 0.995
# Questions are phrased otherwise than chunks: twice the cells that chunks need to find each other.
_SPARE = 2
_SEEDED_CELLS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantiser:
    """`centroids` (c, d) are directions times 2^11 in whole numbers; a question looks into `probes` cells of the c."""

    centroids: F32
    probes: int
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of(self.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Quantiser:
        """Read what `to_bytes` wrote; raise ValueError for anything else."""
        found = _WRITTEN.match(data)
        if found is None:
            raise ValueError("These bytes are no cells.")
        probes, cells, dimension = (int(number) for number in found.groups())
        centroids = np.frombuffer(data, "<i2", offset=found.end()).reshape(cells, dimension)
        return cls(centroids=centroids.astype(np.float32), probes=probes)

    def to_bytes(self) -> bytes:
        """Return the cells as they are stored; their digest is the quantiser's."""
        head = f"pilotage/cells/1\0{self.probes}\0{self.centroids.shape}\0".encode()
        return head + self.centroids.astype("<i2").tobytes()

    def cells(self, vectors: F32) -> U16:
        """Return the cell of each unit vector (n, d)."""
        found = np.empty(len(vectors), dtype=np.uint16)
        for start in range(0, len(vectors), _ROWS):
            found[start : start + _ROWS] = self._near(vectors[start : start + _ROWS]).argmax(axis=1)
        return found

    def probed(self, query: F32) -> Ids:
        """Return the cells that a question (d) looks into, nearest first; of equals the lower number."""
        return self._ranked(query[None, :])[0, : self.probes]

    def _ranked(self, vectors: F32) -> Ids:
        return np.argsort(-self._near(vectors), axis=1, kind="stable")

    def _near(self, vectors: F32) -> F32:
        found: F32 = _whole(vectors) @ self.centroids.T
        return found


def cells_for(public: int) -> int:
    """Return how many cells are trained on that many public chunks; 0: the directions are seeded."""
    cells = min(MOST_CELLS, public // PER_CELL)
    return cells if cells >= LEAST_CELLS else 0


def sample_of(public: int, *, seed: int = 0) -> Ids:
    """Return which of the public chunks cells are trained on, in the order they are needed in."""
    return np.random.default_rng(seed).permutation(public)[: cells_for(public) * _SAMPLE_PER_CELL]


def make_quantiser(public: F32, *, seed: int = 0) -> Quantiser:
    """Return cells for an index from the unit vectors (n, d) of its chunks that everybody may read."""
    return trained_on(public[sample_of(len(public), seed=seed)], cells=cells_for(len(public)))


def trained_on(sample: F32, *, cells: int) -> Quantiser:
    """Return cells from the unit vectors (n, d) of a sample of public chunks; 0 cells: seeded ones."""
    if not cells:
        return _seeded(sample.shape[1])
    made = Quantiser(centroids=_whole(sample[:cells]), probes=cells)
    for _ in range(_ROUNDS):
        made = Quantiser(centroids=_moved(made, sample), probes=cells)
    return Quantiser(centroids=made.centroids, probes=_enough(made, sample))


def _moved(made: Quantiser, sample: F32) -> F32:
    """Return the centroids in the middle of their vectors; one without vectors stays."""
    cells = made.cells(sample)
    held, starts = np.unique(np.sort(cells), return_index=True)
    sums: F32 = np.add.reduceat(sample[np.argsort(cells, kind="stable")], starts, axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    sums /= np.where(norms > 0, norms, 1)
    moved = made.centroids.copy()
    moved[held] = _whole(sums)
    return moved


def _enough(made: Quantiser, sample: F32) -> int:
    """Return how many cells a question looks into: twice what chunks of the sample need to find their nearest."""
    asked = sample[:_ASKED]
    products = asked @ sample.T
    np.fill_diagonal(products, -1)
    nearest = np.argpartition(-products, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    place = np.argsort(made._ranked(asked), axis=1)  # noqa: SLF001 - of this module
    needed = np.take_along_axis(place, made.cells(sample)[nearest].astype(np.int64), axis=1) + 1
    return min(len(made.centroids), _SPARE * int(np.quantile(needed, _FOUND, method="higher")))


def _seeded(dimension: int) -> Quantiser:
    """Return directions of +1 and -1 from SHAKE-256: the same everywhere. A question looks into half of them."""
    drawn = hashlib.shake_256(f"pilotage/cells/1/{dimension}".encode()).digest(_SEEDED_CELLS * dimension // 8)
    bits = np.unpackbits(np.frombuffer(drawn, dtype=np.uint8)).reshape(_SEEDED_CELLS, dimension)
    directions = (bits.astype(np.float32) * 2 - 1) / np.float32(np.sqrt(dimension))
    return Quantiser(centroids=_whole(directions), probes=_SEEDED_CELLS // 2)


def _whole(vectors: F32) -> F32:
    found: F32 = np.rint(vectors * _SCALE)
    return found
