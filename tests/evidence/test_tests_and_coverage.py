"""JUnit and coverage: the sample rows of gates.md 2.4 and 2.5, and what may not slip through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal


def read(data: bytes | str, kind: str, context: ReadContext | None = None) -> Reading:
    raw = data.encode() if isinstance(data, str) else data
    result = read_evidence(raw, kind=kind, name="file", context=context or ReadContext())
    assert isinstance(result, Reading), result
    return result


def code(data: bytes | str, kind: str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    result = read_evidence(raw, kind=kind, name="file", context=ReadContext())
    assert isinstance(result, ReadRefusal), result
    return result.reason.code


@pytest.mark.parametrize(
    ("file", "claims"),
    [
        ("junit-enricomi/testsuite-root.xml", {"executed": 5, "passed": 5}),
        ("junit-enricomi/testsuite-in-testsuite.xml", {"executed": 5, "passed": 5, "duplicates": 0}),
        ("junit-enricomi/junit.multiresult.xml", {"passed": 1, "failed": 1, "errors": 1, "skipped": 1, "executed": 3}),
        ("junit-enricomi/tst/disabled.xml", {"executed": 26, "passed": 6, "failed": 19, "errors": 1, "skipped": 5}),
        ("junit-enricomi/mocha/latex-utensils.xml", {"duplicates": 7, "failed": 0, "errors": 0}),
    ],
)
def test_junit_samples_give_the_stated_counts(shared_data: Path, file: str, claims: dict[str, float]) -> None:
    reading = read((shared_data / "evidence" / file).read_bytes(), "tests.unit")
    assert {name: reading.claims[name] for name in claims} == claims


@pytest.mark.feature("D1.3", "D5.15")
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("junit-enricomi/no-cases.xml", "EV_EMPTY"),
        ("junit-enricomi/no-cases-but-tests.xml", "EV_INCONSISTENT"),
        ("junit-enricomi/xunit/xunit.xml", "EV_INCONSISTENT"),
        ("perf-jenkins/TEST-JUnitResults-noTimeAttribute.xml", "EV_INCONSISTENT"),
        ("junit-enricomi/non-junit.xml", "EV_KIND_MISMATCH"),
        ("junit-enricomi/pytest/corrupt-xml.xml", "EV_MALFORMED"),
    ],
)
def test_junit_samples_that_prove_nothing_are_refused(shared_data: Path, file: str, expected: str) -> None:
    assert code((shared_data / "evidence" / file).read_bytes(), "tests.unit") == expected


@pytest.mark.feature("D1.3")
def test_a_report_of_skipped_tests_only_is_empty() -> None:
    report = "<testsuite><testcase name='a'><skipped/></testcase><testcase name='b' status='notrun'/></testsuite>"
    assert code(report, "tests.smoke") == "EV_EMPTY"


def test_a_suite_that_states_failures_its_cases_do_not_show_is_inconsistent() -> None:
    report = "<testsuite tests='1' failures='1'><testcase name='a'/></testsuite>"
    assert code(report, "tests.unit") == "EV_INCONSISTENT"


def test_an_outer_total_may_leave_the_inner_suites_out() -> None:
    report = (
        "<testsuite tests='1'><testcase name='a'/><testsuite tests='1'><testcase name='b'/></testsuite></testsuite>"
    )
    assert read(report, "tests.unit").claims["executed"] == 2


def test_the_worst_result_of_a_case_that_stands_twice_counts_once() -> None:
    report = "<testsuite><testcase name='a'/><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>"
    reading = read(report, "tests.unit")
    assert reading.claims["failed"] == 1
    assert reading.claims["executed"] == 2
    assert reading.claims["duplicates"] == 1
    assert reading.names["passed_tests"] == ("b",)
    assert reading.names["failed_tests"] == ("a",)


def test_a_rerun_is_flaky_and_still_passes() -> None:
    report = "<testsuite><testcase name='a'><flakyFailure/></testcase><testcase name='b'/></testsuite>"
    assert read(report, "tests.unit").claims["flaky"] == 1
    assert read(report, "tests.unit").claims["passed"] == 2


def case(name: str, point: str, inner: str = "") -> str:
    """Return a case that reaches an integration point."""
    prop = f"<properties><property name='integration' value='{point}'/></properties>"
    return f"<testcase name='{name}'>{prop}{inner}</testcase>"


def test_integration_points_count_when_a_test_passes_and_none_fails() -> None:
    good = case("a", "ledger") + case("b", "mail")
    assert read(f"<testsuite>{good}</testsuite>", "tests.integration").claims["points_tested"] == 2
    bad = good + case("c", "mail", "<error/>") + case("d", "crm", "<skipped/>")
    assert read(f"<testsuite>{bad}</testsuite>", "tests.integration").claims["points_tested"] == 1
    suite = "<properties><property name='integration' value='crm'/></properties><testcase name='a'/>"
    assert read(f"<testsuite>{suite}</testsuite>", "tests.integration").claims["points_tested"] == 1
    assert "points_tested" not in read("<testsuite><testcase name='a'/></testsuite>", "tests.integration").claims


@pytest.mark.feature("D10.2", "D10.13", "D10.29")
def test_only_the_systems_that_the_workflow_declares_count_as_tested_and_the_others_are_named() -> None:
    declared = ReadContext(integrations=frozenset({"crm", "mail", "ticketing"}))
    report = f"<testsuite>{case('a', 'crm')}{case('b', 'ledger')}{case('c', 'mail', '<error/>')}</testsuite>"
    reading = read(report, "tests.integration", declared)
    assert (reading.claims["points_tested"], reading.names["points"]) == (1, ("crm",))
    assert reading.summary.endswith("; not tested: mail, ticketing")
    whole = "".join(case(one, one) for one in sorted(declared.integrations))
    reading = read(f"<testsuite>{whole}</testsuite>", "tests.integration", declared)
    assert (reading.claims["points_tested"], "not tested" in reading.summary) == (3, False)


def test_a_report_dates_from_its_earliest_suite() -> None:
    report = (
        "<testsuites><testsuite timestamp='2026-11-02T10:00:00+02:00'><testcase name='a'/></testsuite>"
        "<testsuite timestamp='Mon, 02 Nov 2026 09:00:00 GMT'><testcase name='b'/></testsuite>"
        "<testsuite timestamp='yesterday'><testcase name='c'/></testsuite></testsuites>"
    )
    assert read(report, "tests.unit").produced_at == datetime(2026, 11, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("file", "valid", "rate"),
    [
        ("CSharp_Cobertura_coverlet.xml", 255, 0.6117),
        ("CSharp_Cobertura_dotnet-coverage.xml", 221, 163 / 235),
        ("Java_Cobertura2.1.1.xml", 36, 24 / 36),
        ("Java_JaCoCo0.8.3.xml", 38, 26 / 38),
        ("lcov.info", 108, 75 / 108),
    ],
)
def test_coverage_samples_give_the_lower_of_stated_and_counted(
    shared_data: Path, file: str, valid: int, rate: float
) -> None:
    reading = read((shared_data / "evidence/coverage" / file).read_bytes(), "coverage")
    assert reading.claims["lines_valid"] == valid
    assert reading.claims["line_rate"] == pytest.approx(rate, abs=1e-12)
    assert "critical_rate" not in reading.claims


@pytest.mark.parametrize("file", ["Cpp_Cobertura_CPPCoverage.xml", "CSharp_Cobertura_dotnettest_old.xml"])
def test_coverage_that_contradicts_itself_is_refused(shared_data: Path, file: str) -> None:
    assert code((shared_data / "evidence/coverage" / file).read_bytes(), "coverage") == "EV_INCONSISTENT"


@pytest.mark.parametrize(("missed", "expected"), [(0, None), (1, "EV_INCONSISTENT")])
def test_a_line_of_jacoco_without_a_number_is_no_line(missed: int, expected: str | None) -> None:
    lines = '<line nr="1" mi="0" ci="2"/><line mi="2" ci="0"/>'
    report = (
        f'<report name="r"><package name="p"><sourcefile name="A.java">{lines}</sourcefile></package>'
        f'<counter type="LINE" missed="{missed}" covered="1"/></report>'
    )
    if expected is None:
        assert read(report, "coverage").claims["lines_valid"] == 1
    else:
        assert code(report, "coverage") == expected


def cobertura(lines: str, attributes: str = "") -> str:
    inner = f"<packages><package><classes>{lines}</classes></package></packages>"
    return f"<coverage {attributes}>{inner}</coverage>"


ONE = "<class filename='src\\pay.py'><lines><line number='1' hits='1'/><line number='2' hits='0'/></lines></class>"


def test_a_line_met_in_two_classes_counts_once_with_its_most_hits() -> None:
    reading = read(cobertura(ONE + ONE.replace("hits='0'", "hits='3'")), "coverage")
    assert reading.claims["lines_valid"] == 2
    assert reading.claims["line_rate"] == 1


def test_an_attribute_that_is_not_a_number_is_absent() -> None:
    reading = read(cobertura(ONE, "line-rate='NaN' branch-rate='NaN'"), "coverage")
    assert reading.claims["line_rate"] == 0.5
    assert "branch_rate" not in reading.claims


@pytest.mark.parametrize(
    "report",
    [
        cobertura(""),
        "<report><sessioninfo id='a' start='1' dump='2'/><counter type='LINE' missed='0' covered='0'/></report>",
        "SF:a.py\nend_of_record\n",
        '{"basis": "requirements", "requirements": []}',
    ],
)
def test_coverage_of_nothing_is_empty(report: str) -> None:
    assert code(report, "coverage") == "EV_EMPTY"


@pytest.mark.parametrize(
    "report",
    ["SF:a.py\nDA:1,1\n", "SF:a.py\nDA:x,1\nend_of_record\n", "SF:a.py\nDA:1,1\nBRF:NaN\nend_of_record\n"],
)
def test_a_tracefile_cut_short_is_malformed(report: str) -> None:
    assert code(report, "coverage") == "EV_MALFORMED"


def test_a_file_that_must_be_included_and_is_not_is_missing() -> None:
    context = ReadContext(must_include=("src/pay.py", "src/**/*.py", "src/ledger*.py"))
    reading = read(cobertura(ONE.replace("src\\", "C:\\work\\src\\")), "coverage", context)
    assert reading.claims["missing_critical"] == 1 + 0
    assert reading.names["missing_critical"] == ("src/ledger*.py",)


PATHS = {"pay": (("pay.*",), ("src/pay.py",)), "talk": (("talk.*",), ())}


@pytest.mark.feature("D10.27")
@pytest.mark.parametrize(
    ("passed", "failed", "hits", "rate"),
    [
        (("pay.one", "talk.one"), (), "1", 1.0),
        (("pay.one", "talk.one"), ("pay.two",), "1", 0.5),
        (("pay.one", "talk.one"), (), "0", 0.5),
        (("talk.one",), (), "1", 0.5),
        ((), (), "1", 0.0),
    ],
)
def test_a_critical_path_needs_a_passing_test_no_failing_one_and_every_line(
    passed: tuple[str, ...], failed: tuple[str, ...], hits: str, rate: float
) -> None:
    context = ReadContext(critical_paths=PATHS, passed_tests=passed, failed_tests=failed)
    reading = read(cobertura(ONE.replace("hits='0'", f"hits='{hits}'")), "coverage", context)
    assert reading.claims["critical_rate"] == rate


def test_requirements_without_a_scored_case_lower_the_rate() -> None:
    rows = [{"id": "intent:refund", "scored_cases": 2}, {"id": "intent:limits", "scored_cases": 0}]
    report = {"basis": "requirements", "generated_at": "2026-11-20T10:00:00Z", "requirements": rows}
    context = ReadContext(critical_paths={"talk": (("talk.*",), ())}, passed_tests=("talk.one",))
    reading = read(json.dumps(report), "coverage", context)
    assert reading.claims["line_rate"] == 0.5
    assert reading.claims["critical_rate"] == 1
    assert reading.refs["basis"] == "requirements"
    assert reading.names["uncovered_requirements"] == ("intent:limits",)
    assert code(json.dumps({**report, "requirements": rows * 2}), "coverage") == "EV_INCONSISTENT"
