"""Takedown across ten versions: `python benchmarks/bench_takedown.py [--documents N] [--takedowns N]`.

Documents that stand in every one of ten versions are taken down one after the other, in one process, against a real
PostgreSQL with fsync on (DATABASE_URL, else an embedded server of this run). Timed is the command as the CLI and the
API call it, until it returns. At that moment every version is asked for the document's passages through the statement
that all text leaves by; a single one that comes back ends the run. Exits 1 when p50 is over 100 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection, Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "corpus"))

from conftest import Bank, make_bank, settings
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.ids import CorpusName
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate
from pilotage.store.passages import Place, Reader, read_passages
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

VERSIONS = 10
MUST_P50_S = 0.1
EVERYBODY = Reader(names=frozenset({"group:everyone"}), confirmed_since=None)
_PLACES = text(
    "SELECT c.rev, c.ordinal FROM chunk c JOIN revision r ON r.corpus = c.corpus AND r.rev = c.rev"
    " WHERE r.corpus = :corpus AND r.document = :document"
)


def document(number: int, edition: int) -> MemoryDocument:
    """One in twenty documents changes in each edition."""
    said = edition if number % 20 == edition else 0
    sentences = [f"Rule {number}.{part} of edition {said} names limit {number * part}." for part in range(1, 40)]
    return MemoryDocument(data=" ".join(sentences).encode(), suffix=".txt", acl=["group:everyone"])


def filled(bank: Bank, documents: int) -> CorpusName:
    corpus = bank.declare(settings(f"takedown-{os.getpid()}", acl=()))
    for edition in range(1, VERSIONS + 1):
        listing = {f"d{number:05}.txt": document(number, edition) for number in range(documents)}
        assert bank.refresh(corpus, MemoryConnector(documents=listing)).version == edition
    return corpus


def places_of(connection: Connection, corpus: str, name: str) -> list[Place]:
    rows = connection.execute(_PLACES, {"corpus": corpus, "document": name})
    return [(rev, ordinal) for rev, ordinal in rows]


def visible(engine: Engine, corpus: CorpusName, places: list[Place]) -> int:
    """Return how many passages come back over all versions."""
    with engine.connect() as connection:
        return sum(
            len(read_passages(connection, corpus, places, replace(EVERYBODY, version=version)))
            for version in range(1, VERSIONS + 1)
        )


def measured(bank: Bank, corpus: CorpusName, takedowns: int, documents: int) -> list[float]:
    found = []
    for turn in range(takedowns):
        name = f"d{turn * (documents // takedowns):05}.txt"
        with bank.instance.engine.connect() as connection:
            places = places_of(connection, corpus, name)
        before = visible(bank.instance.engine, corpus, places)
        request = TakedownRequest(corpus=corpus, document=name, reason="A benchmark says so.")
        start = time.perf_counter()
        done = take_down(bank.instance, actor=bank.steward, request=request)
        found.append(time.perf_counter() - start)
        after = visible(bank.instance.engine, corpus, places)
        assert isinstance(done, TakedownResult)
        assert len(done.versions_affected) == VERSIONS
        if before < VERSIONS or after:
            message = f"{name}: {before} passages before and {after} after the command returned."
            raise SystemExit(message)
    return sorted(found)


def searched(bank: Bank, corpus: CorpusName, name: str) -> int:
    """Return how many passages of a document a search over every version finds."""
    wanted = [Search(question=f"Rule {int(name[1:6])}.7 names limit", version=number) for number in (1, VERSIONS)]
    return sum(
        passage.document == name
        for one in wanted
        for passage in search_corpus(bank.instance, actor=bank.steward, corpus=corpus, wanted=one)
    )


def main() -> None:
    """Print the figures; exit 1 over the limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=2_000)
    options.add_argument("--takedowns", type=int, default=100)
    chosen = options.parse_args()
    given = os.environ.get("DATABASE_URL")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pilotage-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with nullcontext() if given else EmbeddedServer(folder / "home") as server:
            engine = make_engine(given or server.url)
            migrate(engine)
            bank = make_bank(engine, folder)
            corpus = filled(bank, chosen.documents)
            assert searched(bank, corpus, "d00000.txt") > 0
            found = measured(bank, corpus, chosen.takedowns, chosen.documents)
            assert searched(bank, corpus, "d00000.txt") == 0
            engine.dispose()
    p50, p99 = found[len(found) // 2], found[min(len(found) - 1, int(0.99 * len(found)))]
    print("| takedown until the command returns | p50 | p99 | longest | must (p50) |\n|---|--:|--:|--:|--:|")
    print(
        f"| {chosen.documents:,} documents in {VERSIONS} versions, {chosen.takedowns} takedowns"
        f" | {1000 * p50:.1f} ms | {1000 * p99:.1f} ms | {1000 * found[-1]:.1f} ms | {1000 * MUST_P50_S:.0f} ms |"
    )
    print("\nEvery version was asked at the moment of return: no passage came back.")
    raise SystemExit(int(p50 > MUST_P50_S))


if __name__ == "__main__":
    main()
