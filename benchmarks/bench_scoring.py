"""Scoring: at least 10,000 scorings a second on one core over the default set (evaluation.md 12).

Reference: answers of 120 words, 5 passages of 150 words, 4 facts, 2 citations; one scoring = one (case, scorer).
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import date

from pilotage.core.digest import Digest
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Citation, Generation, Passage, ScoringContext
from pilotage.evaluation.registry import SCORERS, scorers_named
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase

CASES = 2000
CHUNKS = 600
MUST = 10_000
GOAL_P99_MS = 1.0
WORDS = tuple(
    word
    for line in (
        "account amount approval bank branch business card charge claim credit customer daily deposit dispute",
        "document exception fee form hold interest item ledger limit loan manager member month notice officer",
        "payment period policy rate receipt record refund report request review risk rule schedule service",
        "statement transfer wire",
    )
    for word in line.split()
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned case."""

    case: GoldenCase
    case_digest: Digest


def sentence(chance: random.Random, words: int) -> str:
    """Return a sentence with an amount and a date now and then."""
    chosen = [chance.choice(WORDS) for _ in range(words)]
    chosen[words // 2] = chance.choice((f"${chance.randint(1, 900)},000", f"{chance.randint(2, 90)} days", "July 2026"))
    return f"The {' '.join(chosen)}."


def text(chance: random.Random, words: int) -> str:
    """Return a passage of about `words` words."""
    return " ".join(sentence(chance, 13) for _ in range(words // 14))


def reference(count: int, words: int = 120, *, seed: int = 7) -> list[tuple[Plan, Generation]]:
    """Return cases with generations; chunks come back in many of them, as in a real corpus."""
    chance = random.Random(seed)
    chunks = [text(chance, 150) for _ in range(CHUNKS)]
    made = []
    for number in range(count):
        shown = chance.sample(range(CHUNKS), 5)
        passages = tuple(
            Passage(marker=n, document=f"d{c % 90}", section="", chunk=str(c), text=chunks[c])
            for n, c in enumerate(shown, start=1)
        )
        sentences = text(chance, words).split(". ")
        answer = ". ".join(f"{one.rstrip('.')} [{1 + n % 2}]" for n, one in enumerate(sentences)) + "."
        cited = tuple(
            Citation(marker=one.marker, document=one.document, section="", chunk=one.chunk, text=one.text)
            for one in passages[:2]
        )
        made.append(
            (
                plan(number, passages),
                Generation(
                    answer=answer,
                    citations=cited,
                    passages=passages,
                    latency_ms=9,
                    ttft_ms=3,
                    tokens_in=9,
                    tokens_out=9,
                    cost_nano=9,
                ),
            )
        )
    return made


def plan(number: int, passages: tuple[Passage, ...]) -> Plan:
    """Return a case with four facts and two citations."""
    facts = (
        Fact(form=FactForm.TEXT, value="$43,000"),
        Fact(form=FactForm.NUMBER, value={"number": 30, "unit": "days", "abs": 0, "rel": 0, "rounding": 3}),
        Fact(form=FactForm.ANY, value=["credit limit", "wire limit"]),
        Fact(form=FactForm.DATE, value={"date": "2026-07-01", "granularity": "month"}),
    )
    gold = tuple((one.document,) for one in passages[:2])
    expect = Expect(
        facts=facts,
        forbid=(Fact(form=FactForm.TEXT, value="secret"),),
        citations=gold,
        retrieve={one[0]: 1 for one in gold},
        refuse=False,
        answer="The limit.",
    )
    case = GoldenCase(id=f"c{number}", question="What is the limit?", asker="p", cluster="c", line=1, expect=expect)
    return Plan(case, case_digest(case))


def run(work: list[tuple[Plan, Generation]], names: tuple[str, ...]) -> float:
    """Return the seconds that scoring takes."""
    context = ScoringContext(as_of=date(2026, 1, 1))
    scorers = scorers_named(names)
    begun = time.process_time()
    for planned, generation in work:
        for scorer in scorers:
            if scorer.applies(planned.case):
                scorer.score(planned, generation, context)
    return time.process_time() - begun


def main() -> int:
    """Measure the default set, the slowest scorer's p99, and twice the input."""
    scorers = scorers_named(())
    run(reference(50, seed=1), ())
    work = reference(CASES)
    rate = len(work) * len(scorers) / run(work, ())
    slowest = max((p99(name) for name in SCORERS), key=lambda one: one[1])
    once, twice = run(reference(300, seed=3), ()), run(reference(300, 240, seed=4), ())
    print("| measure | value | goal |\n|---|---|---|")
    print(f"| scorings a second and core, default set of {len(scorers)} | {rate:,.0f} | {MUST:,} (must) |")
    print(f"| p99 of the slowest scorer ({slowest[0]}), answer read before | {slowest[1]:.2f} ms | {GOAL_P99_MS} ms |")
    print(f"| time for twice the input | {twice / once:.2f} x | 2 x |")
    return int(rate < MUST)


def p99(name: str) -> tuple[str, float]:
    """Return a scorer's p99 in milliseconds on an answer that the scorers before it read, as in a run."""
    context = ScoringContext(as_of=date(2026, 1, 1))
    work = reference(200, seed=5)
    times = []
    for one in work:
        planned, generation = one
        run([one], ("citation_coverage", "citation_anchor"))
        begun = time.process_time()
        SCORERS[name].score(planned, generation, context)
        times.append((time.process_time() - begun) * 1000)
    return name, sorted(times)[197]


if __name__ == "__main__":
    raise SystemExit(main())
