"""Which documents a workflow answers from, space by space: the corpus version of the release that serves, and its date.

Rule: reads only; the date is when the version was accepted. Fail mode: a space whose release or version is gone is
left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.ids import CorpusName, SpaceName, WorkflowName
from pilotage.corpus.settings import DataStage
from pilotage.release.content import sealed_pins
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.corpora import versions_named
from pilotage.store.releases import bodies_of, releases_named
from pilotage.store.served import all_served


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedDocuments:
    """What one space answers from."""

    space: SpaceName
    release: Digest
    corpus: CorpusName
    version: int
    as_of: datetime


def served_documents(connection: Connection, instance: Instance, workflow: WorkflowName) -> tuple[ServedDocuments, ...]:
    """Return what each space that serves a workflow answers from, in the order of the spaces."""
    stable = {
        route.space: route.stable
        for route in all_served(connection)
        if route.workflow == workflow and route.stable is not None and route.space in instance.workspace.spaces
    }
    pins = _pins(connection, set(stable.values()))
    wanted = {
        space: pins[stable[space]][stage]
        for space in instance.workspace.order
        if space in stable
        if (stage := instance.workspace.spaces[space].data_stage) in pins.get(stable[space], {})
    }
    versions = versions_named(connection, set(wanted.values()))
    return tuple(
        ServedDocuments(
            space=space,
            release=stable[space],
            corpus=corpus,
            version=number,
            as_of=found.decided_at or found.created_at,
        )
        for space, (corpus, number) in wanted.items()
        if (found := versions.get((corpus, number))) is not None
    )


def _pins(
    connection: Connection, releases: Collection[Digest]
) -> dict[Digest, dict[DataStage, tuple[CorpusName, int]]]:
    manifests = {
        digest: read_manifest(stored.manifest, digest=digest)
        for digest, stored in releases_named(connection, releases).items()
    }
    bodies = bodies_of(connection, list(manifests.values()))
    return {
        digest: {
            stage: (pin.name, pin.version)
            for stage, pin in sealed_pins(bodies[digest][PartKind.CORPUS], manifest.parts[PartKind.CORPUS]).items()
        }
        for digest, manifest in manifests.items()
    }
