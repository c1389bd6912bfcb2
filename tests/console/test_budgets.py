"""What a page may cost (console.md 7): statements however much there is to read, and bytes."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import timedelta
from importlib import resources

import pytest
from tests.console.conftest import Bank
from tests.console.test_every_page import PAGES, address, an_item, counted, open_incident, viewer

from pilotage.console.route import Entry
from pilotage.control.gate_case import open_chains
from pilotage.control.gate_status import all_reports, gate_status
from pilotage.core.digest import Digest
from pilotage.store.releases import find_release

pytestmark = pytest.mark.store

SIGNER = "felix.braun"
"""Asked at gates, so the inbox decides them all."""


@pytest.fixture(scope="module")
def grown(bank: Bank) -> dict[str, str]:
    """A release whose parent stands on another corpus version: every kind of read has something to find."""
    first = bank.release
    documents = bank.instance.root / "corpora" / "policies" / "documents"
    source = next(documents.rglob("*.md"))
    source.write_text(source.read_text() + "\n\nExceptions are reviewed every quarter by the policy owner.\n")
    bank.publish("policies")
    bank.publish("policies-uat")
    bank.release = bank.seal().digest
    gate_status(bank.instance, bank.release)  # notes roster and policy, which is done once for each version of them
    assert bank.release != first
    interaction = bank.answered("omar.haddad", "How much?", "It is 5. [1]")
    with bank.instance.engine.connect() as connection:
        entry = connection.exec_driver_sql("SELECT id FROM ledger_entry ORDER BY id LIMIT 1").scalar_one()
    return {
        "first": first,
        "digest": bank.release.removeprefix("sha256:")[:12],
        "workflow": "policy-assistant",
        "interaction": interaction,
        "name": "policies",
        "version": "2",
        "rev": "0",
        "chunk": "0",
        "entry": str(entry),
        "evidence": an_item(bank),
        "gate": "cab",
        "incident": open_incident(bank),
        "rollout": bank.roll_out(),
        "test": "error_rate.go",
        **bank.call_board(),
    }


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.path)
def test_a_page_stays_within_its_statements_and_bytes(bank: Bank, grown: dict[str, str], entry: Entry) -> None:
    person = SIGNER if entry.path == "/" else viewer(entry)
    browser = bank.browser(person)
    browser.get("/")  # counts what waits for this person, as whoever comes through the inbox has it
    with counted(bank) as statements:
        answer = browser.get(address(entry, grown))
    assert answer.status in {200, 303}
    assert len(statements) <= 12, "\n".join(statements)
    if answer.header("content-type") == "application/pdf":
        return  # a file to keep carries its fonts; the limits below are of pages
    assert len(answer.body) < 250_000
    packed = len(gzip.compress(answer.body, compresslevel=5))
    assert packed < 40_000
    links = [
        node.attributes.get("src") or node.attributes.get("href") or "" for node in answer.page.css("script, link")
    ]
    files = [browser.get(path, **{"accept-encoding": "gzip"}) for path in links]
    assert all(file.status == 200 for file in files)
    assert packed + sum(len(gzip.compress(file.body, compresslevel=5)) for file in files) < 100_000


def test_the_session_is_found_and_used_in_one_statement(bank: Bank) -> None:
    browser = bank.browser("omar.haddad")
    browser.get("/login")
    bank.clock.advance(timedelta(minutes=2))
    with counted(bank) as statements:
        browser.get("/login")
    assert len(statements) == 1


def test_gates_of_many_releases_take_as_many_statements_as_those_of_one(bank: Bank, grown: dict[str, str]) -> None:
    numbers = []
    for names in ([bank.release], [grown["first"], bank.release]):
        with counted(bank) as statements, bank.instance.engine.connect() as connection:
            releases = [find_release(connection, Digest(name)) for name in names]
            found = len(statements)
            chains = open_chains(
                connection, bank.instance, [one for one in releases if one is not None], bank.clock.now()
            )
            reports = [report for chain in chains for report in all_reports(chain)]
        assert len(reports) == len(names) * len(bank.instance.workspace.gates)
        numbers.append(len(statements) - found)
    assert numbers[0] == numbers[1] <= 8


def test_styles_and_scripts_stay_small() -> None:
    sizes: Counter[str] = Counter()
    for file in resources.files("pilotage.console").joinpath("static").iterdir():
        kind = "uplot" if file.name.startswith("uplot.") else file.name[file.name.rfind(".") :]
        sizes[kind] += len(gzip.compress(file.read_bytes(), compresslevel=5))
    assert sizes[".css"] < 15_000
    assert sizes[".js"] < 25_000
    assert sizes["uplot"] < 24_000


def test_uplot_is_loaded_by_the_page_of_a_rollout_alone(bank: Bank, grown: dict[str, str]) -> None:
    pages = {entry.path: bank.browser(viewer(entry)).get(address(entry, grown)) for entry in PAGES}
    assert [path for path, answer in pages.items() if b"/uplot" in answer.body] == ["/rollouts/{rollout}"]
    scripts = pages["/rollouts/{rollout}"].page.css("script")
    assert len(scripts) > 5
    assert all("defer" in one.attributes for one in scripts)
