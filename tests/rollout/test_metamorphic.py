"""What changes in the records of a step, and what must follow in its verdict, without knowing the verdict itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.verdicts import ALPHAS, LIMITS, READY
from tests.rollout.test_tally import counted, observations, read, seen

from pilotage.analysis.judge import judge
from pilotage.analysis.verdict import Purpose, Verdict
from pilotage.rollout.assignment import Arm
from pilotage.rollout.observation import Observation

ROUNDING = 1e-9


def verdict(records: list[Observation]) -> Verdict:
    return judge(read(counted([records])), LIMITS, ALPHAS, READY)


def evidence(found: Verdict, *purposes: Purpose) -> dict[str, float]:
    return {name: one.log_e for name, one in found.tests.items() if one.purpose in purposes and one.log_e is not None}


@settings(max_examples=25)
@given(observations, st.permutations(["a", "b", "c"]))
def test_other_names_for_the_same_people_change_no_byte(records: list[Observation], names: list[str]) -> None:
    called = dict(zip("abc", (f"pseudonym-{name}" for name in names), strict=True))
    renamed = [replace(one, principal=called[one.principal]) for one in records]
    assert verdict(renamed).canonical() == verdict(records).canonical()


@settings(max_examples=25)
@given(observations, st.integers(1, 10**6))
def test_other_numbers_in_the_ledger_change_no_byte(records: list[Observation], by: int) -> None:
    assert verdict([replace(one, seq=one.seq + by) for one in records]).canonical() == verdict(records).canonical()


@settings(max_examples=25)
@given(observations, st.integers(0, 60), st.sampled_from(["1.0", "1.1"]))
def test_an_error_in_place_of_an_answer_never_helps_the_candidate(
    records: list[Observation], place: int, step: str
) -> None:
    good = seen(500, principal="somebody else", step=step)  # whose failures no cap of others touches
    bad = replace(good, outcome="error.server", is_answer=False, ungrounded=None)
    better, worse = (verdict([*records[:place], one, *records[place:]]) for one in (good, bad))
    before, after = evidence(better, Purpose.GO), evidence(worse, Purpose.GO)
    assert [name for name in before.keys() & after.keys() if after[name] > before[name] + ROUNDING] == []
    before, after = (evidence(found, Purpose.TRIP, Purpose.HOLD) for found in (better, worse))
    assert [name for name in before.keys() & after.keys() if after[name] < before[name] - ROUNDING] == []
    assert set(better.fired) <= set(worse.fired)


@settings(max_examples=25)
@given(observations, st.integers(1, 50))
def test_more_answers_of_stable_to_people_who_asked_it_say_nothing_of_the_candidate(
    records: list[Observation], more: int
) -> None:
    base = [*records, seen(0, principal="a", arm=Arm.STABLE)]
    clean = [seen(2000 + index, principal="a", arm=Arm.STABLE) for index in range(more)]
    assert verdict([*base, *clean]).tests == verdict(base).tests


@settings(max_examples=25)
@given(observations, st.integers(1, 200))
def test_one_person_asking_on_and_on_proves_no_more_than_their_share(records: list[Observation], more: int) -> None:
    full = [*records, *(seen(2000 + index, principal="a") for index in range(50))]
    again = [seen(3000 + index, principal="a") for index in range(more)]
    before, after = evidence(verdict(full), Purpose.GO), evidence(verdict([*full, *again]), Purpose.GO)
    assert after == before
