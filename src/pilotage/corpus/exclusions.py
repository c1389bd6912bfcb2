"""What never enters a corpus, and by which rule (corpus-and-ledger.md 1.4).

Decided before parsing where path or age is enough, after it for titles and classifications. Patterns are RE2: linear
time, whatever the pattern. Fail mode: the workspace parser refuses a pattern that does not compile.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

import re2

from pilotage.corpus.globs import matches
from pilotage.corpus.settings import Classification, Exclusions

_QUIET = re2.Options()
_QUIET.log_errors = False  # the problem is reported with file and line, not on stderr as well


def pattern_problem(pattern: str) -> str | None:
    """Return why RE2 refuses a title pattern, or None."""
    try:
        re2.compile(pattern, _QUIET)
    except re2.error as error:
        return str(error)
    return None


def excluded_before_parsing(rules: Exclusions, *, path: str, modified: datetime | None, now: datetime) -> str | None:
    """Return the rule that excludes an item by its path or age, or None."""
    for glob in rules.globs:
        if matches(glob, path):
            return f"excluded by glob {glob}"
    limit = rules.older_than_days
    if limit is not None and modified is not None and modified < now - timedelta(days=limit):
        return f"excluded by older_than {limit}d"
    return None


def excluded_after_parsing(rules: Exclusions, *, title: str, classification: Classification) -> str | None:
    """Return the rule that excludes a document by its title or classification, or None."""
    if classification in rules.classifications:
        return f"excluded by classification {classification.value}"
    for pattern in rules.titles:
        if _compile(pattern).search(title) is not None:
            return f"excluded by title {pattern}"
    return None


@lru_cache(maxsize=256)
def _compile(pattern: str) -> re2._Regexp[str]:
    return re2.compile(pattern)
