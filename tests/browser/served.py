"""A console behind a real socket, in a thread of the test, and Chromium in front of it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_GRACE_S = 5.0


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@dataclass
class Served:
    """An application on a port of loopback. Run it as a context; it may be stopped and started again."""

    application: Any
    port: int = field(default_factory=free_port)
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where browsers find it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, and return once it does."""
        config = uvicorn.Config(
            self.application, host="127.0.0.1", port=self.port, lifespan="off", log_level="error", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="served", daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            self._thread.join(0.01)

    def stop(self) -> None:
        """Drop every connection and stop listening."""
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join(_GRACE_S)  # a stream that its browser left gives its connection back first
        self._server.force_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium, or skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def sign_in(browser: Browser, address: str, key: str, *, to: str = "/", **options: Any) -> Page:
    """Return a page of a fresh profile, signed in by this key and led to `to`."""
    page = browser.new_context(base_url=address, **options).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"/login?next={quote(to)}")
    page.fill("#local_key", key)
    page.click("main button.main")
    page.wait_for_url(f"{address}{to}")
    return page
