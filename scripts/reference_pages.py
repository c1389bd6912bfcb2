"""Write the reference pages that follow from the code: commands, HTTP operations, roles, ledger kinds, the mission.

`make docs` runs it before the site is built: `python -m scripts.reference_pages FOLDER`. The pages are not kept in Git.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from scripts.features import by_id, proofs, rows

from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.identity.roles import EVERY_MEMBER, PERMISSIONS, Grant
from pilotage.ledger.kinds import EntryKind

COMMON = frozenset({"--help", "--json", "--workspace", "--as"})
OPENAPI = Path(__file__).resolve().parents[1] / "docs" / "reference" / "openapi.json"


def main() -> None:
    """Write every page into the folder named by the first argument."""
    parser = argparse.ArgumentParser(description="Write the reference pages, from the code.")
    parser.add_argument("folder", type=Path, help="where the pages go; they are not kept in Git")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"commands": commands, "http": operations, "roles": roles, "ledger-kinds": ledger_kinds, "mission": mission}
    for name, lines in pages.items():
        (folder / f"{name}.md").write_text("\n".join(lines()) + "\n", encoding="utf-8")


def commands() -> Iterator[str]:
    """Yield the page of every command with its arguments and options."""
    yield "# Commands\n"
    yield "Every command takes `--json`, `--workspace DIR` and `--as PERSON` where a person acts.\n"
    yield from _command(typer.main.get_command(make_app(Joined())), "pilotage")


def _command(command: Any, name: str) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is not None and name != "pilotage":
        yield f"## {name}\n"
        yield f"{_cell(command.help)}\n"
    for child in (children or {}).values():
        yield from _command(child, f"{name} {child.name}")
    if children is None:
        yield f"### `{name}`\n"
        yield f"{_cell(command.help)}\n"
        yield from _parameters(command)


def _parameters(command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not COMMON.intersection(each.opts)]
    if not shown:
        return
    yield "| argument | what it is |"
    yield "|---|---|"
    for each in shown:
        is_option = each.param_type_name == "option"
        name = ", ".join(each.opts) if is_option else each.name.upper()
        needed = " Required." if each.required else ""
        yield f"| `{name}` | {_cell(getattr(each, 'help', None))}{needed} |"
    yield ""


def operations() -> Iterator[str]:
    """Yield the page of the control API, from the checked-in OpenAPI document."""
    document = json.loads(OPENAPI.read_text(encoding="utf-8"))
    yield "# HTTP API\n"
    yield f"{document['info']['summary']} {document['info']['description']}"
    yield "The running server describes itself at `/api/openapi.json`.\n"
    yield "| call | what it does |"
    yield "|---|---|"
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            yield f"| `{method.upper()} {path}` | {_cell(operation['summary'])}. {_cell(operation['description'])} |"


def roles() -> Iterator[str]:
    """Yield the table of roles and actions."""
    yield "# Roles and actions\n"
    every = ", ".join(grant.action.value for grant in EVERY_MEMBER)
    yield f"Every member may {every}; documents stay behind their readers."
    yield "Everything not listed is refused with `NOT_PERMITTED`.\n"
    yield "| role | may |"
    yield "|---|---|"
    for role, grants in PERMISSIONS.items():
        yield f"| `{role.value}` | {', '.join(_grant(grant) for grant in grants)} |"


def _grant(grant: Grant) -> str:
    words = grant.action.value.replace("_", " ")
    if grant.within:
        words += f" ({', '.join(sorted(grant.within))})"
    if grant.second:
        words += " with a second person"
    return words


def ledger_kinds() -> Iterator[str]:
    """Yield the closed list of entry kinds, by noun."""
    yield "# Ledger kinds\n"
    yield "What an entry can say. Kinds are added, never renamed: old entries keep their bytes.\n"
    nouns: dict[str, list[str]] = {}
    for kind in EntryKind:
        nouns.setdefault(kind.value.partition(".")[0], []).append(kind.value)
    yield "| about | kinds |"
    yield "|---|---|"
    for noun, kinds in sorted(nouns.items()):
        yield f"| {noun} | {', '.join(f'`{kind}`' for kind in kinds)} |"


def mission() -> Iterator[str]:
    """Yield what the mission asks, line by line, with the tests that prove it."""
    named = by_id(proofs())
    yield "# What the mission asks\n"
    yield "Every line of the two mission documents and every outside system, and the tests that prove it: a row without"
    yield "one is open. M is computed from recorded facts, E is a file bound to a release, S is a person's sign-off.\n"
    yield "| id | asked | what Pilotage does | proof | tests |"
    yield "|---|---|---|---|---|"
    for row in rows():
        tests = "<br>".join(f"`{proof.test}`" for proof in named.get(row.id, ())) or "open"
        yield f"| {row.id} | {_cell(row.asked)} | {_cell(row.done)} | {_cell(row.proof)} | {tests} |"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
