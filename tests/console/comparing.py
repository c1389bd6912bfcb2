"""A small bank whose releases were asked the same questions, with a console in front of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine
from tests.console.asking import FakeAsking
from tests.console.conftest import Bank
from tests.evaluation.world import EVALUATION, World, facts, make_world

from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.core.digest import Digest
from pilotage.jobs.rollout_reconciler import rollout_ports

CASES = 24
CLOSED = 3
"""So many documents only lenders may read; ada is one, ben is none."""
WRONG = 8
"""So many cases are answered wrongly by `worse`, the closed ones among them."""
READER = "{id: eve, name: Eve Example, email: eve@example.com, groups: [staff], roles: []}"
GOLDEN = "workflows/assistant/golden/first.jsonl"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`good` is what the others were compared with; `other` asks another golden set."""

    world: World
    site: Bank
    good: Digest
    same: Digest
    worse: Digest
    other: Digest

    def path(self, before: Digest, after: Digest, more: str = "") -> str:
        a, b = (one.removeprefix("sha256:")[:12] for one in (before, after))
        return f"/compare?a={a}&b={b}{more}"


def documents() -> list[str]:
    return list(facts())[:CASES]


def make_compared(engine: Engine, folder: Path) -> Compared:
    """Return a bank with four releases, each evaluated."""
    world = make_world(engine, folder, cases=CASES)
    _close(world)
    _restore(world)
    good = _evaluated(world)
    _restore(world, max_tokens=500)
    same = _evaluated(world, good)
    _restore(world)
    for document in documents()[:WRONG]:
        name, amount = facts()[document]
        world.write_fact(document, name, amount + 7)
    world.publish()
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook}\ntop_k: 2\n")
    worse = _evaluated(world, good)
    _restore(world)
    rows = (world.root / GOLDEN).read_text().splitlines()
    world.write(GOLDEN, "\n".join(rows[:-1]) + "\n")
    other = _evaluated(world, good)
    instance = world.instance
    asking = FakeAsking(world.clock)
    services = Services(instance=instance, reading=instance, redact=str, asking=asking, ports=rollout_ports())
    site = Bank(instance=instance, clock=world.clock, asking=asking, console=Console(services), release=good)
    return Compared(world=world, site=site, good=good, same=same, worse=worse, other=other)


def _restore(world: World, *, max_tokens: int = 1024) -> None:
    """Write the workflow as it was, shown so few passages that not every answer was shown a closed one."""
    world.restore(max_tokens=max_tokens)
    world.write("workflows/assistant/retrieval.yaml", "corpus: {uat: handbook@1}\ntop_k: 2\n")


def _evaluated(world: World, baseline: Digest | None = None) -> Digest:
    world.clock.advance(timedelta(minutes=1))
    release = world.seal()
    asyncio.run(world.evaluate(release, baseline=baseline))
    return release


def _close(world: World) -> None:
    """Let lenders alone read some documents, and ask for them; two cases carry a tag, one must pass."""
    acl = world.root / "corpora/handbook/documents/acl.yaml"
    closed = "".join(f'"{one}": [group:lending]\n' for one in documents()[:CLOSED])
    acl.write_text(closed + acl.read_text())
    rows = [json.loads(line) for line in (world.root / GOLDEN).read_text().splitlines()]
    for place, row in enumerate(rows):
        row["as"] = "lender"
        row["tags"] = ["kind:locker" if place % 2 == 0 else "kind:parking"]
        row["must_pass"] = place == CASES - 2
    world.write(GOLDEN, "".join(json.dumps(row) + "\n" for row in rows))
    margins = EVALUATION.replace("_accuracy: 0.10", "_accuracy: 0.15").replace("_gold: 0.10", "_gold: 0.15")
    world.write("workflows/assistant/evaluation.yaml", margins)  # what so few cases can show
    people = (world.root / "pilotage.yaml").read_text()
    world.write("pilotage.yaml", people.replace("people:\n", f"people:\n  - {READER}\n"))
    world.publish()
