"""A form carries out the command it is labelled with: the very function that the command line and the API call too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest
import typer

from pilotage.api.table import OPERATIONS
from pilotage.app import Joined
from pilotage.cli.main import make_app
from pilotage.console.route import Entry
from pilotage.console.site import ENTRIES

LOOKS = (
    "view_",
    "list_",
    "find_",
    "may_",
    "named_",
    "show_",
    "kept_",
    "gate_status",
    "all_",
    "explain_",
    "compare_",
    "diff_",
    "settings_of",
    "incident_detail",
)
"""Functions of control that only look; what stands under every other name may change something."""
BY_THE_GATEWAY = {"ask"}
"""Asking is the serving path's, not a command of control."""
FORMS = [one for one in ENTRIES if one.method == "POST" and one.command != "-" and one.command not in BY_THE_GATEWAY]
ALSO = {"corpus accept": ("corpus reject",), "rollout go": ("rollout pause", "rollout resume", "rollout abort")}
"""A form with several buttons: what the others carry out."""


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from names_in(inner)


def commands_of(function: Callable[..., Any], edge: str, seen: set[object] | None = None) -> set[str]:
    """The functions of control that this one reaches through its own edge, by their whole name."""
    seen = set() if seen is None else seen
    function = inspect.unwrap(function)
    if function in seen or not inspect.isfunction(function):
        return set()
    seen.add(function)
    found: set[str] = set()
    for name in names_in(function.__code__):
        named = function.__globals__.get(name)
        if not inspect.isfunction(named):
            continue
        if named.__module__.startswith("pilotage.control."):
            found |= set() if named.__name__.startswith(LOOKS) else {f"{named.__module__}.{named.__name__}"}
        elif named.__module__.startswith(edge):
            found |= commands_of(named, edge, seen)
    return found


def _typed(command: Any, *above: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, inner in getattr(command, "commands", {}).items():
        if getattr(inner, "commands", None):
            yield from _typed(inner, *above, name)
        elif inner.callback is not None:
            yield " ".join((*above, name)), inner.callback


TYPED = dict(_typed(typer.main.get_command(make_app(Joined()))))


def of_the_api(command: str) -> set[str]:
    return {one for op in OPERATIONS if op.command == command for one in commands_of(op.run, "pilotage.api.")}


@pytest.mark.parametrize("entry", FORMS, ids=lambda one: one.path)
def test_a_form_calls_the_function_that_its_command_calls_elsewhere(entry: Entry) -> None:
    own = commands_of(entry.handle, "pilotage.console.")
    assert own, "the form reaches no command"
    for command in (entry.command, *ALSO.get(entry.command, ())):
        typed, called = commands_of(TYPED[command], "pilotage.cli."), of_the_api(command)
        assert own & called & typed, (command, own, called, typed)
    shared = {name for command in (entry.command, *ALSO.get(entry.command, ())) for name in of_the_api(command)}
    assert own <= shared, own - shared
