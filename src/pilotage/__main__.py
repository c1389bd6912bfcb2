"""The `pilotage` command, before anything is loaded.

Rule: Ctrl-C while modules load ends the process and says nothing; nothing is open yet. Fail mode: a signal that whoever
started the command ignores stays ignored.
"""

from __future__ import annotations

import importlib
import signal


def main() -> None:
    """Load the command line, then run it."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    started = importlib.import_module("pilotage.cli.started")
    if is_ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    started.run()


if __name__ == "__main__":
    main()
