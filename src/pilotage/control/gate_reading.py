"""What is stored about the gates of some releases, read once for all of them: on one snapshot, in a few statements.

Rule: nothing is kept beyond one transaction; traffic, history and differences are read when the first gate asks, for
every release at once, so the number of statements depends neither on releases nor on gates. Fail mode: what cannot be
read raises, and nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection

from pilotage.control.attach_evidence import subjects_of, workflow_of
from pilotage.control.gate_preflight import gate_places
from pilotage.control.gate_roster import EDITOR_SPAN
from pilotage.control.instance import Instance
from pilotage.control.release_diffs import diffs_of
from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError, InvalidFiles
from pilotage.corpus.settings import DataStage
from pilotage.evidence.records import Evidence, SubjectKind
from pilotage.release.content import CorpusPin, sealed_model, sealed_pins, sealed_retrieval
from pilotage.release.diff import Flag
from pilotage.release.manifest import Manifest, PartKind, read_manifest
from pilotage.release.model import ModelSettings
from pilotage.retrieval.settings import Embedding, RetrievalSettings
from pilotage.store.cohorts import History, read_history
from pilotage.store.gate_snapshot import read_snapshot
from pilotage.store.gate_traffic import Traffic, read_traffic
from pilotage.store.lineage import earlier_than
from pilotage.store.releases import StoredRelease

T = TypeVar("T")


class Reading:
    """Reads for some releases. `snapshot` is read at once, the rest when it is first asked for."""

    def __init__(
        self,
        connection: Connection,
        instance: Instance,
        releases: Sequence[StoredRelease],
        now: datetime,
        *,
        compared: bool = False,
    ) -> None:
        self.connection = connection
        self.instance = instance
        self.releases = tuple(releases)
        self.now = now
        self.manifests: Mapping[Digest, Manifest] = {
            one.digest: read_manifest(one.manifest, digest=one.digest) for one in releases
        }
        self.workflows = {one.workflow: workflow_of(instance, one.workflow) for one in releases}
        self.snapshot = read_snapshot(
            connection,
            releases,
            parts={part for manifest in self.manifests.values() for part in manifest.parts.values()},
            subjects=_subjects(releases),
            editors_since=now - EDITOR_SPAN,
            spaces=instance.workspace.production_spaces,
            now=now,
            compared=compared,
        )

    def evidence_about(self, subjects: Sequence[tuple[SubjectKind, str]]) -> tuple[Evidence, ...]:
        """Return what is stored about these subjects, oldest first."""
        found = [item for subject in dict.fromkeys(subjects) for item in self._evidence.get(subject, ())]
        return tuple(sorted(found, key=lambda item: (item.received_at, item.id)))

    @cached_property
    def _evidence(self) -> Mapping[tuple[SubjectKind, str], Sequence[Evidence]]:
        found: dict[tuple[SubjectKind, str], list[Evidence]] = {}
        for item in self.snapshot.evidence:
            found.setdefault((item.subject_kind, item.subject), []).append(item)
        return found

    @cached_property
    def models(self) -> Mapping[Digest, ModelSettings]:
        """The sealed models of the releases, by part; what is gone or altered is left out."""
        return self._sealed(PartKind.MODEL, sealed_model)

    @cached_property
    def retrievals(self) -> Mapping[Digest, RetrievalSettings]:
        """The sealed retrieval settings of the releases, by part; what is gone or altered is left out."""
        return self._sealed(PartKind.RETRIEVAL, sealed_retrieval)

    def models_of(self, manifest: Manifest) -> tuple[ModelSettings, Embedding | None] | None:
        """Return the sealed models of a release, of answers and of vectors; None where either cannot be read."""
        model = self.models.get(manifest.parts[PartKind.MODEL])
        retrieval = self.retrievals.get(manifest.parts[PartKind.RETRIEVAL])
        return None if model is None or retrieval is None else (model, retrieval.embedding)

    @cached_property
    def pins(self) -> Mapping[Digest, Mapping[DataStage, CorpusPin]]:
        """The sealed corpus versions of the releases, by part and stage; what is gone or altered is left out."""
        return self._sealed(PartKind.CORPUS, sealed_pins)

    def _sealed(self, kind: PartKind, read: Callable[[bytes, Digest], T]) -> dict[Digest, T]:
        found: dict[Digest, T] = {}
        for part in {manifest.parts[kind] for manifest in self.manifests.values() if kind in manifest.parts}:
            with suppress(IntegrityError, InvalidFiles):
                found[part] = read(self.snapshot.placed.get(part, b""), part)
        return found

    @cached_property
    def traffic(self) -> Traffic:
        """What the releases' workflows answered lately, in every space."""
        asked = [(one.workflow, one.digest) for one in self.releases]
        return read_traffic(self.connection, asked, spaces=self.instance.workspace.spaces, now=self.now)

    @cached_property
    def history(self) -> Mapping[tuple[str, str], History]:
        """The requests that the workflows' plans are foreseen with."""
        places = [place for workflow in self.workflows.values() for place in gate_places(workflow)]
        return read_history(self.connection, places, now=self.now)

    @cached_property
    def flags(self) -> Mapping[Digest, tuple[str, ...]]:
        """What of each release's difference to those before it somebody must look at; nothing without a parent.

        It is held against its parent and against what was last approved: what a release in between took away, which
        nobody approved, is taken away still.
        """
        if all(one.parent is None for one in self.manifests.values()):
            return {}
        spaces = self.instance.workspace.production_spaces
        earlier = self.snapshot.earlier or earlier_than(self.connection, list(self.manifests), spaces)
        pairs: dict[tuple[Digest, Digest], tuple[Manifest, Manifest]] = {}
        for digest, after in self.manifests.items():
            parent = None if after.parent is None else earlier.parents.get(after.parent)
            for before in (parent, earlier.approved.get(digest)):
                if before is not None:
                    pairs[before.digest, digest] = (before, after)
        found: dict[Digest, set[Flag]] = {}
        for diff in diffs_of(self.connection, list(pairs.values())):
            found.setdefault(diff.after, set()).update(diff.flags)
        return {after: tuple(str(flag) for flag in Flag if flag in flags) for after, flags in found.items()}


def _subjects(releases: Sequence[StoredRelease]) -> dict[SubjectKind, tuple[str, ...]]:
    found: dict[SubjectKind, dict[str, None]] = {}
    for one in releases:
        for kind, names in subjects_of(one).items():
            found.setdefault(kind, {}).update(dict.fromkeys(names))
    return {kind: tuple(names) for kind, names in found.items()}
