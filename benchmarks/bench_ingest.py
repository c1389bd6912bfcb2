"""Ingest without embedding, on one core: `python benchmarks/bench_ingest.py [--chunks N]`.

A JSONL file of policies with paragraphs of mixed length, 5 passages each, is refreshed into a fresh corpus of a real
PostgreSQL with fsync on (DATABASE_URL, else an embedded server of this run). Reading, mapping, normalising, chunking,
hashing, the quality report with its near-duplicate search, COPY and publication are all included. Figures are per
processor second of this process (the goal is per core; the server works on another) and per second of wall time; best
of three, because other work on the machine only ever slows a run. Exits 1 below the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "corpus"))

from conftest import make_bank, settings
from pilotage.corpus.chunker import chunk_document
from pilotage.corpus.near_duplicates import signature_of
from pilotage.corpus.records import Paragraph, ParsedDocument, Section
from pilotage.corpus.text import normalise, revision_hash
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate

GOAL_CHUNKS_PER_S = 7_000
REPEATS = 3
VOCABULARY = [
    f"{a}{b}{c}"
    for a in ("ac", "be", "con", "de", "in", "pro")
    for b in ("count", "nefi", "trol")
    for c in ("s", "ed", "ing", "")
]


def document(number: int, rng: random.Random) -> dict[str, str]:
    """Return a row of about 5 passages: paragraphs of 40 to 200 words in sentences of 8 to 24."""
    paragraphs = []
    words = 0
    while words < 950:
        sentences = []
        for _ in range(rng.randint(4, 10)):
            size = rng.randint(8, 24)
            words += size
            sentences.append(" ".join(rng.choices(VOCABULARY, k=size)).capitalize() + ".")
        paragraphs.append(" ".join(sentences))
    return {"id": f"doc-{number:07}", "title": f"Policy {number}", "text": "\n\n".join(paragraphs)}


def write_corpus(path: Path, documents: int) -> int:
    """Write the rows; return how many passages they give."""
    rng = random.Random(7)
    chunks = 0
    with path.open("w") as file:
        for number in range(documents):
            row = document(number, rng)
            chunks += len(chunk_document(parsed(row["text"])))
            file.write(json.dumps(row) + "\n")
    return chunks


def parsed(body: str) -> ParsedDocument:
    blocks = tuple(Paragraph(text=part) for part in normalise(body).split("\n\n"))
    return ParsedDocument(title="", sections=(Section(path=(), blocks=blocks),), parser="bench")


def cut(body: str) -> None:
    document = parsed(body)
    revision_hash(document.sections)
    chunk_document(document)


def best(act: Callable[[], object]) -> tuple[float, float]:
    """Return the smallest processor and wall seconds of three runs."""
    found = []
    for _ in range(REPEATS):
        wall, busy = time.perf_counter(), time.process_time()
        act()
        found.append((time.process_time() - busy, time.perf_counter() - wall))
    return min(one[0] for one in found), min(one[1] for one in found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--chunks", type=int, default=20_000)
    wanted = options.parse_args().chunks
    given = os.environ.get("DATABASE_URL")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pilotage-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        path = folder / "rows.jsonl"
        chunks = write_corpus(path, wanted // 5)
        texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
        with nullcontext() if given else EmbeddedServer(folder / "home") as server:
            engine = make_engine(given or server.url)
            migrate(engine)
            bank = make_bank(engine, folder)
            runs = iter(range(REPEATS))

            def refresh() -> None:
                corpus = bank.declare(settings(f"bench-{os.getpid()}-{next(runs)}"))
                assert bank.refresh(corpus, path).chunks == chunks

            def again() -> None:
                assert bank.refresh(f"bench-{os.getpid()}-0", path).state == "unchanged"

            rows = [
                (
                    "normalise, chunk, hash",
                    best(lambda: [revision_hash(p.sections) and chunk_document(p) for p in map(parsed, texts)]),
                ),
                ("near-duplicate signatures", best(lambda: [signature_of(one) for one in texts])),
                ("**refresh, new corpus**", best(refresh)),
                ("refresh, nothing changed", best(again)),
            ]
            with engine.connect() as connection:
                version = connection.execute(text("SHOW server_version")).scalar_one()
            engine.dispose()
    print(f"{chunks:,} passages in {wanted // 5:,} documents, PostgreSQL {version}, {os.cpu_count()} processors\n")
    print("| step | passages per processor second | per wall second |\n|---|---:|---:|")
    for step, (busy, wall) in rows:
        print(f"| {step} | {chunks / busy:,.0f} | {chunks / wall:,.0f} |")
    reached = chunks / rows[2][1][0]
    print(f"\nGoal: {GOAL_CHUNKS_PER_S:,} per core; reached {reached:,.0f}.")
    if reached < GOAL_CHUNKS_PER_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
