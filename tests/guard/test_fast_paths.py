"""What is read faster is read the same: each shortcut of the readers against the reading without it."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilotage.core.canonical import Form
from pilotage.core.digest import digest_of_json
from pilotage.evaluation.generation import Citation, Generation, Passage, generation_json
from pilotage.guard import dates_text, grounding_features, number_words, pii_recognise, sentences, tokens, values
from pilotage.guard.dates_text import read_dates
from pilotage.guard.grounding_features import Evidence, content_tokens, grounding_tokens, read_evidence
from pilotage.guard.normalise import normalise
from pilotage.guard.pii_types import Match, PiiType
from pilotage.guard.sentences import split_sentences
from pilotage.guard.units import CURRENCIES
from pilotage.guard.values import read_values


def made_of(*pieces: str, most: int = 12) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


WORDS = made_of(
    *("fee", "but", "no", "5", "1,000", "1.5", "$", "%", "\u20ac", "_", "x_y", "\u0664\u0662", "\u2167"),
    *(" ", "  ", "\n", ",", ". ", "-", " - ", ";", ":", "!", "?", "(", "\x01", "\u2003"),
    most=30,
)
MOMENTS = made_of(
    *("2026", "1999", "20260", "1", "21", "21st", "7", "07", "july", "jul.", "may", "m\u00e4rz", "ao\u00fbt", "q3"),
    *("first quarter", "2nd quarter of", "2026-07-21", "2026-q3", "07/08/2026", "7.8.2026", "t10:00z", "of", "x"),
    *(" ", " ", " ", ",", ", ", "-", "/", ".", "$", "words that keep two years apart for more than forty letters"),
    most=16,
)
LEADS = made_of(
    *("(", ")", "-", "+", " ", " ", "$", "us$", "usd", "eur", "pounds sterling", "u.s. dollars", "swiss francs"),
    *("\u20ac", "%", "\x01", "a", "x", "5", "_", ".", "y"),
    most=8,
)
TAILS = made_of(
    *("e.g", "i.e", "approx", "dept", "Inc", "u.s", "no", "a", "\u017ft", "art", "a.m", "p.m", "word", "b"),
    *(" ", "(", "\n", ".", "-", "\u2003"),
    most=6,
)
NUMERALS = made_of("one", "six", "sixteen", "seventy", "ten", "zero", "eight", "often", " ", "-", "x", "5", most=10)
SAID = made_of("fee", "limit", "the", "of", "bank", "5", "10 days", ". ", " ", " ", " ", "?", "\n", most=30)


@given(WORDS)
@example("\u00b2 fee, but no 1.5 - fee")
def test_a_text_without_apostrophes_has_the_tokens_of_any_text(text: str) -> None:
    assert tokens._unquoted(text) == tokens._quoted(text)
    assert tokens._words(text) == tokens._quoted(text)[0]


@given(
    made_of("fee", "limit", "5", "it's", "isn't", " ", " ", ", ", most=20), made_of("fee", "limit", "5", " ", most=4)
)
def test_where_words_stand_is_counted_in_whole_tokens(text: str, wanted: str) -> None:
    held, sought = tokens.tokens_of(text), tokens.tokens_of(wanted)
    size = len(sought.words)
    places = [at for at in range(len(held.words)) if held.words[at : at + size] == sought.words]
    assert not size or list(held.occurrences(sought)) == places


@pytest.mark.parametrize("locale", ["en", "de", "fr"])
def test_a_form_of_dates_that_is_passed_over_would_have_read_nothing(
    locale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = dates_text._forms(locale)
    anywhere = tuple(replace(one, mark="", has_day=False, ends_in_year=False) for one in forms)

    @given(MOMENTS)
    @example("paid on 21 july 2026, july 21, 2026 and 2026-07-21t10:00z; first quarter of 2026")
    def same(text: str) -> None:
        quick = read_dates(text, locale=locale)
        with monkeypatch.context() as patch:
            patch.setattr(dates_text, "_forms", lambda _locale: anywhere)
            assert read_dates(text, locale=locale) == quick

    same()


@given(LEADS)
@example("(- pounds sterling -")
@example("(-")
def test_what_stands_before_a_number_is_found_as_far_away_as_it_may_start(head: str) -> None:
    whole = values._BEFORE.search(head)
    reach = values._reach(head)
    near = values._BEFORE.search(head, max(0, len(head) - reach)) if reach else None
    assert (near and (near.span(), near.groups())) == (whole and (whole.span(), whole.groups()))
    lead = values._before(head, len(head))
    assert lead.start == (len(head) if near is None else near.start())
    assert lead.unit == ("" if near is None or not near["unit"] else CURRENCIES[near["unit"]])


@given(st.text(max_size=8), NUMERALS)
@example("-", "twenty-one")
@example("(", "six sixteen")
def test_a_number_in_words_is_found_by_its_first_letter(before: str, said: str) -> None:
    words = "|".join(number_words._VALUES)
    whole = re.compile(rf"(?<![\w-])(?:{words})(?!\w)")
    text = before + said
    first = number_words._RUN.search(text)
    found = whole.search(text)
    assert (first and first.start()) == (found and found.start())


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.sampled_from([0.3, 0.5, 0.9])), max_size=12))
@example([(0, 4, 0.5), (4, 4, 0.5), (3, 2, 0.5)])
def test_of_two_values_that_overlap_the_better_is_kept(places: list[tuple[int, int, float]]) -> None:
    found = [
        Match(type=PiiType.SECRET, start=start, end=start + size, score=score, normalised="")
        for start, size, score in places
    ]
    kept: list[Match] = []
    for one in sorted(found, key=lambda one: (-one.score, one.start - one.end, one.start)):
        if all(one.end <= other.start or one.start >= other.end for other in kept):
            kept.append(one)
    assert pii_recognise._without_overlaps(found) == tuple(sorted(kept, key=lambda one: one.start))


@given(TAILS)
@example("(approx\n")
def test_an_abbreviation_is_found_at_the_end_of_what_stands_before(before: str) -> None:
    near = sentences._ABBREVIATION.search(before, len(before) - sentences._LONGEST_ABBREVIATION)
    assert (near is None) == (sentences._ABBREVIATION.search(before) is None)


@pytest.mark.parametrize("digits", [28, 29, 40])
def test_a_long_figure_is_exact_to_the_digits_that_amounts_have(digits: int) -> None:
    text = "1" * (digits - 1) + "7"
    (number,) = read_values(text).numbers
    assert number.amount == Decimal(text).scaleb(0)


@given(st.text(max_size=30).map(normalise))
@example("forty-three million dollars")
def test_a_text_without_a_digit_holds_no_date_and_numbers_only_in_words(text: str) -> None:
    if not any(char.isdecimal() for char in text):
        found = read_values(text)
        assert found.dates == ()
        assert all(number.spelled for number in found.numbers)


def best_sentence(content: frozenset[str], texts: list[str]) -> float:
    """Return the best overlap as evaluation.md 3.5 says it, sentence by sentence."""
    held = [frozenset(content_tokens(grounding_tokens(one.text))) for text in texts for one in split_sentences(text)]
    weights = {
        token: math.log((len(held) + 1) / (sum(token in one for one in held) + 0.5)) for token in sorted(content)
    }
    total = math.fsum(weights.values())
    if total <= 0:
        return 1.0
    best = max((math.fsum(weights[token] for token in one & content) for one in held), default=0.0)
    return min(1.0, max(0.0, best / total))


@given(SAID, st.lists(SAID, max_size=3))
@example("limit fee fee", ["The fee. A limit of 5. Fee limit."])
def test_the_best_sentence_is_the_one_that_a_look_at_each_finds(statement: str, texts: list[str]) -> None:
    said = grounding_tokens(statement)
    evidence: list[Evidence] = [read_evidence(text) for text in texts]
    content = frozenset(content_tokens(said))
    assert grounding_features._best_sentence(content, evidence) == (best_sentence(content, texts) if content else 1.0)


@given(SAID, SAID)
@example("fee limit", "fee fee")
def test_what_occurs_once_counts_as_what_is_counted(statement: str, text: str) -> None:
    said, one = grounding_tokens(statement), read_evidence(text)
    clipped = sum(min(said.count(token), one.tokens[token]) for token in set(said))
    assert grounding_features._clipped(said, [one.tokens]) == (clipped / len(said) if said else 1.0)


def test_every_field_of_what_was_cited_and_shown_is_in_the_digest() -> None:
    cited = Citation(marker=1, document="d", section="s", chunk="c", text="t", valid=False)
    shown = Passage(marker=1, document="d", section="s", chunk="c", text="t", effective=False)
    generation = Generation(answer="A [1]", citations=(cited,), passages=(shown,))
    stored = generation_json(generation)
    assert (stored["citations"], stored["passages"]) == ([asdict(cited)], [asdict(shown)])
    assert generation.digest == digest_of_json(stored, form=Form.PLAIN)
