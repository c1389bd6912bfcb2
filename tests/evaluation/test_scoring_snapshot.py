"""A faster scorer says the same: every assessment of the sample bank's cases over fixed answers, as one digest.

Remake the two digests only with a reason: other sample cases or documents (INPUT changes too), or an output that is
meant to change, together with a new version of what changed it. Run this file as a script to print them.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from itertools import accumulate
from pathlib import Path

from tests.evaluation.scoring import Plan

from pilotage.core.canonical import Json
from pilotage.core.located import Problems
from pilotage.evaluation.digests import case_digest
from pilotage.evaluation.generation import Citation, Generation, Passage, ScoringContext, TargetFailure
from pilotage.evaluation.registry import SCORERS
from pilotage.guard.anchors import names_in, quotes_in
from pilotage.guard.citations import statements_of
from pilotage.guard.grounding_features import grounding_tokens
from pilotage.guard.normalise import normalise
from pilotage.guard.numbers import number_anchors, read_figures, read_source
from pilotage.guard.sentences import split_sentences
from pilotage.guard.tokens import tokens_of
from pilotage.workspace.golden import GoldenCase
from pilotage.workspace.golden_file import parse_golden

BANK = Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"
GOLDEN = BANK / "workflows" / "policy-assistant" / "golden"
READ_DIGEST = "817270af703e66e2631510160a3538886031c9a51c1c1c7ba6b2218223391686"
INPUT_DIGEST = "81b4dd85919d0f67883e68200d6d4420133c3658e45d60186c6df9c9388188a2"
ASSESSED_DIGEST = "3ce80c17b599cbe8b14f845d55beb10d3f4c922cc74e92fd94dde7868d74db33"
LOCALES = ("en", "de", "fr")
CASES_OF_A_FILE = 60
TRICKY = (
    "It isn't $43-million; it can't be 5k, 5 m or US$ 5 mm. Don't use (30) days, thirty (30) days, or ($1,200).",
    "Up 25 bps to 0.25 % or 1 1/2 percent, EUR 43 million, 43 million euros, u.s. dollars 5, -5 %, +3, 1.2.3, 12ab.",
    ("On 21 July 2026, July 21, 2026, Jul. 2026, Q3 2026, 2026-Q3, "
    "third quarter of 2026, 2026-07-21t10:00z, 1st of May 1999."),
    "07/08/2026 and 13/08/2026 and 08.07.2026; 2013-2014; FY2014, $2014, 2014%, 2014.5, '2014', 1899, 2100, 20260.",
    ("21. Juli 2026 und M\u00e4rz 2025: 1.234.567,89 Euro, 43 Mrd EUR. "
    "Le 3 f\u00e9vrier 2024, 1 234,5 milliards; 12 ao\u00fbt 2023."),
    "Forty-three million dollars, two hundred and five, one two, ninety nine thousand, twenty-one hundred days, zero.",
    ('The "Regulation E" of the CFPB and Federal Reserve Bank, FDIC, '
    'Mr. Smith vs. Acme Inc. said \u201cno later than noon\u201d.'),
    ("Call by 4:30 p.m. Eastern Time. See sec. 5(b), no. 7, e.g. this! Really?! Yes... "
    "[1] [2] And so. [12]\n- item one\n1) two"),
    ("**Bold** `code` _it_ ~~gone~~ snake_case [1](x) a\u00ad\u200bb "
    "\u2018q\u2019 \u2033x\u2033 \uff04\uff15\uff10\uff10 \ufb01ve \u2460 \u0664\u0662 days 5\u00a0% 1\u202f000"),
    "a - b -c d- e; f: g, h 1,2 3. 4 but not five nor six, never without 7 except 8; cannot 9's n't ca n't won't",
    ("5 business days, 10 calendar-days, 3 fiscal years, 2nd quarter, 3rd, 1,000th, 60days, 60-day, "
    "5 years\u00e9, 5 per cent, 5 pct"),
    "", " ", "...", "[3]", "(2) Yes", "$", "5", "k", "?!", "Is it 5?", "NO", "Q3", "A, B and C of D",
)  # fmt: skip


@cache
def documents() -> list[tuple[str, str]]:
    """Return the name and text of each Markdown policy."""
    folder = BANK / "corpora" / "policies" / "documents"
    return [(one.relative_to(folder).as_posix(), one.read_text()) for one in sorted(folder.rglob("*.md"))]


@cache
def cases() -> list[GoldenCase]:
    """Return cases of every golden file, in order."""
    problems = Problems()
    found: list[GoldenCase] = []
    for file in sorted(GOLDEN.glob("*.jsonl")):
        meta = file.with_suffix(".meta.yaml")
        data = meta.read_bytes() if meta.exists() else None
        found += parse_golden(file.stem, file.read_bytes(), data, file=file.name, problems=problems).cases[
            :CASES_OF_A_FILE
        ]
    assert not problems.found
    return [replace(one, expect=replace(one.expect, answer=reference_of(one))) for one in found]


def reference_of(case: GoldenCase) -> str:
    """Return a reference answer, which the sample cases do without."""
    return " ".join(f"It is {fact.value}." for fact in case.expect.facts) or case.question


def passages_of(case: GoldenCase, chance: random.Random) -> tuple[Passage, ...]:
    """Return five pieces of documents, of the gold ones first; some hidden, some old."""
    every = documents()
    gold = {entry.partition("#")[0] for one in case.expect.citations for entry in one}
    chosen = [one for one in every if one[0] in gold] + chance.sample(every, 5)
    made = []
    for marker, (name, text) in enumerate(chosen[:5], start=1):
        begin = chance.randrange(0, max(1, len(text) - 400))
        made.append(
            Passage(
                marker=marker,
                document=name,
                section=chance.choice(("", "Limits", "A > B")),
                chunk=f"{name}:{begin}",
                text=text[begin : begin + 900],
                allowed=chance.random() > 0.05,
                effective=chance.random() > 0.05,
            )
        )
    return tuple(made)


def changed(text: str, chance: random.Random) -> str:
    """Return a sentence, perhaps with another figure, a negation or another name."""
    match chance.randrange(6):
        case 0:
            return text.replace("5", "6").replace("30", "31")
        case 1:
            return text.replace(" is ", " is not ").replace(" must ", " must never ")
        case 2:
            return text.replace("Bank", "Fed").replace("July", "June")
        case _:
            return text


def answer_of(case: GoldenCase, passages: tuple[Passage, ...], chance: random.Random) -> str:
    """Return sentences of the passages and facts of the case, with markers."""
    sentences = [(one.marker, s.text) for one in passages for s in split_sentences(one.text)]
    parts = [
        f"{changed(text, chance)} [{marker}]" if chance.random() > 0.2 else changed(text, chance)
        for marker, text in chance.sample(sentences, min(4, len(sentences)))
    ]
    parts += [f"It is {fact.value} [{chance.randint(1, 6)}]." for fact in case.expect.facts if chance.random() > 0.3]
    parts += [f"Not {fact.value}." for fact in case.expect.forbid if chance.random() > 0.6]
    parts.append(chance.choice((*TRICKY, "Write to ana.lopez@example.com or 212-555-0187.", case.expect.answer or "")))
    chance.shuffle(parts)
    return " ".join(parts)


def generation_of(case: GoldenCase) -> Generation:
    """Return the fixed generation of a case."""
    chance = random.Random(case.id)
    passages = passages_of(case, chance)
    cited = tuple(
        Citation(
            marker=one.marker,
            document=one.document,
            section=one.section,
            chunk=one.chunk,
            text=one.text,
            valid=chance.random() > 0.05,
            allowed=one.allowed,
            effective=one.effective,
        )
        for one in passages[:3]
    )
    refused = chance.random() < (0.8 if case.expect.refuse else 0.1)
    return Generation(
        answer=answer_of(case, passages, chance),
        refused=refused,
        refusal_reason=chance.choice(("not_found", "guard", "citation")) if refused else None,
        citations=cited,
        passages=passages,
        latency_ms=chance.choice((None, 12.5)),
        tokens_in=chance.randint(1, 900),
        cost_nano=chance.choice((None, 5)),
        error=TargetFailure.TIMEOUT if chance.random() < 0.02 else None,
    )


def digest(rows: Iterator[Json]) -> str:
    """Return one digest over rows."""
    whole = hashlib.sha256()
    for row in rows:
        whole.update(repr(row).encode() + b"\n")
    return whole.hexdigest()


def assessed() -> Iterator[Json]:
    """Yield every assessment of every scorer, with the version."""
    for place, case in enumerate(cases()):
        planned, generation = Plan(case, case_digest(case)), generation_of(case)
        context = ScoringContext(as_of=date(2026, 1, 1), locale=LOCALES[place % 7] if place % 7 < 3 else "en")
        for name, scorer in SCORERS.items():
            if scorer.applies(case):
                yield {name: scorer.score(planned, generation, context).as_json()}


def given() -> Iterator[Json]:
    """Yield what is scored."""
    for case in cases():
        yield [case_digest(case), generation_of(case).digest]


def read() -> Iterator[Json]:
    """Yield everything that is read from the documents and from tricky texts, in each locale."""
    texts = [*TRICKY, *(text for _, text in documents())]
    for text in texts:
        normal, tokens = normalise(text), tokens_of(normalise(text))
        ends = list(accumulate([len(word) + 1 for word in tokens.words], initial=0))
        yield [normal, repr((tokens.words, tokens.starts, tokens.clauses, tokens.joined, tuple(ends[:-1])))]
        yield [repr(statements_of(text)), repr(grounding_tokens(text)), list(quotes_in(text))]
        for sentence in split_sentences(text):
            yield [sentence.text, sentence.start, sentence.end, list(names_in(sentence.text))]
        for locale in LOCALES:
            figures = read_figures(text, locale)
            amounts = sorted(
                (amount, unit) for amount, units in read_source(text, locale).amounts.items() for unit in units
            )
            yield [repr(figures.values), repr(amounts), repr(number_anchors(figures))]


def test_texts_are_read_as_before() -> None:
    assert digest(read()) == READ_DIGEST


def test_every_assessment_is_the_same_to_the_last_bit() -> None:
    assert digest(given()) == INPUT_DIGEST, "The sample cases or documents changed: remake both digests."
    assert digest(assessed()) == ASSESSED_DIGEST, (
        "An output changed: undo it, or raise a version and remake the digest."
    )


def test_the_snapshot_holds_every_scorer_with_passes_failures_and_gaps() -> None:
    seen: dict[str, set[str]] = {}
    for row in assessed():
        assert isinstance(row, dict)
        for name, one in row.items():
            assert isinstance(one, dict)
            seen.setdefault(name, set()).add(str(one["status"]))
    assert seen.keys() == SCORERS.keys()
    assert {"pass", "fail", "unscored"} <= seen["grounding"]
    assert {"pass", "fail"} <= seen["key_fact_recall"]
    assert {"pass", "fail"} <= seen["answer_accuracy"]
    assert {"pass", "fail"} <= seen["pii_leak"]


if __name__ == "__main__":
    sys.stdout.write(f"{digest(read())}\n{digest(given())}\n{digest(assessed())}\n")
