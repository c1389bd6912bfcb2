"""Whether a file that names a commit is about the commit a release was sealed from (gates.md 2.1, 2.6, 2.7).

Rule: a review is of the sealed tree and a quality analysis of the sealed commit. What a tool was asked for by name must
say so itself: nobody chose the file, so nothing else ties it to the release. Fail mode: where the release or the answer
names no commit, what was fetched is refused, and what somebody brought is left to its gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pilotage.core.reason import Reason
from pilotage.release.seal import Source

_CARRIED: Final[Mapping[str, str]] = {"review.code": "head_tree", "quality": "commit"}
"""The reference by which a kind names what it looked at."""
_OF_SOURCE: Final = frozenset({"tests", "coverage", "scan", "quality", "review"})
"""Families of kinds that look at source: what they found of a tree holds for whatever is sealed from it."""


def bound_problem(kind: str, refs: Mapping[str, str], source: Source, *, is_fetched: bool) -> Reason | None:
    """Return why a file is not, or not known to be, about the sealed commit; None where it is."""
    named = _CARRIED.get(kind) or ("commit" if is_fetched and refs.get("commit") else None)
    if named is None:
        return None
    observed = refs.get(named, "")
    sealed = source.tree if named == "head_tree" else source.commit
    if observed and sealed and observed != sealed:
        text = f"It is about {named.replace('_', ' ')} {observed[:40]}; the release was sealed from {sealed[:40]}."
        return Reason(code="EV_WRONG_SUBJECT", text=text, where=kind, observed=observed[:40], limit=sealed[:40])
    if not is_fetched or (observed and sealed and not source.dirty):
        return None
    lacks = _lack(observed, sealed)
    text = f"Nobody can tell whether it is about this release: {lacks}. Bring the file yourself if you know that it is."
    return Reason(code="EV_WRONG_SUBJECT", text=text, where=kind, observed=observed[:40] or None)


def is_of_source(kind: str, refs: Mapping[str, str], source: Source) -> bool:
    """Tell whether a file names the very tree a release was sealed from, so that it may be older than the seal."""
    if source.dirty or not source.tree or kind.partition(".")[0] not in _OF_SOURCE:
        return False
    named = _CARRIED.get(kind, "commit")
    return bool(refs.get(named)) and refs[named] == (source.tree if named == "head_tree" else source.commit)


def _lack(observed: str, sealed: str) -> str:
    if not observed:
        return "the tool names no commit"
    return "the release was sealed with uncommitted changes" if sealed else "the release was sealed outside Git"
