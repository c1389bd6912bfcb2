"""Pages that say what went wrong, what is safe, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pilotage.console.reply import Page
from pilotage.core.reason import Reason

_TITLES: Final = {
    400: "This request cannot be read",
    403: "You may not do this",
    404: "There is nothing here",
    405: "This address works another way",
    409: "This changed since you opened it",
    413: "This form is too large",
    415: "This form cannot be read",
    422: "Something must be written differently",
    500: "Something went wrong here",
    503: "Part of Pilotage does not answer",
}


def problem_page(status: int, reasons: Sequence[Reason]) -> Page:
    """Return the page for a status, with every reason."""
    title = _TITLES.get(status, _TITLES[500])
    return Page(
        template="problem.html",
        title=title,
        status=status,
        values={"reasons": tuple(reasons), "is_missing": status == 404},
    )


def method_page(allowed: Sequence[str], above: str | None = None) -> Page:
    """Return the 405 page; `above` is the page that the address's form stands on."""
    reason = Reason(code="METHOD_NOT_ALLOWED", text=f"Use {' or '.join(allowed)} at this address.")
    page = problem_page(405, (reason,))
    return Page(
        template=page.template,
        title=page.title,
        status=405,
        values={**page.values, "above": above},
        headers=(("allow", ", ".join(allowed)),),
    )
