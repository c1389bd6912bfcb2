"""Loopholes of gates.md 7 that need golden cases, a folder to seal, or traffic: rows 20, 21 and 26, each of three ways.

As in `test_every_loophole.py`: by use case, over HTTP and on the command line, the same code, and nothing changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, text
from tests.control.gate_world import BUILD
from tests.control.rollout_world import PER_DAY, STARTER, bank, make_world, small_plan, with_plan
from tests.control.three_ways import Attempt, ThreeWays
from tests.evaluation.world import World
from tests.evaluation.world import make_world as make_folder

from pilotage.analysis.counters import Routed
from pilotage.control.release_reports import diff_named
from pilotage.control.risk_reports import risks_of
from pilotage.control.rollout_ports import Observed
from pilotage.control.rollout_status import rollout_status
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.release.authorship import UNKNOWN
from pilotage.release.manifest import PartKind
from pilotage.rollout.states import State
from pilotage.store.releases import authors_of_parts
from pilotage.store.rollouts import StoredRollout, StoredWave
from pilotage.testing.rollout_drills import pass_drills
from pilotage.testing.rollout_traffic import CountedTraffic
from pilotage.testing.rollouts import EAST, RolloutWorld

pytestmark = pytest.mark.store

ADA = "ada"


def cases(number: int) -> dict[str, bytes]:
    """Return a golden file of so many cases."""
    rows = [{"id": f"c{n}", "question": f"What is fee {n}?", "expect": {"facts": [f"{n} EUR"]}} for n in range(number)]
    return {"golden/first.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()}


def ways_of(world: RolloutWorld, monkeypatch: pytest.MonkeyPatch) -> ThreeWays:
    return ThreeWays(world=world, ports=world.ports, service=BUILD, monkeypatch=monkeypatch)


def test_golden_cases_removed_to_pass_are_told_each_way(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(engine)
    old = world.seal("Old.", golden=cases(30))
    new = world.seal("New.", golden=cases(28), parent=old)
    looked = Attempt(
        who=STARTER,
        call=lambda: diff_named(world.instance, old, new),
        http=("GET", f"/releases/{old}/diff/{new}", None),
        cli=("release", "diff", old, new),
    )
    told = list(ways_of(world, monkeypatch).answers(looked))
    assert [way for way, _ in told] == ["use case", "HTTP", "command line"]
    assert {tuple(found["flags"]) for _, found in told} == {("GOLDEN_SHRUNK",)}
    (row,) = [risk for risk in risks_of(world.instance, new) if risk.id == "flag:GOLDEN_SHRUNK"]
    assert (row.generated, row.is_treated) == (True, False), "the board's gate is blocked until somebody treats it"
    register = Attempt(who=STARTER, call=lambda: None, cli=("report", "risks", new))
    (_, shown) = list(ways_of(world, monkeypatch).answers(register))[-1]
    assert "flag:GOLDEN_SHRUNK" in {risk["id"] for risk in shown["risks"]}


def flagged(world: RolloutWorld, release: str) -> set[str]:
    return {risk.id for risk in risks_of(world.instance, release)} & {"flag:GOLDEN_SHRUNK"}


def test_what_a_release_in_between_took_away_is_still_told(engine: Engine) -> None:
    world = make_world(engine)
    first = world.seal("First.", golden=cases(40))
    served = world.seal("Served.", golden=cases(30), parent=first)
    less = world.seal("Less.", golden=cases(20), parent=served)
    same = world.seal("Same.", golden=cases(20), parent=less)
    assert flagged(world, same), "nothing was ever approved: the line begins with forty cases"
    world.serve(served, [EAST])
    assert flagged(world, less)
    assert flagged(world, same), "thirty cases were approved, whatever was sealed after that"
    world.serve(less, [EAST])
    assert not flagged(world, same), "twenty are approved now, with the flag in sight"
    with engine.begin() as connection:
        connection.execute(text("UPDATE deployment SET basis = 'emergency' WHERE release = :r"), {"r": less})
    assert flagged(world, same), "an emergency approves nothing"


@pytest.fixture(scope="module")
def folder(engine: Engine, open_folder: Path) -> World:
    place = open_folder / "leaking"
    place.mkdir()
    return make_folder(engine, place, cases=1)


def test_a_golden_question_in_the_prompt_is_not_sealed_by_any_way(
    folder: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = json.loads((folder.root / "workflows/assistant/golden/first.jsonl").read_text())["question"]
    prompt = (folder.root / "workflows/assistant/prompt.md").read_text()
    long = f"{question} Please tell me what it is for a member of staff."
    golden = folder.root / "workflows/assistant/golden/first.jsonl"
    golden.write_text(golden.read_text().replace(question, long))
    folder.write("workflows/assistant/prompt.md", f"{prompt}\nExample: {long.upper()}\n")

    def rows() -> tuple[int, ...]:
        with folder.instance.engine.connect() as connection:
            return tuple(
                connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
                for name in ("release", "ledger_entry", "part", "blob", "authorship")
            )

    before = rows()
    sealing = Attempt(
        who=ADA,
        call=lambda: seal_release(folder.instance, actor=folder.person(ADA), workflow="assistant"),
        http=("POST", "/releases", {"workflow": "assistant"}),
        cli=("release", "seal", "assistant"),
    )
    ways = ThreeWays(world=folder, ports=cast(Any, None), service=BUILD, monkeypatch=monkeypatch)
    for way, told in ways.told(sealing):
        assert told == {"SEAL_GOLDEN_LEAK"}, (way, told)
        assert rows() == before, way


def test_who_wrote_what_a_build_seals_uncommitted_stays_unknown(folder: World) -> None:
    folder.restore()
    prompt = (folder.root / "workflows/assistant/prompt.md").read_text()
    folder.write("workflows/assistant/prompt.md", f"{prompt}\nA change that nobody committed.\n")
    done = seal_release(folder.instance, actor=BUILD, workflow="assistant")
    assert isinstance(done, Sealed), done
    with folder.instance.engine.connect() as connection:
        authors = authors_of_parts(connection, [done.parts[PartKind.PROMPT]])
    assert {one.person for one in authors[done.parts[PartKind.PROMPT]]} == {UNKNOWN}


@dataclass(slots=True, kw_only=True)
class EasyAskers:
    """Traffic of which a router sends the candidate twice the principals that it should have."""

    counted: CountedTraffic

    def __call__(
        self, connection: Connection, instance: object, rollout: StoredRollout, wave: StoredWave, now: datetime, /
    ) -> Observed:
        found = self.counted(connection, instance, rollout, wave, now)
        rows = found.counters.routed
        doubled = tuple(
            Routed(fraction_ppm=row.fraction_ppm, principals=row.principals, candidate=2 * row.candidate)
            for row in rows
        )
        return replace(found, counters=replace(found.counters, routed=doubled))


def test_askers_chosen_for_the_canary_are_told_each_way_and_hold_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = EasyAskers(counted=CountedTraffic(per_day=PER_DAY, exact=True))
    world = make_world(engine, with_plan(bank(), small_plan()), observe=traffic)
    old, new = world.seal("Old."), world.seal("New.")
    world.serve(old, [EAST])
    pass_drills(world, new)
    request = StartRequest(release=new, space=EAST, per_day=4_800_000, accepted=True)
    begun = start_rollout(world.instance, world.ports, actor=world.person(STARTER), request=request)
    assert isinstance(begun, Started), begun
    name = begun.rollout.id
    world.step(name)
    held = world.step(name, timedelta(hours=1))
    assert held.state is not State.COMPLETED
    looked = Attempt(
        who=STARTER,
        call=lambda: rollout_status(world.instance, name),
        http=("GET", f"/rollouts/{name}", None),
        cli=("rollout", "status", name),
    )
    for way, told in ways_of(world, monkeypatch).told(looked):
        assert "sample_ratio" in told, (way, told)
    assert world.step(name, timedelta(hours=3)).place.step == 0, "no more traffic, however well the chosen ones fare"
