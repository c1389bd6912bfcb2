"""The permission decision before ranking: which revisions an asker may see, as one bitmap.

`allow` is the only way to an `Allowed`, and `search` takes nothing else. Rule: no ACL means nobody; an unknown version,
no names, a name nobody granted anything, or an ACL past its age gives the empty set. Fail mode: an exception leaves no
Allowed at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TypeVar

from pyroaring import BitMap

from pilotage.core.digest import Digest, digest_of
from pilotage.corpus.settings import Classification
from pilotage.retrieval.standing import Standing

_Name = TypeVar("_Name", bound=str)
_FOREVER = 2**31 - 1
# Changed rows are kept beside the many until they are this many: copying those takes longer than a revocation may.
_FOLD = 1_000
_MAKER = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRow:
    """What decides about one revision. Dates are days since 0001-01-01 (date.toordinal), None when open."""

    rev: int
    document: str
    effective_from: int | None
    effective_to: int | None
    retained_until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """What decides about one document: its ACL names, classification, region, and whether it was taken down."""

    id: str
    acl: tuple[str, ...]
    classification: Classification
    region: str
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Bitmaps over revisions at one generation; replaced whole on every change, never edited.

    `spans` are the days [from, to) of each revision in force, `documents` the UTF-8 id of its document. `facts` are the
    rows the bitmaps were made of but for those in `changed`; `revisions` are those of each document. `standing` None:
    ACLs of this corpus do not age.
    """

    generation: int
    principals: Mapping[str, BitMap]
    versions: Mapping[int, BitMap]
    classifications: Mapping[Classification, BitMap]
    regions: Mapping[str, BitMap]
    live: BitMap
    spans: Mapping[int, tuple[int, int]]
    documents: Mapping[int, bytes]
    facts: Mapping[str, DocumentRow]
    revisions: Mapping[str, BitMap]
    changed: Mapping[str, DocumentRow] = field(default_factory=dict)
    standing: Standing | None = None
    _days: dict[int, BitMap] = field(default_factory=dict)

    def in_force(self, day: date) -> BitMap:
        """Return the revisions in force on a day: from <= day < to, and not past their retention."""
        number = day.toordinal()
        found = self._days.get(number)
        if found is None:
            found = BitMap(rev for rev, (start, end) in self.spans.items() if start <= number < end)
            self._days[number] = found
        return found


def make_visibility(
    generation: int,
    *,
    documents: Iterable[DocumentRow],
    revisions: Iterable[RevisionRow],
    versions: Mapping[int, BitMap],
    standing: Standing | None = None,
) -> Visibility:
    """Build the bitmaps from the rows of one consistent read."""
    by_document: dict[str, BitMap] = {}
    spans: dict[int, tuple[int, int]] = {}
    names: dict[int, bytes] = {}
    for row in revisions:
        by_document.setdefault(row.document, BitMap()).add(row.rev)
        ends = [
            day for day in (row.effective_to, None if row.retained_until is None else row.retained_until + 1) if day
        ]
        names[row.rev] = row.document.encode()
        spans[row.rev] = (row.effective_from or 0, min(ends, default=_FOREVER))
    facts = {document.id: document for document in documents if document.id in by_document}
    principals: dict[str, BitMap] = {}
    classifications: dict[Classification, BitMap] = {}
    regions: dict[str, BitMap] = {}
    live = BitMap()
    for document in facts.values():
        revs = by_document[document.id]
        for name in document.acl:
            principals.setdefault(name, BitMap()).update(revs)
        classifications.setdefault(document.classification, BitMap()).update(revs)
        regions.setdefault(document.region, BitMap()).update(revs)
        if document.is_live:
            live |= revs
    return Visibility(
        generation=generation,
        principals=principals,
        versions=versions,
        classifications=classifications,
        regions=regions,
        live=live,
        spans=spans,
        documents=names,
        facts=facts,
        revisions=by_document,
        standing=standing,
    )


