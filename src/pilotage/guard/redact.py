"""Replaces personal data by tokens: `<TYPE_n>` in a prompt, `<TYPE#12hex>` in stored text (serving.md 5.4).

Rule: n counts by first appearance of (type, value) through the messages in order, so the same value is the same token;
text that already looks like a token gets a backslash, so nobody can forge one. Values are kept in memory only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from pilotage.guard.pii_recognise import recognise, select
from pilotage.guard.pii_types import Match, PiiType
from pilotage.guard.policy import Action

_LOOKS_LIKE_TOKEN = re.compile(r"<(?=[A-Z][A-Z_]{1,20}(?:_\d+|#[0-9a-f]{12})>)")
_TOKEN = re.compile(r"(?<!\\)<([A-Z][A-Z_]{1,20})_(\d+)>")
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
        return select(recognise(text, regions=self.regions), threshold=self.threshold, types=self.types or {})


class PromptRedactor:
    """Redacts the messages of one request, in order, and can give the caller's own values back."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._numbers: dict[tuple[PiiType, str], int] = {}
        self._values: dict[str, str] = {}

    def redact(self, text: str) -> Redacted:
        """Return the text with tokens; equal values get equal tokens in every text of this request."""
        return _replace(text, self.rules.find(text), self.token)

    def redact_answer(self, text: str) -> Redacted:
        """Return an answer with tokens; those the model repeats from its prompt stay what they are."""
        return _replace(text, self.rules.find(text), self.token, known=frozenset(self._values))

    @property
    def known(self) -> frozenset[str]:
        """The tokens given so far."""
        return frozenset(self._values)

    def token(self, match: Match, value: str) -> str:
        """Return the token of a value, remembering it."""
        key = (match.type, match.normalised)
        number = self._numbers.setdefault(key, 1 + sum(kind is match.type for kind, _ in self._numbers))
        written = f"<{match.type}_{number}>"
        self._values.setdefault(written, value)
        return written

    def restore(self, text: str) -> str:
        """Return the text with the caller's own values in place of their tokens, and escapes undone."""
        restored = _TOKEN.sub(lambda found: self._values.get(found.group(), found.group()), text)
        return restored.replace("\\<", "<")


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


def stored_token(kind: PiiType, normalised: str, key: bytes) -> str:
    """Return `<TYPE#12hex>`: HMAC-SHA256(key, "pii-token/v1" NUL type NUL value), first 12 hex digits."""
    message = b"\0".join((b"pii-token/v1", kind.value.encode(), normalised.encode()))
    return f"<{kind}#{hmac.new(key, message, hashlib.sha256).hexdigest()[:_HEX]}>"


def _replace(
    text: str, found: Iterable[Match], token: Callable[[Match, str], str], *, known: frozenset[str] = frozenset()
) -> Redacted:
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
