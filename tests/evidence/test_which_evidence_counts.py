"""Current items, pooled runs, benign replacements and time: gates.md 2.1."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.digest import digest_of
from pilotage.core.reason import Reason
from pilotage.evaluation.assessment import Direction
from pilotage.evaluation.registry import SCORERS
from pilotage.evidence.fresh import age_of, time_problem, window_of
from pilotage.evidence.records import Evidence, EvidenceState, Severity, SubjectKind, ToolFinding
from pilotage.evidence.superseding import current_items, is_benign, is_lower_better, pooled
from pilotage.workspace.gate import Trust

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def item(name: str, *, hours_ago: float, kind: str = "tests.unit", suite: str = "", **claims: float) -> Evidence:
    at = NOW - hours_ago * HOUR
    return Evidence(
        id=name,
        sha256=digest_of(name.encode()),
        kind=kind,
        subject_kind=SubjectKind.RELEASE,
        subject="r1",
        suite=suite,
        producer="key|ci",
        trust=Trust.PUSHED,
        produced_at=at,
        received_at=at,
        claims=claims,
        reader="junit",
    )


def ids(items: tuple[Evidence, ...]) -> set[str]:
    return {one.id for one in items}


def test_its_times_are_written_as_every_other() -> None:
    shown = item("a", hours_ago=1).as_json()
    assert (shown["produced_at"], shown["received_at"]) == ("2026-11-25T11:00:00.000Z",) * 2


def test_the_newest_accepted_item_of_a_suite_is_current() -> None:
    old, new = item("a", hours_ago=5), item("b", hours_ago=1)
    other = item("c", hours_ago=9, suite="slow")
    rejected = replace(item("d", hours_ago=0), state=EvidenceState.REJECTED)
    elsewhere = replace(item("e", hours_ago=9), subject="r2")
    assert ids(current_items([new, old, other, rejected, elsewhere], NOW)) == {"b", "c", "e"}


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_arrival_in_the_list_changes_nothing(order: list[str]) -> None:
    made = {
        "a": item("a", hours_ago=5),
        "b": item("b", hours_ago=5),
        "c": item("c", hours_ago=1, kind="redteam"),
        "d": item("d", hours_ago=2, kind="redteam"),
    }
    current = current_items([made[name] for name in order], NOW)
    assert [one.id for one in current] == ["d", "c", "b"]


def test_own_runs_are_all_kept_within_their_window_and_the_newest_stays_when_all_are_stale() -> None:
    runs = [item(str(days), hours_ago=24 * days, kind="permissions") for days in (1, 9, 11)]
    assert ids(current_items(runs, NOW)) == {"1", "9"}
    assert ids(current_items(runs[2:], NOW)) == {"11"}


def test_pooled_runs_take_the_most_leaks_and_the_worst_metric() -> None:
    first = item("a", hours_ago=3, kind="redteam", leaks=2, pii_leaks=0, must_pass_failed=1, answer_accuracy=0.9)
    second = item("b", hours_ago=1, kind="redteam", leaks=0, pii_leaks=1, must_pass_failed=0, answer_accuracy=0.95)
    assert pooled([first, second]) == {"leaks": 2, "pii_leaks": 1, "must_pass_failed": 1, "answer_accuracy": 0.9}
    assert pooled([]) == {}


def test_pooled_runs_are_as_large_as_the_largest_and_leave_unscored_what_each_of_them_does() -> None:
    both = [
        item("x", hours_ago=2, kind="evaluation", scored=90, unscored=10, groups=4),
        item("y", hours_ago=1, kind="evaluation", scored=97, unscored=3, groups=3),
    ]
    assert pooled(both) == {"scored": 97.0, "unscored": 3.0, "groups": 4.0}


def test_times_are_those_of_the_runs_that_measured_any() -> None:
    timed = item("a", hours_ago=3, kind="evaluation", scored=90, p95_ms=40.0)
    slower = item("b", hours_ago=2, kind="evaluation", scored=90, p95_ms=60.0)
    kept = item("c", hours_ago=1, kind="evaluation", scored=90, unscored=0)
    assert pooled([timed, kept]) == pooled([kept, timed]) == {"scored": 90.0, "p95_ms": 40.0}
    assert pooled([timed, slower, kept])["p95_ms"] == 60.0
    assert "p95_ms" not in pooled([kept])
    assert is_benign(timed, kept)
    assert not is_benign(replace(timed, kind="load.expected"), replace(kept, kind="load.expected"))


@pytest.mark.parametrize("claims", [{"scored": 60.0, "unscored": 30.0}, {"scored": 90.0}], ids=["failed", "not said"])
def test_a_run_whose_answers_failed_leaves_no_time_standing(claims: Any) -> None:
    timed = item("a", hours_ago=3, kind="evaluation", scored=90, unscored=0, p95_ms=40.0)
    failed = item("b", hours_ago=1, kind="evaluation", **claims)
    assert "p95_ms" not in pooled([timed, failed])
    assert not is_benign(timed, failed)


def test_evidence_is_shown_without_its_bytes_or_findings_and_with_its_reason() -> None:
    whole = replace(item("x", hours_ago=1, kind="evaluation"), reason=Reason(code="EV_MALFORMED", text="No."))
    shown = whole.as_json()
    assert (shown["id"], shown["kind"], shown["findings"], shown["accepted"]) == ("x", "evaluation", 0, True)
    assert shown["subject"] == {"kind": whole.subject_kind.value, "id": whole.subject}
    assert shown["reason"] == dict(Reason(code="EV_MALFORMED", text="No.").as_json())
    assert replace(whole, reason=None, state=EvidenceState.WITHDRAWN).as_json()["accepted"] is False


@given(st.integers(0, 9), st.integers(0, 9), st.floats(0, 1), st.floats(0, 1))
def test_a_later_run_never_raises_a_pooled_result(before: int, after: int, old: float, new: float) -> None:
    first = item("a", hours_ago=3, kind="permissions", leaks=before, answer_accuracy_lcb=old)
    second = item("b", hours_ago=1, kind="permissions", leaks=after, answer_accuracy_lcb=new)
    both = pooled([first, second])
    assert both["leaks"] >= before
    assert both["answer_accuracy_lcb"] <= old


OLD = item("a", hours_ago=24, executed=100, failed=0)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (item("b", hours_ago=1, executed=100, failed=0), True),
        (item("b", hours_ago=1, executed=90, failed=0), True),
        (item("b", hours_ago=1, executed=89, failed=0), False),
        (item("b", hours_ago=30, executed=100, failed=0), False),
        (item("b", hours_ago=1, executed=100), False),
        (item("b", hours_ago=1, suite="other", executed=100, failed=0), False),
        (replace(item("b", hours_ago=1, executed=100, failed=0), trust=Trust.CLAIMED), False),
        (
            replace(
                item("b", hours_ago=1, executed=100, failed=0),
                findings=(ToolFinding(rule="CVE-1", severity=Severity.HIGH),),
            ),
            False,
        ),
    ],
)
def test_only_a_newer_trusted_and_nearly_as_large_item_without_news_is_benign(new: Evidence, *, expected: bool) -> None:
    assert is_benign(OLD, new) is expected


def test_age_runs_from_the_earlier_time_so_a_wrong_clock_only_ages() -> None:
    late_clock = replace(item("a", hours_ago=1), produced_at=NOW + HOUR)
    early_clock = replace(item("a", hours_ago=1), produced_at=NOW - 40 * HOUR)
    assert age_of(late_clock, NOW) == HOUR
    assert age_of(early_clock, NOW) == 40 * HOUR


@pytest.mark.feature("D8.10", "D8.27", "D11.45")
@pytest.mark.parametrize(
    ("kind", "days"),
    [
        ("tests.e2e", 14),
        ("scan.secrets", 14),
        ("sbom", 30),
        ("review.code", 90),
        ("permissions", 10),
        ("fairness", 30),
        ("load.peak", 30),
        ("pentest", 365),
        ("document.runbook", 180),
        ("document.pia", 365),
        ("drill.rollback", 30),
        ("training", 365),
        ("unheard.of", 0),
    ],
)
def test_evidence_counts_for_the_window_of_its_kind(kind: str, days: int) -> None:
    assert window_of(kind) == timedelta(days=days)
    assert window_of("drill.rollback", in_production=True) == timedelta(days=90)


def test_a_time_before_the_seal_or_in_the_future_is_refused() -> None:
    def problem(stated: datetime | None, subject: SubjectKind = SubjectKind.RELEASE) -> str | None:
        reason = time_problem(subject, stated=stated, received_at=NOW, sealed_at=NOW - HOUR)
        return reason.code if reason else None

    assert problem(None) is None
    assert problem(NOW - HOUR) is None
    assert problem(NOW - 2 * HOUR) == "EV_BEFORE_SEAL"
    assert problem(NOW - 2 * HOUR, SubjectKind.SPACE) == "EV_BEFORE_SEAL"
    assert problem(NOW - 2 * HOUR, SubjectKind.SOURCE) is None
    assert problem(NOW + timedelta(minutes=5)) is None
    assert problem(NOW + timedelta(minutes=6)) == "EV_FUTURE"


def test_nobody_s_file_takes_the_place_of_what_pilotage_found_itself() -> None:
    own = replace(item("own", hours_ago=5, kind="scan.secrets", suite="sealed-parts"), producer="instance")
    theirs = item("theirs", hours_ago=1, kind="scan.secrets", suite="sealed-parts")
    again = replace(own, id="again", received_at=NOW, produced_at=NOW)
    assert ids(current_items([own, theirs], NOW)) == {"own", "theirs"}
    assert ids(current_items([own, theirs, again], NOW)) == {"theirs", "again"}


def test_an_older_result_handed_in_later_does_not_hide_a_newer_one() -> None:
    failed = item("failed", hours_ago=5, failed=1)
    older = replace(item("older", hours_ago=1, failed=0), produced_at=NOW - 9 * HOUR)
    assert ids(current_items([failed, older], NOW)) == {"failed", "older"}
    fixed = item("fixed", hours_ago=0, failed=0)
    assert ids(current_items([failed, older, fixed], NOW)) == {"fixed"}


def test_pooling_knows_the_direction_of_every_scorer() -> None:
    for name, scorer in SCORERS.items():
        assert is_lower_better(name) is (scorer.measure.direction is Direction.LOWER), name
    assert is_lower_better("verified", "scan.secrets")
    assert not is_lower_better("verified", "drill.rollback")
