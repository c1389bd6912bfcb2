"""One attempt by its use case, over HTTP and on the command line: the codes that each of the three tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import pytest
import typer
from tests.api.client import Client
from typer.testing import CliRunner

from pilotage.api.app import Api
from pilotage.api.operation import Services
from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.cli.options import Options
from pilotage.control.instance import Instance
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.identity.principal import Principal
from pilotage.serving.context import Asker, Bearer, KeyLimits
from pilotage.serving.refusal import Code, Refusal


class World(Protocol):
    """What an attempt is made in."""

    @property
    def instance(self) -> Instance:
        """The instance, as it is now."""
        ...

    def person(self, name: str) -> Principal:
        """Return a declared person."""
        ...


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a person. A way that cannot express it is None: no such option, field or address is there.

    `http` is method, path and body (JSON, or bytes of a file); `cli` are the words after `pilotage`.
    """

    who: str
    call: Callable[[], Any]
    http: tuple[str, str, object] | None = None
    cli: tuple[str, ...] | None = None


_SHOWN = frozenset({"status", "diff", "risks"})
"""Commands that only show, and end well whatever they show."""


def codes_in(value: object) -> set[str]:
    """Return every code told anywhere in a result."""
    match value:
        case dict():
            own = {str(value["code"])} if isinstance(value.get("code"), str) else set()
            return own.union(*(codes_in(item) for item in value.values()))
        case list() | tuple():
            return set[str]().union(*(codes_in(item) for item in value))
    return set()


class _Names:
    """An authenticator whose tokens are names; `build` is a service's key."""

    def __init__(self, world: World, service: Principal) -> None:
        self._world, self._service = world, service

    async def authenticate(self, bearer: Bearer, *, at: datetime) -> Asker | Refusal:
        del at
        if bearer.token is None:
            return Refusal(code=Code.INVALID_KEY, message="no token")
        is_service = bearer.token == self._service.label
        principal = self._service if is_service else self._world.person(bearer.token)
        scopes = frozenset({"read", "control:gate-sign", "control:evidence-add", "evidence:*"}) if is_service else None
        key = None if scopes is None else KeyLimits(key="k", scopes=scopes)
        return Asker(principal=principal, acl_names=frozenset(), pseudonym="p_x", via=principal.via, key=key)


@dataclass(kw_only=True)
class ThreeWays:
    """The three ways into one world."""

    world: World
    ports: RolloutPorts
    service: Principal
    monkeypatch: pytest.MonkeyPatch
    app: typer.Typer = field(default_factory=lambda: make_app(Joined()))

    def told(self, attempt: Attempt) -> Iterator[tuple[str, set[str]]]:
        """Make the attempt each way that can express it; yield the way and what it told."""
        for way, found in self.answers(attempt):
            yield way, codes_in(found)

    def answers(self, attempt: Attempt) -> Iterator[tuple[str, Any]]:
        """Make the attempt each way that can express it; yield the way and all it answered."""
        yield "use case", _json(attempt.call())
        if attempt.http is not None:
            yield "HTTP", self._http(attempt.who, *attempt.http)
        if attempt.cli is not None:
            yield "command line", self._cli(attempt.who, *attempt.cli)

    def _http(self, who: str, method: str, path: str, body: object) -> object:
        services = Services(
            instance=self.world.instance,
            redact=lambda words: words,
            refresh_tools=lambda _instance: Joined().refresh_tools(_instance, lambda _done, _total: None),
            ports=self.ports,
        )
        api = Api(services, _Names(self.world, self.service), self.world.instance.clock)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        _, found = Client(api=api, key=who).send(method, f"/api/v1{path}", data)
        return found

    def _cli(self, who: str, *words: str) -> object:
        self.monkeypatch.setattr(Options, "open", lambda _options, _command, **_: nullcontext(self.world.instance))
        result = CliRunner().invoke(self.app, [*words, "--json", "--as", who])
        assert result.exit_code != 0 or words[1] in _SHOWN, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return json.loads(result.stdout)


def _json(result: object) -> object:
    if isinstance(result, tuple | list):
        return [_json(one) for one in result]
    return result.as_json() if hasattr(result, "as_json") else result


def query(**fields: str) -> str:
    """Return fields as the query of an address."""
    return "&".join(f"{name}={quote(value)}" for name, value in fields.items())


def written(folder: Path, name: str, data: bytes) -> str:
    """Write a file for the command line; return its path."""
    file = folder / name
    file.write_bytes(data)
    return str(file)
