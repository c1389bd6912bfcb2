"""The ledger's goals of the specification, on one core: `python benchmarks/bench_ledger.py`.

Numbering runs against a real PostgreSQL with fsync on (DATABASE_URL, else an embedded server of this run): group commit
of 1,000 entries of about 400 bytes, the updates, tiles and triggers included. The proof at 10 million leaves reads
tiles kept in memory, so its time is hashing without the database's round trips, which are given as their number. Every
figure is the median of three runs. Exits 1 below a goal.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from sqlalchemy import text

from pilotage.adapters.keyring import Keyring
from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.ledger_export import Exported, export_ledger
from pilotage.control.ledger_verify_export import verify_export
from pilotage.core.ids import PrincipalId, new_ulid
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.jobs.sequencer import Sequencer
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import Checkpoint, SignedCheckpoint, VerifierKey, signed
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.ledger.tree import leaf_hash, root_of
from pilotage.ledger.verify import LogEntry, Trust, Verdict, verify_log
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine, parse_url, psycopg_url
from pilotage.store.ledger_entries import append_many
from pilotage.store.ledger_sequencing import number_all
from pilotage.store.migrate import migrate
from pilotage.testing.ledger import LedgerHome

REPEATS = 3
NUMBERED = 30_000
LEAVES = 100_000
HUGE = 10_000_000
LAG_WRITERS, LAG_ENTRIES, LAG_PAUSE_S = 4, 500, 0.01
_NUMBERED_FROM = text("SELECT id FROM ledger_entry WHERE seq >= :size")
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
READER = Principal(id=PrincipalId("local|reader"), kind=PrincipalKind.PERSON, label="Reader", via="local")


def entry(number: int) -> EncodedEntry:
    return encode_entry(
        id=new_ulid(AT),
        kind=EntryKind.INTERACTION_RECORDED,
        at=AT,
        actor="p_7f3k2q9w",
        subject=f"interaction-{number}",
        space="production-us-east-space",
        data={"release": "sha256:" + "ab" * 32, "outcome": "answered", "t_total": 512_000 + number % 997},
    )


def median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(REPEATS))


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@contextmanager
def database() -> Iterator[str]:
    """Give the address of a fresh, migrated database."""
    folder = Path(tempfile.mkdtemp(prefix="pilotage-bench-"))
    folder.chmod(0o711)
    given = os.environ.get("DATABASE_URL")
    server = None if given else EmbeddedServer(folder / "home")
    base = given if server is None else server.__enter__().url
    assert base is not None
    name = f"bench_{secrets.token_hex(4)}"
    try:
        with psycopg.connect(psycopg_url(base), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = parse_url(base).set(database=name).render_as_string(hide_password=False)
        engine = make_engine(url)
        migrate(engine)
        engine.dispose()
        yield url
        with psycopg.connect(psycopg_url(base), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    finally:
        if server is not None:
            server.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)


def fill(ledger: LedgerHome, first: int) -> float:
    """Append entries in group commits; return entries per second."""
    batches = [[entry(number) for number in range(at, at + 1_000)] for at in range(first, first + NUMBERED, 1_000)]

    def write() -> None:
        for batch in batches:
            with ledger.engine.begin() as connection:
                append_many(connection, batch)

    return NUMBERED / timed(write)


def numbering(ledger: LedgerHome) -> tuple[float, float]:
    appended, numbered = [], []
    for repeat in range(REPEATS):
        appended.append(fill(ledger, repeat * NUMBERED))
        numbered.append(NUMBERED / timed(lambda: number_all(ledger.engine, wait_s=120)))
    return statistics.median(appended), statistics.median(numbered)


def numbering_lag(ledger: LedgerHome) -> float:
    """Return p99 of the seconds from an entry's commit until anybody can read its number, under steady writing.

    The worker's own sequencer runs in a thread; the reader looks every 2 ms, which counts as lag.
    """
    stop, committed, seen = threading.Event(), {}, {}
    sequencer = threading.Thread(target=Sequencer(ledger, alert=lambda _reason: None).run, args=(stop,))
    size = number_all(ledger.engine)
    sequencer.start()

    def write() -> None:
        for number in range(LAG_ENTRIES):
            one = entry(number)
            with ledger.engine.begin() as connection:
                append_many(connection, [one])
            committed[one.id] = time.perf_counter()
            time.sleep(LAG_PAUSE_S)

    writers = [threading.Thread(target=write) for _ in range(LAG_WRITERS)]
    for writer in writers:
        writer.start()
    wanted, deadline = LAG_WRITERS * LAG_ENTRIES, time.perf_counter() + 120
    while len(seen) < wanted and time.perf_counter() < deadline:
        with ledger.engine.connect() as connection:
            found = connection.execute(_NUMBERED_FROM, {"size": size + len(seen)}).scalars().all()
        now = time.perf_counter()
        seen |= dict.fromkeys(found, now)
        time.sleep(0.002)
    stop.set()
    for thread in (*writers, sequencer):
        thread.join()
    lags = sorted(seen[name] - at for name, at in committed.items())
    return max(0.0, lags[int(0.99 * len(lags))])


def root_of_leaves() -> float:
    data = [number.to_bytes(4, "big") * 100 for number in range(LEAVES)]
    return median(lambda: timed(lambda: root_of([leaf_hash(item) for item in data])))


def computed_tile(level: int, index: int) -> bytes:
    """Stand in for a stored tile: 256 hashes nobody needs to have computed from leaves."""
    held = min((HUGE >> (8 * level)) - index * 256, 256)
    return b"".join(hashlib.sha256(b"%d/%d/%d" % (level, index, place)).digest() for place in range(held))


def proof_of_ten_million() -> tuple[float, int]:
    reads: list[tuple[int, int]] = []
    kept: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return kept.setdefault((level, index), computed_tile(level, index))

    place = 7_654_321
    tiles.inclusion_proof(tiles.cached(read), place, HUGE)
    count = len(reads)
    return median(lambda: timed(lambda: tiles.inclusion_proof(tiles.cached(read), place, HUGE))), count


def verifying() -> float:
    private = Ed25519PrivateKey.generate()
    key = VerifierKey(name="ledger.bench", public=private.public_key().public_bytes_raw())
    data = [entry(number).bytes for number in range(LEAVES)]
    entries = [LogEntry(number, leaf_hash(item), item) for number, item in enumerate(data)]
    tree = Checkpoint(origin=key.name, size=LEAVES, root=root_of([item.hash for item in entries]))
    notes: list[SignedCheckpoint] = [signed(tree, key, private.sign(tree.text()))]

    def verify() -> None:
        result = verify_log(entries, checkpoints=notes, trust=Trust(given=(key,)))
        assert result.verdict is Verdict.VERIFIED

    return LEAVES / median(lambda: timed(verify))


def export(url: str, home: str) -> None:
    """Export in a process of its own, so that its peak memory is its own."""
    ledger = home_of(url, Path(home))
    done = export_ledger(ledger, actor=READER, target=Path(home) / "export.tar")
    assert isinstance(done, Exported)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    start = time.perf_counter()
    result = verify_export(done.path, keys=[done.key])
    assert result.verdict is Verdict.VERIFIED
    print(peak, result.entries / (time.perf_counter() - start))


def home_of(url: str, home: Path) -> LedgerHome:
    return LedgerHome(home=home, engine=make_engine(url), keyring=Keyring.open(home, {}, create=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--export", nargs=2, metavar=("URL", "HOME"))
    chosen = parser.parse_args()
    if chosen.export:
        export(*chosen.export)
        return
    with database() as url, tempfile.TemporaryDirectory() as folder:
        ledger = home_of(url, Path(folder))
        assert not isinstance(write_checkpoint(ledger), Refusal)
        lag = numbering_lag(ledger)
        appended, numbered = numbering(ledger)
        ledger.engine.dispose()
        command = [sys.executable, __file__, "--export", url, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, from_file = (float(word) for word in done.stdout.split())
    proof, reads = proof_of_ten_million()
    root, verified = root_of_leaves(), verifying()
    rows = [
        ("entries appended/s (group commit)", f"{appended:,.0f}", "-", True),
        ("entries numbered/s", f"{numbered:,.0f}", ">= 10,000", numbered >= 10_000),
        ("numbering lag, p99", f"{lag * 1000:,.0f} ms", "<= 1,000 ms", lag <= 1),
        (f"root of {LEAVES:,} leaves", f"{root * 1000:,.0f} ms", "<= 500 ms", root <= 0.5),
        (f"inclusion proof at 10M ({reads} tile reads)", f"{proof * 1000:.2f} ms", "<= 5 ms", proof <= 0.005),
        ("entries verified/s", f"{verified:,.0f}", ">= 100,000", verified >= 100_000),
        ("entries verified/s from an export file", f"{from_file:,.0f}", "-", True),
        (f"export of {REPEATS * NUMBERED:,} entries, peak memory", f"{peak:,.0f} MB", "<= 200 MB", peak <= 200),
    ]
    print("| ledger | measured | goal | |\n|---|---|---|---|")
    for name, measured, goal, met in rows:
        print(f"| {name} | {measured} | {goal} | {'' if goal == '-' else 'met' if met else 'NOT MET'} |")
    if not all(met for *_, met in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
