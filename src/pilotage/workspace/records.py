"""The declared workspace as one frozen record: everything the folder says, checked as a whole.

Made only by `workspace/parse.py`. Rule: every name in it exists. Fail mode: a folder with one mistake gives no
Workspace, and all mistakes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pilotage.core.digest import Digest
from pilotage.core.errors import Problem
from pilotage.core.ids import CorpusName, PersonId, SpaceName, WorkflowName
from pilotage.corpus.settings import CorpusSettings
from pilotage.identity.roles import Role
from pilotage.space.settings import Space, Tier
from pilotage.workspace.evidence_sources import EvidenceSource
from pilotage.workspace.gate import Gate
from pilotage.workspace.gateway import GatewaySettings
from pilotage.workspace.index import IndexSettings
from pilotage.workspace.kubernetes import KubernetesSettings
from pilotage.workspace.operations import Operations
from pilotage.workspace.people import IdentitySettings, Person, Seat
from pilotage.workspace.plan import Freeze
from pilotage.workspace.workflow import Workflow


class MessageKind(StrEnum):
    """What a notification channel is for."""

    PAGE = "page"
    TICKET = "ticket"
    REPORT = "report"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A notification channel. `url_ref` is `env:NAME` or `file:PATH`, never the address itself.

    `allow_private` are networks (CIDR) the channel may stand in although they are not public.
    """

    name: str
    url_ref: str
    kinds: frozenset[MessageKind]
    allow_private: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """An organisation-wide endpoint that `model.yaml` may name; secrets only by reference."""

    name: str
    base_url: str
    auth_ref: str | None = None
    region: str | None = None
    subprocessor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """One organisation's declaration. `spaces` are in promotion order; `order` is that order by name.

    `groups` are all declared groups; `roster` maps a role to who holds it; `seats` are the board. `trusted_keys` map a
    key id to an Ed25519 public key (base64) that may attest evidence. `digest` identifies the whole declaration.
    """

    id: str
    organisation: str
    timezone: str
    ledger: str
    identity: IdentitySettings
    people: Mapping[PersonId, Person]
    groups: frozenset[str]
    roster: Mapping[Role, tuple[PersonId, ...]]
    seats: tuple[Seat, ...]
    order: tuple[SpaceName, ...]
    spaces: Mapping[SpaceName, Space]
    gates: Mapping[str, Gate]
    workflows: Mapping[WorkflowName, Workflow]
    corpora: Mapping[CorpusName, CorpusSettings]
    gateway: GatewaySettings
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    exporters: frozenset[str] = frozenset()
    freezes: tuple[Freeze, ...] = ()
    trusted_keys: Mapping[str, str] = field(default_factory=dict)
    evidence_sources: Mapping[str, EvidenceSource] = field(default_factory=dict)
    operations: Operations = field(default_factory=Operations)
    gpu_selectors: Mapping[str, str] = field(default_factory=dict)
    denied_licences: frozenset[str] = frozenset()
    backup_retention_days: int | None = None
    index: IndexSettings = field(default_factory=IndexSettings)
    kubernetes: KubernetesSettings | None = None
    warnings: tuple[Problem, ...] = ()
    digest: Digest

    def acls_confirmed_since(self, corpus: CorpusName, now: datetime) -> datetime | None:
        """Return when ACLs of a corpus must have been confirmed to stand at `now`; None: no limit, no such corpus."""
        settings = self.corpora.get(corpus)
        return None if settings is None else settings.confirmed_since(now)

    @property
    def production_spaces(self) -> tuple[SpaceName, ...]:
        """The spaces that serve users, in promotion order."""
        return tuple(space.name for space in self.spaces.values() if space.tier is Tier.PRODUCTION)
