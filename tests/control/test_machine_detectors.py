"""Each detector fires on its planted fault, read twice, and never on a healthy system (rollouts.md 8.1)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from tests.control.rollout_world import bank, make_world

from pilotage.adapters.keyring import Keyring
from pilotage.control import detect_hard_events
from pilotage.control.detect_hard_events import detect_in_records, detect_in_releases
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.core.errors import Unavailable
from pilotage.core.ids import CorpusName, PersonId, SpaceName, new_ulid
from pilotage.core.reason import Reason
from pilotage.incident.records import HardKind
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.hard_signs import Citation, Look, Sign, Window, citations_in, stale_looks
from pilotage.store.ledger_entries import append
from pilotage.store.routes import read_route
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW, RolloutWorld
from pilotage.workspace.people import Person

pytestmark = pytest.mark.store
_DOCUMENT = text(
    "INSERT INTO document (corpus, id, acl, classification, region, acl_confirmed_at, tombstone, changed)"
    " VALUES ('policies', :id, :acl, 'internal', 'us', now(), :tombstone, :changed)"
)
_ASKED = text(
    "INSERT INTO interaction (id, at, space, workflow, arm, release, principal, kind, state, outcome, refused, detail)"
    " VALUES (:id, :at, :space, :workflow, 'stable', :release, 'p_1', :kind, 'final', :outcome, :refused, :detail)"
).bindparams(bindparam("detail", type_=JSONB))
_TEXT = text(
    "INSERT INTO interaction_text (id, question, answer, groups, salt, at)"
    " VALUES (:id, '', '', ARRAY['lending'], '', :at)"
)
_CITED = text("INSERT INTO interaction_citation VALUES (:id, 'policies', :document, 1, 0, :marker)")


@pytest.fixture
def world(engine: Engine) -> RolloutWorld:
    made = make_world(engine, bank())
    with engine.begin() as connection:
        connection.execute(
            text("TRUNCATE hard_sign, hard_look, corpus, takedown, interaction_citation, principal_pseudonym CASCADE")
        )
        connection.execute(text("INSERT INTO corpus (name, generation) VALUES ('policies', 9)"))
        connection.execute(text("INSERT INTO principal_pseudonym VALUES ('local|maria.chen', 'p_1')"))
        for name, acl, tombstone, changed in (
            ("mine", ["user:maria.chen"], None, 1),
            ("ours", ["group:lending"], None, 1),
            ("all", ["group:everyone"], None, 1),
            ("theirs", ["group:board"], None, 1),
            ("narrowed", ["group:board"], None, 8),
            ("gone", ["group:everyone"], "t1", 8),
        ):
            connection.execute(_DOCUMENT, {"id": name, "acl": acl, "tombstone": tombstone, "changed": changed})
    made.serve(made.seal("Oldest."))
    made.serve(made.seal("Old."))
    return made


def stable(world: RolloutWorld, space: str = EAST) -> Digest | None:
    with world.engine.connect() as connection:
        return read_route(connection, space, WORKFLOW).stable


def answered(world: RolloutWorld, *documents: str, **changes: Any) -> str:
    """Record a sent answer that cites these documents."""
    now = world.clock.now()
    identifier = f"ix-{changes.pop('name', len(documents))}-{'-'.join(documents)}"
    values = {
        "id": identifier,
        "at": now,
        "space": EAST,
        "workflow": WORKFLOW,
        "release": stable(world),
        "kind": "user",
        "outcome": "ok",
        "refused": False,
        "detail": {"acl_generation": 5, **changes.pop("detail", {})},
    }
    is_recorded, recorded_at = changes.pop("is_recorded", True), changes.pop("recorded_at", now)
    with world.engine.begin() as connection:
        connection.execute(_ASKED, values | changes)
        connection.execute(_TEXT, {"id": identifier, "at": now})
        for marker, document in enumerate(documents):
            connection.execute(_CITED, {"id": identifier, "document": document, "marker": marker})
        if is_recorded:
            entry = encode_entry(
                id=new_ulid(recorded_at),
                kind=EntryKind.INTERACTION_RECORDED,
                at=recorded_at,
                actor="system:gateway",
                subject=identifier,
                space=str(values["space"]),
                data={},
            )
            append(connection, entry)
    return identifier


def look(world: RolloutWorld, by: timedelta = timedelta(seconds=5)) -> tuple[Sign, ...]:
    world.clock.advance(by)
    with world.engine.begin() as connection:
        return detect_in_records(connection, world.instance)


def incidents(world: RolloutWorld) -> list[tuple[str, str]]:
    with world.engine.connect() as connection:
        query = text("SELECT DISTINCT cause, severity FROM incident WHERE NOT is_drill ORDER BY cause")
        return [tuple(row) for row in connection.execute(query)]


def test_a_healthy_system_gives_no_sign_however_often_one_looks(world: RolloutWorld) -> None:
    before = stable(world)
    for number in range(3):
        answered(world, "mine", "ours", "all", name=number)
        assert look(world) == ()
    assert look(world, timedelta(minutes=2)) == ()
    assert (stable(world), incidents(world)) == (before, [])


def planted_breach(world: RolloutWorld) -> None:
    answered(world, "mine", "theirs")


def planted_leak(world: RolloutWorld) -> None:
    answered(world, "mine", detail={"sent": ["US_SSN"]})


def take_down(world: RolloutWorld, *, ago: timedelta, finished_ago: timedelta | None = None) -> None:
    now = world.clock.now()
    finished_at = None if finished_ago is None else now - finished_ago
    with world.engine.begin() as connection:
        connection.execute(_TAKEN_DOWN, {"at": now - ago, "finished_at": finished_at})


def planted_takedown(world: RolloutWorld) -> None:
    """Cite what the permission decision of the answer must have seen as taken down."""
    take_down(world, ago=timedelta(seconds=1))
    answered(world, "gone", detail={"acl_generation": 8})


def planted_purged(world: RolloutWorld) -> None:
    """Cite, from an index that never followed, what has been purged for more than a minute."""
    take_down(world, ago=timedelta(hours=1), finished_ago=timedelta(seconds=61))
    answered(world, "gone")


_TAKEN_DOWN = text(
    "INSERT INTO takedown"
    " (id, corpus, document, document_commit, reason, state, requested_by, requested_at, finished_at)"
    " VALUES ('t1', 'policies', 'gone', '', 'wrong', 'hidden', 'p', :at, :finished_at)"
)


def move_documents(world: RolloutWorld) -> None:
    """Declare that the documents stand in a region that no space permits."""
    corpora = dict(world.workspace.corpora)
    name = CorpusName("policies")
    corpora[name] = replace(corpora[name], region="ap-south-1")
    world.workspace = replace(world.workspace, corpora=corpora)


def planted_region(world: RolloutWorld) -> None:
    move_documents(world)
    answered(world, "mine")


def planted_failover(world: RolloutWorld) -> None:
    answered(world, "mine", space=WEST, kind="failover", detail={"failover_from": EU})


@pytest.mark.feature("DT.3", "DT.6")
@pytest.mark.parametrize(
    ("plant", "kind"),
    [
        (planted_breach, HardKind.SECURITY_BREACH),
        (planted_leak, HardKind.SECURITY_BREACH),
        (planted_takedown, HardKind.COMPLIANCE_VIOLATION),
        (planted_purged, HardKind.COMPLIANCE_VIOLATION),
        (planted_region, HardKind.COMPLIANCE_VIOLATION),
        (planted_failover, HardKind.COMPLIANCE_VIOLATION),
    ],
)
def test_a_planted_fault_is_read_twice_and_takes_the_release_out_of_every_space(
    world: RolloutWorld, plant: Callable[[RolloutWorld], None], kind: HardKind
) -> None:
    bad = stable(world)
    plant(world)
    assert look(world) == ()  # read once
    assert stable(world) == bad
    declared = look(world)
    assert {sign.kind for sign in declared} == {kind}
    assert bad not in {stable(world, space) for space in (EAST, WEST, EU)}
    assert incidents(world) == [(kind.value, "SEV1")]
    with world.engine.connect() as connection:
        hard = set(connection.scalars(text("SELECT hard FROM space_quarantine")))
        actors = set(connection.scalars(text("SELECT actor FROM incident_line")))
    assert hard == {True}
    assert actors == {detect_hard_events.MACHINE}
    assert look(world) == ()  # declared once


def test_an_embedding_model_in_a_wrong_region_is_a_violation_of_each_space_it_answered_in(world: RolloutWorld) -> None:
    place: dict[str, Json] = {"endpoint": "https://v.example/v1/embeddings", "region": "ap-south-1"}
    embedding: dict[str, Json] = {"model": "e", "dimension": 3, **place}
    bad = world.seal("By vectors from elsewhere.", embedding=embedding)
    world.serve(bad)
    answered(world, "mine")
    assert look(world) == ()
    (sign,) = look(world)
    assert sign.kind is HardKind.COMPLIANCE_VIOLATION
    assert "with an embedding model in ap-south-1" in sign.summary
    assert bad not in {stable(world, space) for space in (EAST, WEST, EU)}


@pytest.mark.parametrize(
    ("documents", "changes"),
    [
        (("theirs",), {"outcome": "policy_blocked"}),
        (("theirs",), {"refused": True}),
        (("theirs",), {"kind": "probe"}),
        (("narrowed",), {}),
    ],
)
def test_blocked_before_sending_or_moved_after_it_is_no_breach(
    world: RolloutWorld, documents: tuple[str, ...], changes: dict[str, Any]
) -> None:
    before = stable(world)
    answered(world, *documents, **changes)
    assert (look(world), look(world), stable(world)) == ((), (), before)


@pytest.mark.parametrize("finished_ago", [None, timedelta(seconds=59)])
def test_an_answer_that_could_not_see_the_takedown_yet_is_no_violation(
    world: RolloutWorld, finished_ago: timedelta | None
) -> None:
    take_down(world, ago=timedelta(minutes=2), finished_ago=finished_ago)  # it waited for a refresh, then committed
    answered(world, "gone", detail={"acl_generation": 7})
    assert (look(world), look(world)) == ((), ())


class People(dict[PersonId, Person]):
    """Declared people that count how often somebody goes through them."""

    walked = 0

    def values(self) -> Any:
        """Return them all."""
        self.walked += 1
        return super().values()


def test_a_look_goes_through_the_people_once_whatever_it_reads(world: RolloutWorld) -> None:
    people = People(world.workspace.people)
    world.workspace = replace(world.workspace, people=people)
    answered(world, "mine", "ours", "all")
    assert (look(world), people.walked) == ((), 1)


def test_a_person_who_was_erased_is_not_mistaken_for_a_stranger(world: RolloutWorld) -> None:
    answered(world, "mine")
    with world.engine.begin() as connection:
        connection.execute(text("DELETE FROM principal_pseudonym"))
    assert (look(world), look(world)) == ((), ())


def without_space(world: RolloutWorld, name: SpaceName) -> None:
    spaces = {one: space for one, space in world.workspace.spaces.items() if one != name}
    world.workspace = replace(world.workspace, spaces=spaces)


def test_what_an_older_workspace_does_not_know_is_no_violation(
    world: RolloutWorld, caplog: pytest.LogCaptureFixture
) -> None:
    before = stable(world)
    answered(world, "mine")
    answered(world, "ours", space=WEST, kind="failover", detail={"failover_from": EU})
    whole = world.workspace
    without_space(world, EAST)
    without_space(world, EU)
    assert (look(world), look(world)) == ((), ())
    world.workspace = replace(whole, corpora={}, spaces={EAST: whole.spaces[EAST]})
    look(world)
    answered(world, "mine", name="later")
    assert (look(world), look(world)) == ((), ())
    assert (stable(world), incidents(world)) == (before, [])
    for unknown in (EAST, EU, "corpus policies"):
        assert f"{unknown} is not declared here" in caplog.text


def test_regions_that_changed_judge_only_what_was_answered_since(world: RolloutWorld) -> None:
    before = stable(world)
    look(world)
    answered(world, "mine")
    with world.engine.begin() as connection:
        connection.execute(text("DELETE FROM hard_look WHERE name LIKE 'whole %'"))
    move_documents(world)
    assert (look(world), Look.RECORDS in stale(world)) == ((), True)  # nobody judged the answers in between
    assert (look(world), Look.RECORDS in stale(world)) == ((), False)
    assert (look(world), stable(world), incidents(world)) == ((), before, [])
    answered(world, "mine", name="later")
    assert declared(world) == [f"place {EAST} {WORKFLOW} {before}"]


def test_an_answer_that_streamed_for_as_long_as_it_may_is_still_looked_at(world: RolloutWorld) -> None:
    look(world)
    begun = world.clock.now()
    limit = timedelta(seconds=world.workspace.gateway.limits.stream_s)
    for _ in range(4):
        look(world, limit / 4)
    answered(world, "theirs", at=begun)
    assert look(world) == ()
    assert {sign.kind for sign in look(world)} == {HardKind.SECURITY_BREACH}


def test_between_two_wide_looks_only_what_was_written_since_is_read(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []

    def noted(connection: Any, window: Window) -> tuple[Citation, ...]:
        found = citations_in(connection, window)
        read.append([one.interaction for one in found])
        return found

    monkeypatch.setattr(detect_hard_events, "citations_in", noted)
    begun = world.clock.now()
    first = answered(world, "mine", name="first")
    look(world, timedelta(minutes=9))
    streamed = answered(world, "theirs", name="streamed", at=begun)
    assert look(world) == ()
    assert [sign.subject for sign in look(world)] == [streamed]
    assert read == [[first], [streamed], [streamed]]


def test_a_record_that_waited_for_the_database_is_read_by_the_next_wide_look(world: RolloutWorld) -> None:
    answered_at = world.clock.now()
    look(world, timedelta(minutes=4))
    identifier = answered(world, "theirs", name="waited", at=answered_at, recorded_at=answered_at)
    assert (look(world), look(world)) == ((), ())
    assert look(world, timedelta(seconds=50)) == ()
    assert [sign.subject for sign in look(world)] == [identifier]


@pytest.mark.feature("DT.4")
def test_an_answer_the_ledger_does_not_know_is_a_loss_once_records_have_settled(world: RolloutWorld) -> None:
    answered(world, "mine", name="lost", is_recorded=False)
    assert (look(world), look(world)) == ((), ())
    assert look(world, timedelta(seconds=60)) == ()
    assert {sign.kind for sign in look(world)} == {HardKind.DATA_LOSS}
    assert incidents(world) == [("data-loss", "SEV1")]


def test_a_worker_that_was_away_misses_nothing(world: RolloutWorld) -> None:
    look(world)
    answered(world, "theirs")
    assert look(world, timedelta(hours=3)) == ()
    assert {sign.kind for sign in look(world)} == {HardKind.SECURITY_BREACH}


def test_a_stopped_ledger_opens_the_incident_and_leaves_what_is_stable(world: RolloutWorld) -> None:
    before = stable(world)
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET stopped = 'an entry does not decode'"))
    try:
        look(world)
        assert {sign.kind for sign in look(world)} == {HardKind.DATA_LOSS}
    finally:
        with world.engine.begin() as connection:
            connection.execute(text("UPDATE ledger_head SET stopped = NULL"))
    assert (stable(world), incidents(world)) == (before, [("data-loss", "SEV1")])


def declared(world: RolloutWorld) -> list[str]:
    """Look twice; return the subjects of what the second look declared."""
    return [sign.subject for _ in range(2) for sign in look(world)]


def test_a_condition_that_lasts_is_declared_once_and_one_that_begins_again_is_declared_again(
    world: RolloutWorld,
) -> None:
    stopped = text("UPDATE ledger_head SET stopped = :why")
    subjects = [f"ledger {space} {WORKFLOW}" for space in (EU, EAST, WEST)]
    try:
        for _ in range(2):
            with world.engine.begin() as connection:
                connection.execute(stopped, {"why": "an entry does not decode"})
            assert sorted(declared(world)) == sorted(subjects)
            assert declared(world) == []
            with world.engine.begin() as connection:
                connection.execute(stopped, {"why": None})
            assert declared(world) == []
    finally:
        with world.engine.begin() as connection:
            connection.execute(stopped, {"why": None})


def test_an_answer_in_a_wrong_region_is_declared_again_when_none_was_given_for_a_while(world: RolloutWorld) -> None:
    planted_region(world)
    bad = stable(world)
    assert declared(world) == [f"place {EAST} {WORKFLOW} {bad}"]
    assert declared(world) == []  # still within the window
    assert (look(world, timedelta(hours=1)), look(world, timedelta(minutes=1))) == ((), ())
    answered(world, "mine", name="later", release=bad)
    assert declared(world) == [f"place {EAST} {WORKFLOW} {bad}"]


def test_what_one_answer_shows_is_never_declared_again(world: RolloutWorld) -> None:
    identifier = answered(world, "theirs")
    assert declared(world) == [identifier]
    assert look(world, timedelta(hours=1)) == ()
    with world.engine.begin() as connection:
        detect_in_releases(connection, world.instance)
        connection.execute(text("UPDATE hard_look SET until = :until WHERE name = 'records'"), {"until": EARLIER})
    assert declared(world) == []


EARLIER = SimulatedClock().now()


def stale(world: RolloutWorld) -> set[Look]:
    with world.engine.connect() as connection:
        return set(stale_looks(connection))


def test_a_look_counts_for_180_seconds_and_only_when_it_was_whole(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("TRUNCATE hard_look"))
    assert stale(world) == {Look.RECORDS, Look.RELEASES}
    look(world)
    assert stale(world) == {Look.RELEASES}
    with world.engine.begin() as connection:
        detect_in_releases(connection, world.instance)
    assert stale(world) == set()
    with world.engine.begin() as connection:
        connection.execute(text("UPDATE hard_look SET until = until - interval '181 s'"))

    def broken(*_: object) -> tuple[Reason, ...]:
        raise Unavailable("KEY_MISSING", "No key.", hint="Bring it.")

    monkeypatch.setattr(detect_hard_events, "release_problems", broken)
    with pytest.raises(Unavailable), world.engine.begin() as connection:
        detect_in_releases(connection, world.instance)
    assert stale(world) == {Look.RECORDS, Look.RELEASES}
    answered(world, "theirs")
    look(world)
    assert stale(world) == {Look.RELEASES}  # what was read for the first time was looked at


def test_a_routed_release_that_does_not_verify_is_a_breach(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = stable(world)

    def problems(_connection: object, _instance: object, stored: Any) -> tuple[Reason, ...]:
        return (Reason(code="VERIFY_BYTES", text="Other bytes."),) if stored.digest == bad else ()

    monkeypatch.setattr(detect_hard_events, "release_problems", problems)
    with world.engine.begin() as connection:
        assert detect_in_releases(connection, world.instance) == ()
        assert {sign.kind for sign in detect_in_releases(connection, world.instance)} == {HardKind.SECURITY_BREACH}
    assert bad not in {stable(world, space) for space in (EAST, WEST, EU)}
    with world.engine.begin() as connection:
        assert detect_in_releases(connection, world.instance) == ()
    assert bad is not None
    world.serve(bad)
    with world.engine.begin() as connection:
        detect_in_releases(connection, world.instance)
        assert {sign.kind for sign in detect_in_releases(connection, world.instance)} == {HardKind.SECURITY_BREACH}


def test_a_release_that_many_spaces_route_is_verified_once(
    world: RolloutWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def problems(_connection: object, _instance: object, stored: Any) -> tuple[Reason, ...]:
        asked.append(stored.digest)
        return ()

    monkeypatch.setattr(detect_hard_events, "release_problems", problems)
    with world.engine.begin() as connection:
        detect_in_releases(connection, world.instance)
    assert asked == [stable(world)]


@pytest.fixture
def signed(world: RolloutWorld, tmp_path: Path) -> Instance:
    """Return the instance of a worker that holds the key by which every routed release is sealed."""
    keyring = Keyring.open(tmp_path, {}, create=True)
    keyring.ensure("k")
    with world.engine.begin() as connection:
        rows = connection.execute(text("SELECT digest, parts_digest FROM release")).all()
        for digest, parts_digest in rows:
            seal = canonical_bytes({"digest": digest, "parts_digest": parts_digest})
            signature = base64.b64encode(keyring.sign("k", seal)).decode()
            connection.execute(_SEALED, {"digest": digest, "seal": seal, "signature": signature})
            if connection.scalar(_IN_LEDGER, {"digest": digest}) == 0:
                now = world.clock.now()
                kind = EntryKind.RELEASE_SEALED
                entry = encode_entry(id=new_ulid(now), kind=kind, at=now, actor="system:test", subject=digest, data={})
                append(connection, entry)
    return replace(world.instance, keyring=keyring)


_SEALED = text("UPDATE release SET seal = :seal, signature = :signature, key_name = 'k' WHERE digest = :digest")
_IN_LEDGER = text("SELECT count(*) FROM ledger_entry WHERE kind = 'release.sealed' AND subject = :digest")


def look_at_releases(world: RolloutWorld, instance: Instance) -> set[HardKind]:
    with world.engine.begin() as connection:
        return {sign.kind for sign in detect_in_releases(connection, instance)}


def test_a_worker_without_the_key_has_not_looked_and_accuses_nobody(
    world: RolloutWorld, signed: Instance, tmp_path: Path
) -> None:
    before = stable(world)
    path = tmp_path / "keys" / "k.json"
    damaged = path.read_bytes()[:40]
    path.unlink()
    for code in ("KEY_MISSING", "KEY_UNREADABLE"):
        for _ in range(2):
            with pytest.raises(Unavailable) as failed:
                look_at_releases(world, signed)
            assert failed.value.code == code
        path.write_bytes(damaged)
    assert (stable(world), incidents(world)) == (before, [])


def test_releases_that_verify_give_no_sign(world: RolloutWorld, signed: Instance) -> None:
    assert [look_at_releases(world, signed) for _ in range(3)] == [set()] * 3


@pytest.mark.parametrize(
    "altered", ["seal = '{}'", "seal = '[]'", "seal = 'no json'", "signature = 'AAAA'", "key_name = 'No key'"]
)
def test_a_seal_that_was_altered_is_a_breach(world: RolloutWorld, signed: Instance, altered: str) -> None:
    bad = stable(world)
    with world.engine.begin() as connection:
        connection.execute(text(f"UPDATE release SET {altered} WHERE digest = :bad"), {"bad": bad})
    assert look_at_releases(world, signed) == set()
    assert look_at_releases(world, signed) == {HardKind.SECURITY_BREACH}
    assert bad not in {stable(world, space) for space in (EAST, WEST, EU)}
