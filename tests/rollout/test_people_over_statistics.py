"""When people may overrule a verdict, where a rollback goes, and when it is verified."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pilotage.analysis.verdict import Effect, Judgement, Subject, Verdict
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.release.seal import ReleaseState
from pilotage.rollout.overrule import Acceptance, Signer, TripCounts, overrule
from pilotage.rollout.plan_form import plan_digest, plan_json, read_plan
from pilotage.rollout.target import Served, Target, TargetKind, named_target, rollback_target
from pilotage.rollout.validation import Facts, ProbeResult, unmet
from pilotage.workspace.plan import Plan, Step, Wave

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PROVEN = TripCounts(error=(1000, 0), stalled=(1000, 0), error_trip=0.01, slow=0.05)
RELEASE = Digest("sha256:r")
ANNA = Signer(person=PersonId("anna"), is_author=False, is_starter=False, authority="medium", may_decide=True)
BEN = Signer(person=PersonId("ben"), is_author=False, is_starter=False, authority=None, may_decide=True)


def verdict(*codes: str, outcome: Judgement = Judgement.INCONCLUSIVE, effect: Effect = Effect.NONE) -> Verdict:
    subject = Subject(plan="p", release=RELEASE, space="s", step="canary", ledger_from=0, ledger_to=1)
    reasons = tuple(Reason(code=code, text=code) for code in codes or ("insufficient_evidence",))
    return Verdict(subject=subject, outcome=outcome, effect=effect, reasons=reasons, tests={})


def accepted(found: Verdict, **changes: Any) -> Acceptance:
    base = Acceptance(
        verdict=found.digest,
        release=RELEASE,
        space="s",
        step="canary",
        bound="errors < 0.3 %",
        owner=PersonId("anna"),
        severity="medium",
        reason="month end",
        expires_at=NOW + timedelta(days=30),
    )
    return replace(base, **changes)


def codes(found: Verdict, *signers: Signer, counts: TripCounts = PROVEN, **changes: Any) -> list[str]:
    refusal = overrule(
        found, accepted(found, **changes), signers or (ANNA, BEN), now=NOW, fixed=found.digest, trip_counts=counts
    )
    return [] if refusal is None else [reason.code for reason in refusal.reasons]


def test_want_of_evidence_is_overruled_by_two_persons_when_the_trips_are_proven() -> None:
    assert codes(verdict()) == []
    assert codes(verdict("no_control")) == []


@pytest.mark.parametrize("code", ["judge_error", "record_lag", "observation_gap", "no_traffic"])
def test_any_other_doubt_cannot_be_overruled(code: str) -> None:
    assert codes(verdict("insufficient_evidence", code)) == ["NOT_OVERRULABLE"]


def test_unproven_trip_limits_cannot_be_overruled() -> None:
    few = replace(PROVEN, error=(100, 0), stalled=(10, 0))
    assert codes(verdict(), counts=few) == ["TRIP_UNPROVEN", "TRIP_UNPROVEN"]


def test_a_trip_is_overruled_by_nobody() -> None:
    trip = verdict("guard_fired", outcome=Judgement.NO_GO, effect=Effect.ROLLBACK)
    assert codes(trip) == ["RISK_NOT_ACCEPTABLE"]
    assert codes(verdict("acl_leak", outcome=Judgement.NO_GO, effect=Effect.HOLD)) == ["RISK_NOT_ACCEPTABLE"]
    assert codes(verdict("proved", outcome=Judgement.GO)) == ["NOTHING_TO_OVERRULE"]


def test_a_hold_takes_an_authority_at_least_as_high_as_the_risk() -> None:
    hold = verdict("guard_fired", outcome=Judgement.NO_GO, effect=Effect.HOLD)
    assert codes(hold) == []
    assert codes(hold, severity="high") == ["AUTHORITY"]
    assert codes(hold, severity="critical") == ["SEVERITY"]
    assert codes(hold, BEN, replace(BEN, person=PersonId("carl"))) == ["AUTHORITY"]


def test_authors_starters_and_one_person_alone_cannot_overrule() -> None:
    assert codes(verdict(), ANNA) == ["TWO_PERSONS"]
    assert codes(verdict(), ANNA, replace(BEN, is_author=True)) == ["SOD_CONFLICT"]
    assert codes(verdict(), ANNA, replace(BEN, is_starter=True)) == ["SOD_CONFLICT"]


def test_who_neither_decides_nor_accepts_risks_overrules_nothing() -> None:
    assert codes(verdict(), ANNA, replace(BEN, may_decide=False)) == ["NOT_PERMITTED"]


def test_the_acceptance_is_for_this_verdict_this_place_and_thirty_days() -> None:
    assert codes(verdict(), verdict=Digest("sha256:other")) == ["STALE_VERDICT"]
    assert codes(verdict(), step="full") == ["SCOPE"]
    assert codes(verdict(), bound=" ") == ["INCOMPLETE"]
    assert codes(verdict(), expires_at=NOW + timedelta(days=31)) == ["EXPIRY"]
    assert codes(verdict(), expires_at=NOW) == ["EXPIRY"]


def served(name: str, state: ReleaseState = ReleaseState.SEALED, **changes: Any) -> Served:
    return replace(Served(release=Digest(name), state=state), **changes)


@pytest.mark.feature("DP.4")
def test_the_target_is_the_newest_one_that_nobody_withdrew() -> None:
    history = [
        served("bad"),
        served("revoked", ReleaseState.REVOKED),
        served("quarantined", ReleaseState.QUARANTINED),
        served("here", quarantined_here=True),
        served("broken", loads=False),
        served("old"),
    ]
    found = rollback_target(history, away_from=Digest("bad"))
    assert (found.kind, found.release) == (TargetKind.RELEASE, "old")
    assert [reason.code for reason in found.skipped] == [
        "RELEASE_REVOKED",
        "RELEASE_QUARANTINED",
        "RELEASE_QUARANTINED",
        "RELEASE_NOT_LOADABLE",
    ]


@pytest.mark.parametrize(
    ("to", "why", "observed"),
    [
        ("never", "was never authorised in this space", None),
        ("bad", "is what is to be left", None),
        ("revoked", "passed over: revoked", "RELEASE_REVOKED"),
        ("here", "passed over: quarantined", "RELEASE_QUARANTINED"),
        ("broken", "passed over: not_loadable", "RELEASE_NOT_LOADABLE"),
    ],
)
def test_a_named_target_that_may_not_serve_is_refused_and_told_what_to_leave_out(
    to: str, why: str, observed: str | None
) -> None:
    history = [served("bad"), served("revoked", ReleaseState.REVOKED), served("here", quarantined_here=True)]
    history.append(served("broken", loads=False))
    found = named_target(history, to=Digest(to), away_from=Digest("bad"))
    assert isinstance(found, Reason)
    assert (found.code, found.where, found.observed) == ("ROLLBACK_TARGET", to, observed)
    assert why in found.text
    assert "Leave out --to" in found.text


def test_a_named_target_is_taken_although_a_newer_one_served() -> None:
    history = [served("bad"), served("newer"), served("old")]
    found = named_target(history, to=Digest("old"), away_from=Digest("bad"))
    assert isinstance(found, Target)
    assert (found.kind, found.release) == (TargetKind.RELEASE, "old")


def test_a_first_release_goes_back_to_not_released_and_none_left_is_maintenance() -> None:
    first = rollback_target([served("new")], away_from=Digest("new"))
    assert first.kind is TargetKind.NOT_RELEASED
    gone = rollback_target([served("new"), served("old", ReleaseState.REVOKED)], away_from=Digest("new"))
    assert gone.kind is TargetKind.MAINTENANCE
    before = rollback_target([served("new"), served("old")], away_from=Digest("new"))
    assert [one.told for one in (before, first, gone)] == [
        "back on old",
        "nothing was released there before, and askers are told so",
        "nothing that may serve is left, and the door is closed",
    ]


PROVED = (ProbeResult(process="a", asked=10, passed=10, right_release=True),)
GOOD = Facts(
    flipped_at=NOW - timedelta(seconds=61),
    candidate_answers_since=0,
    critical=12,
    processes=1,
    probes=PROVED,
    is_healthy=True,
    error_trip_silent=True,
)


@pytest.mark.feature("DP.10", "DP.11", "DP.12")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"flipped_at": NOW - timedelta(seconds=59)}, ["NOT_QUIET"]),
        ({"candidate_answers_since": 1, "last_candidate_answer": NOW - timedelta(seconds=5)}, ["NOT_QUIET"]),
        ({"candidate_answers_since": None}, ["RECORDS_UNREAD"]),
        ({"is_healthy": None}, ["HEALTH_UNKNOWN"]),
        ({"is_healthy": False}, ["HEALTH_UNKNOWN"]),
        ({"error_trip_silent": None}, ["TARGET_TRIPS"]),
        ({"probes": None}, ["PROBES_MISSING"]),
        ({"processes": 2}, ["PROBES_MISSING"]),
        ({"probes": (replace(PROVED[0], passed=9),)}, ["PROBE_FAILED"]),
        ({"probes": (replace(PROVED[0], asked=9, passed=9),)}, ["PROBE_FAILED"]),
        ({"probes": (replace(PROVED[0], right_release=False),)}, ["WRONG_RELEASE"]),
        ({"target_answers": False, "probes": None, "is_healthy": None}, []),
    ],
)
def test_a_rollback_is_verified_only_when_everything_holds(changes: dict[str, Any], expected: list[str]) -> None:
    assert [reason.code for reason in unmet(replace(GOOD, **changes), NOW)] == expected


def test_a_plan_reads_back_as_it_was_written() -> None:
    plan = Plan(name="p", waves=(Wave(space="s", steps=(Step(name="one", weight=0.05, bake_s=3),)),), plain={"a": 1})  # type: ignore[arg-type]
    assert read_plan(plan_json(plan)) == plan
    for damage in ({}, {**plan_json(plan), "waves": 1}, {**plan_json(plan), "name": 1}, {**plan_json(plan), "more": 1}):
        with pytest.raises(ValueError, match=r"not one of this version|is not a valid"):
            read_plan(damage)
    with pytest.raises(ValueError, match="is not an object"):
        read_plan({**plan_json(plan), "limits": 3})


def test_the_digest_of_a_plan_is_of_what_its_file_declares() -> None:
    plan = Plan(name="p", waves=(), plain={"waves": []})
    assert plan_digest(plan) == plan_digest(replace(plan, pause_limit_s=1))
    assert plan_digest(plan) != plan_digest(replace(plan, plain={"waves": [1]}))
    with pytest.raises(TypeError, match="no JSON form"):
        plan_json(replace(plan, plain={"x": NOW}))  # type: ignore[dict-item]
