"""Where a pod finds the secrets that the workspace expects in files, each a key of the space's Secret.

Rule: a path gives its key, and two paths never the same. Fail mode: UsageError for a path that no key or pod takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import PurePosixPath
from typing import Final

from pilotage.core.errors import UsageError

HOME: Final = "/var/lib/pilotage"
WORKSPACE: Final = "/workspace"
_PATH: Final = re.compile(r"/?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
_LONGEST_KEY: Final = 253
_TAKEN: Final = tuple(PurePosixPath(one) for one in (f"{HOME}/keys", f"{HOME}/checkpoints", "/tmp"))  # noqa: S108
"""What is mounted there already, so that a file can neither be it nor hold it."""


def secret_files(references: Iterable[str]) -> dict[str, str]:
    """Return by key of the Secret the absolute path of each `file:` reference; raise UsageError."""
    found: dict[str, str] = {}
    for reference in references:
        if not reference.startswith("file:"):
            continue
        written = reference.removeprefix("file:")
        key, path = _key(written), written if written.startswith("/") else f"{WORKSPACE}/{written}"
        if found.setdefault(key, path) != path:
            message = f"file:{written} and file:{found[key]} would be the same key {key!r} of the Secret."
            raise UsageError("SECRET_PATH", message, hint="Rename one of the files.")
    _check_apart(found)
    return found


def _key(written: str) -> str:
    key = written.strip("/").replace("/", ".")
    parts = written.split("/")
    if not _PATH.fullmatch(written) or {".", ".."} & set(parts) or key.startswith("..") or len(key) > _LONGEST_KEY:
        message = f"file:{written[:80]} is a path that a Secret of Kubernetes has no key for."
        hint = "Write file:/run/secrets/NAME: letters, digits, - _ and . in each part, at most 253 together."
        raise UsageError("SECRET_PATH", message, hint=hint)
    return key


def _check_apart(found: dict[str, str]) -> None:
    paths = [PurePosixPath(path) for path in found.values()]
    for one, other in combinations([*paths, *_TAKEN, PurePosixPath(HOME), PurePosixPath(WORKSPACE)], 2):
        inner, outer = (one, other) if one.is_relative_to(other) else (other, one)
        if outer in paths and inner.is_relative_to(outer):
            message = f"file:{outer} is a folder in a pod: {inner} is mounted there."
            raise UsageError("SECRET_PATH", message, hint="Write file:/run/secrets/NAME, a file of its own.")
