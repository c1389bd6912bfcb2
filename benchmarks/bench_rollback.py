"""How fast a release leaves real gateways under load: `python benchmarks/bench_rollback.py [--flips N] [--rollouts N]`.

Gateways answer over HTTP in processes of their own, every fourth request a stream, and record what they answer; a
worker's own loops number, count, judge and redirect. Three tables: from a commit by hand to the last request that any
process admitted to the candidate; from the request that decided through the machine's verdict to that one; the same
with each process in a network of its own, one of them cut off from the database a moment before. Exits 1 over a limit
of rollouts.md 8.3, or when a request failed that the candidate was not told to fail.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate
from pilotage.testing.network import NotPermittedError, forwarded, rooms
from pilotage.testing.switching import NEW, Gateways, gateways, prepare, send_to_candidate, take_out, until
from pilotage.testing.switching import until_followed as followed
from pilotage.testing.watched_rollout import Switch, watched_rollout

BANK = Path(__file__).resolve().parents[1] / "examples" / "northlake-bank"
BY_HAND_S, WHOLE_S, APART_S, CUT_EVERY = 2.0, 2.0, 5.0, 2


@contextmanager
def _database() -> Iterator[str]:
    """Make an empty, migrated database; it goes with its folder."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pilotage-rollback-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedServer(Path(folder) / "home") as server:
            migrate(make_engine(server.url))
            yield server.url


class Report:
    """Prints rows of figures; remembers whether a must was missed."""

    def __init__(self) -> None:
        self.is_missed = False

    def table(self, title: str) -> None:
        """Begin a table."""
        load = ", ".join(f"{one:.0f}" for one in os.getloadavg()[:2])
        print(f"\n{title} (machine's load of the last 1 and 5 minutes: {load})\n")
        print("| from, to | p50 | p99 | longest | must (p99) |\n|---|--:|--:|--:|--:|")

    def row(self, name: str, seconds: Sequence[float], *, at_most: float | None = None) -> None:
        """Print one row; of fewer than a hundred values p99 is the longest."""
        values = sorted(seconds)
        p50, p99 = values[len(values) // 2], values[math.ceil(0.99 * len(values)) - 1]
        goal = "" if at_most is None else f"{at_most:g} s"
        if at_most is not None and p99 > at_most:
            goal, self.is_missed = f"{goal}: **missed**", True
        print(f"| {name} | {p50:.3f} s | {p99:.3f} s | {values[-1]:.3f} s | {goal} |", flush=True)

    def failures(self, running: Gateways) -> None:
        """Print what was asked and failed, without the faults that the candidate was told to have."""
        seen = running.seen()
        failed = [why for one in seen for why in one.failed]
        answers = sum(one.answers.total() for one in seen)
        print(f"\n{answers} whole answers, {sum(one.streams for one in seen)} of them streams; {len(failed)} failed.")
        if failed:
            self.is_missed = True
            print(f"The first: {failed[0]}")


def by_hand(report: Report, processes: int, flips: int) -> None:
    """Time commits by hand."""
    with _database() as url:
        engine = make_engine(url)
        prepare(engine)
        with gateways([url] * processes) as running:
            found = [_flip(engine, running) for _ in range(flips)]
            report.table(f"By hand: {processes} gateways, {flips} flips")
            report.row("commit, last request to the candidate", found, at_most=BY_HAND_S)
            report.failures(running)


def _flip(engine: Engine, running: Gateways) -> float:
    followed(engine, send_to_candidate(engine), running.names)
    before = running.seen()
    until(
        lambda: all(now.answers[NEW] > then.answers[NEW] for now, then in zip(running.seen(), before, strict=True)),
        "the candidate was not asked in every process",
    )
    generation, committed = take_out(engine)
    followed(engine, generation, running.names)
    return max(0.0, *(one.last - committed for one in running.seen()))


def by_machine(report: Report, processes: int, rollouts: int) -> None:
    """Time withdrawals by the machine's own verdict."""
    with (
        _database() as url,
        tempfile.TemporaryDirectory() as home,
        watched_rollout(make_engine(url), BANK, Path(home)) as watched,
        gateways([url] * processes, scene=watched.scene) as running,
    ):
        found = [watched.withdraw(running) for _ in range(rollouts)]
        report.table(f"By the machine: {processes} gateways, {rollouts} rollouts")
        _rows(report, found, at_most=WHOLE_S)
        report.failures(running)


def apart(report: Report, processes: int, rollouts: int) -> None:
    """Time the same with a network for each process; every second time one of them is cut off."""
    with rooms(processes, prefix=_prefix()) as networks:
        names, hosts = [room.name for room in networks], [room.host for room in networks]
        with (
            _database() as url,
            tempfile.TemporaryDirectory() as home,
            watched_rollout(make_engine(url), BANK, Path(home)) as watched,
            forwarded(url, hosts) as urls,
            gateways(urls, namespaces=names, scene=watched.scene) as running,
        ):
            found = []
            for number in range(rollouts):
                cut = networks[number // CUT_EVERY % processes] if number % CUT_EVERY else None
                found.append(watched.withdraw(running, cut=cut))
            report.table(f"In networks of their own: {processes} gateways, {rollouts} rollouts, all connected")
            _rows(report, found[::CUT_EVERY], at_most=APART_S)
            report.table("The same, one gateway cut off from the database")
            _rows(report, found[1::CUT_EVERY], at_most=APART_S)
            report.failures(running)


def _rows(report: Report, found: Sequence[Switch], *, at_most: float) -> None:
    report.row("deciding request, verdict", [one.to_verdict_s for one in found])
    report.row("verdict, last request to the candidate", [one.from_verdict_s for one in found], at_most=at_most)
    report.row("deciding request, last request to the candidate", [one.to_zero_s for one in found], at_most=at_most)


def _prefix() -> str:
    return f"b{secrets.token_hex(3)}"


def main() -> None:
    """Print the figures; exit 1 over a limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--flips", type=int, default=200)
    options.add_argument("--rollouts", type=int, default=25)
    chosen = options.parse_args()
    report = Report()
    by_hand(report, chosen.processes, chosen.flips)
    by_machine(report, chosen.processes, chosen.rollouts)
    try:
        apart(report, chosen.processes, chosen.rollouts)
    except NotPermittedError as error:
        print(f"\nNot measured: gateways in networks of their own ({error}).")
    sys.exit(int(report.is_missed))


if __name__ == "__main__":
    main()
