"""The table of readers for tests, coverage, load, accessibility, people and documents."""

from __future__ import annotations

from pilotage.evidence.cobertura import is_cobertura, read_cobertura
from pilotage.evidence.jacoco import is_jacoco, read_jacoco
from pilotage.evidence.junit import is_junit, read_junit
from pilotage.evidence.lcov import is_lcov, read_lcov
from pilotage.evidence.requirement_coverage import is_requirement_report, read_requirement_report
from pilotage.evidence.source import Format

_COVERAGE = ("coverage",)


REPORT_FORMATS: tuple[Format, ...] = (
    Format(id="JUnit XML", kinds=("tests.*",), looks_like=is_junit, read=read_junit),
    Format(id="Cobertura XML", kinds=_COVERAGE, looks_like=is_cobertura, read=read_cobertura, detected_kind="coverage"),
    Format(id="JaCoCo XML", kinds=_COVERAGE, looks_like=is_jacoco, read=read_jacoco, detected_kind="coverage"),
    Format(id="lcov", kinds=_COVERAGE, looks_like=is_lcov, read=read_lcov, detected_kind="coverage"),
    Format(
        id="requirement report",
        kinds=_COVERAGE,
        looks_like=is_requirement_report,
        read=read_requirement_report,
        detected_kind="coverage",
    ),
)
