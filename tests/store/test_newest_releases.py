"""The newest release of each workflow is looked up, and what was read of a row before never hides what it says now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import Connection, Engine

from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import WorkflowName
from pilotage.evidence.records import EvidenceState
from pilotage.release.manifest import Manifest, PartKind
from pilotage.release.seal import ReleaseState
from pilotage.store.evidence import evidence_of_bytes
from pilotage.store.releases import StoredRelease, add_release, counts_of, heads_of, newest_of

pytestmark = pytest.mark.store
NOW = datetime(2026, 3, 2, tzinfo=UTC)
LOANS, CARDS, NONE = WorkflowName("loans"), WorkflowName("cards"), WorkflowName("none")


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as found, found.begin() as begun:
        yield found
        begun.rollback()


def sealed(workflow: WorkflowName, number: int, state: ReleaseState = ReleaseState.SEALED) -> StoredRelease:
    parts = {kind: digest_of(f"{workflow} {number}".encode()) for kind in PartKind}
    manifest = Manifest(workflow=workflow, parent=None, parts=parts)
    return StoredRelease(
        digest=manifest.digest,
        workflow=workflow,
        parent=None,
        parts_digest=manifest.parts_digest,
        manifest=manifest.to_bytes(),
        state=state,
        seal=b"{}",
        signature="",
        key_name="k",
        note="",
        sealed_by="maria.chen",
        sealed_at=NOW + timedelta(hours=number),
    )


def test_the_newest_of_each_workflow_is_found_and_a_revoked_one_heads_nothing(connection: Connection) -> None:
    line = [sealed(LOANS, number) for number in range(3)]
    gone = sealed(LOANS, 3, ReleaseState.REVOKED)
    cards = sealed(CARDS, 1)
    for one in (*line, gone, cards):
        add_release(connection, one)
    asked = [NONE, LOANS, CARDS]
    assert [one.digest for one in heads_of(connection, asked)] == [cards.digest, line[-1].digest]
    assert {name: one.digest for name, one in newest_of(connection, asked).items()} == {
        LOANS: gone.digest,
        CARDS: cards.digest,
    }
    counts = counts_of(connection)
    assert (counts[LOANS], counts[CARDS], counts.get(NONE)) == (4, 1, None)
    assert heads_of(connection, []) == ()


def test_an_item_of_evidence_is_what_its_row_says_now() -> None:
    row = {
        "id": "e1",
        "sha256": "ab" * 32,
        "kind": "tests.unit",
        "subject_kind": "release",
        "subject": Digest("sha256:" + "cd" * 32),
        "space": None,
        "suite": "",
        "producer": "key|ci",
        "trust": "pushed",
        "produced_at": NOW.isoformat(),
        "received_at": NOW.isoformat(),
        "claims": {"failed": 0},
        "state": "accepted",
        "reason": None,
        "reader": "",
        "summary": "",
        "media": "text/xml",
        "size": 1,
        "space_config": None,
        "attestation": None,
        "reading": {},
    }
    before = evidence_of_bytes(msgspec.json.encode(row))
    assert evidence_of_bytes(msgspec.json.encode(row)) == before
    withdrawn = evidence_of_bytes(msgspec.json.encode(row | {"state": "withdrawn"}))
    assert withdrawn == replace(before, state=EvidenceState.WITHDRAWN)
    failed = evidence_of_bytes(msgspec.json.encode(row | {"claims": {"failed": 1}}))
    assert (before.claims, failed.claims) == ({"failed": 0.0}, {"failed": 1.0})
    large = evidence_of_bytes(msgspec.json.encode(row | {"summary": "x" * 10_000}))
    assert large == replace(before, summary="x" * 10_000)
