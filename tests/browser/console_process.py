"""A console in a process of its own, which a test may kill: `python -m tests.browser.console_process ROOT HOME PORT`.

It looks at the bank that the test made, at the moment it was started; the environment names moment and database.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import uvicorn
from tests.browser.served import free_port
from tests.console.asking import FakeAsking

from pilotage.adapters.keyring import Keyring
from pilotage.console.app import Console
from pilotage.console.visit import Services
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.store.engine import make_engine, url_of
from pilotage.testing.clock import SimulatedClock

MOMENT, DATABASE = "TEST_CONSOLE_MOMENT", "TEST_CONSOLE_DATABASE"
_START_S = 120.0


@dataclass(kw_only=True)
class ConsoleProcess:
    """A served console that may die at once, and be started again on the same port."""

    instance: Instance
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where browsers find it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return once it answers."""
        command = [sys.executable, "-m", "tests.browser.console_process"]
        given = [str(self.instance.root), str(self.instance.home), str(self.port)]
        environ = os.environ | {
            MOMENT: self.instance.clock.now().isoformat(),
            DATABASE: url_of(self.instance.engine),
        }
        self.process = subprocess.Popen([*command, *given], env=environ, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self.process.poll() is None, "the console's process ended"
            assert time.monotonic() < deadline, "the console did not start"

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/login", timeout=2) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
            return False

    def kill(self) -> None:
        """End it as a lost machine ends: nothing is finished, nothing is said."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def console_process(instance: Instance) -> ConsoleProcess:
    """Return a console of this instance, on a free port."""
    return ConsoleProcess(instance=instance, port=free_port())


def main(root: str, home: str, port: str) -> None:
    """Serve until killed."""
    clock = SimulatedClock(datetime.fromisoformat(os.environ[MOMENT]))
    instance = Instance(
        workspace=load_workspace(Path(root)),
        root=Path(root),
        home=Path(home),
        engine=make_engine(os.environ[DATABASE]),
        clock=clock,
        keyring=Keyring.open(Path(home), {}),
        embedded=False,
    )
    asking = FakeAsking(clock)
    services = Services(instance=instance, reading=instance, redact=str, asking=asking, ports=rollout_ports())
    uvicorn.run(
        Console(services), host="127.0.0.1", port=int(port), lifespan="off", log_level="error", access_log=False
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
