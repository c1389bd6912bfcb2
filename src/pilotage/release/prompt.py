"""The prompt of a release: Markdown with optional front matter, and the two places that serving fills.

Rule: `{passages}` and `{question}` stand in the text exactly once each; any other brace is plain text, so a prompt
cannot be made to reveal anything else. The bytes are what is sealed. Fail mode: the parser refuses a prompt without
its places; `fill` never interprets what it inserts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from pilotage.core.canonical import Json
from pilotage.core.front_matter import split_front_matter
from pilotage.core.located import Problems

PLACES = ("{passages}", "{question}")
MAX_PROMPT_BYTES = 262_144
_PLACE = re.compile(r"\{(passages|question)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The template without its front matter. `notes` is the front matter."""

    template: str
    notes: Mapping[str, Json] = field(default_factory=dict)

    def fill(self, *, passages: str, question: str) -> str:
        """Return the text with both places filled, in one pass: inserted braces stay text."""
        values = {"passages": passages, "question": question}
        # Every second piece is the name of a place.
        return "".join([values[piece] if place % 2 else piece for place, piece in enumerate(_pieces(self.template))])


@lru_cache(maxsize=64)
def _pieces(template: str) -> tuple[str, ...]:
    return tuple(_PLACE.split(template))


def parse_prompt(data: bytes, *, file: str, problems: Problems) -> Prompt:
    """Read `prompt.md`; mistakes go to `problems`, and a stand-in is returned."""
    split = split_front_matter(data, file=file, problems=problems, limit=MAX_PROMPT_BYTES)
    if split is None:
        return Prompt(template="")
    body = split.body.lstrip("\n")
    for place in PLACES:
        count = body.count(place)
        if count != 1:
            what = f"The prompt holds {place} {count} times" if count else f"The prompt does not hold {place}"
            problems.add_at(file, split.body_line, what, f"Write {place} exactly once, where serving fills it in.")
    return Prompt(template=body, notes=split.notes)
