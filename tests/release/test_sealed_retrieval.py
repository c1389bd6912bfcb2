"""Retrieval settings come back from the sealed part alone, or not at all."""

from __future__ import annotations

import pytest

from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError, InvalidFiles
from pilotage.release.content import sealed_retrieval


def part(value: Json) -> tuple[bytes, Digest]:
    body = canonical_bytes({"kind": "retrieval", "value": value})
    return body, digest_of(body)


def test_what_was_sealed_is_read_back() -> None:
    embedding: Json = {"model": "e", "dimension": 3, "endpoint": "https://vectors.example/v1/embeddings"}
    found = sealed_retrieval(*part({"corpus": {"production": "policies"}, "embedding": embedding}))
    assert found.embedding is not None
    assert (found.embedding.model, found.embedding.dimension, found.top_k) == ("e", 3, 5)


def test_other_bytes_and_other_settings_are_not_read() -> None:
    body, digest = part({"corpus": {"production": "policies"}})
    with pytest.raises(IntegrityError):
        sealed_retrieval(body + b" ", digest)
    with pytest.raises(InvalidFiles):
        sealed_retrieval(*part({"corpus": {"production": "policies"}, "top_k": 0}))
