"""The port of embedding models: texts in, vectors out (corpus-and-ledger.md 3.4).

Rule: one vector for each text, in their order, as the model gave them; whether one has a direction is judged by
`build.unit_vector`. Fail mode: core.errors.Unavailable (upstream_failed, upstream_timeout); never a part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pilotage.retrieval.arrays import F32


class Embedder(Protocol):
    """One embedding model of one release."""

    async def passages(self, texts: Sequence[str]) -> Sequence[F32]:
        """Return the vector of each passage."""
        ...

    async def question(self, text: str) -> F32:
        """Return the vector of a question."""
        ...

    async def probe(self) -> None:
        """Return when the model can be reached; raise Unavailable otherwise."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
