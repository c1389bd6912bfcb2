"""The settings that change into a space are shown before a promotion, and recorded with it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import DEV, PROMOTER, QA, GateWorld, junit
from tests.control.test_emergency import opened, world

from pilotage.control.promote_release import Promoted, promote_release
from pilotage.control.space_diff import diff_spaces
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import IntegrityError, NotFound, UsageError
from pilotage.ledger.entry import decode_entry
from pilotage.store.ledger_entries import entries_of

pytestmark = pytest.mark.store
_ANSWER = text(
    "INSERT INTO interaction (id, at, space, workflow, arm, release, principal, kind, state, outcome, refused, detail)"
    " VALUES ('healthy', :at, :space, 'policy-assistant', 'stable', :release, 'p_1', 'user', 'final', 'ok', false,"
    " '{}')"
)
__all__ = ["world"]


def enter(world: GateWorld, space: str) -> Promoted:
    done = promote_release(world.instance, actor=world.person(PROMOTER), release=world.release, space=space)
    assert isinstance(done, Promoted), done
    return done


@pytest.mark.feature("D10.6")
def test_what_changes_into_qa_is_shown_before_and_recorded_with_the_promotion(world: GateWorld, engine: Engine) -> None:
    shown = diff_spaces(world.instance, space=QA)
    assert (shown["space"], shown["before"]) == (QA, DEV)
    assert shown["changes"]
    with pytest.raises(NotFound, match="No promotion of"):
        diff_spaces(world.instance, space=QA, release=world.release)
    opened(world, DEV, QA)
    first = enter(world, DEV)
    world.attach(("tests.smoke", junit()), ("tests.security", junit()), space=DEV)
    world.inner.clock.advance(timedelta(minutes=5))
    with engine.begin() as connection:
        connection.execute(_ANSWER, {"at": world.inner.clock.now(), "release": world.release, "space": DEV})
    world.inner.clock.advance(timedelta(hours=2))
    second = enter(world, QA)
    assert diff_spaces(world.instance, space=QA, release=world.release) == shown
    assert diff_spaces(world.instance, space=DEV, release=world.release)["before"] is None
    with engine.connect() as connection:
        entries = [
            decode_entry(entry.bytes) for one in (first, second) for entry in entries_of(connection, one.deployment)
        ]
    assert entries[-1].data["space_change"] == digest_of_json(shown)
    with pytest.raises(UsageError, match="one of them"):
        diff_spaces(world.instance, space=QA, against=DEV, release=world.release)
    with engine.begin() as connection:
        forged = text("UPDATE deployment SET space_change = jsonb_set(space_change, '{changes}', '[]') WHERE id = :id")
        connection.execute(forged, {"id": second.deployment})
    with pytest.raises(IntegrityError, match="not what the ledger says"):
        diff_spaces(world.instance, space=QA, release=world.release)


def test_a_space_is_compared_with_any_other_and_the_first_with_one_that_is_named(world: GateWorld) -> None:
    assert diff_spaces(world.instance, space=DEV, against=QA)["before"] == QA
    with pytest.raises(NotFound, match="No space comes before"):
        diff_spaces(world.instance, space=DEV)
    with pytest.raises(NotFound, match="no space 'moon'"):
        diff_spaces(world.instance, space="moon")
