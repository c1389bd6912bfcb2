"""One embedding server and one bank a test, on a database of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.vectors.bank import VectorBank

from pilotage.testing.embeddings import EmbeddingServer


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with EmbeddingServer() as running:
        yield running


@pytest.fixture
def bank(
    open_folder: Path, own_engine: Engine, server: EmbeddingServer, request: pytest.FixtureRequest
) -> Iterator[VectorBank]:
    url = own_engine.url.render_as_string(hide_password=False)
    name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]
    with VectorBank(open_folder / f"vectors-{name}", url, server) as made:
        yield made
