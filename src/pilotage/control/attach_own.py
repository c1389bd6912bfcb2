"""Evidence that Pilotage brings itself: its own runs, attested by the instance, and the documents of a sealed workflow.

Rule: it is stored in the transaction of what it comes from. Fail mode: NotFound for an unknown release; a document that
cannot be read is rejected evidence, never a pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from pilotage import __version__
from pilotage.adapters.parsing.evidence_process import EVIDENCE
from pilotage.control.evidence_context import About, read_context
from pilotage.control.instance import Instance
from pilotage.control.keep_evidence import keep_item, known_item, with_reading
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.evidence.records import Evidence, EvidenceState, ReadRefusal, SubjectKind, ToolFinding
from pilotage.evidence.superseding import ENGINE, INSTANCE
from pilotage.identity.principal import Principal
from pilotage.space.digest import space_digest
from pilotage.store.releases import find_release
from pilotage.workspace.gate import Trust
from pilotage.workspace.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRun:
    """The result of one of our own runs, as evidence. `suite` tells runs of one kind apart."""

    kind: str
    claims: dict[str, float]
    body: bytes
    produced_at: datetime
    summary: str
    findings: tuple[ToolFinding, ...] = ()
    space: SpaceName | None = None
    suite: str = ""
    names: dict[str, tuple[str, ...]] | None = None
    refs: dict[str, str] | None = None


def attach_own_run(connection: Connection, instance: Instance, *, release: Digest, run: OwnRun) -> Evidence:
    """Store the result of our own run in the caller's transaction, attested by the instance."""
    stored = find_release(connection, release)
    if stored is None:
        raise NotFound("RELEASE_UNKNOWN", f"There is no release {release}.", hint="See `pilotage release list`.")
    now = instance.clock.now()
    item = Evidence(
        id=new_ulid(now),
        sha256=digest_of(run.body),
        kind=run.kind,
        subject_kind=SubjectKind.RELEASE,
        subject=release,
        space=run.space,
        space_config=None if run.space is None else space_digest(instance.workspace.spaces[run.space]),
        suite=run.suite,
        producer=INSTANCE,
        trust=Trust.ATTESTED,
        produced_at=run.produced_at,
        received_at=now,
        claims=run.claims,
        reader="own@1",
        summary=run.summary,
        findings=run.findings,
        names=run.names or {},
        refs={**(run.refs or {}), ENGINE: __version__},
        media="application/json",
        size=len(run.body),
    )
    keep_item(connection, item, run.body, actor=None, at=now)
    return item


def attach_documents(
    connection: Connection, instance: Instance, workflow: Workflow, *, actor: Principal, at: datetime
) -> tuple[Evidence, ...]:
    """Attach the workflow's documents as `document.*` evidence, in the transaction that seals."""
    kept: list[Evidence] = []
    for file, data in sorted(workflow.sources.documents.items()):
        kind = f"document.{file.rsplit('/', 1)[-1].rsplit('.', 1)[0]}"
        read = EVIDENCE.read(
            data,
            kind=kind,
            name=file,
            subject=workflow.name,
            context=read_context(instance.workspace, workflow, About(kind=kind, received_at=at)),
        )
        item = Evidence(
            id=new_ulid(at),
            sha256=digest_of(data),
            kind=kind,
            subject_kind=SubjectKind.WORKFLOW,
            subject=workflow.name,
            producer=str(actor.person or actor.id),
            trust=Trust.CLAIMED,
            produced_at=at,
            received_at=at,
            claims={},
            reader="",
            media="text/markdown",
            size=len(data),
        )
        if isinstance(read, ReadRefusal):
            item = replace(item, state=EvidenceState.REJECTED, reason=read.reason)
        else:
            item = replace(with_reading(item, read), produced_at=at)
        known = known_item(connection, item)
        if known is item:
            keep_item(connection, item, data, actor=actor, at=at)
        kept.append(known)
    return tuple(kept)
