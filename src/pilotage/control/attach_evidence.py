"""`pilotage evidence add`: files become evidence bound to a release, or are kept as rejected with the reason.

Rule: bytes, item and ledger entry commit together; one upload of several files is accepted whole or rejected whole.
Trust comes from who stands behind it: a service key that lists the kind is `pushed`, a person `claimed`; what a trusted
key signed for this file and release is `attested`. Fail mode: what cannot be read is rejected evidence, never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from sqlalchemy import Connection

from pilotage.adapters.parsing.evidence_process import EVIDENCE
from pilotage.control.evidence_context import About, read_context
from pilotage.control.instance import Instance
from pilotage.control.keep_evidence import keep_item, known_item, with_reading
from pilotage.control.sealed_golden import sealed_golden
from pilotage.core.digest import digest_of
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.text import normalise_line
from pilotage.evidence.attestation import Attestation, check_attestation
from pilotage.evidence.bound import bound_problem, is_of_source
from pilotage.evidence.fresh import time_problem
from pilotage.evidence.records import Evidence, EvidenceState, Reading, ReadRefusal, SubjectKind
from pilotage.evidence.source import TextOf, no_text
from pilotage.evidence.target import target_problem
from pilotage.identity.principal import Principal, PrincipalKind, outside_key
from pilotage.identity.roles import Action, may
from pilotage.release.manifest import read_manifest
from pilotage.release.seal import source_of
from pilotage.space.digest import space_digest
from pilotage.store.evidence import evidence_about
from pilotage.store.releases import StoredRelease, authors_of_parts, named_release
from pilotage.workspace.gate import Trust
from pilotage.workspace.workflow import Workflow

OWN_KINDS = frozenset(
    {"evaluation", "permissions", "redteam", "fairness", "drill.rollback", "lineage", "classification"}
)
"""Kinds that only Pilotage's own runs give."""
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file as it was handed over. `attestation`: a signed statement about it, a DSSE envelope.

    `fetched_from`: the declared source that gave it, and what that was asked about, where nobody handed it over.
    """

    name: str
    data: bytes
    kind: str | None = None
    suite: str = ""
    attestation: bytes | None = None
    fetched_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringer:
    """Who brings evidence, for which space, and how text is taken out of PDF and Word documents."""

    actor: Principal
    pushed_kinds: frozenset[str] = frozenset()
    space: str | None = None
    text_of: TextOf = no_text


def bringing_refused(actor: Principal) -> Refusal | None:
    """Return why this person or service brings no evidence, whatever is in it; asked before a file is read."""
    return may(actor.roles, Action.ATTACH_PUSHED if actor.kind is PrincipalKind.SERVICE else Action.ATTACH_CLAIMED)


def attach_evidence(
    instance: Instance, *, bringer: Bringer, release: str, uploads: Sequence[Upload]
) -> tuple[Evidence, ...] | Refusal:
    """Read, judge and store an upload; raise NotFound for an unknown release or space."""
    refusal = bringing_refused(bringer.actor)
    if refusal is not None:
        return refusal
    computed = [upload.kind for upload in uploads if (upload.kind or "").startswith("fact.")]
    if computed:
        text = f"{computed[0]} is computed by Pilotage from its own records; nobody brings it. Change what it counts."
        return Refusal(reasons=(Reason(code="FIELD_COMPUTED", text=text, where=computed[0] or ""),))
    space = _space(instance, bringer.space)
    uploads = [_written(upload) for upload in uploads]
    with instance.engine.begin() as connection:
        stored = named_release(connection, release)
        workflow = workflow_of(instance, stored.workflow)
        outside = _outside_key(bringer, stored)
        if outside is not None:
            return outside
        now = instance.clock.now()
        judging = _Judging(
            instance=instance,
            workflow=workflow,
            stored=stored,
            bringer=bringer,
            space=space,
            now=now,
            current=evidence_about(connection, subjects_of(stored)),
            authors=authors_of(connection, stored),
            tags=tags_of(connection, stored, workflow, [upload.kind for upload in uploads]),
        )
        judged = _as_set([judging.item(upload) for upload in uploads])
        kept = tuple(known_item(connection, item) for item in judged)
        for item, fresh, upload in zip(kept, judged, uploads, strict=True):
            if item is fresh:
                keep_item(connection, item, upload.data, actor=bringer.actor, at=now)
    return kept


def _outside_key(bringer: Bringer, stored: StoredRelease) -> Refusal | None:
    """Return why this key brings nothing about this release; evidence of no space is of any that the key names."""
    actor = bringer.actor
    space = bringer.space or next(iter(sorted(actor.spaces)), None)
    return outside_key(actor, workflow=stored.workflow, space=space)


def _written(upload: Upload) -> Upload:
    """Return the upload with what its sender calls it as one line without control characters, as a reason prints it."""
    kind = None if upload.kind is None else normalise_line(upload.kind)
    name = normalise_line(upload.name)[:_LONGEST_NAME]
    return replace(upload, name=name, kind=kind, suite=normalise_line(upload.suite))


def workflow_of(instance: Instance, name: str) -> Workflow:
    """Return the declared workflow; raise NotFound."""
    found = instance.workspace.workflows.get(WorkflowName(name))
    if found is None:
        raise NotFound("WORKFLOW_UNKNOWN", f"The workflow {name!r} is no longer declared.", hint="Restore its folder.")
    return found


def subjects_of(stored: StoredRelease) -> dict[SubjectKind, tuple[str, ...]]:
    """Return what evidence about a release may be bound to."""
    tree = source_of(stored.seal).tree
    return {
        SubjectKind.RELEASE: (stored.digest,),
        SubjectKind.SPACE: (stored.digest,),
        SubjectKind.WORKFLOW: (stored.workflow,),
        SubjectKind.SOURCE: (tree,) if tree else (),
    }


def _space(instance: Instance, name: str | None) -> SpaceName | None:
    if name is None:
        return None
    if SpaceName(name) not in instance.workspace.spaces:
        known = ", ".join(instance.workspace.order)
        raise NotFound("SPACE_UNKNOWN", f"There is no space {name!r}.", hint=f"Declared: {known}.")
    return SpaceName(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judging:
    """One upload being judged: about which release, by whom, beside what."""

    instance: Instance
    workflow: Workflow
    stored: StoredRelease
    bringer: Bringer
    space: SpaceName | None
    now: datetime
    current: tuple[Evidence, ...]
    authors: frozenset[str]
    tags: Mapping[str, tuple[str, ...]]

    def item(self, upload: Upload) -> Evidence:
        """Return the file as evidence, accepted or rejected."""
        about = About(
            kind=upload.kind or "",
            received_at=self.now,
            trust=self._trust if upload.attestation is None else Trust.ATTESTED,
            space=self.space,
            authors=self.authors,
            current=self.current,
            tags=self.tags,
        )
        context = read_context(self.instance.workspace, self.workflow, about)
        read = EVIDENCE.read(
            upload.data,
            kind=upload.kind,
            name=upload.name,
            subject=self.stored.digest,
            context=context,
            text_of=self.bringer.text_of,
        )
        kind = upload.kind or (read.kind if isinstance(read, Reading) else "unknown")
        item = self._bare(upload, kind)
        if isinstance(read, ReadRefusal):
            return replace(item, state=EvidenceState.REJECTED, reason=read.reason)
        item = with_reading(item, read)
        source = source_of(self.stored.seal)
        if is_of_source(item.kind, item.refs, source):
            item = replace(item, subject_kind=SubjectKind.SOURCE, subject=source.tree)
        stated = read.produced_at
        if upload.attestation is not None:
            signed = self._attested(upload.attestation, item)
            if isinstance(signed, Reason):
                return replace(item, state=EvidenceState.REJECTED, reason=signed)
            stated = signed.produced_at or stated
            refs = {**item.refs, "attested_by": signed.key}
            item = replace(item, trust=Trust.ATTESTED, produced_at=stated or item.received_at, refs=refs)
        problem = self._problem(item, stated)
        return item if problem is None else replace(item, state=EvidenceState.REJECTED, reason=problem)

    @property
    def _trust(self) -> Trust:
        return Trust.PUSHED if self.bringer.actor.kind is PrincipalKind.SERVICE else Trust.CLAIMED

    def _attested(self, envelope: bytes, item: Evidence) -> Attestation | Reason:
        keys = self.instance.workspace.trusted_keys
        return check_attestation(envelope, keys=keys, release=self.stored.digest, sha256=item.sha256)

    def _bare(self, upload: Upload, kind: str) -> Evidence:
        is_workflow = kind.startswith("document.") or kind == "training"
        space = self.space
        return Evidence(
            id=new_ulid(self.now),
            sha256=digest_of(upload.data),
            kind=kind,
            subject_kind=SubjectKind.WORKFLOW if is_workflow else SubjectKind.RELEASE,
            subject=self.stored.workflow if is_workflow else self.stored.digest,
            space=space,
            space_config=None if space is None else space_digest(self.instance.workspace.spaces[space]),
            suite=upload.suite,
            producer=str(self.bringer.actor.person or self.bringer.actor.id),
            trust=self._trust,
            produced_at=self.now,
            received_at=self.now,
            claims={},
            reader="",
            size=len(upload.data),
            refs={"fetched_from": upload.fetched_from} if upload.fetched_from else {},
        )

    def _problem(self, item: Evidence, stated: datetime | None) -> Reason | None:
        tested = item.refs.get("tested_digest") or item.refs.get("release")
        if tested is not None and tested != self.stored.digest:
            text = f"The file is about {tested}, not about {self.stored.digest}."
            return Reason(code="EV_WRONG_SUBJECT", text=text, observed=tested, limit=self.stored.digest)
        space = None if self.space is None else self.instance.workspace.spaces[self.space]
        return (
            not_yours(item.kind, self.bringer)
            or bound_problem(item.kind, item.refs, source_of(self.stored.seal), is_fetched="fetched_from" in item.refs)
            or target_problem(item.kind, item.refs.get("target_url"), space)
            or time_problem(item.subject_kind, stated=stated, received_at=self.now, sealed_at=self.stored.sealed_at)
        )


def tags_of(
    connection: Connection, stored: StoredRelease, workflow: Workflow, kinds: Sequence[str | None]
) -> dict[str, tuple[str, ...]]:
    """Return the tags of the release's golden cases, where a coverage file may be held against paths that name them."""
    if not any(path.cases for path in workflow.critical_paths) or all(kind not in {None, "coverage"} for kind in kinds):
        return {}
    golden = sealed_golden(connection, stored.digest)
    return {case.id: case.tags for file in golden.files for case in file.cases}


