"""A live rollout's charts: uPlot draws what the table says over the SVG, goes on with the stream, and steps aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, bank
from tests.console.test_rollout_charts import course

__all__ = ["bank"]
pytestmark = [pytest.mark.store, pytest.mark.timeout(600)]
WATCHER: Final = "omar.haddad"
WHERE: Final = """figure => {
  const numbers = (axis) => [...figure.querySelectorAll(`svg.chart [data-tick=${axis}]`)].map((one) => +one.dataset.at);
  const room = figure.querySelector('.u-over').getBoundingClientRect(), x = numbers('x'), y = numbers('y');
  return [...figure.querySelectorAll('tbody tr')].map((row) => ({
    at: room.left + Math.min(1, Math.max(0, (row.cells[0].dataset.x - x[0]) / (x.at(-1) - x[0]))) * (room.width - 1),
    middle: room.top + room.height / 2,
    words: [...row.cells].map((one) => one.textContent),
    heights: [...row.cells].slice(1).map((one) => one.dataset.y === '' ? null
      : room.top + (y.at(-1) - one.dataset.y) / (y.at(-1) - y[0]) * room.height),
  }));
}"""
POINTS: Final = """figure => [...figure.querySelectorAll('.u-cursor-pt:not(.u-off)')].map((one) => {
  const box = one.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})"""


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    found = bank.roll_out()
    course(bank, found)
    bank.key(WATCHER)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(bank: Bank) -> Iterator[Served]:
    with Served(bank.console) as found:
        yield found


Open = Callable[..., Page]


@pytest.fixture
def opened(bank: Bank, browser: Browser, served: Served, rollout: str) -> Iterator[Open]:
    """Open the rollout's page; the browser may complain about nothing."""
    pages: list[Page] = []
    complaints: list[str] = []

    def goto(**options: Any) -> Page:
        page = sign_in(browser, served.address, bank.key(WATCHER).text, **options)
        page.on("console", lambda one: complaints.append(one.text) if one.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/rollouts/{rollout}")
        pages.append(page)
        return page

    yield goto
    for page in pages:
        page.context.close()
    assert complaints == []


def figures(page: Page) -> list[Locator]:
    expect(page.locator("[data-charts] figure")).to_have_count(3)
    return page.locator("[data-charts] figure").all()


def test_what_is_drawn_and_said_where_the_pointer_is_are_the_numbers_of_the_table(opened: Open) -> None:
    page = opened(viewport={"width": 1440, "height": 1200})
    for figure in figures(page):
        figure.scroll_into_view_if_needed()
        expect(figure.locator(".over canvas")).to_have_count(1)
        names = [one.get_attribute("data-series") for one in figure.locator("svg.chart [data-series]").all()]
        rows = figure.evaluate(WHERE)
        last = rows[-1]["words"]
        expect(figure.locator(".over > p")).to_have_text(said(names, last))
        for row in (rows[0], rows[len(rows) // 2], rows[-1]):
            page.mouse.move(row["at"], row["middle"], steps=3)
            expect(figure.locator(".over > p")).to_have_text(said(names, row["words"]))
            expected = [(row["at"], height) for height in row["heights"] if height is not None]
            drawn = figure.evaluate(POINTS)
            assert len(drawn) == len(expected)
            for (x, y), (wanted_x, wanted_y) in zip(sorted(drawn), sorted(expected), strict=True):
                assert (x, y) == (pytest.approx(wanted_x, abs=2.5), pytest.approx(wanted_y, abs=1.5))


def said(names: list[str | None], words: list[str]) -> str:
    return f"{words[0]}: " + ", ".join(f"{name} {word}" for name, word in zip(names, words[1:], strict=True))


def test_a_verdict_moves_the_charts_by_the_stream_alone_and_takes_no_table_from_who_reads_it(
    bank: Bank, rollout: str, opened: Open
) -> None:
    page = opened()
    figure = figures(page)[-1]
    expect(figure.locator(".over canvas")).to_have_count(1)
    page.evaluate("window.kept = document.querySelectorAll('[data-charts] figure')[2].querySelector('canvas')")
    figure.locator("summary").click()
    rows = figure.locator("tbody tr")
    before, was = rows.count(), figure.locator(".over > p").inner_text()
    stream = urljoin(page.url, page.locator("[data-live]").get_attribute("data-live"))
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.partition("?")[0]))
    bank.judge(rollout, x=9, n=3000, after=timedelta(minutes=7))
    expect(rows).to_have_count(before + 1, timeout=20_000)
    expect(figure.locator(".over > p")).not_to_have_text(was)
    expect(figure.locator(".over > p")).to_contain_text(rows.last.locator("th").inner_text())
    assert set(asked) <= {stream}, "the stream may come back, nothing else is read"
    expect(figure.locator("details")).to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert figure.evaluate("one => window.kept === one.querySelector('canvas')"), "the chart was built anew"


@pytest.mark.parametrize(
    "options",
    [{"java_script_enabled": False}, {"reduced_motion": "reduce"}, {"forced_colors": "active"}],
    ids=["no-script", "reduced-motion", "forced-colours"],
)
def test_the_svg_and_its_table_stay_where_that_is_asked_for(opened: Open, options: dict[str, Any]) -> None:
    page = opened(**options)
    for figure in figures(page):
        expect(figure.locator("svg.chart[role=img]")).to_be_visible()
        expect(figure.locator(".over")).to_have_count(0)
        figure.locator("summary").click()
        expect(figure.locator("tbody tr").first).to_be_visible()


def test_who_asks_for_less_while_looking_gets_it_and_paper_shows_the_svg(opened: Open) -> None:
    page = opened()
    over = page.locator("[data-charts] .over")
    expect(over).to_have_count(3)
    page.emulate_media(media="print")
    expect(over.first).to_be_hidden()
    page.emulate_media(media="screen", reduced_motion="reduce")
    expect(over).to_have_count(0)
    page.emulate_media(reduced_motion="no-preference", color_scheme="dark")
    expect(over).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 320])
def test_a_live_page_with_its_charts_is_accessible_and_fits(opened: Open, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    page = opened(color_scheme=scheme, viewport=size)
    expect(page.locator("[data-charts] .over canvas")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    assert [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in found.response["violations"]] == []
    for figure in figures(page):
        box, canvas = figure.locator(".plot").bounding_box(), figure.locator("canvas").bounding_box()
        assert box is not None
        assert canvas is not None
        assert canvas["width"] <= box["width"]
        assert canvas["y"] + canvas["height"] <= box["y"] + box["height"] + 1
