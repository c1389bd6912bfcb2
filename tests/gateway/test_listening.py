"""A server takes its port before it starts anything else, and says what is wrong with it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.cli.workspace import write_template
from pilotage.core.errors import Unavailable, UsageError
from pilotage.gateway.server import bind


def test_a_free_port_is_taken_at_every_address_of_the_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    bound = bind("127.0.0.1", port)
    try:
        assert [one.getsockname() for one in bound] == [("127.0.0.1", port)]
    finally:
        for one in bound:
            one.close()


def test_a_taken_port_is_told_and_nothing_is_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"Port {port} of 127.0.0.1 is taken by another program") as refused:
            bind("127.0.0.1", port)
    assert refused.value.code == "PORT_TAKEN"
    for one in bind("127.0.0.1", port):
        one.close()


@pytest.mark.parametrize("host", ["192.0.2.7", "no-such-host.invalid"])
def test_a_host_that_is_not_this_machine_is_told(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = socket.getaddrinfo

    def offline(name: str, *rest: object, **more: object) -> object:
        if name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return asked(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    with pytest.raises(UsageError, match="is no address of this machine"):
        bind(host, 8080)


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_command_on_a_taken_port_ends_before_a_database_is_made(
    open_folder: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder / f"taken-{command}"
    write_template("minimal", folder / "bank")
    monkeypatch.setenv("PILOTAGE_HOME", str(folder / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(
            make_app(Joined()), [command, "--port", port, "--workspace", str(folder / "bank"), "--json"]
        )
    assert (result.exit_code, "PORT_TAKEN" in result.output) == (4, True)
    assert not (folder / "home").exists()
