"""Evidence as frozen records: what a file said, what it is bound to, and who stands behind it (gates.md 2.1).

Rule: `Reading` is what a reader makes of the bytes alone; `Evidence` adds subject, producer, trust and time. Claims are
finite numbers by the name `workspace/evidence_kinds.py` lists. Fail mode: a claim that is absent or not finite does not
stand in `claims`, and its check is then inconclusive, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.workspace.gate import Trust


class Severity(StrEnum):
    """How bad a finding is. `unknown` is treated as critical."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"


class SubjectKind(StrEnum):
    """What a piece of evidence is about."""

    RELEASE = "release"
    PART = "part"
    SPACE = "space"
    WORKFLOW = "workflow"
    SOURCE = "source"


class EvidenceState(StrEnum):
    """Rejected evidence is kept and visible with its reason; it never counts."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinding:
    """One finding of a tool. `suppressed`: hidden by the tool's own settings; it counts all the same."""

    rule: str
    severity: Severity
    title: str = ""
    component: str = ""
    version: str = ""
    location: str = ""
    suppressed: bool = False

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Return what two findings share when they are one: rule or advisory, component, version, location."""
        return (self.rule, self.component, self.version, self.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader made of one file.

    `claims` by name, rates in [0, 1], latencies in ms; `produced_at` the time inside the file, None when it has none.
    `refs` are short strings other checks need (`target_url`, `head_sha`, `head_tree`, `commit`, `tested_digest`);
    `names` lists by purpose (`passed_tests`, `failed_tests`, `approvers`, `testers`, `components`), capped at 100,000.
    """

    kind: str
    reader: str
    claims: Mapping[str, float]
    summary: str
    produced_at: datetime | None = None
    findings: tuple[ToolFinding, ...] = ()
    refs: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRefusal:
    """The file cannot count: an `EV_*` code with what was found. It is kept as rejected evidence."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadContext:
    """What a reader may compare the file with. Everything is optional; what is absent makes its claim absent.

    `critical_paths`: id -> (test globs, file globs). `people` maps a login or e-mail (lower case) to a person id;
    `expected_requests` is the declared volume of a load profile; `profile_requests` that of `load.expected`, for
    `volume_ratio`; `required_sections` are headings a document of this type must have, `required_command` what one of
    its `pilotage` blocks must call (empty: anything); `passed_tests` come from
    current test evidence; `required_people` must have completed the training; `authors` (person ids) made the subject,
    so their own passes count for nothing; `received_at` is when the file came, for what is valid until a date.
    `integrations`: ids of the systems the workflow declares; empty: whatever a test names counts.
    """

    must_include: tuple[str, ...] = ()
    critical_paths: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    denied_licences: frozenset[str] = frozenset()
    people: Mapping[str, str] = field(default_factory=dict)
    expected_requests: int | None = None
    profile_requests: int | None = None
    required_sections: tuple[str, ...] = ()
    required_command: str | None = None
    required_people: frozenset[str] = frozenset()
    passed_tests: tuple[str, ...] = ()
    failed_tests: tuple[str, ...] = ()
    authors: frozenset[str] = frozenset()
    received_at: datetime | None = None
    integrations: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One item bound to a subject. `subject` is a digest, a workflow name or a commit tree by `subject_kind`.

    `space` and `space_config` say where it was made; `producer` is a person id, `key|<name>` or `instance`. Times are
    UTC. `claims` may hold the open findings by severity; `findings` are those a risk acceptance can name.
    """

    id: str
    sha256: Digest
    kind: str
    subject_kind: SubjectKind
    subject: str
    space: SpaceName | None = None
    space_config: Digest | None = None
    suite: str = ""
    producer: str
    trust: Trust
    produced_at: datetime
    received_at: datetime
    claims: Mapping[str, float]
    reader: str
    summary: str = ""
    findings: tuple[ToolFinding, ...] = ()
    refs: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    state: EvidenceState = EvidenceState.ACCEPTED
    reason: Reason | None = None
    media: str = "application/octet-stream"
    size: int = 0

    def as_json(self) -> dict[str, Json]:
        """Return what CLI, API and pages show."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            "kind": self.kind,
            "subject": {"kind": self.subject_kind.value, "id": self.subject},
            "space": self.space,
            "suite": self.suite,
            "producer": self.producer,
            "trust": self.trust.value,
            "produced_at": to_text(self.produced_at),
            "received_at": to_text(self.received_at),
            "claims": dict(self.claims),
            "reader": self.reader,
            "summary": self.summary,
            "findings": len(self.findings),
            "state": self.state.value,
            "accepted": self.state is EvidenceState.ACCEPTED,
            "reason": None if self.reason is None else dict(self.reason.as_json()),
        }
