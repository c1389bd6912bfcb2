"""What a stream releases adds up to the redaction of the whole, however the text is cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guard.test_pii_vectors import INVALID, VALID

from pilotage.guard.holdback import SETTLED, HoldBack
from pilotage.guard.pii_types import PiiType
from pilotage.guard.redact import PromptRedactor

VALUES = (
    "4111 1111 1111 1111",
    "GB82 WEST 1234 5698 7654 32",
    "536-90-8726",
    "jo.bloggs@example.com",
    "(415) 555-2671",
    "account 12345678",
    "NHS 9434765919",
    "born 3 February 1980",
    "10.1.2.3",
    "password=hunter22",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE abc\n-----END RSA PRIVATE KEY-----",
)
WORDS = ("the", "limit", "is", "$25,000", "for", "a", "customer.", "Call", "us", "at", "\n\n", "2026", "Section", "4.2")
NEAR = (
    "born",
    "account",
    "NHS",
    "passport",
    "sort",
    "code",
    "version",
    "NIF",
    "IBAN",
    "routing",
    "DOB:",
    "\u2014",
    "x" * 30,
)
"""Words that lend a number its meaning, and some that take it away."""
OTHERS = tuple(text for text, _ in (*VALID, *INVALID))


def _text(rng: random.Random) -> str:
    pieces = [rng.choice(VALUES) if rng.random() < 0.2 else rng.choice(WORDS) for _ in range(rng.randint(1, 60))]
    return " ".join(pieces)


def _text_of(kind: PiiType, rng: random.Random) -> str:
    """Values of one type among words and, now and then, values of other types and what only looks like one."""
    own = [text for text, one in VALID if one is kind]
    pieces = rng.choices((own, OTHERS, WORDS, NEAR), (20, 5, 50, 25), k=rng.randint(1, 24))
    return rng.choice((" ", " ", "  ", "\n", "\t")).join(rng.choice(choice) for choice in pieces)


def _streamed(text: str, rng: random.Random) -> str:
    hold = HoldBack()
    released, at = [], 0
    while at < len(text):
        size = rng.choice((1, 2, 7, 40, 200))
        released.append(hold.feed(text[at : at + size]))
        at += size
    return "".join(released) + hold.finish()


def _check(text: str, rng: random.Random) -> None:
    assert _streamed(text, rng) == PromptRedactor().redact(text).text, text


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_streamed_equals_whole(seed: int) -> None:
    rng = random.Random(seed)
    _check(_text(rng), rng)


@pytest.mark.parametrize("kind", list(PiiType))
def test_streamed_equals_whole_for_every_type(kind: PiiType) -> None:
    for seed in range(40):
        rng = random.Random(f"{kind} {seed}")
        _check(_text_of(kind, rng), rng)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", list(PiiType))
def test_streamed_equals_whole_over_a_hundred_thousand_cases_of_every_type(kind: PiiType) -> None:
    for seed in range(10**5):
        rng = random.Random(f"long {kind} {seed}")
        _check(_text_of(kind, rng), rng)


def test_a_stream_that_was_stopped_gives_nothing_more() -> None:
    hold = HoldBack(stops=lambda text: "secret" in text)
    assert hold.feed("All is well ") == "All is well "
    assert hold.feed("until the secret is ") == ""
    assert (hold.feed("told to all "), hold.finish()) == ("", "")


def test_a_stream_gives_the_asker_s_own_values_back_and_drops_what_nobody_sees() -> None:
    redactor = PromptRedactor()
    redactor.redact("I am a@b.com")
    hold = HoldBack(redactor, restores=True, cleans=True)
    assert (
        hold.feed("Wri\u200bte to <EMAIL_1> or c@d.org today ") + hold.finish()
        == "Write to a@b.com or <EMAIL_2> today "
    )
    assert hold.counts == {"EMAIL": 1}


def test_cold_words_leave_at_the_next_white_space_and_hot_ones_wait() -> None:
    hold = HoldBack()
    assert hold.feed("Wires are sent ") == "Wires are sent "
    assert hold.feed("daily") == ""
    assert hold.feed(" by 4:30 today ") == "daily by "
    assert "4:30" in hold.feed("and then quietly " * (SETTLED // 8))
