"""Commands that a sentence of ours names, as the pages that do the same.

Rule: a sentence is written once, for the command line and the API; in the browser a command that a page carries out is
a link to that page. Fail mode: a command without a page stays as it is typed.
"""

from __future__ import annotations

import re
from typing import Final

_PAGES: Final = (
    (r"inbox list", "the Inbox", "/"),
    (r"release list", "Workflows", "/workflows"),
    (
        r"(?:release show|gate status|gate requests|evidence list) (?P<digest>[0-9a-f]{8,64})",
        "the release",
        "/releases/{digest}",
    ),
    (r"release seal (?P<workflow>[a-z0-9-]+)", "the page that seals it", "/workflows/{workflow}/seal"),
    (r"cab (?:sessions|call|submit|show|ask)", "Board sessions", "/cab"),
    (r"rollout status(?: ID)?", "Rollouts", "/rollouts"),
    (r"incident list", "Incidents", "/incidents"),
    (r"corpus (?:versions|takedown) (?P<corpus>[a-z0-9-]+)", "the corpus", "/corpora/{corpus}"),
    (r"portfolio rank", "Portfolio", "/portfolio"),
)
_KNOWN: Final = tuple((re.compile(f"pilotage {pattern}"), words, to) for pattern, words, to in _PAGES)


def page_of(command: str) -> tuple[str, str] | None:
    """Return what the page that does the same is called and where it is, or None."""
    for pattern, words, to in _KNOWN:
        found = pattern.fullmatch(command)
        if found is not None:
            return words, to.format(**found.groupdict())
    return None
