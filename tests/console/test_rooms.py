"""Pages hold no rule and write no table: they read through the store and change through commands."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path

from pilotage.api.table import OPERATIONS
from pilotage.console.site import ENTRIES

RULES = frozenset(
    {
        "workspace",
        "identity",
        "space",
        "corpus",
        "release",
        "evaluation",
        "evidence",
        "gate",
        "analysis",
        "rollout",
        "retrieval",
        "guard",
        "monitoring",
        "incident",
        "portfolio",
    }
)
SHOWN = {
    "pilotage.gate.minutes.lay_out_minutes",
    "pilotage.gate.pack_layout.lay_out",
    "pilotage.gate.pack_layout.section_of",
    "pilotage.gate.pack_layout.text_of",
    "pilotage.gate.session.seated",
    "pilotage.gate.vocabulary.said",
    "pilotage.identity.principal.acl_names",
    "pilotage.identity.roles.may",
    "pilotage.release.manifest.read_manifest",
}
"""What pages ask of domain rooms: how a paper is laid out, how a seat or manifest reads, why a control is disabled."""
WRITES = re.compile(r"\b(insert|update|delete|INSERT|UPDATE|DELETE|TRUNCATE)\b\s*(\(|INTO|FROM|[a-z_]+ SET)")
KEPT = {"pilotage.store.live_events.publish_event"}
"""The buffer of live events: what was shown, so that a lost stream misses nothing."""
NOT_OF_THE_API = {"ask": "/v1/chat/completions answers questions"}


def imports() -> Iterator[tuple[str, str, str]]:
    """Every name that a module of the console imports from our own rooms."""
    root = Path(str(resources.files("pilotage.console")))
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pilotage."):
                yield from ((str(file.relative_to(root)), node.module or "", name.name) for name in node.names)


def test_pages_use_commands_and_hold_no_rule_of_a_domain_room() -> None:
    used = {
        f"{module}.{name}"
        for _, module, name in imports()
        if module.split(".")[1] in RULES and inspect.isfunction(getattr(import_module(module), name, None))
    }
    assert used == SHOWN


def test_no_module_of_the_console_writes_a_table() -> None:
    root = Path(str(resources.files("pilotage.console")))
    for file in sorted(root.rglob("*.py")):
        text = file.read_text()
        assert ".execute(" not in text, file.name
        assert "pilotage.store.tables" not in text, file.name
    written = set()
    for _, module, name in imports():
        found = getattr(import_module(module), name, None)
        if module.split(".")[1] == "store" and inspect.isfunction(found) and WRITES.search(inspect.getsource(found)):
            written.add(f"{module}.{name}")
    assert written <= KEPT


def test_every_form_carries_out_a_command_that_the_api_has_too() -> None:
    offered = {one.command for one in OPERATIONS}
    forms = {entry.command for entry in ENTRIES if entry.method == "POST"} - {"-"}
    assert forms - offered == set(NOT_OF_THE_API)
    # the one form of a rollout gives four commands
    assert {"rollout go", "rollout pause", "rollout resume", "rollout abort"} <= offered
    assert {"corpus accept", "corpus reject"} <= offered


def test_no_colour_stands_in_a_template_a_script_or_a_chart() -> None:
    colour = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?\b|\b(?:rgb|hsl|hwb|lab|lch|oklab|oklch|color)a?\(")
    named = re.compile(
        r"(?:fill|stroke|color|background)[\"':= ]+(?:black|white|red|green|blue|gr[ae]y|orange|yellow)\b"
    )
    root = Path(str(resources.files("pilotage.console")))
    vendored = (root / "static" / "VENDORED.txt").read_text()  # what is drawn with them takes its colours from the page
    files = [*root.rglob("*.py"), *root.rglob("*.html"), *root.rglob("*.js")]
    files = [file for file in files if file.name not in vendored]
    assert len(files) > 50
    assert "uplot.js" in vendored
    for file in files:
        text = re.sub(r"&#x?[0-9a-fA-F]+;", "", file.read_text())
        assert colour.findall(text) == [], file.name
        assert named.findall(text) == [], file.name
    rules = (root / "static" / "pilotage.css").read_text().partition("/* End of tokens. */")[2]
    assert named.findall(rules) == []
