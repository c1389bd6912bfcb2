"""Load evidence belongs to the space it names: the host that was loaded is one of the space's (gates.md 2.7).

Rule: asked of load.* evidence for a space that declares `hosts`. Fail mode: a file that names no target, or another
one, is EV_WRONG_TARGET; a space without hosts has nothing to compare with: its evidence is bound by its name alone.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pilotage.core.reason import Reason
from pilotage.space.settings import Space


def target_problem(kind: str, url: str | None, space: Space | None) -> Reason | None:
    """Return why the file was not made against the space."""
    if space is None or not space.hosts or not kind.startswith("load."):
        return None
    host = _host(url)
    if host in space.hosts:
        return None
    known = ", ".join(space.hosts)
    seen = "no target" if host is None else host
    text = f"The load went to {seen}; {space.name} is {known}. Load that host, or name the space it belongs to."
    return Reason(code="EV_WRONG_TARGET", text=text, where=space.name, observed=seen, limit=known)


def _host(url: str | None) -> str | None:
    try:
        return None if not url else urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
