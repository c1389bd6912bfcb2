"""Golden cases that count although a release left them out or made them easier (evaluation.md 2.6): the ratchet.

Rule: what is easier than in the last release that came into production by its gates is also run as it was there, under
an id of its own, until a person who made neither the golden set nor the prompt signs it off. Sign-offs are ledger
entries about the golden part, so they follow it into later releases and no row can be made up. Fail mode: a case of
which the asker is gone, or a release that cannot be read, raises; without an approved release nothing was weakened.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.sealed_golden import SealedGolden, sealed_golden
from pilotage.core.digest import Digest
from pilotage.evaluation.run import EvaluationRun, RunKind
from pilotage.evaluation.weakening import Weakening, cases_that_still_count, weakenings
from pilotage.ledger.entry import EntryKind, decode_entry
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.ledger_entries import entries_of
from pilotage.store.lineage import approved_before
from pilotage.store.releases import find_release
from pilotage.store.standards import came_by_its_gates
from pilotage.workspace.golden import GoldenFile

_MARK: Final = "~"
"""Stands in no id that a golden file may hold."""


def is_kept(case_id: str) -> bool:
    """Tell whether a case of a run is one of an earlier release."""
    return _MARK in case_id


def approved_golden(connection: Connection, instance: Instance, release: Digest) -> SealedGolden | None:
    """Return the golden set of the last approved release before this one, None before the first."""
    spaces = instance.workspace.production_spaces
    before = approved_before(connection, release, spaces)
    if before is None or not came_by_its_gates(connection, before.digest, spaces):
        return None
    return sealed_golden(connection, before.digest)


def kept_of(connection: Connection, golden: SealedGolden, run: EvaluationRun) -> tuple[GoldenFile, ...]:
    """Return the cases of the run's approved release that a run of this release still asks; fixed with the run."""
    if run.approved is None:
        return ()
    return kept_files(connection, sealed_golden(connection, run.approved), golden, until=run.requested_at)


def kept_files(
    connection: Connection, old: SealedGolden, new: SealedGolden, *, until: datetime
) -> tuple[GoldenFile, ...]:
    """Return what the old golden set asks that the new one asks no more, or not as strictly, without a sign-off."""
    before, after = (one.chosen(RunKind.EVALUATION, ()) for one in (old, new))
    signed = signed_off(connection, golden_part(connection, old.release), golden_part(connection, new.release), until)
    names = {case.id for case in cases_that_still_count(before, after, signed_off=signed)}
    mark = f"{_MARK}{old.release.removeprefix('sha256:')[:8]}"
    return tuple(
        replace(
            file,
            name=f"{file.name}{mark}",
            required_tags={},
            cases=tuple(replace(case, id=f"{case.id}{mark}") for case in file.cases if case.id in names),
        )
        for file in before
        if any(case.id in names for case in file.cases)
    )


def weakened(old: SealedGolden, new: SealedGolden) -> tuple[Weakening, ...]:
    """Return how one golden set is easier than another, of the cases that gate an evaluation."""
    return weakenings(old.chosen(RunKind.EVALUATION, ()), new.chosen(RunKind.EVALUATION, ()))


def golden_part(connection: Connection, release: Digest) -> Digest:
    """Return the digest of a release's golden part."""
    stored = find_release(connection, release)
    assert stored is not None, release
    return read_manifest(stored.manifest, digest=release).parts[PartKind.GOLDEN]


def signed_off(connection: Connection, old: Digest, new: Digest, until: datetime) -> frozenset[str]:
    """Return the cases whose weakening from one golden part to another was signed off before then."""
    return frozenset(
        str(case)
        for stored in entries_of(connection, new)
        if stored.kind == EntryKind.EVALUATION_WEAKENING_SIGNED.value
        for entry in (decode_entry(bytes(stored.bytes)),)
        if entry.data.get("before") == old and entry.at < until
        for case in _texts(entry.data.get("cases"))
    )


def _texts(value: object) -> Collection[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else ()
