"""What a release made easier to pass counts as it was approved, until somebody who did not make it signs it off."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.evaluation.world import World, make_world

from pilotage.control.sign_weakening import SignedWeakening, sign_weakening
from pilotage.core.digest import Digest
from pilotage.core.errors import UsageError
from pilotage.core.ids import PersonId, SpaceName
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import EvaluationRun
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Role
from pilotage.space.settings import AutoPromote, Tier
from pilotage.workspace.principals import local_principal

pytestmark = [pytest.mark.anyio, pytest.mark.store]

CASES = 6
FIRST = "ashford-locker"
PROD = SpaceName("production")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def world(engine: Engine, open_folder: Path) -> World:
    folder = open_folder / "ratchet"
    folder.mkdir()
    made = make_world(engine, folder, cases=CASES)
    people = made.root / "pilotage.yaml"
    ada = "  - {id: ada,"
    cleo = "  - {id: cleo, name: Cleo Example, email: cleo@example.com, groups: [staff], roles: [qa-lead]}\n"
    people.write_text(people.read_text().replace(ada, cleo + ada))
    made.reload()
    return made


@pytest.fixture(scope="module")
def rows(world: World) -> list[Row]:
    """The cases at first; the first of them is one that the documents do not answer so."""
    found = [json.loads(line) for line in golden(world).read_text().splitlines()]
    found[0]["expect"]["facts"] = ["999 dollars"]
    found[0]["must_pass"] = True
    return found


@pytest.fixture(scope="module")
def approved(world: World, rows: list[Row]) -> Digest:
    """A release in production, with every case."""
    release = sealed(world, rows)
    with world.instance.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO deployment (id, workflow, space, release, basis, engine, promoted_by, at, state)"
                " VALUES ('d', 'assistant', :space, :release, 'normal', 'e', 'p', now(), 'active')"
            ),
            {"space": PROD, "release": release},
        )
    return release


def golden(world: World) -> Path:
    return world.root / "workflows/assistant/golden/first.jsonl"


def sealed(world: World, rows: list[Row], dev: list[Row] | None = None) -> Digest:
    """Seal a release of these cases, in a workspace that has a production space."""
    world.clock.advance(timedelta(minutes=1))
    golden(world).write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, body in (("later.jsonl", dev), ("later.meta.yaml", "split: dev\n")):
        file = golden(world).with_name(name)
        file.unlink(missing_ok=True)
        if dev is not None:
            file.write_text(body if isinstance(body, str) else "".join(json.dumps(row) + "\n" for row in dev))
    world.reload()
    spaces = world.instance.workspace.spaces
    production = replace(next(iter(spaces.values())), name=PROD, tier=Tier.PRODUCTION, auto_promote=AutoPromote.OFF)
    world.instance = replace(
        world.instance, workspace=replace(world.instance.workspace, spaces={**spaces, PROD: production})
    )
    return world.seal()


def asked(world: World, run: EvaluationRun) -> set[str]:
    with world.instance.engine.connect() as connection:
        query = text("SELECT DISTINCT case_id FROM evaluation_task WHERE run = :run")
        return set(connection.execute(query, {"run": run.id}).scalars())


def started(world: World, release: Digest) -> EvaluationRun:
    world.clock.advance(timedelta(minutes=1))
    return world.start(release)


def kept(approved: Digest, case: str = FIRST) -> str:
    return f"{case}~{approved.removeprefix('sha256:')[:8]}"


def sign(world: World, who: str | Principal, release: Digest, *cases: str) -> SignedWeakening | Refusal:
    actor = world.person(who) if isinstance(who, str) else who
    return sign_weakening(
        world.instance, actor=actor, release=release, cases=cases or (FIRST,), reason="The fee is gone since March."
    )


async def test_a_removed_case_still_fails_the_release_until_it_is_signed_off(
    world: World, rows: list[Row], approved: Digest
) -> None:
    release = sealed(world, rows[1:])
    run = started(world, release)
    assert asked(world, run) == {*(str(row["id"]) for row in rows[1:]), kept(approved)}
    driven = await world.drive(run.id)
    result: Any = world.result(run.id)
    assert driven.run.verdict == "no_go"
    assert result["kept"] == [kept(approved)]
    assert result["failed"]["key_fact_recall"] == [kept(approved)]
    waiting = started(world, release)
    signed = sign(world, "cleo", release)
    assert isinstance(signed, SignedWeakening), signed
    assert (signed.approved, signed.cases) == (approved, (FIRST,))
    world.clock.advance(timedelta(minutes=1))
    assert kept(approved) in asked(world, waiting)
    assert world.result((await world.drive(waiting.id)).run.id)["kept"] == [kept(approved)], "a run stays as it began"
    after = started(world, release)
    assert asked(world, after) == {str(row["id"]) for row in rows[1:]}
    assert after.golden_digest != run.golden_digest, "it asks something else, so the earlier verdict does not cap it"
    assert (await world.drive(after.id)).run.verdict != "no_go"


def changed(**values: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [{**rows[0], **values}, *rows[1:]]


@pytest.mark.parametrize(
    "change",
    [
        changed(must_pass=False),
        changed(question="What is the Birchwood locker fee?"),
        changed(**{"as": "lender"}),
        changed(expect={"facts": ["40 dollars"], "citations": ["ashford-locker.md"]}),
    ],
    ids=["no must-pass", "another question", "another asker", "another fact"],
)
def test_a_case_made_easier_is_asked_as_it_was(
    world: World, rows: list[Row], approved: Digest, change: Callable[[list[Row]], list[Row]]
) -> None:
    run = started(world, sealed(world, change(rows)))
    assert asked(world, run) == {*(str(row["id"]) for row in rows), kept(approved)}


async def test_a_case_moved_out_of_the_gate_counts_and_is_no_leak(
    world: World, rows: list[Row], approved: Digest
) -> None:
    run = started(world, sealed(world, rows[1:], dev=rows[:1]))
    assert kept(approved) in asked(world, run)
    await world.drive(run.id)
    result: Any = world.result(run.id)
    assert kept(approved) not in {one["case"] for one in result["leaked"]}
    assert result["must_pass_failed"] == 1


def test_a_release_in_between_approves_nothing(world: World, rows: list[Row], approved: Digest) -> None:
    less = sealed(world, rows[2:])
    prompt = world.root / "workflows/assistant/prompt.md"
    before = prompt.read_text()
    prompt.write_text(f"{before}\nBe brief.\n")
    later = sealed(world, rows[2:])
    prompt.write_text(before)
    assert later != less
    assert {kept(approved), kept(approved, "ashford-parking")} <= asked(world, started(world, later))


def test_a_stricter_set_keeps_nothing(world: World, rows: list[Row], approved: Digest) -> None:
    del approved
    stricter = [rows[0], {**rows[1], "must_pass": True}, *rows[2:]]
    assert asked(world, started(world, sealed(world, stricter))) == {str(row["id"]) for row in rows}


def test_who_made_it_and_who_may_not_sign_nothing_off(world: World, rows: list[Row], approved: Digest) -> None:
    del approved
    release = sealed(world, rows[1:2] + rows[3:])
    ada = replace(world.person("ada"), roles=frozenset({Role.QA_LEAD}))
    nobody = replace(local_principal(world.instance.workspace, PersonId("cleo")), person=None)
    for who, code in ((ada, "SOD_CONFLICT"), ("ben", "NOT_PERMITTED"), (nobody, "SOD_CONFLICT")):
        done = sign(world, who, release)
        assert isinstance(done, Refusal), who
        assert {reason.code for reason in done.reasons} == {code}
    for cases in ((FIRST, str(rows[1]["id"])), ("nothing",)):
        with pytest.raises(UsageError) as refused:
            sign(world, "cleo", release, *cases)
        assert refused.value.code == "NOT_WEAKENED"
    assert kept(world_approved(world)) in asked(world, started(world, release))


def world_approved(world: World) -> Digest:
    with world.instance.engine.connect() as connection:
        return Digest(connection.execute(text("SELECT release FROM deployment WHERE id = 'd'")).scalar_one())
