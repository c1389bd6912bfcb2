"""The seal: what is signed about a release, and every reason not to seal (gates.md 1.3).

Rule: all reasons are returned at once, and a refusal writes nothing. Fail mode: what cannot be checked is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from pilotage.core.canonical import Json, canonical_bytes, parse_json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.release.manifest import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    Manifest,
    Part,
    PartFile,
    PartKind,
    check_canonical,
    path_problems,
)

_LEAK_CHARACTERS = 40
_SPACE = re.compile(r"\s+")


class ReleaseState(StrEnum):
    """The life of a release (gates.md 1.6). REVOKED is final."""

    SEALED = "sealed"
    DEPRECATED = "deprecated"
    QUARANTINED = "quarantined"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the sealed files came from in Git; empty texts when the workspace is not a repository."""

    repo: str = ""
    commit: str = ""
    tree: str = ""
    dirty: bool = True

    def as_json(self) -> dict[str, Json]:
        """Return the fields as the seal holds them."""
        return {"repo": self.repo, "commit": self.commit, "tree": self.tree, "dirty": self.dirty}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What the instance key signs. `sealed_by` is the sealer's pseudonym, `engine` the Pilotage version."""

    digest: Digest
    parts_digest: Digest
    sealed_at: datetime
    sealed_by: str
    note: str
    source: Source
    engine: str

    def to_bytes(self) -> bytes:
        """Return the canonical bytes that are signed."""
        return canonical_bytes(
            {
                "digest": self.digest,
                "parts_digest": self.parts_digest,
                "sealed_at": to_text(self.sealed_at),
                "sealed_by": self.sealed_by,
                "note": unicodedata.normalize("NFC", self.note),
                "source": self.source.as_json(),
                "engine": self.engine,
            }
        )


@lru_cache(maxsize=4_096)
def source_of(seal: bytes) -> Source:
    """Return where a seal says that its files came from; an empty, dirty source where it says nothing."""
    body = parse_json(seal)
    given = body.get("source") if isinstance(body, Mapping) else None
    if not isinstance(given, Mapping):
        return Source()
    repo, commit, tree = (one if isinstance(one := given.get(key), str) else "" for key in ("repo", "commit", "tree"))
    return Source(repo=repo, commit=commit, tree=tree, dirty=given.get("dirty") is not False)


def check_parts(parts: Iterable[Part], files: Mapping[str, PartFile], *, where: str) -> list[Reason]:
    """Return SEAL_PATH, SEAL_TOO_LARGE, SEAL_INVALID_FILE and SEAL_PART_MISSING. `files` are all part files by path."""
    found = path_problems(files)
    found += [
        Reason(
            code="SEAL_TOO_LARGE",
            text=f"{path} is too large to seal; reference large content by digest.",
            where=path,
            observed=f"{file.size} bytes",
            limit=f"{MAX_FILE_BYTES} bytes",
        )
        for path, file in files.items()
        if file.size > MAX_FILE_BYTES
    ]
    if len(files) > MAX_FILES:
        text = f"{where} holds {len(files)} part files, more than {MAX_FILES}."
        found.append(Reason(code="SEAL_TOO_LARGE", text=text, where=where))
    listed = tuple(parts)
    found += [bad for part in listed if (bad := check_canonical(part, where=f"{where}/{part.kind}")) is not None]
    present = {part.kind for part in listed}
    found += [
        Reason(code="SEAL_PART_MISSING", text=f"Part {kind} is missing; a release holds all eight.", where=str(kind))
        for kind in PartKind
        if kind not in present
    ]
    return found


def check_manifest(manifest: Manifest) -> list[Reason]:
    """Return SEAL_TOO_LARGE for a manifest beyond 256 KiB."""
    size = len(manifest.to_bytes())
    if size <= MAX_MANIFEST_BYTES:
        return []
    return [Reason(code="SEAL_TOO_LARGE", text=f"The manifest takes {size} bytes, more than {MAX_MANIFEST_BYTES}.")]


def check_secrets(texts: Mapping[str, bytes], *, has_secret: Callable[[str], bool]) -> list[Reason]:
    """Return SEAL_SECRET_FOUND for each file of the release that holds a key, token or password."""
    return [
        Reason(
            code="SEAL_SECRET_FOUND",
            text=f"{path} holds a secret. Remove it, rotate it, and refer to it as env:NAME or file:PATH.",
            where=path,
        )
        for path, data in sorted(texts.items())
        if has_secret(data.decode("utf-8", errors="replace"))
    ]


def check_golden(questions: Mapping[str, str], prompt: str) -> list[Reason]:
    """Return SEAL_GOLDEN_EMPTY without a case, SEAL_GOLDEN_LEAK for each case whose question stands in the prompt."""
    if not questions:
        text = "The golden set holds no case: nothing could ever fail. Write at least one under golden/."
        return [Reason(code="SEAL_GOLDEN_EMPTY", text=text, where="golden/")]
    haystack = _normal(prompt)
    return [
        Reason(code="SEAL_GOLDEN_LEAK", text=f"The question of golden case {name} stands in the prompt.", where=name)
        for name, question in sorted(questions.items())
        if len(needle := _normal(question)) >= _LEAK_CHARACTERS and needle in haystack
    ]


def _normal(text: str) -> str:
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).casefold().strip()
