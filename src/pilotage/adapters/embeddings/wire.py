"""The embeddings wire format of a provider: what we send, and the vectors in its answer.

Pure: bytes in, records out. A vector with a number that JSON has no word for (`null`, `NaN`, `Infinity`) is read, so
that one passage without a direction does not take the others with it. Fail mode: EmbeddingsError with a few words,
nothing of the provider's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import numpy as np

from pilotage.core.canonical import Json
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.settings import Embedding


class EmbeddingsError(ValueError):
    """The provider sent something that is not a list of embeddings."""


class _Item(msgspec.Struct):
    index: int
    embedding: list[float | None]


class _Answer(msgspec.Struct):
    data: list[_Item]


_decoder = msgspec.json.Decoder(_Answer)


def encode_texts(settings: Embedding, texts: Sequence[str]) -> bytes:
    """Return the JSON body: the texts and the sealed parameters; nothing that names an asker."""
    body: dict[str, Json] = {**settings.parameters, "model": settings.model, "input": list(texts)}
    return msgspec.json.encode(body)


def read_vectors(body: bytes, wanted: int) -> list[F32]:
    """Return the vectors in the order of the texts, whatever their length."""
    items = sorted(_read(body).data, key=lambda item: item.index)
    if [item.index for item in items] != list(range(wanted)):
        message = f"sent {len(items)} embeddings for {wanted} texts, or numbered them otherwise"
        raise EmbeddingsError(message)
    return [np.array(item.embedding, dtype=np.float32) for item in items]


def _read(body: bytes) -> _Answer:
    try:
        try:
            return _decoder.decode(body)
        except msgspec.DecodeError:
            return msgspec.convert(json.loads(body), _Answer)
    except (ValueError, RecursionError):
        message = "sent something that is not a list of embeddings"
        raise EmbeddingsError(message) from None
