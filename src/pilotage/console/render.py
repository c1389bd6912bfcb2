"""From a page's values to HTML: Jinja2 with autoescape, strict about names, and the filters of every template.

Rule: each printed text has its invisible characters shown (`prose.show_invisible`); nothing is ever marked safe in a
template. Fail mode: a name a template does not know is an error, not an empty place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pilotage.console.assets import Assets
from pilotage.console.commands import page_of
from pilotage.console.prose import show_invisible
from pilotage.console.times import day, day_of, moment, plain_utc
from pilotage.console.words import gate_status
from pilotage.core.digest import short as digest_name
from pilotage.core.ids import PersonId
from pilotage.gate.vocabulary import said
from pilotage.workspace.records import Workspace

_ORDINALS = {"1": "first", "2": "second", "3": "third"}
_AROUND = 20
"""Words shown before and after a change."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64})(?![0-9a-f])")


class Renderer:
    """All templates of the console for one workspace."""

    def __init__(self, workspace: Workspace, assets: Assets) -> None:
        self._people = workspace.people
        self._environment = Environment(
            loader=PackageLoader("pilotage.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalized,
            auto_reload=False,
        )
        self._environment.filters.update(
            {
                "moment": shown_moment,
                "day": shown_day,
                "cell": self.cell,
                "day_of": day_of,
                "called": called,
                "gate_word": gate_status,
                "lasting": lasting,
                "short": short,
                "person": self.person,
                "count": count,
                "coded": coded,
                "said": said,
                "rounded": rounded,
                "exact": exact,
                "shortened": shortened,
            }
        )
        self._environment.globals.update({"asset": assets.path, "organisation": workspace.organisation})

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return the page."""
        return self._environment.get_template(template).render(values)

    def part(self, template: str, name: str, *arguments: object) -> str:
        """Return what one macro of a template prints: the same region a whole page shows."""
        module = self._environment.get_template(template).module
        return str(getattr(module, name)(*arguments))

    def cell(self, value: str) -> str:
        """Return a value of a paper: a time in UTC, declared persons by name, all else as it stands."""
        if _INSTANT.fullmatch(value):
            with suppress(ValueError):  # 99 o'clock is a text like any other
                return plain_utc(datetime.fromisoformat(value))
        named = [one.partition(" (") for one in value.split(", ")]
        if not all(person in self._people for person, _, _ in named):
            return value
        return ", ".join(f"{self.person(person)}{mark}{role}" for person, mark, role in named)

    def person(self, identifier: str | None) -> str:
        """Return a declared person's name; an id that names nobody stays as it is."""
        if identifier is None:
            return "-"
        found = self._people.get(PersonId(identifier.removeprefix("local|")))
        return identifier.replace("key|", "key ", 1) if found is None else found.name


def shown_moment(at: datetime | str | None) -> Markup:
    """Return a time, which `times.in_zone` turns into the zone of whoever looks; a dash for none."""
    if at is None:
        return Markup("-")
    return moment(datetime.fromisoformat(at) if isinstance(at, str) else at)


def shown_day(on: date | str | None) -> str:
    """Return a date as people write it; a dash for none."""
    if on is None:
        return "-"
    return day(date.fromisoformat(on) if isinstance(on, str) else on)


def lasting(since: datetime, now: datetime) -> str:
    """Return how long something has lasted, in its largest whole unit: "3 d", "5 h", "12 min"."""
    minutes = max(0, int((now - since).total_seconds() // 60))
    if minutes >= 2 * 1440:
        return f"{minutes // 1440:,}\u00a0d"
    return f"{minutes // 60}\u00a0h" if minutes >= 120 else f"{minutes}\u00a0min"


def called(to: str) -> str:
    """Return whom a step of an escalation reaches: `layer:1`, `person:<id>` or `role:<role>` in words."""
    kind, _, name = to.partition(":")
    if kind == "layer":
        return f"the {_ORDINALS.get(name, 'number ' + name)} on call"
    return f"the {name.replace('-', ' ')}" if kind == "role" else name


def short(digest: str | None) -> str:
    """Return the first 12 hex digits of a digest."""
    return "-" if digest is None else digest_name(digest)


def count(number: int, one: str, many: str | None = None) -> str:
    """Return "1 document", "1,204 documents"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shortened(words: str) -> str:
    """Return the ends of a long text that did not change: what stands around a change."""
    found = words.split(" ")
    return words if len(found) <= 2 * _AROUND + 1 else " ".join((*found[:_AROUND], "…", *found[-_AROUND:]))


def rounded(number: object) -> str:
    """Return a number to four digits; what is none stays as it is."""
    try:
        return f"{float(str(number)):.4g}"
    except ValueError:
        return str(number)


def exact(number: float) -> str:
    """Return a number with every digit it has, and a whole one without a fraction."""
    return f"{number:.0f}" if float(number).is_integer() else repr(number)


def coded(text: str) -> Markup:
    """Return a sentence of ours with its `commands` as pages or code, and its digests as short as everywhere else."""
    pieces = show_invisible(text).split("`")
    if len(pieces) % 2 == 0:
        return _said(show_invisible(text))
    return Markup("").join(_command(piece) if place % 2 else _said(piece) for place, piece in enumerate(pieces))


def _command(typed: str) -> Markup:
    page = page_of(typed)
    return Markup("<code>{}</code>").format(typed) if page is None else Markup('<a href="{1}">{0}</a>').format(*page)


def _said(text: str) -> Markup:
    """Return text with each whole digest in it short, the whole one in its title."""
    return Markup("").join(
        Markup('<code title="{}">{}</code>').format(piece, short(piece)) if place % 2 else escape(piece)
        for place, piece in enumerate(_DIGEST.split(text))
    )


def _finalized(value: object) -> object:
    return show_invisible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
