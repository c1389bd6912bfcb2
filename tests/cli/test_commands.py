"""The whole help stands in one table, and a command loads its own file only."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.main import COMMANDS, make_app


def test_the_table_says_of_each_command_what_the_command_says_of_itself() -> None:
    whole = typer.main.get_command(make_app(Joined())).commands  # type: ignore[attr-defined]
    assert list(whole) == list(COMMANDS)
    assert {name: command.help for name, command in whole.items()} == {
        name: said for name, (_, said) in COMMANDS.items()
    }


def test_every_command_of_a_file_stands_in_the_table() -> None:
    app = make_app(Joined())
    whole = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in COMMANDS:
        whole[name]
    assert set(whole._found) == set(COMMANDS)


def test_a_name_that_is_nearly_a_command_is_told() -> None:
    result = CliRunner().invoke(make_app(Joined()), ["ledgr"])
    assert result.exit_code == 2
    assert "No such command 'ledgr'. Did you mean 'ledger'?" in result.output


@pytest.mark.parametrize("arguments", [["--help"], ["ledger", "--help"]])
def test_a_command_loads_its_own_file_only(arguments: list[str]) -> None:
    script = (
        "import sys; from pilotage.cli.main import make_app\n"
        f"try:\n    make_app(None)({arguments!r})\n"
        "finally:\n    print(sorted(m for m in sys.modules if m.startswith('pilotage.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = done.stderr.strip().splitlines()[-1]
    assert ("'pilotage.cli.ledger'" in loaded) == (arguments[0] == "ledger")
    assert "'pilotage.cli.gate'" not in loaded
    assert "'pilotage.cli.evidence'" not in loaded


def test_the_command_line_is_here_before_what_refreshes_evaluates_and_serves() -> None:
    script = "import sys, pilotage.cli.started; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "pilotage.app", "pilotage.control.refresh_corpus", "pilotage.control.run_evaluation"}
    assert heavy.isdisjoint(loaded)


INTERRUPTED = """
import os, signal, sys
from pilotage.__main__ import main

class Interrupting:
    def find_spec(self, name, *rest):
        if name == "pilotage.cli.started":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, getattr(signal, sys.argv.pop(1)))
sys.meta_path.insert(0, Interrupting())
main()
"""


@pytest.mark.parametrize(("handler", "code"), [("default_int_handler", -signal.SIGINT), ("SIG_IGN", 0)])
def test_an_interrupt_while_modules_load_ends_in_silence(handler: str, code: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED, handler, "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")


def test_an_argument_that_is_no_text_is_told_in_one_line() -> None:
    command: list[str | bytes] = [
        sys.executable,
        "-m",
        "pilotage",
        "corpus",
        "takedown",
        "rules",
        b"caf\xe9.md",
        "--reason",
        "x",
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"The argument 'caf\\udce9.md' is not UTF-8.")
