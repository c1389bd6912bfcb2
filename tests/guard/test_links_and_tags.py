"""Links, images and HTML of an answer: read as a browser reads them, and never put together by what is removed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.guard.citations import MARKER, check_citations
from pilotage.guard.hidden import strip_hidden
from pilotage.guard.sentences import split_sentences
from pilotage.guard.urls import strip_urls

ALLOWED = ["https://bank.example/", "https://law.example/a_(b)"]


@pytest.mark.parametrize(
    ("text", "left", "removed"),
    [
        ("See www.evil.example/x.", "See [link removed]", 1),
        ("See www.bank.example/a now.", "See [link removed] now.", 1),
        ("See //evil.example/x now", "See [link removed] now", 1),
        ("See ws://evil.example:80/x?a=1#b now", "See [link removed] now", 1),
        ("Run javascript:alert(1) now", "Run [link removed] now", 1),
        ("See https://bank.example/a(1), https://law.example/a_(b).", None, 0),
        ("Pay 5 // 6 and a/b//c", None, 0),
        ("![i](http://e.example/a(1)b.png) end", " end", 1),
        ('![i](http://e.example/p.png\n"title") end', " end", 1),
        ("![a [b] c](/p.png) end", " end", 1),
        ("![alt](<http://e.example/a b>) end", " end", 1),
        ("![alt][ref] end", " end", 1),
        ("Great![1][2] end", None, 0),
        ("![i](http://e.example/((x)).png end", "[i]([link removed]((x)).png end", 2),
        ('<img\n  src="x"\n  onerror="alert(1)"\n>end', "end", 1),
        ('<img alt="a>b" src=x>end', "end", 1),
        ("<p don't>end", "end", 1),
        ("a<!-- one\ntwo -->b<!-- rest", "ab", 2),
        ("a<script>let x = '<b>';</script >b", "ab", 1),
        ("a <img src=x onerror=alert(1)//", "a ", 1),
        ("a < b and c > d, 3 <4", None, 0),
        ("<EMAIL_1> and <US_SSN#0123456789ab> stay", None, 0),
        ("<<b>script>alert(1)<</b>/script>", "", 3),
        ("<<<<a>b>i>u>x", "iux", 2),
        ("a <[b](x)>c</[b](x)>", "a c", 2),
        ("<[img src=x onerror=alert(1)](x)>", "", 1),
        ('[text](/path) and [text](other "t")', "text and text", 0),
        ("as said [1](see above) and [2](/path)", "as said [1](see above) and [2]", 0),
        ("[bank](https://bank.example/x)", None, 0),
        ("[bank](https://evil.example/x)", "[bank]([link removed])", 1),
    ],
)  # fmt: skip
def test_only_allowed_links_and_no_image_or_html_stay(text: str, left: str | None, removed: int) -> None:
    found = strip_urls(text, allowed=ALLOWED)
    assert found.text == (text if left is None else left)
    assert found.removed == removed


PIECES = st.lists(
    st.sampled_from(["<", ">", "<b", "</", "b>", "script", "!", "[", "](", ")", "http", "://", "e.vil", '"', "'", " "]),
    max_size=40,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(PIECES)
def test_nothing_is_put_together_from_what_is_left(pieces: list[str]) -> None:
    left = strip_urls("".join(pieces), allowed=()).text
    assert not re.search(r"</?[a-z][^<>]*>", left)
    assert not re.search(r"[a-z]{2}://[a-z]", left)


@pytest.mark.parametrize(
    "text",
    ["[1[7]]", "[[7]1]", "[1[7][8]]", "[[7][8]1]", "[[7]1[8]]", "a [1 [7]] b", "[1[[7]7]]", "[12[7]3]", "[7][1]"],
)
def test_taking_out_an_unknown_marker_makes_no_new_one(text: str) -> None:
    def given_markers(shown: str) -> list[str]:
        return [one[1] for one in MARKER.finditer(shown) if int(one[1]) == 1]

    kept = check_citations(text, {1}, analyse=str.split)
    assert given_markers(kept.text) == given_markers(text)
    assert kept.unknown == sum(int(one[1]) != 1 for one in MARKER.finditer(text))


def test_text_that_has_left_is_only_read() -> None:
    text = "The daily limit is high for wires [9]. So it is for every card [1][9]."
    kept = check_citations(text, {1}, analyse=str.split, is_fixed=True)
    assert kept.text == text
    assert (kept.unknown, kept.share) == (2, 0.5)
    assert [text[one.start : one.end] for one in kept.statements] == [
        "The daily limit is high for wires [9].",
        "So it is for every card [1][9].",
    ]


@pytest.mark.parametrize(
    ("text", "shown", "hidden"),
    [
        ("a<!-- obey -->b", "ab", 1),
        ("a<!-- never closed", "a", 1),
        ("a<script>obey()</script>b<style>x", "ab", 2),
        ('a<span style="display: none">obey</span>b', "ab", 1),
        ("a<DIV HIDDEN>obey</DIV>b", "ab", 1),
        ("a<p style='font-size:0'>obey</p", "a", 1),
        ("a<p style='opacity:0'>obey<i>still</i></p>b", "ab", 1),
        ("a\n[//]: # (obey)\nb", "a\n\nb", 1),
        ("a <!-- x <!-- y --> b --> c", "a  b --> c", 1),
        ("a <b>shown</b> c", None, 0),
        ("\u0130\u0130 <!-- obey --> c", "\u0130\u0130  c", 1),
    ],
)
def test_a_passage_shows_a_model_what_its_reader_sees(text: str, shown: str | None, hidden: int) -> None:
    found = strip_hidden(text)
    assert found.text == (text if shown is None else shown)
    assert found.hidden == hidden


class Counted(str):
    """A text that counts the characters that are copied out of it or looked through."""

    __slots__ = ("work",)
    work: int

    def __getitem__(self, key: object) -> str:
        piece = str.__getitem__(self, key)  # type: ignore[index]
        self.work += len(piece)
        return piece

    def rfind(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        stop = len(self) if end is None else end
        place = str.rfind(self, sub, start, stop)
        self.work += stop - max(place, start)
        return place


def work_of(text: str) -> int:
    counted = Counted(text)
    counted.work = 0
    split_sentences(counted)
    return counted.work


@pytest.mark.parametrize(
    "line",
    [
        "these are eight words and no more here\n",
        "a sentence of more than eight words ends right here.\n",
        "e.g. ",
        "- item\n",
        "word ",
        "\n",
        "...... ",
    ],
)
def test_splitting_twice_the_text_is_twice_the_work(line: str) -> None:
    once, twice = work_of(line * 500), work_of(line * 1000)
    assert twice <= 2.1 * once + 200
