"""The sample bank behind a real server, and Debian's Chromium in front of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from pilotage.control.corpus_reports import list_versions
from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening, open_instance
from pilotage.core.ids import CorpusName, PersonId
from pilotage.identity.service_key import KeyKind
from pilotage.workspace.principals import local_principal

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_START_S = 120.0


@dataclass(kw_only=True)
class Site:
    """A running server. `problems` are what the browser's console complained about."""

    address: str
    instance: Instance
    release: str
    browser: Browser
    keys: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def key(self, name: str) -> str:
        """Return a person's key, made once."""
        if name not in self.keys:
            actor = local_principal(self.instance.workspace, PersonId(name))
            request = KeyRequest(kind=KeyKind.LOCAL, name=name, owner=PersonId(name))
            issued = create_key(self.instance, actor=actor, request=request)
            assert isinstance(issued, IssuedKey)
            self.keys[name] = issued.text
        return self.keys[name]

    def context(self, **options: object) -> BrowserContext:
        """Return a fresh browser profile that notes every complaint."""
        return self.browser.new_context(base_url=self.address, **options)  # type: ignore[arg-type]

    def page(self, name: str | None = None, **options: object) -> Page:
        """Return a page, signed in as this person by their key."""
        page = self.context(**options).new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda one: self.problems.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        if name is not None:
            page.goto("/login")
            page.fill("#local_key", self.key(name))
            page.click("main button.main")
            page.wait_for_url(f"{self.address}/")
        return page


@pytest.fixture(scope="module")
def site(open_folder: Path) -> Iterator[Site]:
    """The demo's bank, served."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    home, folder = open_folder / "browser", open_folder / "browser-workspace"
    environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "PILOTAGE_AS"}}
    environ |= {"PILOTAGE_HOME": str(home)}
    told = subprocess.run(
        [sys.executable, "-m", "pilotage", "demo", "--acts", "1", "--speed", "1000"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pilotage", "up", "--workspace", str(folder), "--port", str(port)]
    server = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, server)
        with open_instance(Opening(start=folder, environ=environ)) as instance, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            with instance.engine.connect() as connection:
                release = connection.exec_driver_sql(
                    "SELECT digest FROM release ORDER BY sealed_at DESC, digest LIMIT 1"
                ).scalar_one()
            assert list_versions(instance, corpus=CorpusName("policies")).versions
            yield Site(address=address, instance=instance, release=str(release)[7:19], browser=browser)
            browser.close()
    finally:
        server.terminate()
        server.wait(60)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the server did not become ready")
