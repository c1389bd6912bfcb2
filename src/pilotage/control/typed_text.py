"""How much a person may write beside a decision: comments, notes, questions and answers (console.md 8).

Rule: one limit for every command, counted after the text is normalised. Fail mode: UsageError that says both numbers;
nothing is recorded, and a form keeps what was typed.
"""

from __future__ import annotations

from typing import Final

from pilotage.core.errors import UsageError
from pilotage.corpus.text import normalise_line

MOST_CHARACTERS: Final = 4_000


def checked_text(text: str, what: str) -> str:
    """Return the text on one normalised line; raise UsageError when it is longer than is taken."""
    words = normalise_line(text)
    if len(words) > MOST_CHARACTERS:
        message = f"The {what} has {len(words):,} characters; at most {MOST_CHARACTERS:,} are taken."
        raise UsageError("TEXT_TOO_LONG", message, hint="Shorten it; details belong into evidence.")
    return words
