"""Replaces personal data by tokens: `<TYPE_n>` in a prompt, `<TYPE#12hex>` in stored text (serving.md 5.4).

Rule: n counts by first appearance of (type, value) through the messages, then the passages, in order, so the same value
is the same token; text that already looks like a token gets a backslash, so nobody can forge one. Only what the asker
wrote is ever given back. Values are kept in memory only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pilotage.guard.pii_patterns import RECOGNISERS
from pilotage.guard.pii_recognise import recognise, select
from pilotage.guard.pii_types import Match, PiiType
from pilotage.guard.policy import Action, Check

_NOT_ESCAPED = r"(?<!\\)"
_LOOKS_LIKE_TOKEN = re.compile(_NOT_ESCAPED + r"<(?=[A-Z][A-Z_]{1,20}(?:_\d+|#[0-9a-f]{12})>)")
_TOKEN = re.compile(r"(?<!\\)<([A-Z][A-Z_]{1,20})_(\d{1,9})>")
_STORED_TOKEN = re.compile(_NOT_ESCAPED + r"<[A-Z][A-Z_]{1,20}#[0-9a-f]{12}>")
_BACK = re.compile(rf"{_TOKEN.pattern}|\\(?={_LOOKS_LIKE_TOKEN.pattern.removeprefix(_NOT_ESCAPED)})")
_HEX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without personal data, and how many values of each type were replaced."""

    text: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a check replaces: values scored at least `threshold`, but for types whose action is allow."""

    threshold: float = 0.5
    types: Mapping[str, Action] | None = None
    regions: frozenset[str] = frozenset({"us", "uk"})

    def find(self, text: str) -> tuple[Match, ...]:
        """Return what is to be replaced in a text."""
        found = recognise(text, regions=self.regions)
        return select(found, threshold=self.threshold, types=self.types or {}) if found else ()

    def replaces_all(self, kind: str, *, found_at: float) -> bool:
        """Tell whether every value of a type that was found at a score of `found_at` or more is replaced."""
        scores = {score for one in RECOGNISERS if one.type == kind for score in (one.alone, one.with_context)}
        lowest = min((score for score in scores if score >= found_at), default=-1.0)
        return lowest >= self.threshold and (self.types or {}).get(kind) is not Action.ALLOW


USUAL: Final = Rules()
"""What is replaced where a policy says nothing else, and what a corpus refresh counts."""


def rules_of_line(line: Check | None) -> Rules:
    """Return what a line of a policy replaces: its threshold and allowed types; secrets are never allowed."""
    if line is None or (not line.types and line.threshold in {None, USUAL.threshold}):
        return USUAL
    allowed = {kind: action for kind, action in line.types.items() if kind != PiiType.SECRET}
    return Rules(threshold=USUAL.threshold if line.threshold is None else line.threshold, types=allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A text with the asker's values back in it. `marks` pairs ends of replaced places with how much longer it got."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()

    def place(self, offset: int) -> int:
        """Return where a code point of the text before now stands. No sentence begins or ends inside a token."""
        at = bisect_right(self.marks, (offset, sys.maxsize))
        return offset + (self.marks[at - 1][1] if at else 0)


class PromptRedactor:
    """Redacts the texts of one request, in order, and can give the asker's own values back."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._tokens: dict[tuple[PiiType, str], str] = {}
        self._last: dict[str, int] = {}
        self._own: dict[str, str] = {}
        self._known: set[str] = set()

    def redact(self, text: str) -> Redacted:
        """Return the asker's text with tokens; equal values get equal tokens in every text of this request."""
        redacted = _replace(text, self.rules.find(text), self._own_token)
        self._known.update(self._own)
        return redacted

    def redact_passage(self, text: str) -> Redacted:
        """Return a text of others with tokens. Its values are counted on from the asker's and never given back."""
        redacted = _replace(text, self.rules.find(text), self.token)
        self.expect(redacted.text)
        return redacted

    def redact_answer(self, text: str) -> Redacted:
        """Return an answer with tokens; those the model repeats from its prompt stay what they are."""
        return _replace(text, self.rules.find(text), self.token, known=self.known)

    def expect(self, text: str) -> None:
        """Take the tokens of a redacted text of the prompt as given away: a model may repeat them."""
        for found in _TOKEN.finditer(text):
            self._known.add(found[0])
            self._last[found[1]] = max(self._last.get(found[1], 0), int(found[2]))

    @property
    def known(self) -> frozenset[str]:
        """The tokens of the prompt."""
        return frozenset(self._known)

    def token(self, match: Match, value: str) -> str:
        """Return the token of a value that the asker did not write, unless it is one of the asker's."""
        del value
        key = (match.type, match.normalised)
        if key not in self._tokens:
            self._last[match.type] = 1 + self._last.get(match.type, 0)
            self._tokens[key] = f"<{match.type}_{self._last[match.type]}>"
        return self._tokens[key]

    def _own_token(self, match: Match, value: str) -> str:
        written = self.token(match, value)
        self._own.setdefault(written, value)
        return written

    def stored(self, text: str, key: bytes) -> str:
        """Return a redacted answer as it may be stored: one-way tokens, also for values that the policy lets leave."""
        rest = _replace(
            text,
            Rules().find(text),
            lambda match, _value: stored_token(match.type, match.normalised, key),
            known=self.known | frozenset(self._tokens.values()),
        )
        one_way = {token: stored_token(kind, value, key) for (kind, value), token in self._tokens.items()}
        return _TOKEN.sub(lambda found: one_way.get(found[0], found[0]), rest.text)

    def restore(self, text: str) -> Restored:
        """Return the text with the asker's own values in place of their tokens, and escapes undone."""
        pieces: list[str] = []
        marks: list[tuple[int, int]] = []
        at = longer = 0
        for found in _BACK.finditer(text):
            given = "" if found[1] is None else self._own.get(found[0], found[0])
            pieces += [text[at : found.start()], given]
            at = found.end()
            longer += len(given) - (at - found.start())
            marks.append((at, longer))
        return Restored(text="".join([*pieces, text[at:]]), marks=tuple(marks))


