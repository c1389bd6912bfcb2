"""Every outcome counts as one thing, and what is left out of rates is still all there (operations.md 1.1, 14.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.monitoring.outcomes import OutcomeClass, class_of, traffic_of
from pilotage.serving.outcome import RequestOutcome

OUTCOMES = st.sampled_from([one.value for one in RequestOutcome])


def test_each_outcome_that_serving_records_has_the_class_of_the_specification() -> None:
    found = {one.value: class_of(one.value, was_slow=False).value for one in RequestOutcome}
    assert found == {
        "ok": "answered",
        "refused": "refused",
        "policy_blocked": "blocked",
        **dict.fromkeys(("error.server", "error.upstream", "error.guard", "error.record"), "failed"),
        **dict.fromkeys(("timeout", "stream_aborted", "lost"), "failed"),
        "shed": "shed",
        "client_gone": "cancelled",
        "slow_client": "cancelled",
        "rejected": "rejected",
    }


def test_an_asker_who_left_after_five_seconds_was_kept_waiting() -> None:
    assert class_of("client_gone", was_slow=True) is OutcomeClass.FAILED


def test_an_outcome_nobody_knows_is_not_counted_as_good() -> None:
    with pytest.raises(KeyError):
        class_of("splendid", was_slow=False)


@given(st.lists(st.tuples(OUTCOMES, st.booleans(), st.integers(0, 10**6)), max_size=40))
def test_eligible_and_left_out_are_all_there_is(counts: list[tuple[str, bool, int]]) -> None:
    found = traffic_of(counts)
    assert found.eligible + found.left_out == sum(requests for _, _, requests in counts)
    assert found.answered == sum(requests for outcome, _, requests in counts if outcome == "ok")
