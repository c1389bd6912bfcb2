"""Every transition of the table is legal for its actors, and every other one is refused for everybody."""

from __future__ import annotations

from itertools import product

import pytest

from pilotage.core.reason import Refusal
from pilotage.ledger.kinds import EntryKind
from pilotage.rollout.states import ACTIVE, OVER, PAUSABLE, WITH_TRAFFIC, State
from pilotage.rollout.transitions import TABLE, Actor, Event, target_of, transition

LEGAL = {(source, row.event, actor): row for row in TABLE for source in row.sources for actor in row.actors}


def test_the_table_has_a_row_for_each_number_of_the_specification_but_the_first() -> None:
    assert [row.number for row in TABLE] == list(range(2, 24))
    assert {row.event for row in TABLE} == set(Event)


@pytest.mark.parametrize(("state", "event", "actor"), list(product(State, Event, Actor)))
def test_what_is_not_in_the_table_is_refused_whoever_asks(state: State, event: Event, actor: Actor) -> None:
    found = transition(state, event, actor)
    if (state, event, actor) in LEGAL:
        assert found == LEGAL[state, event, actor]
    else:
        assert isinstance(found, Refusal)
        assert [reason.code for reason in found.reasons] == ["ILLEGAL_TRANSITION"]


_ENTRIES = (
    "refused shadow_started started verdict held decided step_started extended overruled released paused resumed"
    " timed_out full completed"
)


def test_each_row_writes_the_entry_that_the_specification_names() -> None:
    spelled = [f"rollout.{name}" for name in _ENTRIES.split()]  # rows 2 to 16 of rollouts.md 7.2, in order
    spelled += [f"rollback.{name}" for name in ("started", "traffic_zero", "verified", "failed", "retried")]
    assert [row.entry for row in sorted(TABLE, key=lambda row: row.number)] == [*spelled, *["rollout.aborted"] * 2]


def test_entries_of_earlier_versions_keep_their_names() -> None:
    assert {EntryKind("rollout.stepped"), EntryKind("rollout.verdict_given")}.isdisjoint(row.entry for row in TABLE)


def test_each_row_writes_a_kind_of_entry_the_ledger_knows() -> None:
    assert {row.entry for row in TABLE} <= {kind.value for kind in EntryKind}


def test_nothing_leaves_a_state_that_is_over() -> None:
    assert not {source for row in TABLE for source in row.sources} & OVER
    assert set(State) == ACTIVE | OVER


def test_every_state_with_traffic_can_be_taken_back_by_anybody() -> None:
    for state, actor in product(WITH_TRAFFIC, Actor):
        assert not isinstance(transition(state, Event.ROLL_BACK, actor), Refusal)


def test_a_person_never_decides_what_only_the_machine_may() -> None:
    for event in (Event.CONCLUDE, Event.STEP, Event.FILL, Event.VERIFY, Event.TRAFFIC_ZERO, Event.COMPLETE):
        (row,) = [row for row in TABLE if row.event is event]
        assert row.actors == {Actor.MACHINE}


def test_every_other_transition_ends_where_the_table_says() -> None:
    fixed = [row for row in TABLE if row.target is not None]
    assert len(fixed) == len(TABLE) - 1
    assert [target_of(row, None) for row in fixed] == [row.target for row in fixed]


def test_a_resume_goes_back_to_where_the_pause_began() -> None:
    row = transition(State.PAUSED, Event.RESUME, Actor.PERSON)
    assert not isinstance(row, Refusal)
    assert {target_of(row, before) for before in PAUSABLE} == PAUSABLE
    with pytest.raises(ValueError, match="cannot be resumed"):
        target_of(row, None)


def test_over_and_with_traffic_are_told_by_the_state_itself() -> None:
    assert {state for state in State if state.is_over} == OVER
    assert {state for state in State if state.has_traffic} == WITH_TRAFFIC


def test_what_a_person_wanted_is_called_as_their_button_says() -> None:
    found = transition(State.COMPLETED, Event.CANCEL, Actor.PERSON)
    assert isinstance(found, Refusal)
    assert found.reasons[0].text.startswith("A rollout that is completed takes no abort from a person.")