def without_tokens(text: str) -> str:
    """Return the text with a space in place of each token: what is searched is what the asker said in words."""
    return _TOKEN.sub(" ", text)


def redact_from(redactor: PromptRedactor, text: str, *, start: int, end: int) -> Redacted:
    """Redact `text[start:end]` with what stands around it as context. No match may reach over either border."""
    inside = tuple(
        replace(match, start=match.start - start, end=match.end - start)
        for match in redactor.rules.find(text)
        if start <= match.start and match.end <= end
    )
    return _replace(text[start:end], inside, redactor.token, known=redactor.known)


def stored_form(text: str, key: bytes, rules: Rules | None = None) -> Redacted:
    """Return the text as it may be stored: one-way tokens, equal for equal values under the same key (32 bytes)."""
    found = (rules or Rules()).find(text)
    return _replace(text, found, lambda match, _value: stored_token(match.type, match.normalised, key))


def took_out(redacted: str) -> bool:
    """Tell whether a stored form lost something of its text: a token that stood there before is escaped."""
    return _STORED_TOKEN.search(redacted) is not None


def stored_token(kind: PiiType, normalised: str, key: bytes) -> str:
    """Return `<TYPE#12hex>`: HMAC-SHA256(key, "pii-token/v1" NUL type NUL value), first 12 hex digits."""
    message = b"\0".join((b"pii-token/v1", kind.value.encode(), normalised.encode()))
    return f"<{kind}#{hmac.new(key, message, hashlib.sha256).hexdigest()[:_HEX]}>"


def _replace(
    text: str, found: Sequence[Match], token: Callable[[Match, str], str], *, known: frozenset[str] = frozenset()
) -> Redacted:
    if not found and "<" not in text:
        return Redacted(text=text, counts={})
    pieces: list[str] = []
    counts: Counter[str] = Counter()
    at = 0
    for match in found:
        pieces += [_escaped(text[at : match.start], known), token(match, text[match.start : match.end])]
        counts[match.type.value] += 1
        at = match.end
    pieces.append(_escaped(text[at:], known))
    return Redacted(text="".join(pieces), counts=dict(counts))


def _escaped(text: str, known: frozenset[str]) -> str:
    def escape(match: re.Match[str]) -> str:
        token = text[match.start() : text.index(">", match.start()) + 1]
        return "<" if token in known else "\\<"

    return _LOOKS_LIKE_TOKEN.sub(escape, text)
