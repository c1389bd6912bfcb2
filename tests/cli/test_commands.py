"""The whole help stands in one table, and a command loads its own file only."""

from __future__ import annotations

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
