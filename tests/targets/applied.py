"""Rendered manifests read back, as a cluster would see them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

_REFERENCE = re.compile(r"\{\{ \.Values\.([A-Za-z0-9.]+) \| toJson \}\}")
_COMPUTED = re.compile(r"\{\{ printf .*? \| toJson \}\}")


@dataclass(frozen=True)
class Applied:
    """Every document of a rendering."""

    documents: list[dict[str, Any]]

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Applied:
        found = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
        return cls([one for one in found if one["kind"] != "Kustomization"])

    @classmethod
    def of_chart(cls, files: Mapping[str, str]) -> Applied:
        """Fill a chart's own values in, as Helm does for the references that we write."""
        values = yaml.safe_load(files["values.yaml"])

        def fill(found: re.Match[str]) -> str:
            value = values
            for name in found[1].split("."):
                value = value[name]
            return json.dumps(value)

        filled = {
            name: _COMPUTED.sub("computed", _REFERENCE.sub(fill, text))
            for name, text in files.items()
            if name.startswith("templates/")
        }
        assert "{{" not in "".join(filled.values())
        return cls.of(filled)

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.documents if one["kind"] == kind]

    def one(self, kind: str, component: str) -> dict[str, Any]:
        label = "app.kubernetes.io/component"
        (found,) = [one for one in self.all(kind) if one["metadata"]["labels"][label] == component]
        return found

    def pod(self, component: str) -> dict[str, Any]:
        kind = "Job" if component == "migrate" else "Deployment"
        pod: dict[str, Any] = self.one(kind, component)["spec"]["template"]["spec"]
        return pod

    def container(self, component: str) -> dict[str, Any]:
        (found,) = self.pod(component)["containers"]
        container: dict[str, Any] = found
        return container

    @cached_property
    def templates(self) -> list[dict[str, Any]]:
        """What pods are made from."""
        return [one["spec"]["template"] for one in self.documents if "template" in one.get("spec", {})]

    def selected(self, selector: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the templates of the pods that a selector finds."""
        return [one for one in self.templates if _fits(selector, one["metadata"]["labels"])]


def _fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    chosen = all(labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", []))
    return equal and chosen


def leaves(value: Any) -> Iterator[Any]:
    """Return every scalar of a document."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child)
    else:
        yield value
