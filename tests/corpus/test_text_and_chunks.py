"""Text has one normal form, terms one rule, and passages never cross a section or exceed their size."""

from __future__ import annotations

import hashlib
import re
import tracemalloc
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.digest import digest_of_json
from pilotage.corpus.analyser import analyse, count_each, count_terms
from pilotage.corpus.chunker import MAX_OVERLAP_TOKENS, MAX_TOKENS, MIN_TOKENS, chunk_document
from pilotage.corpus.near_duplicates import signature_of
from pilotage.corpus.records import Block, Chunk, Paragraph, ParsedDocument, Section, Table
from pilotage.corpus.sentences import sentence_spans
from pilotage.corpus.text import content_hash, meta_hash, normalise, normalise_line, revision_hash

WORDS = st.text(alphabet="aA sS.,;:!?'\u2019\n\t 0123456789éß§中文カナ한국\u200b\ufeffﬁ½_-", max_size=300)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The Bank's fees", ["the", "bank", "fee"]),
        ("BANK'S bank\u2019s customers'", ["bank", "bank", "customer"]),
        ("access gas credits bus class", ["access", "gas", "credit", "bus", "class"]),
        ("1,000 1,000,000 1,00 12,3456", ["1000", "1000000", "1", "00", "12", "3456"]),
        ("O'Brien's co-op_shop", ["o", "brien", "co", "op", "shop"]),
        ("Straße ﬁne ½ \uff12\uff10\uff12\uff16", ["strasse", "fine", "1", "2", "2026"]),
        ("信用卡 中 ABC信用", ["信用", "用卡", "中", "abc", "信用"]),
        ("カード 한국어 ｶｰﾄﾞ", ["カー", "ード", "한국", "국어", "カー", "ード"]),
        ("— “” §\x01", []),
        ("", []),
    ],
)
def test_terms_follow_the_written_rule(text: str, terms: list[str]) -> None:
    assert analyse(text, language="en") == terms


def test_only_english_drops_the_final_s() -> None:
    assert analyse("Kosten fees", language="de") == ["kosten", "fees"]
    assert analyse("fees", language="en-GB") == ["fee"]


@given(st.lists(WORDS.map(normalise), min_size=1, max_size=6))
def test_counting_together_is_counting_apart(texts: list[str]) -> None:
    assert list(count_each(texts)) == [len(analyse(text, language="en")) for text in texts]
    assert count_terms(texts[0]) == len(analyse(texts[0], language="de"))


@pytest.mark.parametrize(
    "word",
    [
        "fee ",
        "1,000, ",
        "O'Brien's ",
        "\u4fe1\u7528\u5361\u3002",
        "\uff76\uff70\uff84\uff9e\u3001",
        "\u00e9te\u0301\u3000",
    ],
)
def test_a_long_text_is_counted_as_if_at_once(word: str) -> None:
    texts = [word * 9_000, "", word, word * 4_000, word * 8_000]
    assert list(count_each(texts)) == [len(analyse(text, language="en")) for text in texts]
    assert list(count_each([])) == []


