"""Path globs of `acl.yaml` and exclusions: `*` and `?` inside one folder, `**` across folders, nothing else.

Specificity is the length of the literal prefix. Fail mode: a glob that could leave the corpus folder, or is not a
relative POSIX path, has a problem and matches nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WILD = re.compile(r"[*?]")


def glob_problem(glob: str) -> str | None:
    """Return what is wrong with a glob, or None. The workspace parser reports it with file and line."""
    if not glob or len(glob) > 1000:
        return "is empty or longer than 1,000 characters"
    if glob.startswith("/") or re.match(r"[A-Za-z]:", glob):
        return "is an absolute path; write it relative to documents/"
    if "\\" in glob or any(ord(char) < 32 for char in glob):
        return "holds a backslash or control character; write / between folders"
    if any(part in {"..", "."} for part in glob.split("/")):
        return "climbs out of the folder with '..' or '.'; name the folder itself"
    if "" in glob.split("/"):
        return "matches nothing, for no path has an empty part; write hr/** for all that is in a folder"
    return None


def literal_prefix(glob: str) -> str:
    """Return what stands before the first wild card: the longer, the more specific."""
    match = _WILD.search(glob)
    return glob if match is None else glob[: match.start()]


def matches(glob: str, path: str) -> bool:
    """Tell whether the whole relative POSIX path fits the glob."""
    pattern = _compile(glob)
    return pattern is not None and pattern.fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _compile(glob: str) -> re.Pattern[str] | None:
    if glob_problem(glob) is not None:
        return None
    out: list[str] = []
    # Runs of wild cards are folded first: `**/**/**` must not become a slow pattern.
    for piece in re.findall(r"(?:\*\*/)+|\*{2,}|\*|\?|[^*?]+", glob):
        if piece.startswith("**/"):
            out.append("(?:.*/)?")
        elif piece.startswith("**"):
            out.append(".*")
        elif piece == "*":
            out.append("[^/]*")
        elif piece == "?":
            out.append("[^/]")
        else:
            out.append(re.escape(piece))
    return re.compile("".join(out), re.DOTALL)
