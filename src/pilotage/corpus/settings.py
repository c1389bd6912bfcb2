"""What `corpora/<name>/corpus.yaml` declares, as frozen records (corpus-and-ledger.md 1.4).

Fail mode: the workspace parser refuses a corpus without owner, steward, region or classification; an item without an
ACL is readable by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pilotage.core.ids import CorpusName, PersonId


class Classification(StrEnum):
    """Ordered from open to closed; a document may only raise its corpus's classification."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        """0 for public to 3 for restricted."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Classification)}


class DataStage(StrEnum):
    """Which data a space may read: production documents, or UAT ones. Never both."""

    PRODUCTION = "production"
    UAT = "uat"


class Review(StrEnum):
    """Who accepts a refreshed version: somebody other than its trigger, or a steward alone."""

    TWO_PERSON = "two_person"
    SINGLE = "single"


class History(StrEnum):
    """Keep the refreshed revision only, or earlier ones too, each ended by the next (2.4)."""

    LATEST = "latest"
    DATED = "dated"


class Recheck(StrEnum):
    """Whether the source system is asked again at query time (serving.md 2.5)."""

    OFF = "off"
    CITED = "cited"
    ALL = "all"


class SourceKind(StrEnum):
    """Bundled connectors."""

    FOLDER = "folder"
    JSONL = "jsonl"

    @property
    def has_a_say(self) -> bool:
        """Tell whether the source can be asked at query time who may read; `recheck` needs one that can."""
        match self:
            case SourceKind.FOLDER | SourceKind.JSONL:
                return False
            case _:
                assert_never(self)

    @property
    def has_acls_elsewhere(self) -> bool:
        """Tell whether the ACLs live in another system, where they change without this one (docs/decisions/0005)."""
        match self:
            case SourceKind.FOLDER | SourceKind.JSONL:
                return False
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where documents come from. `path` is relative to the corpus folder unless absolute."""

    kind: SourceKind
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AclRule:
    """A path glob and the ACL names (`user:`, `group:`, `service:`) it grants."""

    glob: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """What never enters the corpus: by path glob, title regex (RE2), classification, or age in days."""

    globs: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    classifications: tuple[Classification, ...] = ()
    older_than_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSettings:
    """One governed corpus.

    `acl` is the default for rows without their own (empty: nobody). `acl_rules` come from `acl.yaml` and corpus.yaml
    `acl_rules`. `fields` maps our row keys to a foreign key (`id: section`) or a template (`id: "{part}/{section}"`).
    `acl_max_age_s` None: a confirmed ACL stands until it changes.
    """

    name: CorpusName
    source: Source
    owner: PersonId
    steward: PersonId
    classification: Classification
    region: str
    cadence: str | None = None
    retention_days: int | None = None
    exclusions: Exclusions = Exclusions()
    acl: tuple[str, ...] = ()
    acl_rules: tuple[AclRule, ...] = ()
    acl_max_age_s: int | None = None
    recheck: Recheck = Recheck.OFF
    data_stage: DataStage = DataStage.PRODUCTION
    review: Review = Review.TWO_PERSON
    history: History = History.LATEST
    fields: Mapping[str, str] = field(default_factory=dict)
    language: str = "en"
    derived_from: CorpusName | None = None

    @property
    def acl_max_age(self) -> timedelta | None:
        """How long a confirmed ACL stands."""
        return None if self.acl_max_age_s is None else timedelta(seconds=self.acl_max_age_s)

    def confirmed_since(self, now: datetime) -> datetime | None:
        """Return when an ACL must have been confirmed to stand at `now`; None: whenever."""
        return None if self.acl_max_age is None else now - self.acl_max_age


def acl_limit_s(written: int | None, classification: Classification, *, has_acls_elsewhere: bool) -> int | None:
    """Return how long a confirmed ACL stands: as written, else by default where its source is another system's.

    The default is 15 minutes for restricted documents, else a day (serving.md 2.5).
    """
    if written is not None or not has_acls_elsewhere:
        return written
    return 900 if classification is Classification.RESTRICTED else 86_400


def inherit_limits(corpora: Mapping[CorpusName, CorpusSettings]) -> dict[CorpusName, CorpusSettings]:
    """Return the corpora with the limits of those they derive from, where these are shorter (2.5)."""
    found: dict[CorpusName, CorpusSettings] = {}
    for name, settings in corpora.items():
        limits = [one.acl_max_age_s for one in ancestry(settings, corpora) if one.acl_max_age_s is not None]
        found[name] = replace(settings, acl_max_age_s=min(limits, default=None))
    return found


def ancestry(settings: CorpusSettings, corpora: Mapping[CorpusName, CorpusSettings]) -> tuple[CorpusSettings, ...]:
    """Return a corpus and those it derives from, the nearest first."""
    found = [settings]
    while (source := found[-1].derived_from) in corpora and source is not None:
        if corpora[source] in found:
            break
        found.append(corpora[source])
    return tuple(found)
