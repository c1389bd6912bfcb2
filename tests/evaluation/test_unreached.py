"""A run that mostly did not reach its release has failed; what it shows against the release stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.evaluation.unreached import UNREACHED, unreached_reason


@pytest.mark.parametrize(
    ("verdict", "failures", "is_failed"),
    [("inconclusive", 11, True), ("inconclusive", 10, False), ("no_go", 20, False), ("go", 20, False)],
)
def test_most_questions_without_an_answer_fail_a_run_that_shows_nothing(
    verdict: str, failures: int, is_failed: bool
) -> None:
    reason = unreached_reason("R1", verdict, failures=["timeout"] * failures, asked=20)
    assert (reason is not None) is is_failed


@pytest.mark.parametrize("failure", ["target_error", "internal", "acl_stale", "groups_unresolved", "not_permitted"])
def test_an_error_of_the_release_itself_counts_against_it(failure: str) -> None:
    assert unreached_reason("R1", "inconclusive", failures=[failure] * 20, asked=20) is None
    mixed = [failure] * 10 + ["unreached"] * 10
    assert unreached_reason("R1", "inconclusive", failures=mixed, asked=20) is None


def test_a_run_that_failed_three_times_ends_as_it_stands() -> None:
    ends = [
        unreached_reason("R1", "inconclusive", failures=["unreached"], asked=1, failed_before=before)
        for before in range(4)
    ]
    assert [end is not None for end in ends] == [True, True, True, False]


def test_a_suite_that_is_begun_anew_does_not_say_that_answers_are_kept() -> None:
    reason = unreached_reason("R1", "inconclusive", failures=["store_unavailable"], asked=1, is_whole=True)
    assert reason is not None
    assert reason.text.endswith("It asks everything again.")


def test_the_reason_says_how_each_ended_and_how_to_go_on() -> None:
    reason = unreached_reason(
        "R1", "inconclusive", failures=["timeout", "unreached", "timeout", "target_error"], asked=4
    )
    assert reason is not None
    assert reason.code == UNREACHED
    assert "3 of 4" in reason.text
    assert "(timeout, unreached)" in reason.text
    assert "pilotage evaluate resume R1" in reason.text


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_run_without_failures_never_failed(failures: int, answered: int) -> None:
    found = unreached_reason("R1", "inconclusive", failures=["timeout"] * failures, asked=failures + answered)
    assert (found is not None) is (failures > answered)
