"""What goes wrong before or below a command is told as its other errors are: one JSON document, and an exit code."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.cli.options import Options, command


@pytest.mark.parametrize(
    ("arguments", "message", "help_of"),
    [
        (["nonsense", "--json"], "No such command 'nonsense'.", "pilotage"),
        (["ask", "--json"], "Missing argument 'WORKFLOW'.", "pilotage ask"),
        (
            ["corpus", "search", "a", "b", "--json", "--top", "two"],
            "Invalid value for '--top'",
            "pilotage corpus search",
        ),
        (["ask", "--json", "--as"], "Option '--as' requires an argument.", "pilotage ask"),
        (["corpus", "search", "--json", "--as"], "Option '--as' requires an argument.", "pilotage corpus search"),
        (["--json", "nonsense"], "No such command 'nonsense'.", "pilotage"),
    ],
)
def test_wrong_usage_is_one_json_document_where_asked(arguments: list[str], message: str, help_of: str) -> None:
    app = make_app(Joined())
    result = CliRunner().invoke(app, arguments, prog_name="pilotage")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"], error["hint"]) == (2, "USAGE", f"See `{help_of} --help`.")
    assert error["message"].startswith(message)
    assert message in result.stderr
    plain = CliRunner().invoke(app, [one for one in arguments if one != "--json"] or ["nonsense"])
    assert plain.stdout == "" or plain.exit_code == 0


def test_what_every_command_takes_may_stand_before_it(tmp_path: Path) -> None:
    app = make_app(Joined())
    outputs = [CliRunner().invoke(app, words).stdout for words in (["--json", "version"], ["version", "--json"])]
    assert outputs[0] == outputs[1]
    assert "version" in json.loads(outputs[0])
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    for words, place in (
        (["--workspace", here, "--json", "validate"], here),
        (["--workspace", here, "--json", "validate", "--workspace", there], there),
    ):
        error = json.loads(CliRunner().invoke(app, words).stdout)["error"]
        assert place in error["message"], "what stands behind the command counts more"


def failing(error: BaseException) -> Any:
    """Run a command that raises, with `--json`."""

    def fail(options: Options) -> None:
        """Fail."""
        del options
        raise error

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command(fail))
    return CliRunner().invoke(app, ["--json"])


@pytest.mark.parametrize(
    ("error", "exit_code", "code", "words"),
    [
        (
            OperationalError("SELECT 1", {}, psycopg.OperationalError("the connection is lost\nat once")),
            4,
            "STORE_LOST",
            "lost.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/etc/x"),
            2,
            "FILE_UNUSABLE",
            "/etc/x cannot be used: Permission denied.",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 4, "SYSTEM_REFUSED", "No space left on device"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/etc/x"),
            4,
            "SYSTEM_REFUSED",
            "refused /etc/x: No space left",
        ),
        (TimeoutError(), 4, "SYSTEM_REFUSED", "TimeoutError (at test_failures_told.py:"),
        (OperationalError("SELECT 1", {}, psycopg.errors.QueryCanceled("too long")), 4, "STORE_SLOW", "limit of time"),
    ],
)
def test_what_fails_below_a_command_is_no_traceback(error: Exception, exit_code: int, code: str, words: str) -> None:
    result = failing(error)
    told = json.loads(result.stdout)["error"]
    assert (result.exit_code, told["code"]) == (exit_code, code)
    assert words in told["message"]
    assert told["hint"]
    assert "SELECT" not in result.output


def test_a_reader_that_closes_the_pipe_is_no_failure() -> None:
    assert failing(BrokenPipeError(errno.EPIPE, "Broken pipe")).stdout == ""


def test_a_message_to_another_program_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert (
        CliRunner().invoke(make_app(Joined()), ["init", str(tmp_path / "bank"), "--template", "minimal"]).exit_code == 0
    )
    declared = tmp_path / "bank/pilotage.yaml"
    declared.write_text(declared.read_text() + "zzz: 1\n")
    result = CliRunner().invoke(make_app(Joined()), ["validate", "--workspace", str(tmp_path / "bank")])
    (line,) = result.stderr.splitlines()
    assert line.startswith("pilotage.yaml:13: The key 'zzz' is unknown. Known keys: backup_retention, ")
    assert line.endswith(", timezone.")
