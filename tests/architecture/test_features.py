"""Every demand of the mission that was proved stays proved, by a test that names it."""

from __future__ import annotations

import re

import typer
from scripts.features import DONE, ROOT, Row, by_id, once_done, proofs, rows

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.console.site import ENTRIES

PAGES = {entry.name for entry in ENTRIES}


def test_feature_ratchet() -> None:
    known, named = {row.id for row in rows()}, set(by_id(proofs()))
    assert named - known == set(), "no row of docs/reference/mission.tsv has this id"
    assert once_done() - named == set(), "done before, and no test names it now"
    assert named - once_done() == set(), f"make features ARGUMENTS=--update writes {DONE.relative_to(ROOT)}"


def test_every_row_of_the_mission_has_an_id_of_its_own() -> None:
    ids = [row.id for row in rows()]
    assert len(ids) == len(set(ids)) == 625


def test_where_exists() -> None:
    """The rooms, commands and pages that a proved row names are there."""
    named = by_id(proofs())
    commands = _commands(typer.main.get_command(make_app(Joined())))
    missing = [(row.id, lost) for row in rows() if row.id in named for lost in _missing(row, commands)]
    assert missing == []


def _missing(row: Row, commands: set[str]) -> list[str]:
    rooms, *shown = row.where.split(" · ")
    lost = [room for room in re.findall(r"[a-z]+/(?:[a-z]+/?)?", rooms) if not (ROOT / "src/pilotage" / room).is_dir()]
    for place in shown:
        command = " ".join(word for word in place.split() if word.isalpha())
        is_command = place[:1].islower() and not re.search(r"[/.]", place) and not place.startswith("make ")
        if (place[:1].isupper() and place not in PAGES) or (is_command and command not in commands):
            lost.append(place)
    return lost


def _commands(command: object, before: str = "") -> set[str]:
    children: dict[str, object] = getattr(command, "commands", {})
    deeper = {name for child, each in children.items() for name in _commands(each, f"{before}{child} ")}
    return {f"{before}{name}" for name in children} | deeper
