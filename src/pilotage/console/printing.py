"""A page as it is printed (`?print=1`, console.md 4.2): whatever folds is open, and links have their targets below.

Rule: works on our own rendered page, where every text is escaped, so a tag is a tag; nothing is taken away from what
the page says. Fail mode: a page without <main> stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

_FOLDED: Final = re.compile(r"<details(?![^>]* open\b)")
_LINK: Final = re.compile(r'<a (?P<before>[^>]*?)href="(?P<to>/[^"]*)"(?P<after>[^>]*)>(?P<words>.*?)</a>', re.DOTALL)
_END: Final = "</main>"


def printed(page: str) -> str:
    """Return the page with everything unfolded, each link numbered and the targets as notes under it."""
    start, end = page.find("<main"), page.rfind(_END)
    if start < 0 or end < 0:
        return page
    targets: dict[str, int] = {}

    def noted(link: re.Match[str]) -> str:
        if 'class="button' in link["before"] + link["after"]:  # buttons are not printed
            return link[0]
        number = targets.setdefault(link["to"], len(targets) + 1)
        return f"{link[0]}<sup>{number}</sup>"

    main = _LINK.sub(noted, _FOLDED.sub("<details open", page[start:end]))
    lines = "".join(f"<li>{to}</li>" for to in targets)
    notes = f'<section class="notes"><h2>Links</h2><ol>{lines}</ol></section>' if targets else ""
    return page[:start] + main + notes + page[end:]
