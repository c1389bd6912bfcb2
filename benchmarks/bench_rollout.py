"""Reproduces the exact table of the sequential tests (rollouts.md 6.2), digit by digit; exits 1 on a mismatch.

`python benchmarks/bench_rollout.py [--short]`. Short leaves out the rows of 60,000 requests.
"""

from __future__ import annotations

import sys

from rollout_dp import TABLE, agrees, exact, shown

SHORT = 5_000


def main() -> None:
    rows = [row for row in TABLE if "--short" not in sys.argv or row.requests <= SHORT]
    wrong = 0
    print("| test | N | ever rejects | median n / p90 n | as specified |\n|---|--:|--:|--:|---|")
    for row in rows:
        found = exact(row)
        is_right = agrees(row, found)
        wrong += not is_right
        times = f"{found.median or '-'} / {found.p90 or '-'}"
        verdict = "yes" if is_right else f"**no**: {row.percent} %, {row.median} / {row.p90}"
        print(f"| {row.name} | {row.requests:,} | {shown(found.chance)} % | {times} | {verdict} |", flush=True)
    print(f"\n{len(rows) - wrong} of {len(rows)} rows reproduce every digit; null rows stay within their level.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
