"""Every quote of a document that was taken down is found, and nothing that stands in another document too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.corpus.takedown import QUOTED, standing_in
from pilotage.corpus.takedown_quotes import quotable

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=60)
GAPS = st.sampled_from([" ", "\n", ",  ", " - ", '" '])
GONE = "[gone]"
LONG = "The vault of the Dunmore branch opens with the code of the month and two officers."


@given(words=WORDS, data=st.data(), gap=GAPS)
def test_every_run_of_forty_characters_is_a_quote_however_it_is_written(
    words: list[str], data: st.DataObject, gap: str
) -> None:
    start = data.draw(st.integers(0, len(words) - 1))
    quote = words[start : data.draw(st.integers(start + 1, len(words)))]
    found = quotable([f"A heading.\n\n{' '.join(words)}"], staying=())
    said = f"zz {gap.join(quote).upper()} zz"
    if len(" ".join(quote)) >= QUOTED:
        assert found.is_quoted_in(said)


@given(words=WORDS, before=WORDS, gap=GAPS)
def test_what_stays_in_another_document_is_no_quote(words: list[str], before: list[str], gap: str) -> None:
    said = " ".join(words)
    staying = f"{' '.join(before)} {gap.join(words).upper()} zz"
    assert not quotable([said], staying=[staying]).is_quoted_in(said)


@given(texts=st.lists(WORDS.map(" ".join), max_size=3), staying=WORDS.map(" ".join), said=WORDS.map(" ".join))
def test_what_is_found_stands_in_a_text_that_went_and_in_none_that_stays(
    texts: list[str], staying: str, said: str
) -> None:
    def runs(text: str) -> set[str]:
        words = text.split()
        every = (" ".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1))
        return {run for run in every if len(run) >= QUOTED}

    long = set[str]().union(*map(runs, texts)) - runs(staying)
    shortest = {run for run in long if run.rpartition(" ")[0] not in long}
    found = quotable(texts, staying=[staying])
    if shortest & runs(said):
        assert found.is_quoted_in(said)
    elif not found.lines:
        assert not found.is_quoted_in(said)


def test_a_short_line_of_the_document_is_found_and_a_shorter_one_is_not() -> None:
    found = quotable(["Closed on the feast of Saint Mungo.\nOpen at nine."], staying=())
    assert found.is_quoted_in("It says: closed on the FEAST of Saint Mungo!")
    assert not found.is_quoted_in("Open at nine.")
    assert not quotable([LONG], staying=[]).is_quoted_in("")
    assert not quotable([], staying=[LONG])


def test_one_word_that_is_long_enough_is_a_quote() -> None:
    word = "x" * QUOTED
    assert quotable([f"a {word} b"], staying=()).is_quoted_in(f"so: {word}.")


def test_a_quote_goes_wherever_it_stands_in_a_value() -> None:
    found = quotable([LONG], staying=())
    row: dict[str, Json] = {
        "question": "When?",
        "tags": ["vault", {LONG: 1, "note": f"It says: {LONG.upper()}"}],
        "turns": [LONG, None, 2, True],
    }
    assert found.without_quotes_in(row, removed=GONE) == {
        "question": "When?",
        "tags": ["vault", {GONE: 1, "note": GONE}],
        "turns": [GONE, None, 2, True],
    }


def test_all_pieces_are_looked_for_in_one_pass_over_the_texts() -> None:
    texts = iter(["one and two", "three", "four"])
    assert standing_in(["two", "four", "five"], texts) == {"two", "four"}
    assert standing_in([], iter(["one"])) == frozenset()
