"""A worker's loops: rollouts have a reconciler of their own, and no kind of work is lost between the two."""

from __future__ import annotations

from pilotage.jobs.rollout_reconciler import KIND
from pilotage.jobs.schedules import make_registry
from pilotage.jobs.worker import apart
from pilotage.store.runs import ENDLESS_BACKOFF


def test_a_candidate_that_has_to_go_waits_for_no_other_step() -> None:
    whole = make_registry(lambda _instance: None)  # type: ignore[arg-type, return-value]
    rollouts, others = apart(whole)
    assert set(rollouts.steps) == {KIND}
    assert rollouts.steps.keys().isdisjoint(others.steps)
    assert {**rollouts.steps, **others.steps} == whole.steps
    assert (others.works, others.deliverers, others.endless) == (whole.works, whole.deliverers, whole.endless)
    assert not rollouts.works
    assert rollouts.endless[KIND] == ENDLESS_BACKOFF, "a rollout that nobody looks at is never rolled back"
