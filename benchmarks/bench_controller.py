"""False GO and false rollback of the whole controller, simulated: `python benchmarks/bench_controller.py [--runs N]`.

Each run is one canary by the real code: requests are assigned by the hash, counted with their caps, judged every hour,
and the machine's next action moves the state. The traffic is unkind on purpose: askers differ in how often they come
(Zipf) and in how often the release fails them (a quarter of them carry all failures), ask on after an answer and
after an error, mostly by day; some records arrive hours late and some twice; a canary that was not decided is tried
again with the same release. In the null rows the release fails exactly at the limit, in both arms. Exits 1 when an
exact 95 % upper bound (Clopper and Pearson) is over its alpha, or when the other two rows are not decided as they must.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.pool import Pool

from pilotage.analysis.verdict import Verdict
from pilotage.control.recorded_requests import ladder_of
from pilotage.control.rollout_ports import Observed
from pilotage.control.rollout_verdict import judge_place, planned_requests
from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.core.reason import Refusal
from pilotage.evaluation.intervals import clopper_pearson
from pilotage.rollout.assignment import Arm, Cohort, Split, assign
from pilotage.rollout.machine import Action, Facts, next_action
from pilotage.rollout.observation import Observation
from pilotage.rollout.simulate import Crowd, crowd
from pilotage.rollout.states import State
from pilotage.rollout.tally import Book, Caps, Totals, advance_cusums, counters, fold
from pilotage.rollout.transitions import Actor, target_of, transition
from pilotage.store.rollouts import StoredRollout, StoredStep
from pilotage.workspace.plan import Limits, Plan, Step, Wave

SPACE = SpaceName("production")
START = datetime(2026, 3, 2, tzinfo=UTC)
PRINCIPALS, FRACTION, PER_HOUR, HOURS, ATTEMPTS = 1_000, 500_000, 40, 48, 2
BY_DAY = (0.2,) * 7 + (1.6,) * 12 + (0.88,) * 5
LIMITS = Limits(error_go=0.01, error_trip=0.03)
STEPS = (
    Step(name="canary", weight=0.5, bake_s=86_400, max_s=172_800, limits=LIMITS),
    Step(name="full", weight=1.0, bake_s=86_400),
)
PLAN = Plan(name="simulated", waves=(Wave(space=SPACE, steps=STEPS),))
LADDER = ladder_of(STEPS, STEPS[0])
LATE, TWICE, ON = 0.05, 0.02, 0.6
EVERYBODY = Cohort(everybody=True)
RELEASE = digest_of(b"candidate")


@dataclass(frozen=True, slots=True)
class Row:
    """A release that fails this share of its requests, and what may or must happen to it, in `part` of all runs.

    A bound of 1 % can only be shown with many runs: none of 300 may end wrongly, four of 1,000 may.
    """

    name: str
    share: float
    outcome: str
    part: float
    most: float | None = None
    least: float | None = None


ROWS = (
    Row("false GO: exactly at the GO limit, 1 %", 0.01, "advanced", part=0.3, most=0.05),
    Row("false rollback: exactly at the trip limit, 3 %", 0.03, "rolled back", part=1.0, most=0.01),
    Row("healthy, 0.1 %: advanced", 0.001, "advanced", part=0.04, least=0.9),
    Row("bad, 20 %: rolled back", 0.2, "rolled back", part=0.04, least=0.99),
)


@dataclass(slots=True)
class Traffic:
    """The requests of one run, hour by hour, in the order their records arrive."""

    dice: random.Random
    people: Crowd
    names: tuple[str, ...]
    rates: dict[str, float]
    split: Split
    seq: int = 0
    waiting: dict[int, list[Observation]] = field(default_factory=dict)

    def hour(self, number: int, step: str) -> list[Observation]:
        """Return what arrives in an hour of an attempt, the late ones of earlier hours first."""
        arrived = self.waiting.pop(number, [])
        left = round(PER_HOUR * BY_DAY[number % 24])
        while left > 0:
            for seen in self._session(number, step):
                left -= 1
                later = number + self.dice.randint(1, 6)
                is_late = self.dice.random() < LATE
                (self.waiting.setdefault(later, []) if is_late else arrived).append(seen)
                if self.dice.random() < TWICE:
                    self.waiting.setdefault(later, []).append(seen)
        return arrived

    def _session(self, number: int, step: str) -> Iterator[Observation]:
        who = self.names[bisect_left(self.people.cumulative, self.dice.random())]
        arm = assign(self.split, principal=who, groups=frozenset())
        is_asking = True
        while is_asking:
            failed = self.dice.random() < self.rates[who]
            self.seq += 1
            yield Observation(
                seq=self.seq,
                step=step,
                day=number // 24,
                hour=number % 24,
                arm=arm,
                principal=who,
                outcome="error.upstream" if failed else "ok",
                latency_ms=400.0,
                ungrounded=None if failed else False,
                is_answer=not failed,
            )
            is_asking = self.dice.random() < ON


def traffic(seed: int, share: float) -> Traffic:
    """A quarter of the askers meet all failures; over everything asked, `share` of the requests fail."""
    dice = random.Random(f"controller {seed} {share}")
    people = crowd(seed, size=PRINCIPALS)
    names = people.people()
    weights = [b - a for a, b in zip((0.0, *people.cumulative), people.cumulative, strict=False)]
    split = Split(salt=f"{seed:016x}", fraction_ppm=FRACTION, cohort=EVERYBODY)
    rates = dict.fromkeys(names, 0.0)
    for arm in (Arm.CANDIDATE, Arm.STABLE):
        mine = [place for place, name in enumerate(names) if assign(split, principal=name, groups=frozenset()) is arm]
        hit = [place for place in mine if dice.random() < 0.25] or mine
        whole, part = sum(weights[place] for place in mine), sum(weights[place] for place in hit)
        for place in hit:
            rates[names[place]] = min(1.0, share * whole / part)
    return Traffic(dice=dice, people=people, names=names, rates=rates, split=split)


@dataclass(slots=True)
class Canary:
    """One rollout's first step, moved by the machine alone."""

    traffic: Traffic
    totals: Totals = field(default_factory=Totals)
    books: dict[str, Book] = field(default_factory=dict)
    counted: set[int] = field(default_factory=set)

    def count(self, batch: list[Observation], planned: int) -> None:
        """Count each record once, as the ledger's numbers make sure of."""
        fresh = [seen for seen in batch if seen.seq not in self.counted and not self.counted.add(seen.seq)]
        advance_cusums(self.totals, self.books, fresh, caps=Caps(), ladder=LADDER, planned_requests=planned)
        fold(self.totals, self.books, fresh, caps=Caps(), ladder=LADDER)

    def verdict(self, stored: StoredRollout, steps: tuple[StoredStep, ...], now: datetime) -> Verdict:
        key = f"{stored.attempt}.0"
        fractions = {f"{number}.0": FRACTION for number in range(1, stored.attempt + 1)}
        found = counters(self.totals, ladder=LADDER, step=key, fractions=fractions, admitted=self.totals.recorded)
        return judge_place(stored, stored.place, Observed(counters=found), gate=(), steps=steps, now=now)

    def attempt(self, number: int) -> str:
        """Try once; return how it ended."""
        began = START + timedelta(hours=(number - 1) * HOURS)
        step = StoredStep(
            rollout="run", wave=0, step=0, generation=number, fraction_ppm=FRACTION, cohort_share=1.0, started_at=began
        )
        stored = rollout(number, began)
        for hour in range(1, HOURS + 1):
            self.count(self.traffic.hour((number - 1) * HOURS + hour, f"{number}.0"), planned_requests(stored, 0))
            now = began + timedelta(hours=hour)
            while (action := self.action(stored, step, now)) is not None:
                row = transition(stored.state, action.event, Actor.MACHINE)
                assert not isinstance(row, Refusal)
                stored = replace(stored, state=target_of(row, None), state_at=now)
                if stored.state in ENDS:
                    return ENDS[stored.state]
        return stored.state.value

    def action(self, stored: StoredRollout, step: StoredStep, now: datetime) -> Action | None:
        verdict = self.verdict(stored, (step,), now)
        facts = Facts(
            state=stored.state,
            plan=PLAN,
            place=stored.place,
            state_at=stored.state_at,
            step_at=step.started_at,
            verdict=verdict,
            decision=verdict.outcome,
            gate=(),
        )
        return next_action(facts, now)


