"""What axe-core finds wrong with a page, by the rules of WCAG 2.2 A and AA, in both looks."""

from __future__ import annotations

from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def violations(page: Page) -> list[str]:
    """Return each violation of the page that is open, light by every rule and dark by the one that looks at colours."""
    found = []
    for scheme, rules in (("light", _RULES), ("dark", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        result = Axe().run(page, options={"runOnly": rules})
        found += [f"{scheme} {one['id']}: {one['nodes'][0]['html'][:160]}" for one in result.response["violations"]]
    return found
