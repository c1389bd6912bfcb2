"""Untrusted text: whatever stands in it, the page shows it and nothing else happens."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from pilotage.console.prose import render_answer, render_document, show_invisible

ALLOWED = {
    "caption",
    "p",
    "br",
    "ul",
    "ol",
    "li",
    "table",
    "thead",
    "tr",
    "th",
    "td",
    "tbody",
    "pre",
    "code",
    "strong",
    "em",
    "a",
    "div",
    "h3",
}
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "<script>alert(1)</script>",
                "<img src=x onerror=y>",
                "[1]",
                "[99]",
                "**b**",
                "*e*",
                "`c`",
                "\n\n",
                "- item\n",
                "1. one\n",
                "| a | b |\n|---|---|\n| 1 | 2 |\n",
                "```\ncode\n```",
                "[x](javascript:alert(1))",
                "![i](http://e)",
                "\"'&<>",
                "\u202e",
                "# head\n",
                "&lt;",
            ]
        ),
    ),
    max_size=12,
).map("".join)


@given(TEXTS)
def test_an_answer_becomes_allowed_tags_and_its_own_words_only(text: str) -> None:
    for rendered in (str(render_answer(text, {1: "#c1"})), str(render_document(text))):
        page = LexborHTMLParser(f"<main>{rendered}</main>")
        main = page.css_first("main")
        assert main is not None
        for node in main.css("*"):
            if node.tag == "main":
                continue
            assert node.tag in ALLOWED, node.tag
            assert set(node.attributes) <= {"href", "class", "tabindex", "role", "aria-label", "scope"}
            if node.tag == "a":
                assert node.attributes["href"] == "#c1"
        assert "<script" not in rendered
        assert "<img" not in rendered


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_invisible_character_reaches_a_page(text: str) -> None:
    shown = show_invisible(text)
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\x00-\x08\x1b\x7f]", shown)
    assert show_invisible(shown) == shown


def test_lists_tables_and_citations_are_rendered() -> None:
    found = str(render_answer("The limit is **$5** [1].\n\n- one\n- two\n\n|a|b|\n|--|--|\n|1|2|", {1: "#c1"}))
    assert '<strong>$5</strong> <a class="cite" href="#c1">[1]</a>.' in found
    assert "<li>one</li><li>two</li>" in found
    assert '<caption class="unseen">Table</caption>' in found
    assert '<th scope="col">a</th><th scope="col">b</th>' in found
    assert html.escape("'") not in found
