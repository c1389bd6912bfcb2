"""The life of a release after its seal: who may move it, two persons for the last step, and traffic leaves at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.control.rollout_world import bank, make_world

from pilotage.control import verify_release as verification
from pilotage.control.change_release_state import (
    StateChange,
    deprecate_release,
    quarantine_release,
    revoke_release,
)
from pilotage.control.second_person import STANDS
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.identity.roles import Role
from pilotage.release.seal import ReleaseState
from pilotage.store.ledger_said import said_about
from pilotage.store.releases import head_of, withdrawn_as
from pilotage.store.routes import Route, read_route
from pilotage.testing.rollouts import EAST, EU, WORKFLOW, RolloutWorld

pytestmark = pytest.mark.store
Change = Callable[..., StateChange | Refusal]


def holder(role: Role, *, other_than: str = "") -> str:
    """Return somebody of the bank's roster in this role."""
    return next(str(person) for person in bank().roster[role] if person != other_than)


def change(world: RolloutWorld, how: Change, who: str, release: Digest, reason: str = "wrong rates") -> Any:
    return how(world.instance, actor=world.person(who), release=release, reason=reason)


def done(world: RolloutWorld, how: Change, who: str, release: Digest) -> StateChange:
    found = change(world, how, who, release)
    assert isinstance(found, StateChange), found
    return found


def codes(found: Any) -> list[str]:
    assert isinstance(found, Refusal), found
    return [reason.code for reason in found.reasons]


def entries(engine: Engine, kind: str, release: Digest) -> int:
    query = "SELECT count(*) FROM ledger_entry WHERE kind = :kind AND subject = :release"
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"kind": kind, "release": release}).scalar_one())


def state(engine: Engine, release: Digest) -> str:
    with engine.connect() as connection:
        query = text("SELECT state FROM release WHERE digest = :release")
        return str(connection.execute(query, {"release": release}).scalar_one())


def route(world: RolloutWorld, space: Any = EAST) -> Route:
    with world.engine.connect() as connection:
        return read_route(connection, space, WORKFLOW)


def served(engine: Engine) -> tuple[RolloutWorld, Digest, Digest]:
    """Return a world whose two spaces served `old` before and serve `new` now."""
    world = make_world(engine)
    # The ledger forgets nothing between tests, so each seals content of its own.
    old, new = (world.seal(f"{name} {secrets.token_hex(4)}") for name in ("Old", "New"))
    world.serve(old, (EAST, EU))
    world.clock.advance(timedelta(hours=1))
    world.serve(new, (EAST, EU))
    return world, old, new


def test_an_owner_deprecates_and_live_traffic_stays(engine: Engine) -> None:
    world, _old, new = served(engine)
    owner = str(bank().workflows[WORKFLOW].owner)
    assert done(world, deprecate_release, owner, new).state is ReleaseState.DEPRECATED
    assert done(world, deprecate_release, owner, new).state is ReleaseState.DEPRECATED
    assert route(world).stable == new
    assert entries(engine, "release.deprecated", new) == 1


def test_nobody_else_deprecates(engine: Engine) -> None:
    world, _old, new = served(engine)
    assert codes(change(world, deprecate_release, holder(Role.QA_LEAD), new)) == ["NOT_PERMITTED"]
    assert state(engine, new) == "sealed"


def test_security_quarantines_and_every_space_goes_back(engine: Engine) -> None:
    world, old, new = served(engine)
    found = done(world, quarantine_release, holder(Role.SECURITY_ENGINEER), new)
    assert set(found.spaces) == {EAST, EU}
    assert (route(world).stable, route(world, EU).stable) == (old, old)
    assert state(engine, new) == "quarantined"
    assert entries(engine, "release.quarantined", new) == 1
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM incident WHERE release = :r"), {"r": new}).scalar_one()


def test_a_quarantined_release_is_not_deprecated_back_into_use(engine: Engine) -> None:
    world, _old, new = served(engine)
    done(world, quarantine_release, holder(Role.SECURITY_ENGINEER), new)
    owner = str(bank().workflows[WORKFLOW].owner)
    assert codes(change(world, deprecate_release, owner, new)) == ["RELEASE_STATE"]


def test_only_security_quarantines(engine: Engine) -> None:
    world, _old, new = served(engine)
    assert codes(change(world, quarantine_release, holder(Role.OPERATIONS_LEAD), new)) == ["NOT_PERMITTED"]
    assert route(world).stable == new


def test_the_first_of_two_persons_changes_nothing_and_the_second_revokes(engine: Engine) -> None:
    world, old, new = served(engine)
    first = done(world, revoke_release, holder(Role.COMPLIANCE_OFFICER), new)
    assert ([one.code for one in first.waits_for], state(engine, new)) == (["SECOND_PERSON"], "sealed")
    assert route(world).stable == new
    assert entries(engine, "release.revocation_asked", new) == 1
    second = done(world, revoke_release, holder(Role.QA_LEAD), new)
    assert (second.state, second.waits_for) == (ReleaseState.REVOKED, ())
    assert (state(engine, new), route(world).stable, route(world, EU).stable) == ("revoked", old, old)
    assert entries(engine, "release.revoked", new) == 1


