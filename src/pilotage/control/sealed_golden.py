"""The golden set of a sealed release, read back from its sealed bytes alone, and what one run makes of it.

Rule: cases, personas, margins and thresholds come from the release; nobody can move a limit after seeing a result. The
same run row always gives the same plan. Fail mode: IntegrityError for altered bytes, UsageError for a golden file that
does not exist or holds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.fields import read_record
from pilotage.core.ids import PersonId, SpaceName, WorkflowName
from pilotage.core.located import Problems
from pilotage.core.yaml_source import load_yaml
from pilotage.evaluation.digests import case_digest, golden_digest, input_digest
from pilotage.evaluation.run import EvaluationRun, RunKind
from pilotage.identity.principal import Principal
from pilotage.release.content import files_of, part_value
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.releases import StoredRelease, bodies_of, find_release, get_blobs
from pilotage.workspace.evaluation_file import parse_evaluation
from pilotage.workspace.golden import EvaluationSettings, GoldenCase, GoldenFile, Purpose, Split
from pilotage.workspace.golden_file import parse_golden
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.principals import local_principal, persona_principal

PURPOSES: Final[Mapping[RunKind, Purpose]] = {
    RunKind.EVALUATION: Purpose.RELEASE,
    RunKind.PERMISSIONS: Purpose.RELEASE,
    RunKind.FAIRNESS: Purpose.FAIRNESS,
    RunKind.REDTEAM: Purpose.REDTEAM,
}
_SETTINGS_FILE: Final = "evaluation.yaml"
_KEPT_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedGolden:
    """Every golden file of a release, with its evaluation settings; `evaluation` is their plain value."""

    workflow: WorkflowName
    release: Digest
    files: tuple[GoldenFile, ...]
    settings: EvaluationSettings
    evaluation: Json

    def chosen(self, kind: RunKind, names: Sequence[str]) -> tuple[GoldenFile, ...]:
        """Return the files a run uses: those named, else every gate file of the suite's purpose."""
        known = {file.name: file for file in self.files}
        for name in names:
            if name not in known:
                have = ", ".join(sorted(known)) or "none"
                raise UsageError("GOLDEN_UNKNOWN", f"The release has no golden file {name!r}.", hint=f"It has {have}.")
        if names:
            return tuple(known[name] for name in sorted(set(names)))
        return tuple(one for one in self.files if one.purpose is PURPOSES[kind] and one.split is Split.GATE)

    def digest(self, files: Sequence[GoldenFile]) -> Digest:
        """Return the golden digest of the files a run uses."""
        return golden_digest(files, self.evaluation)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCase:
    """A case with what is derived from it once."""

    case: GoldenCase
    locale: str
    input_digest: Digest
    case_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run asks and how it is judged. `cases` are in the order of their ids."""

    run: EvaluationRun
    settings: EvaluationSettings
    files: tuple[GoldenFile, ...]
    cases: Mapping[str, PlannedCase]

    def day(self, case: GoldenCase) -> date:
        """Return the day a case is asked for."""
        return case.as_of or self.run.as_of

    def space(self, case: GoldenCase) -> SpaceName | None:
        """Return where a case is asked: its own space, else the run's, else nowhere in particular."""
        return SpaceName(case.space) if case.space is not None else self.run.space


def sealed_golden(connection: Connection, release: Digest) -> SealedGolden:
    """Read the golden part of a release."""
    stored = find_release(connection, release)
    if stored is None:
        raise NotFound("RELEASE_UNKNOWN", f"There is no release {release}.", hint="See `pilotage release list`.")
    return goldens_of(connection, [stored])[release]


def goldens_of(connection: Connection, releases: Sequence[StoredRelease]) -> dict[Digest, SealedGolden]:
    """Read the golden parts of releases, all in two reads."""
    manifests = [read_manifest(one.manifest, digest=one.digest) for one in releases]
    bodies = bodies_of(connection, manifests)
    named = {
        one.digest: files_of(
            part_value(bodies[one.digest][PartKind.GOLDEN], digest=one.parts[PartKind.GOLDEN], kind=PartKind.GOLDEN)
        )
        for one in manifests
    }
    blobs = get_blobs(connection, {file.sha256 for files in named.values() for file in files})
    return {
        one.digest: _read(
            one.workflow, one.digest, tuple((file.path, blobs[file.sha256]) for file in named[one.digest])
        )
        for one in releases
    }


def _read(workflow: WorkflowName, release: Digest, files: tuple[tuple[str, bytes], ...]) -> SealedGolden:
    """Read golden files; small sets are kept, since pages ask for the same again and again."""
    if sum(len(body) for _, body in files) <= _KEPT_BYTES:
        return _kept(workflow, release, files)
    return read_golden(workflow, release, dict(files))


@lru_cache(maxsize=8)
def _kept(workflow: WorkflowName, release: Digest, files: tuple[tuple[str, bytes], ...]) -> SealedGolden:
    return read_golden(workflow, release, dict(files))


def read_golden(workflow: WorkflowName, release: Digest, files: Mapping[str, bytes]) -> SealedGolden:
    """Parse golden files (`golden/<name>.jsonl`, meta, `evaluation.yaml`); raise InvalidFiles with all mistakes."""
    problems = Problems()
    where = f"{release[:19]}/"
    stems = sorted(path.removesuffix(".jsonl") for path in files if path.endswith(".jsonl"))
    golden = tuple(
        parse_golden(
            stem.rpartition("/")[2],
            files[f"{stem}.jsonl"],
            files.get(f"{stem}.meta.yaml"),
            file=f"{where}{stem}.jsonl",
            problems=problems,
        )
        for stem in stems
    )
    settings, plain = EvaluationSettings(), None
    if _SETTINGS_FILE in files:
        at = load_yaml(files[_SETTINGS_FILE], file=where + _SETTINGS_FILE, problems=problems)
        if at is not None:
            settings, plain = read_record(at, problems, parse_evaluation), at.plain()
    problems.raise_if_any()
    return SealedGolden(workflow=workflow, release=release, files=golden, settings=settings, evaluation=plain)


def plan_of(golden: SealedGolden, run: EvaluationRun, kept: Sequence[GoldenFile] = ()) -> Plan:
    """Return what a run asks, with the cases it keeps of an approved release; the same for everybody who resumes it."""
    files = (*golden.chosen(run.kind, run.golden), *kept)
    planned = {
        case.id: PlannedCase(
            case=case, locale=file.locale, input_digest=input_digest(case), case_digest=case_digest(case)
        )
        for file in files
        for case in file.cases
    }
    return Plan(run=run, settings=golden.settings, files=files, cases=dict(sorted(planned.items())))


def principal_for(instance: Instance, plan: Plan, name: str) -> Principal:
    """Return who asks: a persona of the sealed settings, or in local identity mode a declared person."""
    if name in plan.settings.personas:
        workflow = instance.workspace.workflows.get(plan.run.workflow)
        if workflow is None:
            message = f"The workflow {plan.run.workflow!r} is not declared in this workspace."
            raise NotFound("WORKFLOW_UNKNOWN", message, hint="Evaluate where the workflow is declared.")
        return persona_principal(replace(workflow, evaluation=plan.settings), name)
    if instance.workspace.identity.mode is IdentityMode.LOCAL:
        return local_principal(instance.workspace, PersonId(name), via="evaluation")
    message = f"The release has no persona {name!r}, and people of the identity provider cannot be asked for."
    raise NotFound("PERSONA_UNKNOWN", message, hint="Declare it in evaluation.yaml under personas, and seal.")
