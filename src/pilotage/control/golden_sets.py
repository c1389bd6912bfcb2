"""`pilotage golden lint | diff | leaks`: what a golden set can show, what a change makes easier, what leaked.

Rule: all three only read. Fail mode: InvalidFiles with every mistake of the folder at once, NotFound for a release.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.sealed_golden import SealedGolden, sealed_golden
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason
from pilotage.evaluation.digests import row_digest
from pilotage.evaluation.leakage import Leak, Sources, blocks_gating, find_leaks
from pilotage.evaluation.power import check_margin
from pilotage.evaluation.run import RunKind
from pilotage.evaluation.weakening import weakenings
from pilotage.store.evaluation_texts import document_texts
from pilotage.store.releases import load_release, named_release
from pilotage.workspace.golden import GoldenFile, Purpose, Split
from pilotage.workspace.records import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What a workflow's declared golden set holds and what stands against it."""

    workflow: WorkflowName
    files: dict[str, int]
    tags: dict[str, int]
    must_pass: int
    findings: tuple[Reason, ...]

    def as_json(self) -> dict[str, Json]:
        """Return every field."""
        return {
            "workflow": self.workflow,
            "files": dict(self.files),
            "tags": dict(self.tags),
            "must_pass": self.must_pass,
            "findings": [dict(one.as_json()) for one in self.findings],
        }


def lint_golden(workspace: Workspace, workflow: str) -> Linted:
    """Look a declared golden set over; the folder itself was checked when it was loaded."""
    declared = workspace.workflows.get(WorkflowName(workflow))
    if declared is None:
        known = ", ".join(sorted(workspace.workflows)) or "none"
        raise NotFound("WORKFLOW_UNKNOWN", f"There is no workflow {workflow!r}.", hint=f"Declared: {known}.")
    gate = [one for one in declared.golden if one.purpose is Purpose.RELEASE and one.split is Split.GATE]
    cases = [case for one in gate for case in one.cases]
    tags = Counter(tag for case in cases for tag in case.tags)
    margins = sorted(declared.evaluation.margins.items())
    narrow = [check_margin(name, margin, cases=len(cases)) for name, margin in margins]
    return Linted(
        workflow=declared.name,
        files={one.name: len(one.cases) for one in declared.golden},
        tags=dict(sorted(tags.items())),
        must_pass=sum(case.must_pass for case in cases),
        findings=(*_short(gate, tags), *(one for one in narrow if one is not None)),
    )


def _short(files: list[GoldenFile], tags: Counter[str]) -> list[Reason]:
    wanted: Counter[str] = Counter()
    for one in files:
        wanted |= Counter(one.required_tags)
    return [
        Reason(
            code="TAG_BELOW_MINIMUM",
            text=f"{tags[tag]} cases carry {tag}; {least} are required, so a run is inconclusive.",
            where=tag,
            observed=str(tags[tag]),
            limit=str(least),
        )
        for tag, least in sorted(wanted.items())
        if tags[tag] < least
    ]


def diff_golden(instance: Instance, before: str, after: str) -> dict[str, Json]:
    """Return added, removed and changed cases between two releases, and every weakening."""
    with instance.engine.connect() as connection:
        old = sealed_golden(connection, named_release(connection, before).digest)
        new = sealed_golden(connection, named_release(connection, after).digest)
    rows = [{case.id: row_digest(case) for one in side.files for case in one.cases} for side in (old, new)]
    return {
        "before": old.release,
        "after": new.release,
        "added": sorted(rows[1].keys() - rows[0].keys()),
        "removed": sorted(rows[0].keys() - rows[1].keys()),
        "changed": sorted(name for name in rows[0].keys() & rows[1].keys() if rows[0][name] != rows[1][name]),
        "evaluation_changed": old.evaluation != new.evaluation,
        "weakenings": [
            {"case": one.case_id, "kind": one.kind.value, "what": one.what} for one in weakenings(old.files, new.files)
        ],
    }


def leaks_of(connection: Connection, golden: SealedGolden, files: tuple[GoldenFile, ...]) -> tuple[Leak, ...]:
    """Return the leaks of a release's cases into its own prompt and documents, and between splits."""
    content = load_release(connection, golden.release)
    documents: dict[str, str] = {}
    for pin in content.corpora.values():
        documents |= document_texts(connection, pin.name, pin.version)
    dev = tuple(one for one in golden.files if one.split is Split.DEV and one not in files)
    sources = Sources(instructions={"prompt.md": content.prompt.template}, examples={}, documents=documents)
    return find_leaks((*files, *dev), sources)


def list_leaks(instance: Instance, release: str) -> dict[str, Json]:
    """Return every leaked case of a release, and whether that is too much to gate."""
    with instance.engine.connect() as connection:
        digest: Digest = named_release(connection, release).digest
        golden = sealed_golden(connection, digest)
        files = golden.chosen(RunKind.EVALUATION, ())
        found = leaks_of(connection, golden, files)
    cases = [case for one in files for case in one.cases]
    return {
        "release": digest,
        "cases": len(cases),
        "blocks_gating": blocks_gating(found, cases),
        "leaks": [
            {"case": one.case_id, "code": one.code.value, "where": one.where, "share": one.share} for one in found
        ],
    }