@pytest.mark.parametrize("word", ["a ", "\u4fe1\u7528\u3002"])
def test_a_text_in_one_line_is_cut_in_memory_of_its_own_size(word: str) -> None:
    parsed = document(("", [Paragraph(text=word * (100_000 // len(word)))]))
    tracemalloc.start()
    chunks = chunk_document(parsed)
    signature_of(parsed.text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(chunk.text) for chunk in chunks) > 90_000
    assert peak < 4 << 20


def test_text_loses_what_cannot_be_seen() -> None:
    assert normalise("a\u200bb\ufeff\u202ec\U000e0041d\x00e\u00adf") == "abcdef"
    assert normalise("one  \r\ntwo\t\rthree\u2028\n\n\n\nfour\u00a0\n") == "one\ntwo\nthree\n\nfour"
    assert normalise("e\u0301\ud800") == "\u00e9\ufffd"
    assert normalise_line("  A\n heading ") == "A heading"


@given(st.text(max_size=200))
def test_the_normal_form_is_normal(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once.encode().decode() == once


@given(WORDS.map(normalise), WORDS.map(normalise))
def test_fast_hashes_equal_canonical_json(heading: str, text: str) -> None:
    assert content_hash(heading, text) == digest_of_json({"heading": heading, "text": text})
    section = Section(path=(heading, "b"), blocks=(Paragraph(text=text), Paragraph(text="x")))
    digest = hashlib.sha256(f"{text}\n\nx".encode()).hexdigest()
    assert revision_hash([section, section]) == digest_of_json([[[heading, "b"], digest]] * 2)
    full = meta_hash(title=heading, uri=text, effective_from=date(2026, 1, 2), effective_to=date(2026, 2, 3))
    days = {"effective_from": "2026-01-02", "effective_to": "2026-02-03"}
    assert full == digest_of_json({"title": heading, "uri": text, **days})
    empty = meta_hash(title="t", uri=None, effective_from=None, effective_to=None)
    assert empty == digest_of_json({"title": "t", "uri": None, "effective_from": None, "effective_to": None})


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Call us. We answer.", ["Call us.", "We answer."]),
        ("See 12 U.S.C. 1601 and Sec. 5 for more.", ["See 12 U.S.C. 1601 and Sec. 5 for more."]),
        ("Ask Mr. Lee (e.g. by mail). He knows.", ["Ask Mr. Lee (e.g. by mail).", "He knows."]),
        ('He said "no." Then left!  Why?', ['He said "no."', "Then left!", "Why?"]),
        ("最初。次。", ["最初。", "次。"]),
        ("Needed:\n- one\n- two", ["Needed:", "- one", "- two"]),
        ("wrapped\nline", ["wrapped\nline"]),
        ("  ", []),
    ],
)
def test_sentences_end_where_a_reader_stops(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


def document(*sections: tuple[str, list[Block]]) -> ParsedDocument:
    parsed = tuple(Section(path=(path,) if path else (), blocks=tuple(blocks)) for path, blocks in sections)
    return ParsedDocument(title="", sections=parsed, parser="test")


def prose(sentences: int, *, mark: str = "w") -> Paragraph:
    return Paragraph(text=" ".join(f"Sentence {n} of {mark} has exactly nine small words." for n in range(sentences)))


def test_short_sections_are_one_passage_each() -> None:
    chunks = chunk_document(document(("A", [Paragraph(text="One.")]), ("B", [Paragraph(text="Two.")])))
    assert [(c.section, c.text, c.ordinal) for c in chunks] == [("A", "One.", 0), ("B", "Two.", 1)]


def test_paragraphs_are_packed_and_the_last_sentence_is_repeated() -> None:
    chunks = chunk_document(document(("", [prose(10, mark=m) for m in "abcde"])))
    assert all(c.tokens <= 220 for c in chunks)
    assert len(chunks) == 3
    assert chunks[1].text.startswith("Sentence 9 of b")
    assert chunks[0].text.endswith("Sentence 9 of b has exactly nine small words.")


def test_a_last_sentence_that_is_long_is_not_repeated() -> None:
    long = "This closing sentence " + "so on " * MAX_OVERLAP_TOKENS + "ends."
    first = Paragraph(text=f"Sentence 1 is short. {long}")
    chunks = chunk_document(document(("", [first, prose(20, mark="b")])))
    assert len(chunks) == 2
    assert chunks[1].text.startswith("Sentence 0 of b")


def test_a_small_rest_joins_its_neighbour() -> None:
    chunks = chunk_document(
        document(("", [prose(24), Paragraph(text="A short closing line of nine words stands here.")]))
    )
    assert len(chunks) == 1
    assert 220 < chunks[0].tokens <= MAX_TOKENS


def test_a_table_stays_whole_or_splits_by_rows_under_its_header() -> None:
    rows = tuple(f"Branch number {n} | limit {n} dollars a day | approved by the board" for n in range(80))
    small = chunk_document(document(("T", [Table(header="Where | How much | By whom", rows=rows[:5])])))
    assert len(small) == 1
    parts = chunk_document(document(("T", [prose(3), Table(header="Where | How much | By whom", rows=rows), prose(3)])))
    tables = [c for c in parts if " | " in c.text]
    assert len(tables) > 2
    assert all(c.text.startswith("Where | How much | By whom\n") for c in tables)
    assert sum(c.text.count("Branch number") for c in tables) == 80


def test_rows_and_headers_beyond_the_maximum_are_cut() -> None:
    row = " ".join(f"w{n}" for n in range(1000))
    for table in (
        Table(header="H", rows=("a", row, "b")),
        Table(header=row, rows=("a", "b")),
        Table(header="", rows=(row,)),
    ):
        chunks = chunk_document(document(("T", [table])))
        assert all(0 < c.tokens <= MAX_TOKENS for c in chunks)
        assert {f"w{n}" for n in range(1000)} <= {term for c in chunks for term in analyse(c.text, language="de")}


def test_text_without_ends_is_cut_at_spaces_and_then_anywhere() -> None:
    endless = " ".join(["word"] * 1000)
    chinese = "信" * 3000
    for text in (endless, chinese, "x" * 90_000):
        chunks = chunk_document(document(("", [Paragraph(text=text)])))
        assert all(c.tokens <= MAX_TOKENS for c in chunks)
        assert "".join(c.text for c in chunks).replace(" ", "") == text.replace(" ", "")


BLOCKS = st.one_of(
    WORDS.map(normalise).filter(str.strip).map(lambda t: Paragraph(text=t.strip())),
    st.integers(1, 40).map(prose),
    st.tuples(st.integers(0, 30), st.integers(1, 60)).map(
        lambda p: Table(header=" ".join(["head"] * p[0]), rows=tuple(f"row {n} " + "cell " * p[1] for n in range(p[1])))
    ),
)


@given(st.lists(st.lists(BLOCKS, min_size=1, max_size=4), min_size=1, max_size=3))
def test_no_word_is_lost_no_limit_broken_and_every_offset_true(sections: list[list[Block]]) -> None:
    parsed = document(*((f"S{n}", blocks) for n, blocks in enumerate(sections)))
    whole = parsed.text
    chunks = chunk_document(parsed)
    assert [c.ordinal for c in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert chunk.tokens == count_terms(chunk.text) <= MAX_TOKENS
        assert chunk.text.endswith(whole[chunk.start : chunk.end])
        assert chunk.content_hash == content_hash(chunk.section, chunk.text)
    covered = bytearray(len(whole))
    for chunk in chunks:
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    left = "".join(char if not covered[at] else " " for at, char in enumerate(whole))
    assert count_terms(re.sub(r"\bhead\b", "", left)) == 0
    assert all(_overlap_tokens(a, b, whole) <= MAX_OVERLAP_TOKENS for a, b in pairwise(chunks))
    assert MIN_TOKENS < MAX_OVERLAP_TOKENS


def _overlap_tokens(one: Chunk, other: Chunk, whole: str) -> int:
    return count_terms(whole[other.start : one.end]) if other.start < one.end else 0


def test_a_header_without_an_end_is_not_repeated_in_every_part_of_its_table() -> None:
    table = Table(header="!" * 200_000, rows=tuple(f"row {number} of the table" for number in range(2_000)))
    document = ParsedDocument(title="", sections=(Section(path=(), blocks=(table,)),), parser="test")
    chunks = chunk_document(document)
    assert len(chunks) > 20
    assert sum(len(chunk.text) for chunk in chunks) < 2 * len(document.text)
