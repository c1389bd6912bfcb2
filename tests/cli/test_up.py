"""`pilotage up` serves the `openai` client, follows what other commands change, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

QUESTION = "Within how many days is a disputed card payment credited provisionally?"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _until(condition: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


@pytest.mark.feature("D1.2")
def test_up_serves_the_openai_client_and_stops_without_a_trace(open_folder: Path) -> None:
    folder, home = open_folder / "up-bank", open_folder / "up-home"
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environ |= {"PILOTAGE_HOME": str(home), "PILOTAGE_AS": "ada"}
    program = [sys.executable, "-m", "pilotage"]

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [*program, *arguments, "--json"], cwd=open_folder, env=environ, capture_output=True, timeout=120, check=True
        )
        return json.loads(done.stdout)

    run("init", str(folder), "--template", "minimal")
    there = ("--workspace", str(folder))
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    up = subprocess.Popen([*program, "up", "--port", str(port), *there], env=environ)
    try:
        assert _until(lambda: _is_ready(address), 60)
        run("corpus", "refresh", "handbook", *there)
        run("corpus", "accept", "handbook", "1", "--as", "ben", *there)
        digest = run("release", "seal", "assistant", *there)["digest"]
        client = openai.OpenAI(api_key=run("key", "create", *there)["key"], base_url=f"{address}/v1", max_retries=0)
        assert _until(lambda: [one.id for one in client.models.list()] == ["assistant"], 20)
        asked: Any = [{"role": "user", "content": QUESTION}]
        whole = client.chat.completions.create(model="assistant", messages=asked)
        text = whole.choices[0].message.content
        assert text is not None
        assert "ten business days" in text
        assert (whole.model_extra or {})["pilotage"]["release"] == digest
        pieces = client.chat.completions.create(model="assistant", messages=asked, stream=True)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == text
        with pytest.raises(openai.AuthenticationError) as refused:
            openai.OpenAI(api_key="plt_sk_wrong", base_url=f"{address}/v1").models.list()
        assert refused.value.code == "invalid_key"
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(home) not in left
