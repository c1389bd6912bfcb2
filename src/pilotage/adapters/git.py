"""What Git says of a workspace: the commit it stands at, and who touched which files. Reads only, through `git`.

Fail mode: no repository, no `git`, or an error: an unclean history without commits, so the sealer is the author.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pilotage.release.authorship import Commit, History
from pilotage.release.seal import Source

_TIMEOUT_S = 30
_UNKNOWN = History(commits=(), is_clean=False)
_FIELDS = "%H%x1f%ae%x1f%ce%x1f%ct%x1f%B%x1e"


def read_source(root: Path) -> Source:
    """Return repository, commit and tree of the folder; an empty, dirty source where it is not under Git."""
    commit = _git(root, "rev-parse", "HEAD")
    tree = _git(root, "rev-parse", "HEAD^{tree}")
    if commit is None or tree is None:
        return Source()
    remote = _git(root, "config", "--get", "remote.origin.url") or ""
    dirty = _git(root, "status", "--porcelain", "--", ".")
    return Source(
        repo=_without_credentials(remote.strip()), commit=commit.strip(), tree=tree.strip(), dirty=dirty != ""
    )


def read_history(root: Path, paths: Sequence[str], *, since: str | None = None) -> History:
    """Return the commits that touched `paths` (relative to `root`) after `since` (the whole history without it)."""
    if not paths:
        return History(commits=(), is_clean=True)
    status = _git(root, "status", "--porcelain", "--", *paths)
    tracked = _git(root, "ls-files", "--", *paths)
    span = f"{since}..HEAD" if since else "HEAD"
    log = _git(root, "log", f"--format={_FIELDS}", "--no-show-signature", span, "--", *paths)
    if status is None or log is None or tracked is None:
        return _UNKNOWN
    entries = [entry.strip("\n").split("\x1f") for entry in log.split("\x1e") if entry.strip()]
    return History(
        commits=tuple(
            Commit(
                sha=sha,
                author_email=author,
                committer_email=committer,
                message=message,
                at=datetime.fromtimestamp(int(when), UTC),
            )
            for sha, author, committer, when, message in entries
        ),
        is_clean=status == "" and tracked != "",
    )


def _git(root: Path, *arguments: str) -> str | None:
    # Ask for plain output whatever the user's configuration says, and take no lock in their repository.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed program and arguments, no shell
            ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _without_credentials(url: str) -> str:
    scheme, found, rest = url.partition("://")
    if not found or "@" not in rest.partition("/")[0]:
        return url
    return f"{scheme}://{rest.partition('@')[2]}"
