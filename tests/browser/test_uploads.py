"""A file of evidence that is none is refused in the browser with the right reason (console.md 9.13)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine
from tests.browser.served import Served, chromium, sign_in
from tests.console.conftest import Bank, make_bank

from pilotage.control.evidence_reports import list_evidence
from pilotage.evidence.limits import MAX_BYTES

pytestmark = [pytest.mark.store, pytest.mark.timeout(300)]
BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><testsuite name="&d;"/>'


@pytest.fixture(scope="module")
def bank(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return make_bank(engine, tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="module")
def served(bank: Bank) -> Iterator[Served]:
    with Served(bank.console) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def page(request: pytest.FixtureRequest, bank: Bank, served: Served, browser: Browser) -> Iterator[Page]:
    """The release's page, before somebody who may bring evidence."""
    bank.clock.advance(timedelta(minutes=1))  # so that the newest evidence is what this test brings
    key, release = bank.key("maria.chen").text, bank.release.removeprefix("sha256:")[:12]
    found = sign_in(browser, served.address, key, to=f"/releases/{release}", java_script_enabled=request.param)
    yield found
    found.context.close()


def bring(page: Page, name: str, data: bytes) -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "text/xml", "buffer": data})
    page.select_option("#kind", "tests.unit")
    page.click("#bring button.main")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("holiday.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)), "Byte 0 is not utf-8 text."),
        ("report.xml", b"", "The file holds nothing."),
        ("bomb.xml", BOMB, "The DOCTYPE a has an internal subset; write the file without."),
        ('<img src=x onerror="document.title=1">.xml', b"<testsuite", "Not XML at line 1: unclosed token."),
    ],
    ids=["wrong", "empty", "hostile", "hostile name"],
)
def test_a_file_that_is_no_report_is_kept_as_rejected_with_its_reason(
    page: Page, bank: Bank, name: str, data: bytes, why: str
) -> None:
    bring(page, name, data)
    told = page.locator("#evidence [role=status]")
    expect(told).to_contain_text("Refused, and kept as rejected:")
    expect(told).to_contain_text(why)
    newest = list_evidence(bank.instance, bank.release)[0]
    assert newest["state"] == "rejected"
    expect(page.locator("#evidence tbody tr").first).to_contain_text("rejected")
    assert page.title().endswith("Release - Pilotage")


def test_no_file_at_all_is_asked_for(page: Page) -> None:
    page.click("#bring button.main")
    expect(page.locator("main [role=alert]")).to_contain_text("Choose the file to bring.")


def test_a_file_beyond_the_limit_is_kept_as_rejected_without_being_read(page: Page, bank: Bank, tmp_path: Path) -> None:
    huge = tmp_path / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    page.set_input_files("#file", huge)
    page.click("#bring button.main")
    expect(page.locator("#evidence [role=status]")).to_contain_text("EV_TOO_LARGE", timeout=60_000)
    newest = list_evidence(bank.instance, bank.release)[0]
    assert (newest["state"], newest["claims"]) == ("rejected", {})
