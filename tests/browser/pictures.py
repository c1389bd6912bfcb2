"""Takes the README's pictures of a running demo: `python -m tests.browser.pictures WORKSPACE ADDRESS`.

Not a test. Needs the environment of the demo (PILOTAGE_HOME) and Debian's Chromium.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening, open_instance
from pilotage.core.ids import PersonId
from pilotage.identity.service_key import KeyKind
from pilotage.workspace.principals import local_principal

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 150_000
QUESTION = "What is the daily wire transfer limit for a retail customer?"


def take(page: Page, name: str) -> None:
    """Write one picture; complain when it is larger than the README may carry."""
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    if path.stat().st_size > MOST_BYTES:
        page.screenshot(path=path.with_suffix(".jpg"), type="jpeg", quality=65)
        path.unlink()


def key_of(instance: Instance, name: str) -> str:
    """Make a key for a person."""
    actor = local_principal(instance.workspace, PersonId(name))
    issued = create_key(
        instance, actor=actor, request=KeyRequest(kind=KeyKind.LOCAL, name=name, owner=PersonId(name), days=1)
    )
    if not isinstance(issued, IssuedKey):
        message = f"{name} already has two live keys; revoke one."
        raise SystemExit(message)
    return issued.text


def sign_in(page: Page, address: str, key: str) -> None:
    """Sign in by key."""
    page.context.clear_cookies()
    page.goto(f"{address}/login")
    page.fill("#local_key", key)
    page.click("main button.main")
    page.wait_for_url(f"{address}/")


def main(workspace: str, address: str) -> None:
    """Take every picture."""
    IMAGES.mkdir(exist_ok=True)
    opening = Opening(start=Path(workspace), environ=os.environ)
    with open_instance(opening) as instance, sync_playwright() as playwright:
        with instance.engine.connect() as connection:
            release = connection.exec_driver_sql(
                "SELECT r.digest FROM release r ORDER BY (SELECT count(*) FROM gate_vote v WHERE v.release = r.digest) DESC,"  # noqa: E501 - one line of the table
                " r.sealed_at DESC LIMIT 1"
            ).scalar_one()
            rollout = connection.exec_driver_sql(
                "SELECT id FROM rollout ORDER BY created_at DESC, id LIMIT 1"
            ).scalar_one_or_none()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        sign_in(page, address, key_of(instance, "ben.archer"))
        page.goto(f"{address}/ask/policy-assistant")
        page.fill("#question", QUESTION)
        page.click("button[data-send]")
        page.wait_for_selector(".told .cites")
        take(page, "assistant")
        page.click(".cites a >> nth=0")
        page.wait_for_selector("mark")
        take(page, "passage")
        page.goto(f"{address}/ask/policy-assistant")
        page.click("aside ul.plain a >> nth=0")
        take(page, "explain")
        sign_in(page, address, key_of(instance, "anita.rao"))
        short = str(release)[7:19]
        for name, path in (
            ("workflows", "/workflows"),
            ("release", f"/releases/{short}"),
            ("gate", f"/releases/{short}/gates/cab"),
            ("rollout", "/rollouts" if rollout is None else f"/rollouts/{rollout}"),
            ("ledger", "/ledger"),
        ):
            page.goto(address + path)
            take(page, name)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
