"""A chart of Helm from the same manifests: every `Setting` becomes a value, everything else stays as it is.

Rule: with its own values a chart makes what `kubectl` would apply, but for the Job's name, which follows the values.
Fail mode: a value of another form than `values.schema.json` says is refused by Helm itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pilotage import __version__
from pilotage.adapters.targets.placed import Placed, mark_of
from pilotage.adapters.targets.tree import Manifest, as_template, as_yaml, settings_of
from pilotage.core.canonical import Json

CHART: Final = ("Chart.yaml", "values.yaml", "values.schema.json")
"""What stands beside the templates."""
_IMAGE: Final = {"type": "string", "pattern": "^[^@\\s]+@sha256:[0-9a-f]{64}$"}
_OPEN: Final = frozenset({"resources", "annotations", "nodeSelector", "podSecurityContext"})
_KINDS: Final[Mapping[type, str]] = {str: "string", int: "integer", dict: "object", list: "array"}


def render_helm(placed: Placed, made: Mapping[str, tuple[Manifest, ...]]) -> dict[str, str]:
    """Return the chart's files."""
    mark = mark_of(placed.space.name)
    head = f"# {mark}\n"
    chart: Manifest = {
        "apiVersion": "v2",
        "name": placed.base,
        "description": f"The space {placed.space.name} of {placed.workspace.organisation}",
        "type": "application",
        "version": __version__,
        "appVersion": __version__,
        "kubeVersion": ">=1.30.0-0",
    }
    values = _values(made)
    templates = {
        f"templates/{name}": head + "---\n".join(as_template(one) for one in found) for name, found in made.items()
    }
    return {
        "Chart.yaml": head + as_yaml(chart),
        "values.yaml": head + as_yaml(values),
        "values.schema.json": json.dumps(_schema(values, mark), indent=2) + "\n",
        **templates,
    }


def _values(made: Mapping[str, tuple[Manifest, ...]]) -> dict[str, Any]:
    """Return what `values.yaml` holds: each setting once, in the order it is first needed."""
    values: dict[str, Any] = {}
    for found in made.values():
        for manifest in found:
            for setting in settings_of(manifest):
                if not setting.computed:
                    _put(values, setting.path.split("."), setting.value)
    return values


def _put(values: dict[str, Any], path: list[str], value: Json) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _schema(values: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """Return the JSON schema of the values: their kinds, and images by digest."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "$comment": mark, **_of(values)}


def _of(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name == "image":
            found[name] = _IMAGE
        elif isinstance(value, Mapping) and name not in _OPEN:
            found[name] = _of(value)
        else:
            found[name] = {"type": _KINDS[type(value)]}
    return {"type": "object", "properties": found, "required": list(found)}