ENDS = {State.ADVANCING: "advanced", State.ROLLING_BACK: "rolled back"}


def rollout(attempt: int, began: datetime) -> StoredRollout:
    return StoredRollout(
        id="run",
        workflow=WorkflowName("simulated"),
        release=RELEASE,
        plan=PLAN,
        plan_digest=RELEASE,
        salt="",
        state=State.OBSERVING,
        state_at=began,
        step_at=began,
        attempt=attempt,
        started_by="simulation",
        preflight={"per_day": 24.0 * PER_HOUR},
        created_at=began,
    )


def run(row: Row, seed: int) -> str:
    """Return how a release ends: after a canary that decided nothing it is tried again, its counts going on."""
    canary = Canary(traffic(seed, row.share))
    ended = ""
    for number in range(1, ATTEMPTS + 1):
        ended = canary.attempt(number)
        if ended in ENDS.values():
            break
    return ended


def main() -> None:
    """Print the shares with their bounds; exit 1 beyond one."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=1_000, help="of the false rollbacks; the others take a part")
    runs = options.parse_args().runs
    print("| release | runs | so ended | exact 95 % bound | must | |\n|---|--:|--:|--:|--:|---|", flush=True)
    with multiprocessing.get_context("spawn").Pool() as pool:
        wrong = sum(not shown(row, max(round(runs * row.part), 20), pool) for row in ROWS)
    raise SystemExit(int(wrong > 0))


def shown(row: Row, wanted: int, pool: Pool) -> bool:
    """Simulate a row and print its line; tell whether it is within its bound."""
    ended = Counter(pool.map(partial(run, row), range(wanted), chunksize=5))
    bounds = clopper_pearson(ended[row.outcome], wanted, tail=0.05)
    share = ended[row.outcome] / wanted
    if row.most is not None:
        is_right, bound, must = bounds.upper <= row.most, bounds.upper, f"at most {100 * row.most:g} %"
    else:
        is_right, bound, must = share >= (row.least or 0.0), bounds.lower, f"at least {100 * (row.least or 0):g} %"
    rest = ", ".join(f"{name} {count}" for name, count in sorted(ended.items()) if name != row.outcome)
    print(
        f"| {row.name} | {wanted} | {ended[row.outcome]} = {100 * share:.2f} % ({rest or 'no other'})"
        f" | {100 * bound:.2f} % | {must} | {'' if is_right else '**missed**'} |",
        flush=True,
    )
    return is_right


if __name__ == "__main__":
    main()
