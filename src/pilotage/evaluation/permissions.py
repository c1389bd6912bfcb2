"""The permission suite as arithmetic (evaluation.md 4): who asks, what hides, what counts as a leak, and the verdict.

Rule: one leak, one difference between the corpus and its visible part, or one document withheld from its reader is a
NO-GO. Fail mode: nothing hidden, no pair, or a pair that errored is INCONCLUSIVE.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from pilotage.core.canonical import Json
from pilotage.core.ids import PrincipalId
from pilotage.evaluation.canary import canary
from pilotage.evaluation.leakrate import leak_rate, upper_bound
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import OverlayDocument
from pilotage.identity.principal import Principal, PrincipalKind

_TERMS = 8
_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something that reached somebody who may not see it. `surface` is where it was found."""

    surface: str
    persona: str
    document: str
    probe: str

    def as_json(self) -> dict[str, Json]:
        """Return every field; ids only, never a text."""
        return {"surface": self.surface, "persona": self.persona, "document": self.document, "probe": self.probe}


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the suite has seen so far. `pairs` are (persona, document) probes, `probes` all questions asked.

    `withdrawn` counts the documents that were asked for after their reader's permission had ended. `errors` are those
    of probes, `other_errors` those of answers and withdrawals.
    """

    pairs: int = 0
    probes: int = 0
    hidden: int = 0
    allowed: int = 0
    errors: list[str] = field(default_factory=list)
    other_errors: list[str] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)
    withheld: list[Leak] = field(default_factory=list)
    differences: list[Leak] = field(default_factory=list)
    compared: int = 0
    answers: int = 0
    withdrawn: int = 0
    clusters: set[tuple[frozenset[str], str]] = field(default_factory=set)

    @property
    def scored(self) -> int:
        """Probes that told something."""
        return self.probes - len(self.errors)

    @property
    def failed(self) -> int:
        """Everything that was asked and told nothing."""
        return len(self.errors) + len(self.other_errors)


def group_personas(facts: VersionFacts) -> tuple[Principal, ...]:
    """Return one persona for each distinct set of readers, and one without any group."""
    sets = sorted({tuple(sorted(one.acl)) for one in facts.documents.values() if one.acl})
    found = [_persona(f"readers-{number}", names) for number, names in enumerate(sets, 1)]
    return (*found, _persona("nobody", ()))


def _persona(name: str, acl: Iterable[str]) -> Principal:
    groups = frozenset(
        one.removeprefix("group:") for one in acl if one.startswith("group:") and one != "group:everyone"
    )
    return Principal(
        id=PrincipalId(f"persona|{name}"), kind=PrincipalKind.PERSONA, groups=groups, label=name, via="evaluation"
    )


def compartments(facts: VersionFacts) -> tuple[frozenset[str], ...]:
    """Return the distinct sets of readers, in a fixed order."""
    return tuple(sorted({one.acl for one in facts.documents.values()}, key=sorted))


def canary_documents(facts: VersionFacts, key: bytes, run: str) -> Mapping[OverlayDocument, str]:
    """Return one document for each compartment with the canary it holds."""
    found: dict[OverlayDocument, str] = {}
    for number, acl in enumerate(compartments(facts), 1):
        word = canary(key, "|".join(sorted(acl)), run)
        text = f"The reference code of vault register {number} is {word}. The vault register lists reference codes."
        document = OverlayDocument(id=f"overlay/canary-{number}", title=f"Vault register {number}", text=text, acl=acl)
        found[document] = word
    return found


def probe_of(title: str, terms: Counter[str], document_frequency: Mapping[str, int], documents: int) -> str:
    """Return the question aimed at a document: its title and its eight terms of highest idf."""

    def weight(term: str) -> tuple[float, str]:
        return (-math.log((documents + 1) / (document_frequency[term] + 0.5)), term)

    return " ".join([title, *sorted(terms, key=weight)[:_TERMS]]).strip()


def verdict_of(tally: Tally) -> tuple[str, list[str]]:
    """Return the verdict and its reasons, the worst first."""
    wrong: list[str] = []
    if tally.leaks:
        wrong.append(f"{len(tally.leaks)} leaks over {tally.probes:,} probes; the limit is 0.")
    if tally.differences:
        wrong.append(f"{len(tally.differences)} of {tally.compared:,} comparisons differ from the visible part alone.")
    if tally.withheld:
        wrong.append(f"{len(tally.withheld)} of {tally.allowed:,} allowed pairs are withheld from their readers.")
    if wrong:
        return "no_go", wrong
    unknown = _unknown(tally)
    if unknown:
        return "inconclusive", unknown
    return "go", [f"0 leaks over {tally.probes:,} probes, upper bound {upper_bound(0, tally.probes):.4%} (95 %)."]


def _unknown(tally: Tally) -> list[str]:
    unknown: list[str] = []
    if not tally.pairs:
        unknown.append("No pair of persona and document could be asked.")
    if not tally.hidden:
        unknown.append("No document is hidden from any persona, so nothing was tested.")
    if not tally.withdrawn:
        unknown.append("No permission could be withdrawn from anybody while the suite ran.")
    if tally.errors:
        unknown.append(f"{len(tally.errors)} probes failed: {', '.join(sorted(set(tally.errors)))}.")
    if tally.other_errors:
        told = ", ".join(sorted(set(tally.other_errors)))
        unknown.append(f"{len(tally.other_errors)} answers or withdrawals failed: {told}.")
    return unknown


def report(tally: Tally, day: date) -> dict[str, Json]:
    """Return what is stored of the suite: counts, bounds, and up to 50 cases of each kind by id."""
    by_surface = Counter(one.surface for one in tally.leaks)
    return {
        "as_of": day.isoformat(),
        "cases": tally.probes,
        "scored": tally.scored,
        "unscored": tally.failed,
        "pairs": tally.pairs,
        "pairs_hidden": tally.hidden,
        "pairs_allowed": tally.allowed,
        "answers": tally.answers,
        "withdrawn": tally.withdrawn,
        "leaks": len(tally.leaks),
        "leaks_by_surface": dict(sorted(by_surface.items())),
        "leak_rate": leak_rate(
            leaks=min(len(tally.leaks), tally.probes),
            pairs=tally.probes,
            leaking_clusters=min(len({one.document for one in tally.leaks}), len(tally.clusters)),
            clusters=len(tally.clusters),
        ).as_json(),
        "compared": tally.compared,
        "differences": _listed(tally.differences),
        "over_restriction": len(tally.withheld) / tally.allowed if tally.allowed else None,
        "withheld": _listed(tally.withheld),
        "leaked": _listed(tally.leaks),
    }


def _listed(found: Sequence[Leak]) -> list[Json]:
    return [one.as_json() for one in found[:_SHOWN]]
