"""Importing and building the gateway opens no socket (serving.md 8)."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError(f"a socket was opened: {args}")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
socket.create_connection = refuse
import pilotage.gateway.server, pilotage.gateway.app, pilotage.gateway.chat, pilotage.serving.opened
import pilotage.adapters.models.registry
from pathlib import Path
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.core.pins import PinKind
from pilotage.release.model import ModelSettings, Provider
from pilotage.store.serving_pool import make_pool
make_pool("postgresql://nowhere.invalid/x")
settings = ModelSettings(provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="1", base_url="https://x.invalid")
from pilotage.guard.policy import EgressRule
OpenAICompatibleModel(settings, root=Path("/"), egress=(EgressRule(host="x.invalid", port=443, purpose="models"),))
"""


def test_importing_and_building_the_gateway_calls_nobody() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
