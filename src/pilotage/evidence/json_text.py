"""Strict JSON of files from outside: bounded, no duplicate keys, no NaN or infinity (gates.md 2.2).

Rule: what two parsers could read differently is refused. Fail mode: `Unreadable` with EV_NOT_JSON for a document
outside strict JSON, EV_MALFORMED for one cut short or broken, EV_TOO_LARGE beyond a limit.
"""

from __future__ import annotations

import json
import math
import re

from pilotage.core.canonical import Json
from pilotage.evidence.limits import MAX_DEPTH, MAX_ELEMENTS, MAX_VALUE
from pilotage.evidence.source import Unreadable

# Strings are stepped over; every comma and every opening bracket outside them begins at most one element.
_STEPS = re.compile(r'"(?:[^"\\]|\\.)*+"|[,\[{]', re.DOTALL)


def parse_json_file(text: str) -> Json:
    """Return the value of a JSON text; raise Unreadable (EV_NOT_JSON, EV_MALFORMED, EV_TOO_LARGE)."""
    _check_count(text)
    try:
        value: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise Unreadable("EV_TOO_LARGE", "The JSON is nested too deeply.", limit=f"depth {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise Unreadable("EV_MALFORMED", f"Not JSON at character {error.pos}: {error.msg}.") from None
    except ValueError:
        raise Unreadable("EV_NOT_JSON", "A number has more digits than any reader keeps.") from None
    _check_shape(value)
    return value


def _check_count(text: str) -> None:
    # The cheap count also counts separators inside strings, so it is an upper bound; most files end here.
    if text.count(",") + text.count("[") + text.count("{") < MAX_ELEMENTS:
        return
    count = 0
    for step in _STEPS.finditer(text):
        count += step.end() - step.start() == 1
        if count >= MAX_ELEMENTS:
            raise Unreadable("EV_TOO_LARGE", "The JSON has too many elements.", limit=f"{MAX_ELEMENTS} elements")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Unreadable("EV_NOT_JSON", f"The key {twice[:80]!r} stands twice in one object.")
    return found


def _no_constant(name: str) -> Json:
    raise Unreadable("EV_NOT_JSON", f"{name} is not a JSON number.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Unreadable("EV_NOT_JSON", f"The number {text[:40]} is beyond every float.")
    return value


def _check_shape(value: Json) -> None:
    stack: list[tuple[Json, int]] = [(value, MAX_DEPTH)]
    while stack:
        item, room = stack.pop()
        if isinstance(item, str):
            if len(item) > MAX_VALUE:
                raise Unreadable(
                    "EV_TOO_LARGE", "A JSON string is too long.", observed=f"{len(item)}", limit=f"{MAX_VALUE}"
                )
        elif isinstance(item, dict | list):
            if room <= 0:
                raise Unreadable("EV_TOO_LARGE", "The JSON is nested too deeply.", limit=f"depth {MAX_DEPTH}")
            children = item.values() if isinstance(item, dict) else item
            stack.extend((child, room - 1) for child in children if isinstance(child, str | dict | list))
