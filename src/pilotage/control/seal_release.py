"""`pilotage release seal`: the declared workflow becomes an immutable, signed release in one transaction.

Rule: parts, authors, seal record, ledger entry and the sandbox's route commit together or not at all. Equal content
over the same head returns the existing digest. Fail mode: a Refusal with every reason; nothing is written.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage import __version__
from pilotage.adapters.git import read_history, read_source
from pilotage.control.attach_own import attach_documents
from pilotage.control.draft_release import declared_workflow, draft_release
from pilotage.control.draft_vectors import lacking
from pilotage.control.embed_passages import EmbedTools, embed_passages
from pilotage.control.instance import Instance
from pilotage.control.own_evidence import attach_reports
from pilotage.control.sandbox_routes import Newcomer, serve_in_sandboxes
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import DataStage
from pilotage.identity.principal import Principal, outside_key
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.assemble import PROMPT_FILE, Assembly
from pilotage.release.authorship import UNKNOWN, Author, How, authors_of
from pilotage.release.manifest import Manifest, PartKind, part_bytes
from pilotage.release.seal import ReleaseState, Seal, Source
from pilotage.store.corpora import StoredVersion
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.releases import (
    StoredRelease,
    add_authors,
    add_release,
    keep_prices,
    put_blobs,
    put_parts,
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


def seal_release(
    instance: Instance,
    *,
    actor: Principal,
    workflow: str,
    note: str = "",
    expects: str | None = None,
    tools: EmbedTools = EmbedTools(),  # noqa: B008 - frozen
) -> Sealed | Refusal:
    """Seal the workflow as it is declared now; `note` is for people and stands outside the digest.

    `expects`: the digest that the caller was shown; anything else is refused. `tools` compute vectors that are missing.
    """
    any_space = next(iter(actor.spaces), None)
    refusal = may(actor.roles, Action.SEAL) or outside_key(actor, workflow=workflow, space=any_space)
    if refusal is not None:
        return refusal
    declared = declared_workflow(instance, workflow)
    embedded = _with_vectors(instance, declared, tools)
    if isinstance(embedded, Refusal):
        return embedded
    instance.keyring.ensure(INSTANCE_KEY)
    authors = _git_authors(instance, declared, actor)
    source = read_source(instance.root)
    with instance.engine.begin() as connection:
        connection.execute(_LOCK, {"workflow": declared.name})
        draft = draft_release(connection, instance, workflow)
        if isinstance(draft, Refusal):
            return draft
        head, manifest = draft.head, draft.manifest
        if draft.is_unchanged and head is not None:
            keep_prices(connection, head.digest, declared.model.prices)
            return replace(_unchanged(head, manifest), notes=embedded)
        if expects is not None and expects != manifest.digest:
            return _moved(expects, manifest.digest)
        against = (*draft.reasons, *lacking(connection, declared, draft.versions, draft.cells))
        if against:
            return Refusal(reasons=against)
        sealing = _Sealing(instance=instance, actor=actor, note=note, source=source, at=instance.clock.now())
        acceptors = {PartKind.CORPUS: _acceptors(draft.versions)}
        sealed = sealing.write(connection, draft.assembly, manifest, {**authors, **acceptors})
        return replace(sealed, notes=(*sealed.notes, *embedded))


def _with_vectors(instance: Instance, declared: Workflow, tools: EmbedTools) -> tuple[Reason, ...] | Refusal:
    """Compute what the release lacks, before its transaction; nobody pays for vectors of what is refused anyway."""
    if declared.retrieval.embedding is None:
        return ()
    with instance.engine.connect() as connection:
        draft = draft_release(connection, instance, declared.name)
    if isinstance(draft, Refusal):
        return draft
    if draft.reasons and not draft.is_unchanged:
        return Refusal(reasons=draft.reasons)
    return embed_passages(instance, declared, draft.versions, tools)


def _moved(shown: str, now: Digest) -> Refusal:
    what = f"Sealing would give {now} now, not {shown} as shown: the folder, a corpus or the parent moved. Look again."
    return Refusal(reasons=(Reason(code="SEAL_MOVED", text=what, observed=now, limit=shown),))


def _git_authors(instance: Instance, declared: Workflow, actor: Principal) -> dict[PartKind, tuple[Author, ...]]:
    people = {email.lower(): person.id for person in instance.workspace.people.values() for email in person.emails}
    sealer = actor.person or UNKNOWN  # a build that seals what nobody committed hides who wrote it
    now = instance.clock.now()
    folder = instance.root / "workflows" / declared.name
    return {
        kind: authors_of(read_history(folder, paths), people=people, sealer=sealer, at=now)
        for kind, paths in _PART_PATHS.items()
    }


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
            prices=self.instance.workspace.workflows[manifest.workflow].model.prices,
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
