"""An ACL that nobody confirmed in time lets nobody see its document, from the first moment after its age is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pyroaring import BitMap
from tests.retrieval.small_index import NOW, Doc, asking, snapshot_of, standing_of

from pilotage.retrieval.allowed import Allowed
from pilotage.retrieval.snapshot import Snapshot
from pilotage.retrieval.standing import make_standing

TICK = timedelta(microseconds=1)
SOON, LATER = NOW + timedelta(minutes=1), NOW + timedelta(minutes=9)
DOCS = (
    Doc(id="a", rev=0, chunks=(("refund",),), stands_until=SOON),
    Doc(id="b", rev=1, chunks=(("limit",),), stands_until=LATER),
    Doc(id="c", rev=2, chunks=(("fee",),), acl=("group:hr",), stands_until=LATER),
)


@pytest.fixture
def snapshot() -> Snapshot:
    return snapshot_of(DOCS)


def seen(snapshot: Snapshot, at: datetime, *names: str) -> Allowed:
    return snapshot.view(asking(*(names or ("group:everyone",)), at=at)).allowed


def test_a_decision_is_remembered_up_to_the_moment_its_first_acl_goes_stale(snapshot: Snapshot) -> None:
    first = snapshot.view(asking("group:everyone", at=NOW))
    assert snapshot.view(asking("group:everyone", at=SOON)) is first
    assert set(first.allowed.revisions) == {0, 1}
    assert first.allowed.until == SOON
    after = snapshot.view(asking("group:everyone", at=SOON + TICK))
    assert set(after.allowed.revisions) == {1}
    assert after.chunks == 1
    assert after.allowed.until == LATER
    assert snapshot.view(asking("group:everyone", at=LATER)) is after
    assert not seen(snapshot, LATER + TICK).revisions


def test_only_who_would_see_something_is_told_that_it_is_stale(snapshot: Snapshot) -> None:
    for at, is_stale in ((SOON, False), (LATER, False), (LATER + TICK, True)):
        assert seen(snapshot, at).is_stale is is_stale
        assert not seen(snapshot, at, "group:nobody").is_stale
    shut = snapshot_of([replace(doc, acl=()) for doc in DOCS])
    down = snapshot_of([replace(doc, is_live=False) for doc in DOCS])
    for hidden in (shut, down):
        assert not seen(hidden, LATER + TICK).is_stale


def test_a_confirmation_brings_documents_back_without_a_new_generation(snapshot: Snapshot) -> None:
    late = LATER + TICK
    assert not seen(snapshot, late).revisions
    confirmed = standing_of([replace(doc, stands_until=late + TICK) for doc in DOCS])
    again = snapshot.under(replace(snapshot.visibility, standing=confirmed))
    assert set(seen(again, late).revisions) == {0, 1}
    assert again.visibility.generation == snapshot.visibility.generation


def test_a_revision_that_nobody_confirmed_is_seen_by_nobody(snapshot: Snapshot) -> None:
    visibility = replace(snapshot.visibility, standing=standing_of(DOCS[:1]))
    assert set(seen(snapshot.under(visibility), NOW).revisions) == {0}


def test_after_the_last_moment_nothing_stands_and_nothing_changes_any_more() -> None:
    standing = make_standing(1, {NOW: BitMap([0]), LATER: BitMap([1])}, timedelta(minutes=1))
    assert standing.at(NOW) == (BitMap([0, 1]), SOON)
    assert standing.at(LATER) == (BitMap([1]), LATER + timedelta(minutes=1))
    assert standing.at(LATER + timedelta(minutes=1) + TICK) == (BitMap(), None)


def test_without_a_limit_a_decision_holds_for_good() -> None:
    snapshot = snapshot_of([replace(doc, stands_until=None) for doc in DOCS])
    view = snapshot.view(asking("group:everyone", at=NOW))
    assert view.allowed.until is None
    assert snapshot.view(asking("group:everyone", at=NOW + timedelta(days=3_650))) is view


def test_after_the_last_moment_nothing_stands() -> None:
    standing = make_standing(0, {NOW - timedelta(hours=1): BitMap([1])}, timedelta(hours=1))
    assert standing.at(NOW) == (BitMap([1]), NOW)
    assert standing.at(NOW + timedelta(microseconds=1)) == (BitMap(), None)