def authors_of(connection: Connection, stored: StoredRelease) -> frozenset[str]:
    """Return the person ids of who made any part of a release."""
    manifest = read_manifest(stored.manifest, digest=stored.digest)
    found = authors_of_parts(connection, manifest.parts.values())
    return frozenset(str(author.person) for authors in found.values() for author in authors)


def not_yours(kind: str, bringer: Bringer) -> Reason | None:
    """Return why this kind is not this bringer's to bring, or None."""
    if kind in OWN_KINDS:
        text = f"{kind} evidence comes from Pilotage's own run only; nobody can upload it."
        return Reason(code="EV_TRUST", text=text, where=kind)
    if bringer.actor.kind is PrincipalKind.SERVICE and not any(fnmatchcase(kind, one) for one in bringer.pushed_kinds):
        text = f"The key of {bringer.actor.label} does not list {kind}: its scopes need evidence:{kind}."
        return Reason(code="EV_TRUST", text=text, where=kind)
    return None


def _as_set(items: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Reject the whole upload when one file of several is rejected, or when two share a suite."""
    seen: set[tuple[str, str]] = set()
    doubled = False
    for item in items:
        doubled = doubled or (item.kind, item.suite) in seen
        seen.add((item.kind, item.suite))
    if doubled and len(items) > 1:
        text = "Two files of one upload have the same kind and suite. Name each with --suite."
        reason = Reason(code="EV_DUPLICATE_SUITE", text=text)
        return tuple(replace(item, state=EvidenceState.REJECTED, reason=item.reason or reason) for item in items)
    bad = [item for item in items if item.state is EvidenceState.REJECTED]
    if bad and len(bad) < len(items):
        text = f"One upload is one set, and {len(bad)} of its {len(items)} files were rejected."
        reason = Reason(code="EV_PARTIAL_SET", text=text)
        return tuple(replace(item, state=EvidenceState.REJECTED, reason=item.reason or reason) for item in items)
    return tuple(items)
