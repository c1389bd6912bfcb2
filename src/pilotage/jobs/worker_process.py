"""The worker process that `up` starts beside the gateway, and starts again when it dies.

Fail mode: a worker that cannot live is started every two seconds, and each end is logged.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import Final

from pilotage.control.instance import Instance
from pilotage.jobs.parent_watch import with_parent
from pilotage.store.engine import url_of

logger = logging.getLogger(__name__)

_RESTART_S: Final = 2.0


class WorkerProcess:
    """A worker beside `up`, started again when it dies."""

    def __init__(self, instance: Instance, environ: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "pilotage", "worker", "--workspace", str(instance.root)]
        self._environ = with_parent(environ)
        if not instance.embedded:
            self._environ["DATABASE_URL"] = url_of(instance.engine)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="worker-process", daemon=True)

    def start(self) -> None:
        """Start it and watch it."""
        self._thread.start()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            self._process = subprocess.Popen(self._command, env=self._environ)  # noqa: S603 - our own interpreter
            code = self._process.wait()
            if not self._stopping.is_set():
                logger.error("the worker ended with %s; it is started again in %s s", code, _RESTART_S)
                self._stopping.wait(_RESTART_S)

    def stop(self) -> None:
        """Ask it to finish, wait, and end it when it does not."""
        self._stopping.set()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        deadline = time.monotonic() + 40
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
