"""Pages of the console on a large store: `python benchmarks/bench_console.py [--interactions N] [--requests N]`.

The sample bank with 50 workflows, 2,000 releases, 20,000 evidence items, 100,000 ledger entries and a million
interactions (console.md 7), and 2,000 incidents of which one has a timeline of 200 lines, on a real PostgreSQL
(DATABASE_URL, else an embedded server of this run). Each page is asked for by the console's ASGI application, as a
browser does, one after the other. Timed is the whole request; beside it stand the CPU of this process, SQL statements
and bytes. Exits 1 when a page's p95, its statements, its bytes, or the data of a gate page are over their limit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, insert, select, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.compare_data import compared_releases
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank, make_bank

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.gate_status import gate_status
from pilotage.control.ledger_checkpoint import sequence_now
from pilotage.control.preview_vote import view_gate
from pilotage.core.digest import Digest
from pilotage.core.ids import WorkflowName, new_ulid
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.manifest import Manifest, read_manifest
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate
from pilotage.store.releases import find_release, release_row
from pilotage.store.tables.ledger import ledger_entry
from pilotage.store.tables.releases import evidence, release

WORKFLOWS, RELEASES, EVIDENCE, ENTRIES = 50, 2_000, 20_000, 100_000
INCIDENTS, LINES = 2_000, 200
MUST_P95_MS, MUST_SLOW_P95_MS, MUST_GATE_MS, MUST_STATEMENTS, MUST_KB = 100.0, 200.0, 50.0, 12, 40.0
GATED = 500
BATCH = 5_000
MANY = 50_000

_INTERACTIONS = text("""
INSERT INTO interaction (id, at, space, workflow, arm, release, corpus, corpus_version, principal, kind, state, outcome,
  refused, detail)
SELECT lpad(to_hex(n), 26, '0'), CAST(:now AS timestamptz) - n * interval '2 seconds', 'sandbox',
  CASE WHEN n % :workflows = 0 THEN 'policy-assistant'
    ELSE 'assistant-' || lpad(CAST(n % :workflows AS text), 2, '0') END,
  'stable', :release, 'policies', 1, 'p_' || n % 5000, 'user', 'final', 'ok', false,
  CAST(:detail AS jsonb)
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n
""")
_INCIDENTS = text("""
INSERT INTO incident (id, workflow, space, spaces, release, cause, severity, state, summary, detected_by, commander,
  responders, started_at, detected_at, mitigated_at)
SELECT 'bench-' || lpad(n::text, 5, '0'), 'policy-assistant', 'sandbox', '{sandbox}', :release, 'cause ' || n,
  'SEV' || (n % 4 + 1), (ARRAY['open', 'mitigated', 'resolved', 'closed'])[n % 4 + 1], 'Answers are slow, ' || n,
  'machine', 'hanna.virtanen', '{hanna.virtanen,dina.kowalski}', CAST(:now AS timestamptz) - n * interval '3 hours',
  CAST(:now AS timestamptz) - n * interval '3 hours', NULL
FROM generate_series(1, :incidents) AS one (n)
""")
_LINES = text("""
INSERT INTO incident_line (incident, number, at, actor, text)
SELECT 'bench-00001', n, CAST(:now AS timestamptz) + n * interval '1 second', 'p_' || lpad(n::text, 26, 'a'),
  'Line ' || n || ': looked at the rates of the last minutes again.'
