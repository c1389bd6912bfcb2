"""What a page answers with. Pages are values; the edge turns them into HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole page. `title` is its subject; `values` go to the template beside the frame's own.

    `about` is the digest or id of what it shows, for paper.
    """

    template: str
    title: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """303 to an address of ours."""

    to: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Bytes to keep: never shown inside a page."""

    body: bytes
    media: str
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to keep, sent piece by piece as bytes that no browser renders. `size` in bytes."""

    pieces: Callable[[], Iterator[bytes]]
    size: int
    filename: str


class Send(Protocol):
    """Sends one event: its name, its data, and the id that a browser comes back with when it lost the stream."""

    async def __call__(self, event: str, data: str, identifier: str = "") -> None:
        """Send it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Server-sent events. `run` ends when it returns; it is cancelled when the browser leaves."""

    run: Callable[[Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A reply that needs the event loop first; `run` is awaited and returns the reply proper."""

    run: Callable[[], Awaitable[Page | Redirect]]


Reply: TypeAlias = "Page | Redirect | Download | File | Stream | Later"
