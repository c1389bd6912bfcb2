"""Network namespaces of this machine: processes that reach the database over a cable that a test can pull.

Only root on Linux may make them. Each namespace has its own loopback and one cable to the host, where a forwarder
passes on what comes to the database's own address. Rule: addresses that stand on no cable yet, so two runs at once, or
what a killed one left behind, do not meet. Fail mode: NotPermittedError where the machine does not allow it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from pilotage.store.engine import parse_url

_CLONE_NEWNET: Final = 0x40000000
_FOLDER: Final = Path("/var/run/netns")


class NotPermittedError(Exception):
    """This machine does not let us make network namespaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One namespace. `host` is the host's address as seen from inside."""

    name: str
    host: str

    def pull(self) -> None:
        """Take the cable out: what is under way is lost, and nobody is told."""
        _ip("link", "set", f"{self.name}-h", "down")

    def plug(self) -> None:
        """Put the cable back in."""
        _ip("link", "set", f"{self.name}-h", "up")


def enter(name: str) -> None:
    """Move this process into a namespace, before it opens any socket."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(_FOLDER / name, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"The process cannot enter the network namespace {name}.")
    finally:
        os.close(descriptor)


@contextmanager
def rooms(count: int, *, prefix: str) -> Iterator[Sequence[Room]]:
    """Make namespaces with a cable each while the block lasts; `prefix` is at most eight letters."""
    if shutil.which("ip") is None:
        raise NotPermittedError("there is no `ip` command here")
    with ExitStack() as stack:
        yield [_make(f"{prefix}{number}", network, stack) for number, network in enumerate(_unused(count))]


def _unused(count: int) -> Sequence[str]:
    """Return the first three numbers of as many addresses; the machine has none like them."""
    taken = _ip("-o", "-4", "addr", "show")
    free = [network for number in range(256) if f" {(network := f'10.213.{number}')}." not in taken]
    return secrets.SystemRandom().sample(free, count)


def _make(name: str, network: str, stack: ExitStack) -> Room:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name)
    host, guest = (f"{network}.{last}" for last in (1, 2))
    _ip("link", "add", f"{name}-h", "type", "veth", "peer", "name", f"{name}-g", "netns", name)
    _ip("addr", "add", f"{host}/30", "dev", f"{name}-h")
    _ip("link", "set", f"{name}-h", "up")
    for arguments in (
        ("addr", "add", f"{guest}/30", "dev", f"{name}-g"),
        ("link", "set", f"{name}-g", "up"),
        ("link", "set", "lo", "up"),
    ):
        _ip("-n", name, *arguments)
    return Room(name=name, host=host)


def _ip(*arguments: str) -> str:
    command = (shutil.which("ip") or "ip", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - arguments of this module
    if done.returncode != 0:
        message = f"`ip {' '.join(arguments)}` is not permitted here: {done.stderr.strip()}"
        raise NotPermittedError(message)
    return done.stdout


@contextmanager
def forwarded(url: str, hosts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Let the database be reached at these addresses of the host; return its address for each of them."""
    started = threading.Event()
    forwarder = _Forwarder(url, hosts, started)
    thread = threading.Thread(target=lambda: asyncio.run(forwarder.run()), name="forwarder")
    thread.start()
    started.wait(10)
    try:
        yield [
            make_url(url).set(host=host, port=port, query={}).render_as_string(hide_password=False)
            for host, port in zip(hosts, forwarder.ports, strict=True)
        ]
    finally:
        forwarder.stop()
        thread.join(10)


class _Forwarder:
    def __init__(self, url: str, hosts: Sequence[str], started: threading.Event) -> None:
        parsed = parse_url(url)
        self._folder = str(parsed.query.get("host", "")) or (parsed.host or "")
        self._port = parsed.port or 5432
        self._hosts = hosts
        self._started = started
        self._ended = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ports: list[int] = []

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        servers = [await asyncio.start_server(self._pass_on, host, 0) for host in self._hosts]
        self.ports = [server.sockets[0].getsockname()[1] for server in servers]
        self._started.set()
        await self._ended.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._folder.startswith("/"):
            there = await asyncio.open_unix_connection(f"{self._folder}/.s.PGSQL.{self._port}")
        else:
            there = await asyncio.open_connection(self._folder, self._port)
        try:
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        finally:
            there[1].close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