def change_documents(visibility: Visibility, generation: int, documents: Iterable[DocumentRow]) -> Visibility:
    """Return the bitmaps as they are once these documents have new facts; others are shared, none is edited."""
    facts, changed = visibility.facts, dict(visibility.changed)
    if len(changed) > _FOLD:
        facts, changed = {**facts, **changed}, {}
    principals, regions = dict(visibility.principals), dict(visibility.regions)
    classifications = dict(visibility.classifications)
    live = visibility.live
    for document in documents:
        before = changed.get(document.id) or facts.get(document.id)
        revs = visibility.revisions.get(document.id)
        if before is None or revs is None:  # no revision of it is in any version known here
            continue
        _move(principals, before.acl, document.acl, revs)
        _move(regions, (before.region,), (document.region,), revs)
        _move(classifications, (before.classification,), (document.classification,), revs)
        if document.is_live != before.is_live:
            live = live | revs if document.is_live else live - revs
        changed[document.id] = document
    return replace(
        visibility,
        generation=generation,
        principals=principals,
        regions=regions,
        classifications=classifications,
        live=live,
        facts=facts,
        changed=changed,
    )


def _move(bitmaps: dict[_Name, BitMap], before: Iterable[_Name], after: Iterable[_Name], revs: BitMap) -> None:
    was, now = set(before), set(after)
    for name in was - now:
        left = bitmaps[name] - revs
        if left:
            bitmaps[name] = left
        else:
            del bitmaps[name]
    for name in now - was:
        bitmaps[name] = bitmaps.get(name, BitMap()) | revs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allowed:
    """The revisions one asker may see, for one version and day. Made by `allow` only.

    It holds up to and including `until`, for good where that is None. `is_stale`: the asker would see something, were
    not every ACL of it past its age.
    """

    revisions: BitMap
    generation: int
    until: datetime | None
    is_stale: bool
    maker: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.maker is not _MAKER:
            message = "An allowed set is made by retrieval.allowed.allow, from a permission decision."
            raise TypeError(message)

    @property
    def fingerprint(self) -> Digest:
        """Return the identity of the set: equal sets, equal fingerprints (serving.md 6.1)."""
        return digest_of(b"pilotage/allowed/v1\0" + self.revisions.serialize())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asks, when, and for what. `also` are the names of a service acting for the person: both must be allowed.

    `regions` and `classifications` None mean no rule narrows them. `at` is no part of who asks: what is decided for one
    moment holds for others too, as long as `Allowed.until` says.
    """

    names: frozenset[str]
    version: int
    day: date
    at: datetime = field(compare=False)
    also: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    classifications: frozenset[Classification] | None = None


def allow(visibility: Visibility, asking: Asking) -> Allowed:
    """Decide once: the union over the asker's names, cut by version, day, rules and takedowns."""
    version = visibility.versions.get(asking.version, BitMap())
    seen = _union(visibility.principals, asking.names)
    if asking.also is not None:
        seen &= _union(visibility.principals, asking.also)
    seen &= version
    seen &= visibility.live
    seen &= visibility.in_force(asking.day)
    if asking.regions is not None:
        seen &= _union(visibility.regions, asking.regions)
    if asking.classifications is not None:
        seen &= _union(visibility.classifications, asking.classifications)
    until, is_stale = None, False
    if visibility.standing is not None:
        standing, until = visibility.standing.at(asking.at)
        is_stale = bool(seen) and seen.isdisjoint(standing)
        seen &= standing
    # One form for one set, however it came about: the fingerprint is taken of the serialised bitmap.
    seen.run_optimize()
    return Allowed(revisions=seen, generation=visibility.generation, until=until, is_stale=is_stale, maker=_MAKER)


def _union(bitmaps: Mapping[str, BitMap] | Mapping[Classification, BitMap], names: Collection[str]) -> BitMap:
    found = [bitmaps[name] for name in sorted(names) if name in bitmaps]  # type: ignore[index]
    return BitMap.union(*found) if found else BitMap()
