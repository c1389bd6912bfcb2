"""Pages on paper, in the dark, without motion and in forced colours: the same page, whatever way it is asked for.

A picture is compared with another of the same run, never with one that was taken elsewhere: fonts differ by machine.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pypdfium2
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, bank
from tests.console.test_rollout_charts import course

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
AUDITOR: Final = "anita.rao"
TOLERANCE: Final = 0.002
VISIBLE: Final = 16
"""A channel that differs by less of 255 is smoothing."""
CLASSES: Final = """[...document.querySelectorAll('body *')].map((one) => getComputedStyle(one))
  .filter((one) => parseFloat(one.transitionDuration) > 0 || parseFloat(one.animationDuration) > 0).length"""
SHAPES: Final = "[...document.querySelectorAll('.status svg')].map((one) => getComputedStyle(one).color)"


@pytest.fixture(scope="module")
def addresses(bank: Bank) -> dict[str, str]:
    rollout = bank.roll_out()
    course(bank, rollout)
    board = bank.call_board()
    interaction = bank.answered("omar.haddad", "What is the daily wire limit?", "It is $50,000. [1]")
    release = f"/releases/{bank.release[7:19]}"
    bank.key(AUDITOR)
    return {
        "release": release,
        "gate": f"{release}/gates/cab",
        "cab": f"/cab/{board['session']}",
        "rollout": f"/rollouts/{rollout}",
        "assistant": "/ask/policy-assistant",
        "explain": f"/interactions/{interaction}",
    }


@pytest.fixture(scope="module")
def browser(addresses: dict[str, str]) -> Iterator[Browser]:
    assert addresses
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(bank: Bank) -> Iterator[Served]:
    with Served(bank.console) as found:
        yield found


@pytest.fixture
def look(bank: Bank, browser: Browser, served: Served) -> Iterator[Any]:
    """Return a page of a fresh profile, signed in; the profile goes with the test."""
    pages: list[Page] = []

    def opened(**options: Any) -> Page:
        size = {"width": 1280, "height": 900}
        pages.append(sign_in(browser, served.address, bank.key(AUDITOR).text, viewport=size, **options))
        return pages[-1]

    yield opened
    for page in pages:
        page.context.close()


def picture(page: Page, *, without: str = "main.nothing") -> NDArray[np.int16]:
    page.mouse.move(0, 0)
    taken = page.screenshot(full_page=True, mask=[page.locator(without)])
    return np.asarray(Image.open(io.BytesIO(taken)).convert("RGB"), dtype=np.int16)


def share_of_difference(one: NDArray[np.int16], two: NDArray[np.int16]) -> float:
    assert one.shape == two.shape, "the pages are not of one size"
    return float((np.abs(one - two).max(axis=2) > VISIBLE).mean())


PAGES: Final = ("release", "gate", "cab", "rollout", "assistant", "explain")


@pytest.mark.parametrize("name", PAGES)
def test_dark_is_one_look_whether_the_system_or_the_person_asks_for_it(
    look: Any, addresses: dict[str, str], name: str
) -> None:
    system = look(color_scheme="dark")
    system.goto(addresses[name])
    chosen = look(color_scheme="light")
    chosen.goto("/help")
    chosen.locator(".who summary").click()
    chosen.click("button[name=theme][value=dark]")
    chosen.goto(addresses[name])
    for page in (system, chosen):
        if name == "rollout":
            expect(page.locator(".over canvas")).to_have_count(3)
    seen = "button[name=theme]"
    dark, by_choice = picture(system, without=seen), picture(chosen, without=seen)
    assert share_of_difference(dark, by_choice) <= TOLERANCE
    assert np.median(dark) < 64, "most of a dark page is dark"
    bright = look(color_scheme="light")
    bright.goto(addresses[name])
    assert np.median(picture(bright)) > 192


@pytest.mark.parametrize("name", PAGES)
def test_without_motion_a_page_looks_the_same_and_nothing_moves(
    look: Any, addresses: dict[str, str], name: str
) -> None:
    usual, still = look(reduced_motion="no-preference"), look(reduced_motion="reduce")
    for page in (usual, still):
        page.goto(addresses[name])
    charts = "[data-charts]"  # drawn by uPlot or as SVG: tests/browser/test_plot.py
    assert share_of_difference(picture(usual, without=charts), picture(still, without=charts)) <= TOLERANCE
    assert still.evaluate(CLASSES) == 0
    assert usual.evaluate(CLASSES) > 0


@pytest.mark.parametrize("name", PAGES)
def test_forced_colours_keep_every_word_and_shape(look: Any, addresses: dict[str, str], name: str) -> None:
    usual, forced, switched = look(reduced_motion="reduce"), look(forced_colors="active"), look()
    for page in (usual, forced, switched):
        page.goto(addresses[name])
    switched.emulate_media(forced_colors="active")
    expect(switched.locator(".over")).to_have_count(0)
    assert share_of_difference(picture(forced), picture(switched)) <= TOLERANCE
    assert forced.locator("body").inner_text() == usual.locator("body").inner_text()
    text = forced.evaluate("getComputedStyle(document.body).color")
    assert set(forced.evaluate(SHAPES)) <= {text}
    marks = forced.locator("svg.chart path.series").all()
    assert {one.evaluate("one => getComputedStyle(one).stroke") for one in marks} <= {text}
    assert len(marks) == (5 if name == "rollout" else 0)


@pytest.mark.parametrize(
    ("name", "most", "texts"),
    [
        ("gate", 8, ("Gate cab", "Criteria", "NOT MET", "risk-management", "Evidence")),
        ("cab", 12, ("Session", "risk-management", "Who reads the answers in the first week?")),
        ("explain", 3, ("Why was this person given this answer?", "It is $50,000.", "Passages", "Leaf")),
    ],
)
@pytest.mark.parametrize("query", ["", "?print=1"], ids=["page", "print-view"])
def test_a_page_prints_whole_on_a_few_sheets(
    look: Any, addresses: dict[str, str], name: str, most: int, texts: tuple[str, ...], query: str
) -> None:
    page = look()
    page.goto(addresses[name] + query)
    paper = pypdfium2.PdfDocument(page.pdf(format="A4"))
    sheets = [" ".join(one.get_textpage().get_text_range().split()) for one in paper]
    whole = " ".join(sheets)
    for text in (*texts, "As of", "printed for Anita Rao"):
        assert text in whole, text
    assert 1 <= len(sheets) <= most
    assert all(f"{number} / {len(sheets)}" in sheet for number, sheet in enumerate(sheets, start=1))
    for text in ("Record decision", "Record feedback", "Sign out", "Search"):
        assert text not in whole
    if name == "gate":
        assert f"sha256:{addresses['release'].rpartition('/')[2]}" in whole.replace(" ", "")
