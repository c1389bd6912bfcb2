"""Statements with their evidence, supported or spoiled in one known way. Deterministic for a seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grounding_texts import Document, is_usable

from pilotage.guard.anchors import names_in
from pilotage.guard.numbers import is_number_supported, number_anchors, read_figures, read_source

SUPPORTED = ("copied", "cut", "reordered", "merged")
FLOORED = ("number", "date", "unit", "name", "foreign_clause")
BLIND = ("negation", "modality")
KINDS = (*FLOORED, "swapped_subject", "dropped_condition", *BLIND)
PER_DOCUMENT = 24
_CONDITION = re.compile(r",? (?:if|unless|except|provided that|only if|when|after|before|until) [^,.;]+(?=[,.;])")
_UNITS = (
    ("million", "billion"), ("billion", "million"), ("thousand", "million"), ("days", "months"), ("day", "month"),
    ("months", "years"), ("years", "months"), ("hours", "days"), ("percent", "basis points"), ("%", " million"),
    ("$", "€"),
)  # fmt: skip
_UNIT_FORMS = {"$": r"\$(?=\d)", "%": r"(?<=\d)%"}
_MODALS = re.compile(r"\b(must|may|shall|should)\b")
_FIGURE = re.compile(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w])")
_VERB = re.compile(r" (is|are|was|were|must|may|shall|will|has|have|does|do|can) (?!not)")
_SUBJECT_END = re.compile(r" (?:is|are|was|were|must|may|shall|will|has|have) ")
_LIST_WORDS = ("note ", "item ", "page ", "section ")


@dataclass(frozen=True, slots=True)
class Sample:
    """A statement, what it relies on, and how it was made. `part`: 0 to fit, 1 for thresholds, 2 to measure."""

    statement: str
    evidence: str
    kind: str
    part: int

    @property
    def is_unsupported(self) -> bool:
        """Tell whether the statement was spoiled."""
        return self.kind in KINDS


@dataclass(frozen=True, slots=True)
class Site:
    """Where a sample is made: a sentence, its passage, one from another document, and the random numbers."""

    sentence: str
    passage: tuple[str, ...]
    foreign: str
    names: tuple[str, ...]
    chance: random.Random

    @property
    def evidence(self) -> str:
        """The passage as text."""
        return " ".join(self.passage)


def make_samples(documents: Sequence[Document], *, seed: int) -> list[Sample]:
    """Return samples of every kind from every document."""
    found: list[Sample] = []
    names = sorted({name for one in documents for p in one.passages[:8] for s in p for name in names_in(s)})
    for place, document in enumerate(documents):
        chance = random.Random(f"{seed}/{document.id}")
        sentences = [(s, p) for p in document.passages for s in p if is_usable(s)]
        others = documents[(place + len(documents) // 2) % len(documents)]
        foreign = [s for p in others.passages for s in p if is_usable(s)]
        if not foreign:
            continue
        for sentence, passage in chance.sample(sentences, min(PER_DOCUMENT, len(sentences))):
            site = Site(sentence, passage, chance.choice(foreign), tuple(names), chance)
            found += _samples(site, split_of(document.id))
    return found


def split_of(document: str) -> int:
    """Return 0, 1 or 2 for 60, 20 and 20 percent of documents."""
    share = int.from_bytes(hashlib.sha256(document.encode()).digest()[:4], "big") / 2**32
    return (share >= 0.6) + (share >= 0.8)


def _samples(site: Site, part: int) -> list[Sample]:
    made = ((kind, make(site)) for kind, make in {**_SUPPORTED, **_SPOILED}.items())
    return [Sample(text, site.evidence, kind, part) for kind, text in made if text and _is_new(kind, text, site)]


def _is_new(kind: str, text: str, site: Site) -> bool:
    return kind in SUPPORTED or text not in site.evidence


def _copied(site: Site) -> str:
    return site.sentence


def _cut(site: Site) -> str:
    head, comma, _ = site.sentence.rpartition(", ")
    return f"{head}." if comma and len(head.split()) >= 6 else ""


def _reordered(site: Site) -> str:
    head, comma, tail = site.sentence.rstrip(".").partition(", ")
    return f"{tail[:1].upper()}{tail[1:]}, {head[:1].lower()}{head[1:]}." if comma and len(tail.split()) >= 4 else ""


def _merged(site: Site) -> str:
    others = [one for one in site.passage if one != site.sentence and is_usable(one)]
    if not others:
        return ""
    other = site.chance.choice(others)
    return f"{site.sentence.rstrip('.')}, and {other[:1].lower()}{other[1:]}"


def _number(site: Site) -> str:
    held = (read_source(site.evidence),)
    found = list(_FIGURE.finditer(site.sentence))
    for match in site.chance.sample(found, len(found)):
        if re.fullmatch(r"(?:19|20)\d\d", match[0]) or _is_list_mark(site.sentence, match):
            continue
        digits = list(match[0])
        spot = site.chance.choice([n for n, char in enumerate(digits) if char.isdigit()])
        digits[spot] = site.chance.choice([d for d in "123456789" if d != digits[spot]])
        text = site.sentence[: match.start()] + "".join(digits) + site.sentence[match.end() :]
        if any(not is_number_supported(one, held) for one in number_anchors(read_figures(text))):
            return text
    return ""


def _is_list_mark(text: str, match: re.Match[str]) -> bool:
    around = text[max(0, match.start() - 2) : match.end() + 1]
    before = text[max(0, match.start() - 8) : match.start()].lower()
    return "(" in around or "\u00a7" in around or before.endswith(_LIST_WORDS)


def _date(site: Site) -> str:
    years = list(re.finditer(r"(?<![\w.,$-])(?:19|20)\d\d(?![\w,])", site.sentence))
    if years:
        match = site.chance.choice(years)
        choices = [str(int(match[0]) + step) for step in (-2, -1, 1, 2)]
        fresh = [one for one in choices if one not in site.evidence]
        return site.sentence[: match.start()] + fresh[0] + site.sentence[match.end() :] if fresh else ""
    return ""


def _unit(site: Site) -> str:
    for old, new in site.chance.sample(_UNITS, len(_UNITS)):
        pattern = _UNIT_FORMS.get(old, rf"(?<=\d ){old}(?!\w)")
        text = re.sub(pattern, new, site.sentence, count=1)
        if text != site.sentence:
            return text
    return ""


def _name(site: Site) -> str:
    names = [one for one in names_in(site.sentence) if len(one) > 3]
    fresh = [one for one in site.chance.sample(site.names, 8) if one.lower() not in site.evidence.lower()]
    return site.sentence.replace(site.chance.choice(names), fresh[0], 1) if names and fresh else ""


def _foreign_clause(site: Site) -> str:
    clause = site.foreign.rstrip(".").split(", ")[-1]
    if len(clause.split()) < 5:
        clause = site.foreign.rstrip(".")
    head = site.sentence.rstrip(".").split(", ")[0]
    return f"{head}, {clause[:1].lower()}{clause[1:]}." if clause.lower() not in site.evidence.lower() else ""


def _swapped_subject(site: Site) -> str:
    mine, theirs = _SUBJECT_END.search(site.sentence), _SUBJECT_END.search(site.foreign)
    return site.foreign[: theirs.start()] + site.sentence[mine.start() :] if mine and theirs else ""


def _dropped_condition(site: Site) -> str:
    text = _CONDITION.sub("", site.sentence, count=1)
    return text if text != site.sentence and len(text.split()) >= 5 else ""


def _negation(site: Site) -> str:
    text = _VERB.sub(r" \1 not ", site.sentence, count=1)
    return text if text != site.sentence else ""


def _modality(site: Site) -> str:
    swap = {"must": "may", "may": "must", "shall": "may", "should": "must"}
    text = _MODALS.sub(lambda found: swap[found[1]], site.sentence, count=1)
    return text if text != site.sentence else ""


_SUPPORTED: dict[str, Callable[[Site], str]] = {
    "copied": _copied,
    "cut": _cut,
    "reordered": _reordered,
    "merged": _merged,
}
_SPOILED: dict[str, Callable[[Site], str]] = {
    "number": _number,
    "date": _date,
    "unit": _unit,
    "name": _name,
    "foreign_clause": _foreign_clause,
    "swapped_subject": _swapped_subject,
    "dropped_condition": _dropped_condition,
    "negation": _negation,
    "modality": _modality,
}