FROM generate_series(1, :lines) AS one (n)
""")
_DETAIL = {
    "via": "local",
    "passages": [{"rev": 0, "chunk": 0, "rank": 1, "score": "1.2"}],
    "findings": [],
    "allowed_count": 12,
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One page: milliseconds of every request, CPU of this process in all of them, statements and compressed bytes."""

    name: str
    times_ms: list[float]
    cpu_ms: float
    statements: int
    kilobytes: float
    must_ms: float

    @property
    def p50(self) -> float:
        return sorted(self.times_ms)[len(self.times_ms) // 2]

    @property
    def p95(self) -> float:
        return sorted(self.times_ms)[int(0.95 * (len(self.times_ms) - 1))]

    @property
    def is_met(self) -> bool:
        return self.p95 < self.must_ms and self.statements <= MUST_STATEMENTS and self.kilobytes < MUST_KB


def grow(bank: Bank, interactions: int) -> Bank:
    """Fill the store to its stated size; return the bank with the workflows declared."""
    workspace = bank.instance.workspace
    first = workspace.workflows[WorkflowName("policy-assistant")]
    names = [WorkflowName(f"assistant-{number:02}") for number in range(1, WORKFLOWS)]
    workflows = {**workspace.workflows, **{name: replace(first, name=name) for name in names}}
    instance = replace(bank.instance, workspace=replace(workspace, workflows=workflows))
    _releases(bank, [first.name, *names])
    _evidence(bank)
    _entries(bank)
    _incidents(bank)
    values = {"now": bank.clock.now(), "workflows": WORKFLOWS, "release": bank.release, "detail": json.dumps(_DETAIL)}
    for first in range(1, interactions + 1, MANY):
        with bank.instance.engine.begin() as connection:
            last = min(first + MANY - 1, interactions)
            connection.execute(_INTERACTIONS, values | {"first": first, "last": last})
    with bank.instance.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    redact = bank.console._services.redact  # noqa: SLF001 - the benchmark joins the console as the bank did
    services = Services(instance=instance, reading=instance, redact=redact, asking=bank.asking, ports=rollout_ports())
    return replace(bank, instance=instance, console=Console(services))


def _releases(bank: Bank, workflows: list[WorkflowName]) -> None:
    """Seal 40 releases of every workflow in a line, of the same parts."""
    with bank.instance.engine.begin() as connection:
        base = find_release(connection, Digest(bank.release))
        assert base is not None
        parts = read_manifest(base.manifest, digest=base.digest).parts
        rows: list[dict[str, Any]] = []
        for workflow in workflows:
            parent: Digest | None = base.digest if workflow == base.workflow else None
            for number in range(RELEASES // len(workflows)):
                manifest = Manifest(workflow=workflow, parent=parent, parts=parts)
                at = base.sealed_at + timedelta(minutes=number + 1)
                stored = replace(
                    base,
                    digest=manifest.digest,
                    workflow=workflow,
                    parent=parent,
                    manifest=manifest.to_bytes(),
                    sealed_at=at,
                )
                rows.append(release_row(stored))
                parent = manifest.digest
        connection.execute(insert(release), [row | {"state": str(row["state"])} for row in rows])


def _evidence(bank: Bank) -> None:
    with bank.instance.engine.begin() as connection:
        blob = connection.execute(text("SELECT sha256 FROM blob LIMIT 1")).scalar_one()
        digests = list(connection.execute(select(release.c.digest)).scalars())
        kinds = ("tests.unit", "coverage", "sast", "dependencies", "load.normal", "tests.security", "axe", "uat")
        rows = [
            {
                "id": new_ulid(bank.clock.now()),
                "sha256": blob,
                "kind": kinds[number % len(kinds)],
                "subject_kind": "release",
                "subject": digests[number % len(digests)],
                "producer": "key|ci",
                "trust": "pushed",
                "produced_at": bank.clock.now(),
                "received_at": bank.clock.now() + timedelta(seconds=number),
                "claims": {"failed": 0, "executed": 120, "errors": 0},
                "state": "accepted",
                "summary": "120 passed",
            }
            for number in range(EVIDENCE)
        ]
        connection.execute(insert(evidence), rows)


def _entries(bank: Bank) -> None:
    for start in range(0, ENTRIES, BATCH):
        rows = []
        for number in range(start, start + BATCH):
            entry = encode_entry(
                id=new_ulid(bank.clock.now()),
                kind=EntryKind.EVIDENCE_ATTACHED,
                at=bank.clock.now(),
                actor="system:gates",
                subject=f"evidence/{number}",
                space="",
                data={"number": number},
                commit={},
            )
            rows.append({"id": entry.id, "kind": entry.kind, "subject": entry.subject, "bytes": entry.bytes})
        with bank.instance.engine.begin() as connection:
            connection.execute(insert(ledger_entry), rows)
    assert isinstance(sequence_now(bank.instance), int)


def _incidents(bank: Bank) -> None:
    values = {"now": bank.clock.now(), "release": bank.release, "incidents": INCIDENTS, "lines": LINES}
    with bank.instance.engine.begin() as connection:
        connection.execute(_INCIDENTS, values)
        connection.execute(_LINES, values)


def timed(engine: Engine, name: str, act: Callable[[], object], requests: int, *, must_ms: float) -> Measured:
    """Run an action again and again; the first runs warm caches and are not counted."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    for _ in range(3):
        answer = act()
    event.listen(engine, "before_cursor_execute", note)
    act()
    event.remove(engine, "before_cursor_execute", note)
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(requests):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1000)
    cpu = (time.process_time() - cpu) * 1000 / requests
    body = answer.body if isinstance(answer, Answer) else b""
    size = len(gzip.compress(body, compresslevel=5)) / 1000
    return Measured(name=name, times_ms=times, cpu_ms=cpu, statements=len(statements), kilobytes=size, must_ms=must_ms)


def pages(bank: Bank, requests: int) -> list[Measured]:
    """Ask for every page as somebody who sees it full."""
    people = {
        name: bank.browser(name) for name in ("omar.haddad", "anita.rao", "felix.braun", "arthur.bell", "dina.kowalski")
    }
    interaction = bank.answered("omar.haddad", "What is the limit?", "It is 5. [1]")
    rollout, board = bank.roll_out(), bank.call_board()
    short = bank.release.removeprefix("sha256:")[:12]
    before, after = compared_releases(bank)
    with bank.instance.engine.connect() as connection:
        entry = connection.execute(text("SELECT id FROM ledger_entry ORDER BY id LIMIT 1")).scalar_one()
    asked = [
        ("Inbox, of somebody who signs", "felix.braun", "/"),
        ("Workflows", "omar.haddad", "/workflows"),
        ("Release", "omar.haddad", f"/releases/{short}"),
        ("Compare", "anita.rao", f"/compare?a={before}&b={after}"),
        ("Compare, every case", "anita.rao", f"/compare?a={before}&b={after}&show=all"),
        ("Gate", "felix.braun", f"/releases/{short}/gates/code-review"),
        ("Gate of the board", "arthur.bell", f"/releases/{short}/gates/cab"),
        ("Sessions", "arthur.bell", "/cab"),
        ("CAB", "arthur.bell", f"/cab/{board['session']}"),
        ("Rollout", "omar.haddad", f"/rollouts/{rollout}"),
        ("Incidents", "omar.haddad", "/incidents"),
        ("Incidents, filtered", "omar.haddad", "/incidents?state=closed&severity=SEV4&workflow=policy-assistant"),
        ("Incident", "dina.kowalski", "/incidents/bench-00001"),
        ("Assistant", "omar.haddad", "/ask/policy-assistant"),
        ("Explain", "omar.haddad", f"/interactions/{interaction}"),
        ("Passage", "anita.rao", "/corpora/policies/passages/0/0"),
        ("Corpus", "omar.haddad", "/corpora/policies"),
        ("Ledger", "anita.rao", "/ledger"),
        ("Ledger entry", "anita.rao", f"/ledger/{entry}"),
    ]
    found = []
    for name, person, path in asked:
        browser = people[person]
        assert browser.get(path).status == 200, path
        must = MUST_SLOW_P95_MS if name.startswith(("Compare", "Explain")) else MUST_P95_MS
        found.append(timed(bank.instance.engine, name, _getting(browser, path), requests, must_ms=must))
    return found


def _getting(browser: Browser, path: str) -> Callable[[], Answer]:
    return lambda: browser.get(path)


def gate_data(bank: Bank, requests: int) -> Measured:
    """Read what a gate page shows, for one of 500 releases after the other."""
    with bank.instance.engine.connect() as connection:
        digests = list(connection.execute(select(release.c.digest).limit(GATED)).scalars())
    actor, turn = bank.person("arthur.bell"), iter(digests * (1 + (requests + 5) // len(digests)))

    def look() -> None:
        view_gate(bank.instance, actor=actor, release=next(turn), gate="cab")

    return timed(
        bank.instance.engine, f"gate page data, {GATED} releases in turn", look, requests, must_ms=MUST_GATE_MS
    )


def main() -> None:
    """Print the figures; exit 1 over a limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--interactions", type=int, default=1_000_000)
    options.add_argument("--requests", type=int, default=200)
    chosen = options.parse_args()
    given = os.environ.get("DATABASE_URL")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pilotage-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with nullcontext() if given else EmbeddedServer(folder / "home") as server:
            engine = make_engine(given or server.url)
            migrate(engine)
            bank = grow(make_bank(engine, folder), chosen.interactions)
            gate_status(bank.instance, bank.release)  # notes roster and policy once, as the first look does
            found = [*pages(bank, chosen.requests), gate_data(bank, chosen.requests)]
            engine.dispose()
    load = os.getloadavg()[0]
    print(
        f"{chosen.interactions:,} interactions, {chosen.requests} requests a page, machine at a load of {load:.0f}.\n"
    )
    print("| page | p50 ms | p95 ms | must (p95) | CPU ms | SQL | KB | met |\n|---|--:|--:|--:|--:|--:|--:|---|")
    for one in found:
        word = "yes" if one.is_met else "**no**"
        print(
            f"| {one.name} | {one.p50:.1f} | {one.p95:.1f} | {one.must_ms:.0f} | {one.cpu_ms:.1f} | {one.statements}"
            f" | {one.kilobytes:.1f} | {word} |"
        )
    raise SystemExit(0 if all(one.is_met for one in found) else 1)


if __name__ == "__main__":
    main()
