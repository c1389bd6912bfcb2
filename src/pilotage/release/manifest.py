"""The release manifest: eight parts, each identified by the SHA-256 of its canonical JSON (gates.md 1.1-1.2).

Rule: the digest covers content only; notes, times and the sealer stand outside. Fail mode: a path or value that has no
canonical form is refused before anything is hashed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from pilotage.core.canonical import CanonicalError, Json, canonical_bytes, parse_json
from pilotage.core.digest import Digest, digest_of, digest_of_json, parse_digest
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason

SCHEMA = "pilotage.release/1"
MAX_MANIFEST_BYTES = 256 * 1024
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000


class PartKind(StrEnum):
    """The eight parts; every one is present in every release."""

    PROMPT = "prompt"
    MODEL = "model"
    RETRIEVAL = "retrieval"
    CORPUS = "corpus"
    GUARD = "guard"
    TOOLS = "tools"
    EGRESS = "egress"
    GOLDEN = "golden"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PartFile:
    """A file of a part: relative POSIX path, bare lowercase hex SHA-256 of its bytes, size in bytes."""

    path: str
    sha256: str
    size: int

    @staticmethod
    def of(path: str, data: bytes) -> PartFile:
        """Describe `data` as it is: no line-end change, no decoding."""
        return PartFile(path=path, sha256=digest_of(data).removeprefix("sha256:"), size=len(data))

    def as_json(self) -> dict[str, Json]:
        """Return the fields as they are hashed."""
        return {"path": self.path, "sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPart:
    """A part made of files, sorted by the UTF-8 bytes of their paths."""

    kind: PartKind
    files: tuple[PartFile, ...]

    def as_json(self) -> dict[str, Json]:
        """Return what the part's digest covers."""
        ordered = sorted(self.files, key=lambda file: file.path.encode())
        return {"kind": str(self.kind), "files": [file.as_json() for file in ordered]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePart:
    """A part made of one parsed value."""

    kind: PartKind
    value: Json

    def as_json(self) -> dict[str, Json]:
        """Return what the part's digest covers."""
        return {"kind": str(self.kind), "value": self.value}


Part: TypeAlias = "FilesPart | ValuePart"


def part_bytes(part: Part) -> bytes:
    """Return the canonical bytes of a part."""
    return canonical_bytes(part.as_json())


def part_digest(part: Part) -> Digest:
    """Return the identity of a part: author, approval and evidence follow it into every release that holds it."""
    return digest_of(part_bytes(part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a release is: its workflow, the release it follows, and the digests of its parts."""

    workflow: WorkflowName
    parent: Digest | None
    parts: Mapping[PartKind, Digest]

    def as_json(self) -> dict[str, Json]:
        """Return the manifest as it is hashed."""
        return {"schema": SCHEMA, "workflow": self.workflow, "parent": self.parent, "parts": self._parts()}

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the manifest."""
        return canonical_bytes(self.as_json())

    @property
    def digest(self) -> Digest:
        """The release's name."""
        return digest_of(self.to_bytes())

    @property
    def parts_digest(self) -> Digest:
        """Identity of the content, whatever its parent: a rejected content is recognised under any new parent."""
        return digest_of_json(self._parts())

    def _parts(self) -> dict[str, Json]:
        return {str(kind): self.parts[kind] for kind in PartKind}


def read_manifest(data: bytes, *, digest: Digest) -> Manifest:
    """Parse stored manifest bytes; raise IntegrityError unless they are exactly what `digest` names."""
    if digest_of(data) != digest:
        raise IntegrityError("VERIFY_MANIFEST", f"The stored manifest of {digest} has another digest.", hint=_RESTORE)
    return _parsed(data, digest)


@lru_cache(maxsize=4_096)
def _parsed(data: bytes, digest: Digest) -> Manifest:
    """Return what verified bytes say; the same bytes say it in every request, so it is read once."""
    value = parse_json(data)
    if not isinstance(value, Mapping) or value.get("schema") != SCHEMA:
        raise IntegrityError("VERIFY_MANIFEST", f"The manifest of {digest} has an unknown schema.", hint=_UPGRADE)
    parts, parent = value["parts"], value["parent"]
    if not isinstance(parts, Mapping) or set(parts) != {str(kind) for kind in PartKind}:
        raise IntegrityError(
            "VERIFY_MANIFEST", f"The manifest of {digest} does not hold the eight parts.", hint=_UPGRADE
        )
    return Manifest(
        workflow=WorkflowName(str(value["workflow"])),
        parent=None if parent is None else parse_digest(str(parent)),
        parts=MappingProxyType({kind: parse_digest(str(parts[str(kind)])) for kind in PartKind}),
    )


_RESTORE = "Restore the database from a backup whose ledger verifies; the release cannot be served."
_UPGRADE = "It was sealed by a newer Pilotage: upgrade this process."


def path_problems(paths: Iterable[str]) -> list[Reason]:
    """Return SEAL_PATH for each path that is absolute, climbs, is not NFC, or equals another after case folding."""
    found: list[Reason] = []
    seen: dict[str, str] = {}
    for path in paths:
        segments = path.split("/")
        if path.startswith("/") or "\\" in path or "\0" in path or any(part in {"", ".", ".."} for part in segments):
            found.append(
                _path_reason(path, "is not a relative POSIX path", "Use a plain path below the workflow folder.")
            )
        elif not unicodedata.is_normalized("NFC", path):
            found.append(_path_reason(path, "is not in Unicode NFC form", "Rename the file."))
        twin = seen.setdefault(path.casefold(), path)
        if twin != path:
            found.append(
                _path_reason(path, f"equals {twin!r} on a file system that ignores case", "Rename one of the two.")
            )
    return found


def _path_reason(path: str, what: str, hint: str) -> Reason:
    return Reason(code="SEAL_PATH", text=f"{path!r} {what}. {hint}", where=path)


def check_canonical(part: Part, *, where: str) -> Reason | None:
    """Return SEAL_INVALID_FILE when a part's value cannot be hashed (a string not in NFC, a number too large)."""
    try:
        part_bytes(part)
    except CanonicalError as error:
        return Reason(code="SEAL_INVALID_FILE", text=f"{where}: {error.message}", where=where)
    return None
