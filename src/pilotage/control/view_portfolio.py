"""`pilotage portfolio rank` and the Portfolio page: the inventory as the file is now, with what the store knows of it.

Rule: reads only. `portfolio.yaml` is read each time; a row with a mistake is left out and its mistake is told.
Fail mode: a corpus without an accepted version has no scan, so its scores are answered by people or unknown; counting
that takes too long leaves what it would score unknown, of this and the corpora after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial

from sqlalchemy import Connection

from pilotage.adapters.workspace_files import read_declared_file
from pilotage.control.instance import Instance
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import InvalidFiles, NotFound, Problem
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason
from pilotage.corpus.cadence import longest_gap, parse_cadence
from pilotage.corpus.quality import FindingKind
from pilotage.corpus.settings import CorpusSettings, Exclusions
from pilotage.corpus.version import VersionState
from pilotage.portfolio.bands import Funding, fund, plan_findings
from pilotage.portfolio.data_readiness import CorpusScan, Counts, Owners, Report, assess
from pilotage.portfolio.decision_aid import Advice, advise, facts_of
from pilotage.portfolio.measures import measures_of
from pilotage.portfolio.ranking import Assessed, Ranked, rank
from pilotage.store.corpora import StoredVersion, last_confirmed, newest_version
from pilotage.store.corpus_scan import DocumentCounts, count_documents, in_time
from pilotage.workspace.portfolio import Portfolio, UseCase
from pilotage.workspace.portfolio_file import FILE, read_rows
from pilotage.workspace.records import Workspace

_UNSOUND = (
    FindingKind.EXACT_DUPLICATE,
    FindingKind.NEARLY_EMPTY,
    FindingKind.NEEDS_OCR,
    FindingKind.FAILED_PAGES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioView:
    """The portfolio as of a moment. `is_declared`: the file exists. `problems` are mistakes in rows left out."""

    at: datetime
    currency: str
    is_declared: bool
    rows: tuple[Ranked, ...]
    advice: Mapping[str, Advice]
    bands: tuple[Funding, ...]
    findings: tuple[Reason, ...]
    problems: tuple[Problem, ...]

    @property
    def today(self) -> date:
        """The day in UTC."""
        return self.at.date()

    @property
    def ranked(self) -> Sequence[Ranked]:
        """The ranked rows, best first."""
        return [one for one in self.rows if one.rank is not None]

    @property
    def unranked(self) -> Sequence[Ranked]:
        """The rows that are not ranked, each with its reasons."""
        return [one for one in self.rows if one.rank is None]

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "at": to_text(self.at),
            "currency": self.currency,
            "file": FILE if self.is_declared else None,
            "use_cases": [
                {**one.as_json(self.currency, self.today), "advice": self.advice[one.case.name].as_json()}
                for one in self.rows
            ],
            "bands": [one.as_json(self.currency) for one in self.bands],
            "findings": [dict(one.as_json()) for one in self.findings],
            "problems": [str(one) for one in self.problems],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceView:
    """The decision aid for one use case."""

    case: UseCase
    advice: Advice

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {"use_case": self.case.name, **self.advice.as_json()}


def view_portfolio(instance: Instance) -> PortfolioView:
    """Rank the inventory now."""
    portfolio, problems, is_declared = _read(instance)
    workspace, now = instance.workspace, instance.clock.now()
    named = sorted({name for case in portfolio.use_cases for name in case.corpora if name in workspace.corpora})
    with instance.engine.connect() as connection:
        scans = _scans(connection, [workspace.corpora[name] for name in named])
    rows = [_assessed(case, workspace, scans, now) for case in portfolio.use_cases]
    costs = workspace.operations.costs
    return PortfolioView(
        at=now,
        currency=costs.currency,
        is_declared=is_declared,
        rows=rank(rows, today=now.date()),
        advice={case.name: _advice(case, workspace) for case in portfolio.use_cases},
        bands=fund(portfolio.bands, costs.lines, costs.currency),
        findings=plan_findings(portfolio.bands),
        problems=problems,
    )


def view_advice(instance: Instance, *, use_case: str) -> AdviceView:
    """Return the decision aid for a use case; raise NotFound or, where only its row is wrong, InvalidFiles."""
    portfolio, problems, _ = _read(instance)
    case = next((one for one in portfolio.use_cases if one.name == use_case), None)
    if case is None and problems:
        raise InvalidFiles(problems)
    if case is None:
        names = ", ".join(repr(one.name) for one in portfolio.use_cases) or f"none; write {FILE}"
        message = f"There is no use case {use_case[:80]!r}."
        raise NotFound("USE_CASE_UNKNOWN", message, hint=f"There are: {names}.")
    return AdviceView(case=case, advice=_advice(case, instance.workspace))


def _advice(case: UseCase, workspace: Workspace) -> Advice:
    return advise(facts_of(case, [workspace.corpora[name].classification for name in case.corpora]))


def _read(instance: Instance) -> tuple[Portfolio, tuple[Problem, ...], bool]:
    try:
        data = read_declared_file(instance.root, FILE)
    except InvalidFiles as error:
        return Portfolio(), error.problems, True
    if data is None:
        return Portfolio(), (), False
    return (*read_rows(data, instance.workspace), True)


def _assessed(case: UseCase, workspace: Workspace, scans: Mapping[CorpusName, CorpusScan], now: datetime) -> Assessed:
    workflow = None if case.workflow is None else workspace.workflows[case.workflow]
    corpora = [workspace.corpora[name].owner for name in case.corpora]
    owners = Owners(
        data=tuple(corpora) if case.data_owner is None else (case.data_owner,),
        security=case.security_owner or (None if workflow is None else workflow.security_owner),
    )
    declared = {} if workflow is None else {one.id: one for one in workflow.kpis}
    return Assessed(case=case, measures=measures_of(case, declared), readiness=assess(case, scans, owners, now=now))


def _scans(connection: Connection, corpora: Iterable[CorpusSettings]) -> dict[CorpusName, CorpusScan]:
    listed = list(corpora)
    confirmed = in_time(connection, lambda: last_confirmed(connection, [one.name for one in listed]))
    is_slow = confirmed is None
    found: dict[CorpusName, CorpusScan] = {}
    for settings in listed:
        version = newest_version(connection, settings.name, VersionState.ACCEPTED)
        if version is not None:
            count = partial(count_documents, connection, settings.name, version.revisions)
            counts = None if is_slow else in_time(connection, count)
            is_slow = counts is None
            found[settings.name] = _scan(settings, version, counts, (confirmed or {}).get(settings.name))
    return found


def _scan(
    settings: CorpusSettings, version: StoredVersion, counts: DocumentCounts | None, refreshed_at: datetime | None
) -> CorpusScan:
    return CorpusScan(
        corpus=settings.name,
        version=version.number,
        at=version.created_at,
        counts=None
        if counts is None
        else Counts(documents=counts.documents, with_uri=counts.with_uri, with_acl=counts.with_acl),
        report=_report(version.summary.get("quality")),
        refreshed_at=refreshed_at,
        period=None if settings.cadence is None else longest_gap(parse_cadence(settings.cadence)),
        retention_days=settings.retention_days,
        has_exclusions=settings.exclusions != Exclusions(),
    )


def _report(quality: Json | None) -> Report | None:
    """Return what a version's quality report says; None without one."""
    written = _mapping(quality)
    documents = written.get("documents")
    if not isinstance(documents, int):
        return None
    findings = {kind: _mapping(one).get("count") for kind, one in _mapping(written.get("findings")).items()}
    return Report(
        documents=documents,
        rejected=_sum(_mapping(written.get("rejected")).values()),
        unsound=_sum(findings.get(kind.value) for kind in _UNSOUND),
        exposed=_sum([findings.get(FindingKind.READABLE_BY_EVERYONE.value)]),
    )


def _mapping(value: Json | None) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _sum(counts: Iterable[Json | None]) -> int:
    return sum(count for count in counts if isinstance(count, int))
