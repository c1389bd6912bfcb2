"""Routes as data: which page or command stands at an address, and who may open it.

Rule: every address is one `Entry` in `site.py`; the permission test walks the same table. Fail mode: what is not listed
is 404, a listed address with another method 405.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from starlette.routing import compile_path

from pilotage.console.reply import Reply
from pilotage.console.visit import Visit
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action

Handle: TypeAlias = Callable[[Visit], "Reply | Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One address and method.

    `command` names the control command a POST carries out, as CLI and API call it ("-": it only concerns the browser's
    own session). `needs` is the action without which the page does not open; None: no sign-in is needed. `back` shows
    the form again. `is_decision`: the form has a key of its own and acts once. `is_grave` tells whether the
    login must be recent. `takes_files`: its form may carry a file as large as evidence is; it
    tells before the form is read why a person brings none.
    """

    method: str
    path: str
    name: str
    handle: Handle
    needs: Action | None = Action.READ
    command: str = ""
    back: Callable[[Visit], Reply] | None = None
    is_decision: bool = False
    is_grave: Callable[[Visit], bool] | None = None
    takes_files: Callable[[Principal], Refusal | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a request met. `allowed` are the methods of the address when its own is not among them."""

    entry: Entry | None
    params: dict[str, str]
    allowed: tuple[str, ...] = ()


class Table:
    """All entries, compiled."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self._compiled = [(entry, compile_path(entry.path)[0]) for entry in entries]

    def match(self, method: str, path: str) -> Match:
        """Return the entry at this address, or what would be there."""
        wanted = "GET" if method == "HEAD" else method
        allowed: list[str] = []
        for entry, pattern in self._compiled:
            found = pattern.match(path)
            if found is None:
                continue
            if entry.method == wanted:
                return Match(entry=entry, params=found.groupdict())
            allowed.append(entry.method)
        return Match(entry=None, params={}, allowed=tuple(sorted(set(allowed))))

    def page_above(self, path: str) -> str | None:
        """Return the nearest address above this one that shows a page; None when there is none."""
        above = path
        while above.count("/") > 1:
            above = above.rpartition("/")[0]
            if self.match("GET", above).entry is not None:
                return above
        return None
