"""What changed between two versions: the XOR of their bitmaps, grouped by document (corpus-and-ledger.md 2.3).

Only revisions that differ are read, so the diff of two versions of a million documents costs what changed. Fail mode:
a revision whose text was purged compares by its hash; its words are gone and are not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from pilotage.core.canonical import Json

_WORDS = re.compile(r"\s+")
_MOST_COMPARISONS = 25_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A revision one side holds and the other does not."""

    document: str
    hash: str
    meta_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDiff:
    """Document ids, sorted, by what happened to them. `metadata`: only title, dates or uri differ.

    `acl` stands beside the rest: permissions are current, not versioned, so a document may stand in both.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    acl: Mapping[str, AclChange] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True when both versions show the same; ACL differences do not make a version."""
        return not (self.added or self.changed or self.removed or self.metadata)

    def as_json(self) -> dict[str, Json]:
        """Return `{added, changed, removed, metadata, acl}`."""
        return {
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "metadata": list(self.metadata),
            "acl": {document: change.as_json() for document, change in sorted(self.acl.items())},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AclChange:
    """Names that a document gained and lost."""

    added: tuple[str, ...]
    removed: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """Return `{added, removed}`."""
        return {"added": list(self.added), "removed": list(self.removed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionDiff:
    """One section's words: `(op, text)` with op `=`, `-` or `+`, in reading order."""

    section: str
    words: tuple[tuple[str, str], ...]


def diff_revisions(before: Iterable[Held], after: Iterable[Held], *, staying: Iterable[str]) -> VersionDiff:
    """Group what differs. `staying`: documents with a revision both sides hold, never added or removed."""
    old, new = _by_document(before), _by_document(after)
    kept = set(staying)
    groups: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "metadata": []}
    for document in sorted(old.keys() | new.keys()):
        groups[_kind(old.get(document, []), new.get(document, []), stays=document in kept)].append(document)
    return VersionDiff(
        added=tuple(groups["added"]),
        changed=tuple(groups["changed"]),
        removed=tuple(groups["removed"]),
        metadata=tuple(groups["metadata"]),
    )


def _by_document(revisions: Iterable[Held]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for revision in revisions:
        found.setdefault(revision.document, []).append(revision)
    return found


def _kind(old: Sequence[Held], new: Sequence[Held], *, stays: bool) -> str:
    if not stays and not old:
        return "added"
    if not stays and not new:
        return "removed"
    return "metadata" if {one.hash for one in old} == {one.hash for one in new} else "changed"


def acl_change(before: Iterable[str], after: Iterable[str]) -> AclChange | None:
    """Return the names gained and lost, sorted, or None when nothing changed."""
    old, new = set(before), set(after)
    if old == new:
        return None
    return AclChange(added=tuple(sorted(new - old)), removed=tuple(sorted(old - new)))


def word_diff(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[SectionDiff, ...]:
    """Compare two revisions section by section (heading -> text); sections without a difference are left out."""
    found = []
    for section in dict.fromkeys((*before, *after)):
        old, new = before.get(section, ""), after.get(section, "")
        if old != new:
            found.append(SectionDiff(section=section, words=tuple(_words(_split(old), _split(new)))))
    return tuple(found)


def _split(text: str) -> list[str]:
    return [word for word in _WORDS.split(text) if word]


def _words(old: list[str], new: list[str]) -> Iterable[tuple[str, str]]:
    # difflib is quadratic on long unlike texts, so the common head and tail are cut off first.
    head = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    room = min(len(old), len(new)) - head
    tail = next((i for i in range(room) if old[-1 - i] != new[-1 - i]), room)
    if head:
        yield "=", " ".join(old[:head])
    yield from _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    if tail:
        yield "=", " ".join(old[len(old) - tail :])


def _middle(old: list[str], new: list[str]) -> Iterable[tuple[str, str]]:
    if len(old) * len(new) > _MOST_COMPARISONS:
        yield "-", " ".join(old)
        yield "+", " ".join(new)
        return
    for op, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=True).get_opcodes():
        if op == "equal":
            yield "=", " ".join(old[i1:i2])
            continue
        if i2 > i1:
            yield "-", " ".join(old[i1:i2])
        if j2 > j1:
            yield "+", " ".join(new[j1:j2])
