"""The guard's first pass: megabytes a second, time at 1,000 characters, and the ratio over naive `re`.

`python benchmarks/bench_guard.py`. Text is policy prose with structured values in it, made here. Exits 1 below a goal.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
import time

from pilotage.guard.pii_patterns import RECOGNISERS
from pilotage.guard.pii_recognise import recognise

WORDS = [
    "the",
    "daily",
    "limit",
    "of",
    "a",
    "wire",
    "transfer",
    "for",
    "retail",
    "customers",
    "is",
    "confirmed",
    "by",
    "the",
    "payments",
    "desk",
    "within",
    "one",
    "day",
]
VALUES = (
    "4111 1111 1111 1111",
    "GB82WEST12345698765432",
    "jo.bloggs@example.com",
    "536-90-8726",
    "$25,000",
    "3 July 2026",
)
GOAL_MB_S = 3.0
GOAL_P95_MS = 1.0


def prose(size: int, seed: int, *, density: float = 0.01) -> str:
    rng = random.Random(seed)
    pieces: list[str] = []
    length = 0
    while length < size:
        pieces.append(rng.choice(VALUES) if rng.random() < density else rng.choice(WORDS))
        length += len(pieces[-1]) + 1
    return " ".join(pieces)[:size]


def seconds(run: object, text: str) -> float:
    started = time.perf_counter()
    run(text)  # type: ignore[operator]
    return time.perf_counter() - started


def main() -> None:
    recognise("warm 1")
    naive_forms = [re.compile(one.pattern) for one in RECOGNISERS if "(?i)" not in one.pattern[1:]]

    def naive(text: str) -> int:
        return sum(1 for form in naive_forms for _ in form.finditer(text))

    large = prose(1_000_000, 1)
    ours = min(seconds(recognise, large) for _ in range(3))
    theirs = min(seconds(naive, large) for _ in range(3))
    short = sorted(seconds(recognise, prose(1_000, seed)) * 1000 for seed in range(400))
    p95 = short[int(len(short) * 0.95)]
    hostile = ["1 " * 500_000, "a" * 1_000_000, "GB82 " * 200_000, "@" * 1_000_000]
    growth = max(seconds(recognise, text) / max(seconds(recognise, text[: len(text) // 4]), 1e-6) for text in hostile)
    speed = 1.0 / ours
    rows = [
        ("first pass and validators, MB/s", f"{speed:.1f}", f">= {GOAL_MB_S:.0f}", speed >= GOAL_MB_S),
        ("over naive re, same forms", f"{theirs / ours:.1f}x", "", True),
        ("p95 at 1,000 characters, ms", f"{p95:.2f}", f"<= {GOAL_P95_MS:.0f}", p95 <= GOAL_P95_MS),
        ("p50 at 1,000 characters, ms", f"{statistics.median(short):.2f}", "", True),
        ("growth from 250 KB to 1 MB of hostile text", f"{growth:.1f}x", "about 4x", growth < 8),
    ]
    print("| measure | result | must | met |\n|---|---|---|---|")
    for name, result, must, met in rows:
        print(f"| {name} | {result} | {must} | {'yes' if met else '**no**'} |")
    sys.exit(0 if all(met for *_, met in rows) else 1)


if __name__ == "__main__":
    main()
