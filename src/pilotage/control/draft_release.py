"""What sealing a workflow would make of it now: parts, digest, parent, and why it would be refused.

Rule: one draft for who looks and for who seals, read on the caller's connection, so that the digest a person was shown
is the digest that is sealed or nothing is. Fail mode: a corpus without an accepted version is a Refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyroaring import BitMap
from sqlalchemy import Connection

from pilotage.control.draft_vectors import cells_of, unknown_cells
from pilotage.control.instance import Instance
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import NotFound
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import DataStage
from pilotage.corpus.version import VersionState
from pilotage.guard.pii_recognise import PII_VERSION
from pilotage.guard.secrets import has_secret
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.release.assemble import PROMPT_FILE, Assembly, CorpusPin, Sources, assemble
from pilotage.release.manifest import Manifest, PartFile, PartKind, part_bytes
from pilotage.release.seal import ReleaseState, check_golden, check_manifest, check_parts, check_secrets
from pilotage.retrieval.settings import CorpusRef
from pilotage.store.corpora import StoredVersion, newest_version, version_of
from pilotage.store.corpus_documents import count_chunks
from pilotage.store.releases import StoredRelease, head_of, withdrawn_as
from pilotage.workspace.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A workflow as a release that is not sealed yet. `head` is its newest release, `reasons` stand against sealing.

    `cells` are those its vectors are cut into; a stage is missing while sealing has still to train them.
    """

    workflow: Workflow
    assembly: Assembly
    manifest: Manifest
    head: StoredRelease | None
    versions: Mapping[DataStage, StoredVersion]
    reasons: tuple[Reason, ...]
    cells: Mapping[DataStage, Digest]

    @property
    def is_unchanged(self) -> bool:
        """Tell whether the newest release holds this content already."""
        head = self.head
        if head is None or head.state is not ReleaseState.SEALED:
            return False
        return head.parts_digest == self.manifest.parts_digest


def draft_release(connection: Connection, instance: Instance, workflow: str) -> Draft | Refusal:
    """Return what sealing this workflow would make now; raise NotFound for a workflow nobody declared."""
    declared = declared_workflow(instance, workflow)
    pins = _pin_corpora(connection, declared)
    if isinstance(pins, Refusal):
        return pins
    versions = {stage: version for stage, (_, version) in pins.items()}
    cells = cells_of(connection, declared, versions)
    assembly = _assemble(declared, {stage: pin for stage, (pin, _) in pins.items()}, cells)
    head = head_of(connection, declared.name)
    manifest = Manifest(
        workflow=declared.name,
        parent=None if head is None else head.digest,
        parts={part.kind: digest_of(part_bytes(part)) for part in assembly.parts},
    )
    return Draft(
        workflow=declared,
        assembly=assembly,
        manifest=manifest,
        head=head,
        versions=versions,
        reasons=(*_reasons(connection, declared, assembly, manifest), *unknown_cells(connection, declared)),
        cells=cells,
    )


def view_draft(instance: Instance, *, actor: Principal, workflow: str) -> tuple[Draft | Refusal, Refusal | None]:
    """Return the draft for a page, and why this person may not seal it."""
    with instance.engine.connect() as connection:
        return draft_release(connection, instance, workflow), may(actor.roles, Action.SEAL)


def declared_workflow(instance: Instance, workflow: str) -> Workflow:
    """Return the declared workflow; raise NotFound."""
    found = instance.workspace.workflows.get(WorkflowName(workflow))
    if found is None:
        known = ", ".join(sorted(instance.workspace.workflows)) or "none"
        message = f"There is no workflow {workflow!r}."
        raise NotFound("WORKFLOW_UNKNOWN", message, hint=f"Declared in workflows/: {known}.")
    return found


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
    if reference.version is None:
        hint = "Run `pilotage corpus refresh` and accept."
        text_ = f"Corpus {reference.name} has no accepted version to seal for {stage} spaces. {hint}"
    else:
        hint = f"Write the number of an accepted one; `pilotage corpus versions {reference.name}` lists them."
        text_ = f"{reference.name}@{reference.version} is no accepted version to seal for {stage} spaces. {hint}"
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


def _assemble(declared: Workflow, pins: Mapping[DataStage, CorpusPin], cells: Mapping[DataStage, Digest]) -> Assembly:
    sources = declared.sources
    return assemble(
        Sources(
            prompt=sources.prompt,
            model=sources.model,
            retrieval=sources.retrieval
            if not cells
            else {**sources.retrieval, "cells": {str(stage): one for stage, one in cells.items()}},
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
