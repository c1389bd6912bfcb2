"""A worker's loops: what may have to go has reconcilers of its own, and no kind of work is lost between them."""

from __future__ import annotations

from pilotage.control.begin_watch import RUN_KIND as LATE
from pilotage.jobs.rollout_reconciler import KIND
from pilotage.jobs.schedules import make_registry
from pilotage.jobs.worker import apart
from pilotage.store.runs import ENDLESS_BACKOFF


def test_a_candidate_that_has_to_go_waits_for_no_other_step() -> None:
    whole = make_registry(lambda _instance: None)  # type: ignore[arg-type, return-value]
    rollouts, completed, others = apart(whole)
    assert (set(rollouts.steps), set(completed.steps)) == ({KIND}, {LATE})
    assert not {KIND, LATE} & others.steps.keys()
    assert {**rollouts.steps, **completed.steps, **others.steps} == whole.steps
    assert (others.works, others.deliverers, others.endless) == (whole.works, whole.deliverers, whole.endless)
    assert not rollouts.works
    assert not completed.works
    assert completed.endless[LATE] == ENDLESS_BACKOFF
    assert rollouts.endless[KIND] == ENDLESS_BACKOFF, "a rollout that nobody looks at is never rolled back"
