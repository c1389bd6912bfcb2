"""`pilotage release seal`: the declared workflow becomes an immutable, signed release in one transaction.

Rule: parts, authors, seal record, ledger entry and the sandbox's route commit together or not at all. Equal content
over the same head returns the existing digest. Fail mode: a Refusal with every reason; nothing is written.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyroaring import BitMap
from sqlalchemy import Connection, text

from pilotage import __version__
from pilotage.adapters.git import read_history, read_source
from pilotage.control.attach_evidence import attach_documents
from pilotage.control.instance import Instance
from pilotage.control.own_evidence import attach_reports
from pilotage.control.sandbox_routes import Newcomer, serve_in_sandboxes
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import DataStage
from pilotage.corpus.version import VersionState
from pilotage.guard.pii_recognise import PII_VERSION
from pilotage.guard.secrets import has_secret
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.assemble import PROMPT_FILE, Assembly, CorpusPin, Sources, assemble
from pilotage.release.authorship import Author, How, authors_of
from pilotage.release.manifest import Manifest, PartFile, PartKind, part_bytes
from pilotage.release.seal import (
    ReleaseState,
    Seal,
    Source,
    check_golden,
    check_manifest,
    check_parts,
    check_secrets,
)
from pilotage.retrieval.settings import CorpusRef
from pilotage.store.corpora import StoredVersion, newest_version, version_of
from pilotage.store.corpus_documents import count_chunks
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.releases import (
    StoredRelease,
    add_authors,
    add_release,
    head_of,
    put_blobs,
    put_parts,
    withdrawn_as,
)
from pilotage.workspace.workflow import Workflow

INSTANCE_KEY: Final = "instance"
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('pilotage/seal/' || :workflow, 0))")
_PART_PATHS: Final = {
    PartKind.PROMPT: (PROMPT_FILE,),
    PartKind.MODEL: ("model.yaml",),
    PartKind.RETRIEVAL: ("retrieval.yaml",),
    PartKind.GUARD: ("guard.yaml",),
    PartKind.TOOLS: ("guard.yaml",),
    PartKind.EGRESS: ("guard.yaml",),
    PartKind.GOLDEN: ("golden", "evaluation.yaml"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The sealed release. `created` is False when the same content already was the newest release."""

    digest: Digest
    workflow: WorkflowName
    parent: Digest | None
    parts: Mapping[PartKind, Digest]
    created: bool
    serving: tuple[SpaceName, ...] = ()
    notes: tuple[Reason, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the result for CLI and API."""
        return {
            "digest": self.digest,
            "workflow": self.workflow,
            "parts": {str(kind): digest for kind, digest in self.parts.items()},
            "parent": self.parent,
            "created": self.created,
            "serving": list(self.serving),
            "notes": [note.as_json() for note in self.notes],
        }


def seal_release(instance: Instance, *, actor: Principal, workflow: str, note: str = "") -> Sealed | Refusal:
    """Seal the workflow as it is declared now; `note` is for people and stands outside the digest."""
    refusal = may(actor.roles, Action.SEAL)
    if refusal is not None:
        return refusal
    declared = _declared(instance, workflow)
    instance.keyring.ensure(INSTANCE_KEY)
    authors = _git_authors(instance, declared, actor)
    source = read_source(instance.root)
    with instance.engine.begin() as connection:
        connection.execute(_LOCK, {"workflow": declared.name})
        pins = _pin_corpora(connection, declared)
        if isinstance(pins, Refusal):
            return pins
        assembly = _assemble(declared, {stage: pin for stage, (pin, _) in pins.items()})
        head = head_of(connection, declared.name)
        manifest = Manifest(
            workflow=declared.name,
            parent=None if head is None else head.digest,
            parts={part.kind: digest_of(part_bytes(part)) for part in assembly.parts},
        )
        if head is not None and head.parts_digest == manifest.parts_digest and head.state is ReleaseState.SEALED:
            return _unchanged(head, manifest)
        reasons = _reasons(connection, declared, assembly, manifest)
        if reasons:
            return Refusal(reasons=tuple(reasons))
        accepted = {stage: version for stage, (_, version) in pins.items()}
        sealing = _Sealing(instance=instance, actor=actor, note=note, source=source, at=instance.clock.now())
        return sealing.write(connection, assembly, manifest, {**authors, PartKind.CORPUS: _acceptors(accepted)})


def _declared(instance: Instance, workflow: str) -> Workflow:
    found = instance.workspace.workflows.get(WorkflowName(workflow))
    if found is None:
        known = ", ".join(sorted(instance.workspace.workflows)) or "none"
        message = f"There is no workflow {workflow!r}."
        raise NotFound("WORKFLOW_UNKNOWN", message, hint=f"Declared in workflows/: {known}.")
    return found


def _git_authors(instance: Instance, declared: Workflow, actor: Principal) -> dict[PartKind, tuple[Author, ...]]:
    people = {email.lower(): person.id for person in instance.workspace.people.values() for email in person.emails}
    sealer = actor.person or PersonId(actor.id)
    now = instance.clock.now()
    folder = instance.root / "workflows" / declared.name
    return {
        kind: authors_of(read_history(folder, paths), people=people, sealer=sealer, at=now)
        for kind, paths in _PART_PATHS.items()
    }


def _pin_corpora(
    connection: Connection, declared: Workflow
) -> dict[DataStage, tuple[CorpusPin, StoredVersion]] | Refusal:
    pins: dict[DataStage, tuple[CorpusPin, StoredVersion]] = {}
    reasons: list[Reason] = []
    for stage, reference in declared.retrieval.corpora.items():
        version = _version(connection, reference)
        if version is None or version.state is not VersionState.ACCEPTED:
            reasons.append(_not_accepted(stage, reference))
            continue
        pins[stage] = (_pin(connection, version), version)
    return Refusal(reasons=tuple(reasons)) if reasons else pins


def _version(connection: Connection, reference: CorpusRef) -> StoredVersion | None:
    if reference.version is None:
        return newest_version(connection, reference.name, VersionState.ACCEPTED)
    return version_of(connection, reference.name, reference.version)


def _not_accepted(stage: DataStage, reference: CorpusRef) -> Reason:
    name = reference.name if reference.version is None else f"{reference.name}@{reference.version}"
    text_ = (
        f"Corpus {name} has no accepted version to seal for {stage} spaces. Run `pilotage corpus refresh` and accept."
    )
    return Reason(code="SEAL_CORPUS_NOT_ACCEPTED", text=text_, where=f"retrieval.yaml: {stage}")


def _pin(connection: Connection, version: StoredVersion) -> CorpusPin:
    revisions: BitMap = version.revisions
    documents = version.summary.get("documents")
    return CorpusPin(
        name=version.corpus,
        version=version.number,
        digest=version.digest,
        documents=documents if isinstance(documents, int) else len(revisions),
        chunks=count_chunks(connection, version.corpus, revisions),
    )


def _assemble(declared: Workflow, pins: Mapping[DataStage, CorpusPin]) -> Assembly:
    sources = declared.sources
    return assemble(
        Sources(
            prompt=sources.prompt,
            model=sources.model,
            retrieval=sources.retrieval,
            guard=sources.guard,
            golden=sources.golden,
            corpora=pins,
            detectors={"pii": PII_VERSION},
            scorers={},
        )
    )


def _reasons(connection: Connection, declared: Workflow, assembly: Assembly, manifest: Manifest) -> list[Reason]:
    named = {PROMPT_FILE: declared.sources.prompt, **declared.sources.golden}
    files = {path: PartFile.of(path, data) for path, data in named.items()}
    reasons = check_parts(assembly.parts, files, where=f"workflows/{declared.name}")
    reasons += check_manifest(manifest)
    values = {str(part.kind): part_bytes(part) for part in assembly.parts if part.kind is not PartKind.CORPUS}
    reasons += check_secrets({**values, **named}, has_secret=has_secret)
    questions = {case.id: case.question for golden in declared.golden for case in golden.cases}
    reasons += check_golden(questions, declared.prompt.template)
    reasons += _withdrawn(connection, manifest)
    return reasons


def _withdrawn(connection: Connection, manifest: Manifest) -> list[Reason]:
    """Return why this content may not be sealed again. A revoked release is nobody's parent: see `head_of`."""
    match withdrawn_as(connection, manifest.parts_digest):
        case ReleaseState.QUARANTINED:
            what = "This content is under quarantine; lifting it takes two people and new evidence."
            return [Reason(code="SEAL_QUARANTINED", text=what, where=manifest.parts_digest)]
        case ReleaseState.REVOKED:
            what = "This content was revoked, which is final. Change what it was revoked for, then seal."
            return [Reason(code="SEAL_REVOKED", text=what, where=manifest.parts_digest)]
        case _:
            return []


def _acceptors(versions: Mapping[DataStage, StoredVersion]) -> tuple[Author, ...]:
    return tuple(
        Author(
            person=PersonId(version.decided_by),
            how=How.ACCEPTED,
            ref=f"{version.corpus}@{version.number}",
            at=version.decided_at,
        )
        for version in versions.values()
        if version.decided_by is not None and version.decided_at is not None
    )


def _unchanged(head: StoredRelease, manifest: Manifest) -> Sealed:
    return Sealed(digest=head.digest, workflow=head.workflow, parent=head.parent, parts=manifest.parts, created=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealing:
    """One sealing: who, when, from where."""

    instance: Instance
    actor: Principal
    note: str
    source: Source
    at: datetime

    def write(
        self,
        connection: Connection,
        assembly: Assembly,
        manifest: Manifest,
        authors: Mapping[PartKind, tuple[Author, ...]],
    ) -> Sealed:
        """Write everything about the release inside the caller's transaction."""
        put_blobs(connection, assembly.files, media="application/octet-stream")
        put_parts(connection, {part.kind: part_bytes(part) for part in assembly.parts})
        for kind, found in authors.items():
            add_authors(connection, manifest.parts[kind], found)
        pseudonym = pseudonym_of(connection, self.actor.id)
        stored = self._stored(manifest, pseudonym)
        add_release(connection, stored)
        self._record(connection, manifest, pseudonym)
        workflow = self.instance.workspace.workflows[manifest.workflow]
        attach_documents(connection, self.instance, workflow, actor=self.actor, at=self.at)
        attach_reports(connection, self.instance, stored)
        served = serve_in_sandboxes(
            connection,
            self.instance.workspace.spaces.values(),
            Newcomer(
                digest=manifest.digest,
                workflow=manifest.workflow,
                stages=frozenset(self.instance.workspace.workflows[manifest.workflow].retrieval.corpora),
                promoted_by=str(self.actor.person or self.actor.id),
                actor=pseudonym,
                at=self.at,
            ),
        )
        return Sealed(
            digest=manifest.digest,
            workflow=manifest.workflow,
            parent=manifest.parent,
            parts=manifest.parts,
            created=True,
            serving=served.spaces,
            notes=served.skipped,
        )

    def _stored(self, manifest: Manifest, pseudonym: str) -> StoredRelease:
        seal = Seal(
            digest=manifest.digest,
            parts_digest=manifest.parts_digest,
            sealed_at=self.at,
            sealed_by=pseudonym,
            note=self.note,
            source=self.source,
            engine=__version__,
        ).to_bytes()
        return StoredRelease(
            digest=manifest.digest,
            workflow=manifest.workflow,
            parent=manifest.parent,
            parts_digest=manifest.parts_digest,
            manifest=manifest.to_bytes(),
            state=ReleaseState.SEALED,
            seal=seal,
            signature=base64.b64encode(self.instance.keyring.sign(INSTANCE_KEY, seal)).decode(),
            key_name=INSTANCE_KEY,
            note=self.note,
            sealed_by=str(self.actor.person or self.actor.id),
            sealed_at=self.at,
        )

    def _record(self, connection: Connection, manifest: Manifest, pseudonym: str) -> None:
        data: dict[str, Json] = {
            "workflow": manifest.workflow,
            "parent": manifest.parent,
            "parts_digest": manifest.parts_digest,
            "engine": __version__,
        }
        entry = encode_entry(
            id=new_ulid(self.at),
            kind=EntryKind.RELEASE_SEALED,
            at=self.at,
            actor=pseudonym,
            subject=manifest.digest,
            data=data,
        )
        append(connection, entry)
