"""What changed between two releases, part by part, with the flags that feed the risk register (gates.md 1.6).

Pure. Fail mode: a guard change that cannot be ranked counts as `weaker`: it is shown to people, never waved through.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.release.manifest import PartKind


class Flag(StrEnum):
    """Changes somebody must look at."""

    GUARD_WEAKENED = "GUARD_WEAKENED"
    EGRESS_ADDED = "EGRESS_ADDED"
    TOOL_ADDED = "TOOL_ADDED"
    MODEL_CHANGED = "MODEL_CHANGED"
    MUST_PASS_REMOVED = "MUST_PASS_REMOVED"  # noqa: S105 - a flag of the golden set, not a password
    GOLDEN_SHRUNK = "GOLDEN_SHRUNK"
    ACL_WIDENED = "ACL_WIDENED"
    CORPUS_SHRUNK = "CORPUS_SHRUNK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One release as the diff needs it: part digests, part values, the prompt text and its golden cases by id."""

    digest: Digest
    parts: Mapping[PartKind, Digest]
    values: Mapping[PartKind, Json]
    prompt: str
    golden: Mapping[str, Mapping[str, Json]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusChange:
    """Document ids that differ between the two pinned versions of one data stage, and ids whose readers grew."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    widened: tuple[str, ...] = ()
    documents_before: int = 0

    @property
    def documents(self) -> int:
        """Return how many documents differ."""
        return len(self.added) + len(self.changed) + len(self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartChange:
    """One part: whether it is the same, and what is different in words."""

    kind: PartKind
    is_same: bool
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDiff:
    """All eight parts and the flags, in the order of their declaration; `corpus` are the changes by data stage."""

    before: Digest
    after: Digest
    parts: tuple[PartChange, ...]
    flags: tuple[Flag, ...] = field(default=())
    corpus: Mapping[str, CorpusChange] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """Return the diff for CLI, API and page."""
        return {
            "before": self.before,
            "after": self.after,
            "parts": {
                str(part.kind): {"state": "same" if part.is_same else "changed", "detail": list(part.detail)}
                for part in self.parts
            },
            "flags": [str(flag) for flag in self.flags],
        }


def diff_releases(before: Side, after: Side, *, corpus: Mapping[str, CorpusChange]) -> ReleaseDiff:
    """Compare two releases. `corpus` holds the document changes by data stage, found by the corpus room."""
    flags: set[Flag] = set()
    parts: list[PartChange] = []
    for kind in PartKind:
        if before.parts[kind] == after.parts[kind]:
            parts.append(PartChange(kind=kind, is_same=True))
            continue
        detail, raised = _compare(kind, before, after, corpus)
        flags |= raised
        parts.append(PartChange(kind=kind, is_same=False, detail=tuple(detail)))
    ordered = tuple(flag for flag in Flag if flag in flags)
    return ReleaseDiff(before=before.digest, after=after.digest, parts=tuple(parts), flags=ordered, corpus=dict(corpus))


def _compare(
    kind: PartKind, before: Side, after: Side, corpus: Mapping[str, CorpusChange]
) -> tuple[list[str], set[Flag]]:
    match kind:
        case PartKind.PROMPT:
            return _text(before.prompt, after.prompt), set()
        case PartKind.CORPUS:
            return _corpus(corpus)
        case PartKind.GOLDEN:
            return _golden(before.golden, after.golden)
        case PartKind.GUARD:
            return _guard(before.values[kind], after.values[kind])
        case PartKind.TOOLS:
            return _entries(before.values[kind], after.values[kind], Flag.TOOL_ADDED)
        case PartKind.EGRESS:
            return _entries(before.values[kind], after.values[kind], Flag.EGRESS_ADDED)
        case PartKind.MODEL:
            return key_changes(before.values[kind], after.values[kind]), {Flag.MODEL_CHANGED}
        case PartKind.RETRIEVAL:
            return _retrieval(before.values[kind], after.values[kind])
    assert_never(kind)


def _retrieval(before: Json, after: Json) -> tuple[list[str], set[Flag]]:
    """Return what of retrieval changed; another embedding model is another model."""
    lines = key_changes(before, after)
    return lines, {Flag.MODEL_CHANGED} if any(line.startswith("embedding") for line in lines) else set()


def _text(before: str, after: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", n=1, lineterm=""))


def key_changes(before: Json, after: Json, path: str = "") -> list[str]:
    """Return `path: old -> new` for every leaf that differs between two JSON values."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        lines: list[str] = []
        for name in sorted(set(before) | set(after)):
            place = f"{path}.{name}" if path else name
            lines += key_changes(before.get(name, _ABSENT), after.get(name, _ABSENT), place)
        return lines
    return [] if before == after else [f"{path or 'value'}: {_show(before)} -> {_show(after)}"]


_ABSENT = "(absent)"


def _show(value: Json) -> str:
    return value if isinstance(value, str) else repr(value)


def _corpus(changes: Mapping[str, CorpusChange]) -> tuple[list[str], set[Flag]]:
    lines: list[str] = []
    flags: set[Flag] = set()
    for stage, change in sorted(changes.items()):
        for word, ids in (("added", change.added), ("changed", change.changed), ("removed", change.removed)):
            lines += [f"{stage}: {word} {name}" for name in ids]
        lines += [f"{stage}: more people may read {name}" for name in change.widened]
        if change.widened:
            flags.add(Flag.ACL_WIDENED)
        if len(change.removed) * 10 > change.documents_before:
            flags.add(Flag.CORPUS_SHRUNK)
    return lines, flags


def _golden(
    before: Mapping[str, Mapping[str, Json]], after: Mapping[str, Mapping[str, Json]]
) -> tuple[list[str], set[Flag]]:
    gone = sorted(set(before) - set(after))
    lines = [f"added case {name}" for name in sorted(set(after) - set(before))]
    lines += [f"removed case {name}" for name in gone]
    lines += [f"changed case {name}" for name in sorted(set(before) & set(after)) if before[name] != after[name]]
    flags: set[Flag] = set()
    must = {name for name, case in before.items() if case.get("must_pass")}
    if any(not after.get(name, {}).get("must_pass") for name in must):
        flags.add(Flag.MUST_PASS_REMOVED)
    if len(gone) * 20 > len(before):
        flags.add(Flag.GOLDEN_SHRUNK)
    return lines, flags


_STRENGTH = {"allow": 0, "flag": 1, "redact": 2, "quarantine": 3, "block": 3}


def _guard(before: Json, after: Json) -> tuple[list[str], set[Flag]]:
    old, new = _checks(before), _checks(after)
    lines: list[str] = []
    is_weaker = False
    for name in sorted(set(old) | set(new)):
        if old.get(name) == new.get(name):
            continue
        word = _rank(old.get(name), new.get(name))
        is_weaker = is_weaker or word == "weaker"
        lines.append(f"check {name}: {word} ({', '.join(key_changes(old.get(name, {}), new.get(name, {})))})")
    rest = key_changes(_without_checks(before), _without_checks(after))
    # A change of the stream mode or of a detector cannot be ranked by itself: people look at it.
    return lines + rest, {Flag.GUARD_WEAKENED} if is_weaker or rest else set()


def _rank(old: Mapping[str, Json] | None, new: Mapping[str, Json] | None) -> str:
    if old is None:
        return "stronger"
    if new is None:
        return "weaker"
    action = _STRENGTH.get(str(new.get("action")), -1) - _STRENGTH.get(str(old.get("action")), -1)
    fails = int(new.get("fail") == "closed") - int(old.get("fail") == "closed")
    others = {key for key in set(old) | set(new) if old.get(key) != new.get(key)} - {"action", "fail"}
    if action < 0 or fails < 0 or others:
        return "weaker"
    return "stronger" if action > 0 or fails > 0 else "neutral"


def _checks(value: Json) -> dict[str, Mapping[str, Json]]:
    policy = value.get("policy") if isinstance(value, Mapping) else None
    checks = policy.get("checks") if isinstance(policy, Mapping) else None
    items = checks if isinstance(checks, Sequence) and not isinstance(checks, str) else ()
    return {str(item["id"]): item for item in items if isinstance(item, Mapping) and "id" in item}


def _without_checks(value: Json) -> Json:
    if not isinstance(value, Mapping):
        return value
    policy = value.get("policy")
    kept = {key: item for key, item in policy.items() if key != "checks"} if isinstance(policy, Mapping) else policy
    return {**value, "policy": kept}


def _entries(before: Json, after: Json, flag: Flag) -> tuple[list[str], set[Flag]]:
    old = list(before) if isinstance(before, Sequence) and not isinstance(before, str) else []
    new = list(after) if isinstance(after, Sequence) and not isinstance(after, str) else []
    added = [item for item in new if item not in old]
    removed = [item for item in old if item not in new]
    lines = [f"added {item}" for item in added] + [f"removed {item}" for item in removed]
    return lines, {flag} if added else set()
