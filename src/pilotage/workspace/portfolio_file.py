"""Reads `portfolio.yaml`: whole with a workspace, or row by row, so that one mistake does not hide the other rows.

Fail mode: every mistake at once; people, corpora, workflows, their KPIs, gates and phases must exist. `read_rows`
leaves out the rows that a mistake stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from pilotage.core.errors import Problem
from pilotage.core.fields import (
    BOOLEAN,
    TEXT,
    Fields,
    Reader,
    choice,
    converted,
    integer,
    list_of,
    map_of,
    read_record,
    record,
)
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.readers import CORPUS, DATE, DECIMAL, PERSON, WORKFLOW
from pilotage.core.yaml_source import load_yaml
from pilotage.corpus.settings import Classification
from pilotage.workspace.checks import check_references
from pilotage.workspace.gate_file import ROLE
from pilotage.workspace.portfolio import (
    Answer,
    Aspect,
    Band,
    Needs,
    NumberSource,
    Portfolio,
    PortfolioKpi,
    Purpose,
    SourcedNumber,
    UseCase,
    update_days,
)
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Direction

T = TypeVar("T")
FILE: Final = "portfolio.yaml"
UNKNOWN: Final = "unknown"
_NAMES = list_of(TEXT, or_one=True)
_QUARTERS = tuple(Decimal(n) / 4 for n in range(5))


def parse_portfolio(fields: Fields) -> Portfolio:
    """Read `portfolio.yaml`."""
    portfolio = Portfolio(
        use_cases=fields.need("use_cases", list_of(record(_use_case))),
        bands=fields.get("bands", list_of(record(_band)), ()),
    )
    _report_twice(fields, "use_cases", [case.name for case in portfolio.use_cases])
    _report_twice(fields, "bands", [band.name for band in portfolio.bands])
    _check_phases(fields)
    return portfolio


def read_rows(data: bytes, workspace: Workspace) -> tuple[Portfolio, tuple[Problem, ...]]:
    """Return the rows of the file that are right, and every mistake in the others."""
    problems = Problems()
    at = load_yaml(data, file=FILE, problems=problems)
    if at is None:
        return Portfolio(), tuple(sorted(set(problems.found)))
    whole = read_record(at, problems, parse_portfolio)
    check_references(workspace, problems)
    wrong = {problem.line for problem in problems.found}
    right = Portfolio(
        use_cases=_right(whole.use_cases, at, "use_cases", wrong), bands=_right(whole.bands, at, "bands", wrong)
    )
    return right, tuple(sorted(set(problems.found)))


def _right(rows: Sequence[T], at: Located, key: str, wrong: set[int]) -> tuple[T, ...]:
    places = _rows(at, key)
    return tuple(row for row, place in zip(rows, places, strict=True) if wrong.isdisjoint(_lines(place)))


def _rows(at: Located, key: str) -> tuple[Located, ...]:
    listed = at.node.get(key) if isinstance(at.node, Mapping) else None
    return listed.node if listed is not None and isinstance(listed.node, tuple) else ()


def _lines(at: Located) -> Iterator[int]:
    yield at.line
    inner = at.node.values() if isinstance(at.node, Mapping) else at.node if isinstance(at.node, tuple) else ()
    for child in inner:
        yield from _lines(child)


def _report_twice(fields: Fields, key: str, names: Sequence[str]) -> None:
    for place, name, earlier in zip(_rows(fields.at, key), names, range(len(names)), strict=False):
        if name and name in names[:earlier]:
            what = f"{name[:80]!r} stands here a second time under {key}"
            fields.problems.add(place, what, "Give each a name of its own.")


def _texts(at: Located | None) -> tuple[Located, ...]:
    """Return the texts of a list, or the one that stands for it."""
    if at is None:
        return ()
    listed = at.node if isinstance(at.node, tuple) else (at,)
    return tuple(one for one in listed if isinstance(one.node, str))


def _check_phases(fields: Fields) -> None:
    """Report a phase that is paid from a second band, and refer to the lines that have it."""
    seen: dict[object, str] = {}
    for row in _rows(fields.at, "bands"):
        for place in _texts(row.node.get("phases") if isinstance(row.node, Mapping) else None):
            name = str(place.node)
            fields.problems.refer("cost phase", name, place)
            if name in seen:
                what = f"The phase {name[:80]!r} is paid from a second band; the first is in line {seen[name]}"
                fields.problems.add(place, what, "Name each phase in one band.")
            seen.setdefault(name, str(place.line))


def _sourced(fields: Fields) -> SourcedNumber:
    return SourcedNumber(
        value=fields.need("value", DECIMAL),
        source=fields.need("source", choice(NumberSource)),
        date=fields.need("date", DATE),
    )


_WRITTEN = record(_sourced)


def _read_number(at: Located, problems: Problems) -> SourcedNumber | None:
    if at.node == UNKNOWN:
        return None
    if not isinstance(at.node, Mapping):
        hint = f"Write {{value: ..., source: measured, date: 2026-01-31}}, or {UNKNOWN}."
        problems.add(at, f"{at.path!r} is {at.kind} without a source and a date", hint)
        return None
    return _WRITTEN.read(at, problems)


_NUMBER: Reader[SourcedNumber | None] = Reader(read=_read_number, stand_in=lambda: None)


def _measure(fields: Fields) -> PortfolioKpi:
    return PortfolioKpi(
        name=fields.need("name", TEXT),
        unit=fields.need("unit", TEXT),
        direction=fields.need("direction", choice(Direction)),
        baseline=fields.get("baseline", _NUMBER, None),
        target=fields.need("target", DECIMAL),
    )


_MEASURE = record(_measure)


def _read_kpi(at: Located, problems: Problems) -> PortfolioKpi:
    if isinstance(at.node, Mapping):
        return _MEASURE.read(at, problems)
    return PortfolioKpi(name=TEXT.read(at, problems))


def _frequency(text: str) -> str:
    update_days(text)
    return text


_FREQUENCY: Reader[str] = converted(_frequency, "never")
_KPI: Reader[PortfolioKpi] = Reader(read=_read_kpi, stand_in=lambda: PortfolioKpi(name=""))


def _use_case(fields: Fields) -> UseCase:
    case = UseCase(
        name=fields.need("name", TEXT),
        unit=fields.need("unit", TEXT),
        owner=fields.need("owner", PERSON),
        volume=fields.need("volume", _NUMBER),
        minutes=fields.need("minutes", _NUMBER),
        hourly_cost=fields.need("hourly_cost", _NUMBER),
        error_rate=fields.need("error_rate", _NUMBER),
        cost_per_error=fields.need("cost_per_error", _NUMBER),
        share=fields.need("share", _NUMBER),
        kpis=fields.get("kpis", list_of(_KPI, or_one=True), ()),
        corpora=fields.get("corpora", list_of(CORPUS, or_one=True), ()),
        sensitivity=fields.get("sensitivity", choice(Classification), None),
        update_frequency=fields.get("update_frequency", _FREQUENCY, None),
        human_review=fields.get("human_review", _NAMES, ()),
        workflow=fields.get("workflow", WORKFLOW, None),
        data_owner=fields.get("data_owner", PERSON, None),
        security_owner=fields.get("security_owner", PERSON, None),
        readiness=_answers(fields),
        needs=fields.get("needs", record(_needs), Needs()),
    )
    for place in _texts(fields.place("kpis")) if case.kpis and case.workflow else ():
        fields.problems.refer("workflow kpi", f"{case.workflow}:{place.node}", place)
    for key in ("error_rate", "share"):
        number: SourcedNumber | None = getattr(case, key)
        if number is not None and number.value > Decimal(1):
            fields.problem(key, f"{key!r} is {number.value}", "Write a share from 0 to 1.")
    return case


def _answers(fields: Fields) -> Mapping[Aspect, Answer]:
    given = fields.get("readiness", map_of(record(_answer)), {})
    known = [str(one.value) for one in Aspect]
    listed = fields.place("readiness").node
    for name, at in listed.items() if isinstance(listed, Mapping) and given else ():
        if name not in known:
            hint = did_you_mean(name, known, instead="Write one of")
            fields.problems.add(at, f"{name[:80]!r} is no part of data readiness", hint)
    return {one: given[one.value] for one in Aspect if one.value in given}


def _answer(fields: Fields) -> Answer:
    answer = Answer(
        score=fields.need("score", DECIMAL),
        by=fields.need("by", PERSON),
        date=fields.need("date", DATE),
        note=fields.get("note", TEXT, ""),
    )
    if answer.score not in _QUARTERS:
        fields.problem("score", f"'score' is {answer.score}", "Write 0, 0.25, 0.5, 0.75 or 1.")
    return answer


def _needs(fields: Fields) -> Needs:
    return Needs(
        per_person_permissions=fields.get("per_person_permissions", BOOLEAN, None),
        takedown_duty=fields.get("takedown_duty", BOOLEAN, None),
        citations_required=fields.get("citations_required", BOOLEAN, None),
        content_residency=fields.get("content_residency", BOOLEAN, None),
        adapt_for=fields.get("adapt_for", choice(Purpose), None),
        reviewed_examples=fields.get("reviewed_examples", integer(), None),
        examples_for_everyone=fields.get("examples_for_everyone", BOOLEAN, None),
    )


def _band(fields: Fields) -> Band:
    band = Band(
        name=fields.need("name", TEXT),
        minimum=fields.need("min", DECIMAL),
        maximum=fields.need("max", DECIMAL),
        released_by=fields.need("released_by", TEXT),
        signer=fields.need("signer", ROLE),
        phases=fields.get("phases", _NAMES, ()),
    )
    if band.released_by:
        fields.problems.refer("band gate", band.released_by, fields.place("released_by"))
    if band.maximum < band.minimum:
        fields.problem("max", f"The band {band.name!r} ends below its start", "Write max: at least as much as min.")
    return band