def test_one_person_twice_is_not_two(engine: Engine) -> None:
    world, _old, new = served(engine)
    for _ in range(3):
        again = done(world, revoke_release, holder(Role.SECURITY_DIRECTOR), new)
        assert [one.code for one in again.waits_for] == ["SECOND_PERSON"]
    assert state(engine, new) == "sealed"


def test_two_persons_without_the_authority_do_not_revoke(engine: Engine) -> None:
    world, _old, new = served(engine)
    done(world, revoke_release, holder(Role.QA_LEAD), new)
    found = done(world, revoke_release, holder(Role.DEVOPS_LEAD), new)
    assert [one.code for one in found.waits_for] == ["REVOKER_NEEDED"]
    assert state(engine, new) == "sealed"


def test_a_demand_lapses(engine: Engine) -> None:
    world, _old, new = served(engine)
    done(world, revoke_release, holder(Role.QA_LEAD), new)
    world.clock.advance(STANDS + timedelta(seconds=1))
    found = done(world, revoke_release, holder(Role.SECURITY_DIRECTOR), new)
    assert [one.code for one in found.waits_for] == ["SECOND_PERSON"]


def test_a_member_without_a_role_does_not_count(engine: Engine) -> None:
    world, _old, new = served(engine)
    granted = {person for people in bank().roster.values() for person in people}
    member = next((str(one) for one in bank().people if one not in granted), None)
    assert member is not None
    assert PersonId(member) in bank().people
    assert codes(change(world, revoke_release, member, new)) == ["NOT_PERMITTED"]


def test_revoked_is_final_and_nothing_follows_it(engine: Engine) -> None:
    world, old, new = served(engine)
    done(world, revoke_release, holder(Role.QA_LEAD), new)
    done(world, revoke_release, holder(Role.SECURITY_DIRECTOR), new)
    assert done(world, revoke_release, holder(Role.QA_LEAD), new).state is ReleaseState.REVOKED
    assert entries(engine, "release.revoked", new) == 1
    assert codes(change(world, quarantine_release, holder(Role.SECURITY_ENGINEER), new)) == ["RELEASE_REVOKED"]
    with engine.connect() as connection:
        head = head_of(connection, WORKFLOW)
        assert head is not None
        assert head.digest == old
        parts = connection.execute(text("SELECT parts_digest FROM release WHERE digest = :r"), {"r": new}).scalar_one()
        assert withdrawn_as(connection, Digest(parts)) is ReleaseState.REVOKED


def test_a_first_release_that_is_revoked_leaves_a_closed_door(engine: Engine) -> None:
    world = make_world(engine)
    only = world.seal(f"Only {secrets.token_hex(4)}")
    world.serve(only, (EAST,))
    done(world, revoke_release, holder(Role.QA_LEAD), only)
    done(world, revoke_release, holder(Role.SECURITY_DIRECTOR), only)
    assert (route(world).stable, route(world).closed) == (None, "not_released")


def test_a_revocation_during_a_verification_stays(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    world, _old, new = served(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET signature = 'AAAA' || signature WHERE digest = :r"), {"r": new})
    recompute = verification._checks

    def revoked_meanwhile(*about: Any) -> Any:
        found = recompute(*about)
        done(world, revoke_release, holder(Role.QA_LEAD), new)
        done(world, revoke_release, holder(Role.SECURITY_DIRECTOR), new)
        return found

    monkeypatch.setattr(verification, "_checks", revoked_meanwhile)
    found = verification.verify_release(world.instance, new)
    assert (found.is_verified, found.quarantined) == (False, False)
    assert state(engine, new) == "revoked"
    assert entries(engine, "release.quarantined", new) == 0


def test_a_verification_that_quarantines_records_the_state_before(engine: Engine) -> None:
    world, _old, new = served(engine)
    done(world, deprecate_release, str(bank().workflows[WORKFLOW].owner), new)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET signature = 'AAAA' || signature WHERE digest = :r"), {"r": new})
    assert verification.verify_release(world.instance, new).quarantined
    with engine.connect() as connection:
        said = said_about(connection, [new])[new][-1]
    assert (said.kind, said.data["was"], said.data["code"]) == ("release.quarantined", "deprecated", "VERIFY_SIGNATURE")
    assert verification.verify_release(world.instance, new).quarantined
    assert entries(engine, "release.quarantined", new) == 1


@pytest.mark.parametrize("how", [deprecate_release, quarantine_release, revoke_release])
def test_every_change_has_a_reason(engine: Engine, how: Change) -> None:
    world, _old, new = served(engine)
    who = {deprecate_release: str(bank().workflows[WORKFLOW].owner), quarantine_release: holder(Role.SECURITY_ENGINEER)}
    assert codes(change(world, how, who.get(how, holder(Role.QA_LEAD)), new, reason=" ")) == ["REASON_NEEDED"]
