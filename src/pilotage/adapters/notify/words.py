"""What a channel that shows text says of a message: its title, and a body of text, facts and links.

Rule: names, numbers and links, as the message holds them; no markup, so that nothing in it is drawn. People type
summaries and notes, so what would draw a link, a picture or a mention in a chat is parted (`still`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PAGES: Final = {"incident": "/incidents/", "rollout": "/rollouts/", "release": "/releases/"}

_OPENS: Final = re.compile(r"(?<=[<@])(?=\S)|(?<=\])(?=[(\[:])")
"""Where markup of chats begins: `<a`, `<https:`, `@all`, `[text](`, `[text][`, `[text]:`."""


def still(text: str) -> str:
    """Return a text in which no chat finds a link with a name of its own, a picture or a mention; it looks the same."""
    return _OPENS.sub("\N{ZERO WIDTH SPACE}", text)


def body_of(message: Mapping[str, Any], origin: str | None) -> str:
    """Return the body; `origin` is where people open the console (`https://host`), None where nobody declared it."""
    lines = [str(message.get("text", "")), *_facts(message.get("facts") or {}), *_links(message, origin)]
    return "\n".join(line for line in lines if line)


def address_of(kind: str, name: object, origin: str | None) -> str | None:
    """Return the console's address of a thing a message links to, where it has a page and the console an origin."""
    path = (
        name if isinstance(name, str) and name.startswith("/") else f"{_PAGES[kind]}{name}" if kind in _PAGES else None
    )
    return None if origin is None or path is None else f"{origin.rstrip('/')}{path}"


def _links(message: Mapping[str, Any], origin: str | None) -> Iterator[str]:
    for kind, name in (message.get("links") or {}).items():
        yield f"{kind}: {address_of(kind, name, origin) or said(name)}"


def _facts(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {said(value)}" for name, value in facts.items() if value not in (None, [], ""))


def said(value: object) -> str:
    """Return a value as people read it: names of a list with commas."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(one) for one in value)
    return str(value)
