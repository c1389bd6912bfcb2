"""A release says where it answers people: as what serves, or as a candidate and for how much of its cohort."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pilotage.console.pages.release import live_in
from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.store.served import Served

THIS, OTHER = digest_of(b"this"), digest_of(b"other")
STABLE = Served(
    space=SpaceName("qa-deployment-space"),
    workflow=WorkflowName("w"),
    stable=THIS,
    candidate=None,
    fraction_ppm=0,
    paused=False,
    reason="",
    changed_at=datetime(2026, 3, 2, tzinfo=UTC),
)


def test_a_candidate_that_answers_people_is_named_with_its_share() -> None:
    east = replace(STABLE, space=SpaceName("production-us-east-space"), stable=OTHER, candidate=THIS)
    everybody, few, nobody = (replace(east, fraction_ppm=one) for one in (1_000_000, 50_000, 0))
    assert live_in([STABLE, everybody], THIS) == [
        "qa-deployment",
        "production-us-east (candidate, 100 % of its cohort)",
    ]
    assert live_in([few], THIS) == ["production-us-east (candidate, 5 % of its cohort)"]
    assert live_in([nobody], THIS) == []
