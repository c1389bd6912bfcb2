"""Every operation of the control plane, called with generated fields: no 5xx, and answers as the document says."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.api.test_api import api
from tests.console.conftest import Bank, bank

from pilotage.api.app import DOCUMENT, Api
from pilotage.api.table import OPERATIONS

__all__ = ["api", "bank"]

pytestmark = pytest.mark.store

EXAMPLES = 2
"""Generated calls per operation and person: few in the fast lane, the same ones every time."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def address(api: Api) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.mark.parametrize("name", ["anita.rao", "maria.chen"])
def test_generated_calls_are_answered_as_the_document_says(bank: Bank, address: str, name: str, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        address + DOCUMENT,
        f"--url={address}",
        f"--header=Authorization: Bearer {bank.key(name).text}",
        f"--max-examples={EXAMPLES}",
        "--generation-deterministic",
        "--phases=fuzzing",
        f"--checks={CHECKS}",
        "--continue-on-failure",
        "--no-color",
    ]
    # Another process: it generates, calls over loopback like any client, and judges by the served document.
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert f"Tested: {len(OPERATIONS)}" in done.stdout, done.stdout[-3_000:]
