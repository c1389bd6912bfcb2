"""A pack is printed from its facts alone: the same bytes each time, every number on paper too."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pypdfium2
import pytest

from pilotage.adapters.pack_pdf import pack_pdf
from pilotage.core.canonical import Json, canonical_bytes, parse_json
from pilotage.gate.pack import MISSING, Section, assemble, missing_sections, or_missing
from pilotage.gate.pack_html import pack_html
from pilotage.gate.pack_layout import Grid, Heading, Note, Pairs, label_of, lay_out, section_of, text_of

HEAD: dict[str, Json] = {
    "organisation": "Northlake Bank",
    "workflow": "policy-assistant",
    "release": "sha256:" + "a" * 64,
    "gate": "cab",
    "attempt": 1,
    "as_of": "2026-03-02T09:00:00.000Z",
    "local_demo": True,
    "core": {"plan": None},
}


def sections() -> dict[Section, Json]:
    """Return every section with something in it, of every shape that facts have."""
    rows: list[Json] = [
        {"gate": "qa", "status": "approved", "criteria": [_criterion(number) for number in range(60)]},
        {"gate": "uat", "status": "ready", "criteria": [], "evidence": []},
    ]
    whole: dict[Section, Json] = {section: {"said": f"{section.value} is here"} for section in Section}
    whole[Section.GATES] = rows
    whole[Section.JUSTIFICATION] = {
        "latency_p95_ms": 2000,
        "kpis": [{"name": "minutes", "baseline": 11.5, "target": 5.0}],
    }
    whole[Section.CHANGES] = {"flags": [], "detail": ["one line", '<script>alert(1)</script> & "more"'], "same": False}
    whole[Section.RISKS] = {"register": [{"id": "R1", "title": "Ünïcode 名 ≥ 5 %", "score": 20, "owner": None}]}
    whole[Section.ROLLOUT] = {"long": "word " * 4_000, "share": 0.0333333333, "nested": {"a": {"b": 7.25}}}
    return whole


def _criterion(number: int) -> dict[str, Json]:
    return {
        "criterion": f"c{number}",
        "observed": f"{number * 1.37:.4f}",
        "evidence": [f"01M8AEJ2C28T7BPWG7YS27{number}"],
    }


def facts() -> dict[str, Json]:
    """Return a whole facts record, as the store gives it back."""
    value = parse_json(canonical_bytes(assemble(HEAD, sections())))
    assert isinstance(value, dict)
    return value


def page_text(page: str) -> str:
    """Return what a reader of the page sees."""
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)))


def pdf_text(data: bytes) -> str:
    """Return the PDF's text without white space and hyphens at line ends."""
    document = pypdfium2.PdfDocument(data)
    pages = [page.get_textpage() for page in document]
    text = "".join(page.get_text_range() for page in pages)
    for page in pages:
        page.close()
    document.close()
    return re.sub(r"[\s\ufffe\u0002]", "", text)


def test_two_renders_are_byte_identical() -> None:
    assert pack_html(facts()) == pack_html(facts())
    assert pack_pdf(facts()) == pack_pdf(facts())


def test_the_order_in_which_facts_were_gathered_changes_nothing() -> None:
    gathered = assemble(HEAD, sections())
    assert pack_html(gathered) == pack_html(facts())


@pytest.mark.feature("D12.4", "X31")
def test_the_pdf_holds_every_number_of_the_page() -> None:
    printed = pdf_text(pack_pdf(facts()))
    numbers = set(re.findall(r"\d[\d.,:]*\d|\d", page_text(pack_html(facts()))))
    assert len(numbers) > 100
    assert [number for number in numbers if number not in printed] == []


def test_a_missing_fact_prints_missing_on_page_and_paper_and_is_listed() -> None:
    whole = sections()
    whole[Section.ROLLBACK] = {"drills": or_missing([]), "triggers": ["errors"]}
    del whole[Section.SEATS]
    made = assemble(HEAD, whole)
    assert missing_sections(made) == ("rollback", "seats")
    assert page_text(pack_html(made)).count(MISSING) == 2
    assert pdf_text(pack_pdf(made)).count(MISSING) == 2
    assert "rollback, seats" in page_text(pack_html(made))


@pytest.mark.parametrize("value", [None, "", [], {}, ()])
def test_nothing_is_missing(value: Any) -> None:
    assert or_missing(value) == MISSING


@pytest.mark.parametrize("value", [0, 0.0, False, "x", [0]])
def test_zero_and_no_are_not_missing(value: Any) -> None:
    assert or_missing(value) == value


def test_facts_that_do_not_say_what_is_missing_lack_everything() -> None:
    assert missing_sections({}) == tuple(section.value for section in Section)
    assert missing_sections({"sections_missing": "rollback"}) == tuple(section.value for section in Section)


def test_a_page_of_damaged_facts_says_missing_for_every_section() -> None:
    assert page_text(pack_html({})).count(MISSING) >= len(Section)


def test_the_page_loads_nothing_runs_nothing_and_escapes_everything() -> None:
    page = pack_html(facts())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"<[^>]+(?:src|href)=|url\(", page)
    assert "default-src &#x27;none&#x27;" in page


def test_a_character_the_font_lacks_is_written_as_its_code_point() -> None:
    printed = pdf_text(pack_pdf(facts()))
    assert "[U+540D]" in printed
    assert "Ünïcode" in printed


def test_one_section_is_laid_out_by_itself_and_a_lost_one_says_missing() -> None:
    (table,) = section_of(facts(), Section.RISKS)[1:]
    assert isinstance(table, Grid)
    assert table.columns == ("title", "owner", "id", "score")
    assert section_of({"sections": {}}, Section.RISKS) == section_of({}, Section.RISKS) == (Note(text=MISSING),)


def test_every_section_has_its_heading_in_order() -> None:
    found = [block.text for block in lay_out(facts()).blocks if isinstance(block, Heading) and block.level == 1]
    assert [text.split(".")[0] for text in found] == [str(number) for number in range(1, len(Section) + 1)]


def test_values_are_printed_as_people_read_them() -> None:
    values: list[Json] = [None, True, False, 2.0, 0.0333333333, "", [], {"age_h": 3}]
    assert [text_of(one) for one in values] == [
        *("-", "yes", "no", "2", "0.0333333", "-", "none"),
        "age (hours) 3",
    ]
    assert [label_of(key) for key in ("age_h", "p95_ms", "s", "days_covered")] == [
        *("age (hours)", "p95 (ms)", "s", "days covered"),
    ]
    assert text_of({}) == "none"


def test_every_fact_of_a_section_is_laid_out() -> None:
    told: list[str] = []
    for block in lay_out(facts()).blocks:
        match block:
            case Pairs(rows=pairs):
                told += [value for _, value in pairs]
            case Grid(rows=rows):
                told += [cell for row in rows for cell in row]
            case Note(text=text) | Heading(text=text):
                told.append(text)
    shown = json.dumps(told, ensure_ascii=False)
    for value in ("11.5", "7.25", "80.8300", "R1", "one line"):
        assert value in shown
