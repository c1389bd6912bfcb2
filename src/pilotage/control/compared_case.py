"""Cases of a comparison as a person sees them: records alone, with their form for the API.

Fail mode: what is not known is None or empty, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pilotage.control.compared_texts import SideTexts
from pilotage.evaluation.assessment import Status
from pilotage.evaluation.side_by_side import CaseChange, Change
from pilotage.workspace.golden import GoldenCase

_CLOSED: Final = "It rests on what you may not read now: only its id and scores are shown."


class Show(StrEnum):
    """Which cases are listed; `unscored` lack a number on either side."""

    CHANGED = "changed"
    WORSE = "worse"
    BETTER = "better"
    UNSCORED = "unscored"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseWish:
    """Which cases: `tag` empty for any, `after` which id, or exactly one `case`."""

    show: Show = Show.CHANGED
    tag: str = ""
    after: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSide:
    """What one release did with a case. `status` is the primary metric's: pass, fail, an unscored reason, "" unknown.

    `facts` are (stated, expected), `citations` (valid, cited); None: not known.
    """

    status: str
    refused: bool | None
    refusal_reason: str | None
    error: str | None
    facts: tuple[int, int] | None
    citations: tuple[int, int] | None
    texts: SideTexts

    @property
    def is_scored(self) -> bool:
        """Tell whether the primary metric has a number."""
        return self.status in {Status.PASS.value, Status.FAIL.value}

    def as_json(self) -> dict[str, Any]:
        """Return the side for the API."""
        return {
            "status": self.status or None,
            "refused": self.refused,
            "refusal_reason": self.refusal_reason,
            "error": self.error,
            "facts": None if self.facts is None else list(self.facts),
            "citations": None if self.citations is None else list(self.citations),
            **self.texts.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCase:
    """One case. `facts` None: `facts_hidden` says why; `documents` are those the viewer may read, of `expected`.

    Where it is not `is_open` to the viewer, question, asker and tags are None, and `hidden` says why.
    """

    case: GoldenCase
    is_open: bool
    word: Change
    change: CaseChange
    facts: tuple[str, ...] | None
    facts_hidden: str
    documents: tuple[str, ...]
    expected: int
    is_kept: bool
    is_leaked: bool
    before: CaseSide
    after: CaseSide

    @property
    def hidden(self) -> str:
        """Why question, asker and tags are not shown, or nothing."""
        return "" if self.is_open else _CLOSED

    @property
    def question(self) -> str | None:
        """What was asked."""
        return self.case.question if self.is_open else None

    @property
    def asker(self) -> str | None:
        """The persona who asked."""
        return self.case.asker if self.is_open else None

    @property
    def tags(self) -> tuple[str, ...] | None:
        """The tags of the case."""
        return self.case.tags if self.is_open else None

    def as_json(self) -> dict[str, Any]:
        """Return the case for the API."""
        case = self.case
        return {
            "case": case.id,
            "change": self.word.value,
            "worse": list(self.change.worse),
            "better": list(self.change.better),
            "hidden": self.hidden or None,
            "question": self.question,
            "asker": self.asker,
            "tags": None if self.tags is None else list(self.tags),
            "must_pass": case.must_pass,
            "kept": self.is_kept,
            "leaked": self.is_leaked,
            "expected_facts": len(case.expect.facts),
            "facts": None if self.facts is None else list(self.facts),
            "facts_hidden": self.facts_hidden or None,
            "expected_documents": self.expected,
            "documents": list(self.documents),
            "before": self.before.as_json(),
            "after": self.after.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePage:
    """One page of cases. `counts` by Show; `tags` of what the viewer may read; `wish` without a tag that is not one.

    `more`: others stand after this id.
    """

    primary: str
    files: tuple[str, ...]
    wish: CaseWish
    counts: Mapping[Show, int]
    tags: tuple[str, ...]
    found: int
    shown: tuple[ComparedCase, ...]
    more: str

    def as_json(self) -> dict[str, Any]:
        """Return the page for the API."""
        return {
            "primary": self.primary,
            "golden": list(self.files),
            "show": self.wish.show.value,
            "tag": self.wish.tag or None,
            "counts": dict(self.counts),
            "tags": list(self.tags),
            "found": self.found,
            "shown": [one.as_json() for one in self.shown],
            "more": self.more or None,
        }
