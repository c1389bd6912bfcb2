"""The value tree of a manifest, and the YAML it becomes: plain for Kubernetes, a template for Helm.

Rule: one tree for both, in which a `Setting` is a leaf that a chart takes from its values; text is quoted unless no
reader of any YAML version takes it for something else. Equal trees give equal bytes. Fail mode: none; text that is a
template's own is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from pilotage.core.canonical import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A leaf that differs per environment: its dotted place in `values.yaml`, and what the space's file says.

    `computed`: the template that makes it from the other values; it is then none of its own.
    """

    path: str
    value: Json
    computed: str = ""


Tree: TypeAlias = "Mapping[str, Tree] | Sequence[Tree] | str | int | bool | Setting | None"
Manifest: TypeAlias = "Mapping[str, Tree]"

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9._/-]*|[0-9]+(?:k|M|G|T|Ki|Mi|Gi|Ti)")
_WORDS: Final = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def as_yaml(tree: Tree) -> str:
    """Return the tree as YAML, each `Setting` as its value."""
    return "".join(f"{line}\n" for line in _lines(tree, is_template=False))


def as_template(tree: Tree) -> str:
    """Return the tree as a template of Helm, each `Setting` as a reference to the chart's values."""
    return "".join(f"{line}\n" for line in _lines(tree, is_template=True))


def settings_of(tree: Tree) -> Iterator[Setting]:
    """Return every setting of a tree, in its order."""
    if isinstance(tree, Setting):
        yield tree
    elif isinstance(tree, Mapping):
        for child in tree.values():
            yield from settings_of(child)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for child in tree:
            yield from settings_of(child)


def plain(tree: Tree) -> Json:
    """Return the tree with each setting as its value; one that is empty is left out."""
    if isinstance(tree, Setting):
        return tree.value
    if isinstance(tree, Mapping):
        kept = {key: child for key, child in tree.items() if not _is_nothing(child)}
        return {key: plain(child) for key, child in kept.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [plain(child) for child in tree]
    return tree


def _is_nothing(child: Tree) -> bool:
    return isinstance(child, Setting) and child.value in ({}, [])


def _lines(tree: Tree, *, is_template: bool) -> Iterator[str]:
    tree = tree if is_template else cast(Tree, plain(tree))
    if isinstance(tree, Mapping) and tree:
        for key, child in tree.items():
            yield from _entry(f"{_scalar(key, is_template=False)}:", child, is_template=is_template)
    elif isinstance(tree, Sequence) and not isinstance(tree, str) and tree:
        for child in tree:
            yield from _item(child, is_template=is_template)
    else:
        yield _scalar(tree, is_template=is_template)


def _entry(key: str, child: Tree, *, is_template: bool) -> Iterator[str]:
    if isinstance(child, Mapping | Sequence) and not isinstance(child, str) and child:
        yield key
        yield from (f"  {line}" for line in _lines(child, is_template=is_template))
    else:
        yield f"{key} {_scalar(child, is_template=is_template)}"


def _item(child: Tree, *, is_template: bool) -> Iterator[str]:
    first, *rest = _lines(child, is_template=is_template)
    yield f"- {first}"
    yield from (f"  {line}" for line in rest)


def _scalar(value: Tree, *, is_template: bool) -> str:
    if isinstance(value, Setting):
        return f"{{{{ {value.computed or f'.Values.{value.path}'} | toJson }}}}"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
    return f"{{{{ {quoted} | toJson }}}}" if is_template and "{{" in value else quoted
