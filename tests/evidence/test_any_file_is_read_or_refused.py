"""Whatever bytes arrive, the door reads them or refuses with an EV_ code; and bad news never improves a claim."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

FOLDERS = ("junit-enricomi", "coverage", "perf-jenkins", "axe", "model-cards")
KINDS = (
    "tests.unit",
    "coverage",
    "load.expected",
    "accessibility",
    "review.code",
    "failover",
    "pentest",
    "uat",
    "training",
    "document.model-card",
    "document.runbook",
    None,
)
CONTEXT = ReadContext(
    must_include=("src/*.py",),
    critical_paths={"pay": (("*pay*",), ("*.cs",))},
    expected_requests=1,
    profile_requests=3,
    people={"ann": "local|ann"},
    required_people=frozenset({"local|ann"}),
    required_sections=("Scope",),
)
TEXTS = (
    b"drill: failover\nruns:\n  - {rto_s: 3, lost_requests: 0}\n",
    b"pentest:\n  independent: true\n  scope_hosts: [a]\n  findings: [{id: X, severity: high}]\n",
    b"scenario,tester,result,at,digest\na,ann,passed,2026-11-01,d\n",
    b"person,course,completed_at\nann,ops,2026-11-01\n",
    b"---\nowner: ann\nversion: '1'\nvalid_until: 2027-01-01\n---\n# Scope\nwords\n",
    b'{"format": "pilotage.load/1", "samples": [[1, 2, true], [3, 4, false]]}',
    b'{"metrics": {"http_reqs": {"count": 5, "rate": 1}, "http_req_failed": {"value": 0.1}}}',
    (
        b'{"pull": {"head": {"sha": "h"}}, "commits": [{"sha": "h", "commit": {"tree": {"sha": "t"}}}],'
        b' "reviews": [{"user": {"login": "ann"}, "state": "APPROVED", "commit_id": "h"}]}'
    ),
    b'{"basis": "requirements", "requirements": [{"id": "a", "scored_cases": 1}]}',
)


def samples(shared_data: Path, largest: int) -> list[bytes]:
    files = sorted(file for name in FOLDERS for file in (shared_data / "evidence" / name).rglob("*") if file.is_file())
    return [*TEXTS, *(file.read_bytes() for file in files if file.stat().st_size <= largest)]


def check(data: bytes, kind: str | None) -> None:
    result = read_evidence(data, kind=kind, name="file", context=CONTEXT)
    if isinstance(result, ReadRefusal):
        assert result.reason.code.startswith("EV_")
        assert result.reason.text
    else:
        assert all(math.isfinite(value) for value in result.claims.values())


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, drop, repeat or overwrite a few places."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        new = draw(
            st.sampled_from([b"", b"0", b"-1", b"1e400", b"NaN", b'"', b"<", b"&", b"null", b"[", b"\n", b"\xff"])
        )
        tail = data[end:] if draw(st.integers(0, 5)) else b""
        data = data[:start] + new + tail
    return data


def run(files: list[bytes], examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def hold(source: st.DataObject) -> None:
        data = source.draw(damage(source.draw(st.sampled_from(files))))
        check(data, source.draw(st.sampled_from(KINDS)))

    hold()


def test_damaged_samples_are_read_or_refused(shared_data: Path) -> None:
    run(samples(shared_data, 8_000), 400)


@pytest.mark.slow
def test_damaged_samples_are_read_or_refused_in_the_long_form(shared_data: Path) -> None:
    run(samples(shared_data, 200_000), 20_000)


def test_every_sample_under_every_kind_is_read_or_refused(shared_data: Path) -> None:
    for data in samples(shared_data, 60_000):
        for kind in KINDS:
            check(data, kind)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_noise_is_read_or_refused(data: bytes, kind: str | None) -> None:
    check(data, kind)


@pytest.mark.parametrize(
    "unit", [b"\n", b" ", b"#\n", b"<!--", b"```\n~~~\n", b"<a", b"- ", b"a:\n", b"Owner: ", b"a,", b"SF:\n"]
)
@pytest.mark.timeout(60)
def test_a_long_run_of_one_thing_ends(unit: bytes) -> None:
    for kind in ("document.runbook", "sbom", "uat", "coverage"):
        check(unit * 20_000, kind)
        check(b"---\nowner: a\n---\n" + unit * 20_000 + b"x", kind)


RESULTS = st.lists(st.sampled_from(["", "<failure/>", "<error/>", "<skipped/>"]), min_size=1, max_size=12)


def passes_tests(results: list[str]) -> bool:
    """Tell whether the default criteria of a test suite hold."""
    cases = "".join(f"<testcase name='{number}'>{inner}</testcase>" for number, inner in enumerate(results))
    reading = read_evidence(
        f"<testsuite>{cases}</testsuite>".encode(), kind="tests.unit", name="f", context=ReadContext()
    )
    if isinstance(reading, ReadRefusal):
        return False
    claims = reading.claims
    return claims["failed"] == claims["errors"] == 0 and claims["executed"] >= 3 and claims["skipped_share"] <= 0.2


@settings(max_examples=150, deadline=None)
@given(RESULTS, st.sampled_from(["<failure/>", "<error/>"]), st.integers(0, 12))
def test_one_more_failed_test_never_helps(results: list[str], bad: str, place: int) -> None:
    worse = [*results[:place], bad, *results[place:]]
    assert not passes_tests(worse)


LOADS = st.lists(st.tuples(st.floats(1, 5000), st.booleans()), min_size=1, max_size=40)


def load_claims(samples: list[tuple[float, bool]]) -> Reading:
    rows = [[number, elapsed, is_ok] for number, (elapsed, is_ok) in enumerate(samples)]
    data = json.dumps({"format": "pilotage.load/1", "samples": rows}).encode()
    reading = read_evidence(data, kind="load.expected", name="f", context=ReadContext(expected_requests=1))
    assert isinstance(reading, Reading)
    return reading


@settings(max_examples=150, deadline=None)
@given(LOADS, st.floats(0, 100), st.booleans())
def test_one_more_slow_request_or_error_never_improves_latency_or_errors(
    samples: list[tuple[float, bool]], slower: float, is_ok: bool
) -> None:
    before = load_claims(samples).claims
    slowest = max(elapsed for elapsed, _ in samples) + slower
    after = load_claims([*samples, (slowest, is_ok)]).claims
    assert all(after[name] >= before[name] for name in ("p50", "p95", "p99", "errors"))
    failed = load_claims([*samples, (slowest, False)]).claims
    assert failed["error_rate"] >= before["error_rate"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_one_more_line_without_a_hit_never_raises_coverage(hits: list[int]) -> None:
    def rate(counts: list[int]) -> float:
        rows = "".join(f"DA:{number},{count}\n" for number, count in enumerate(counts, start=1))
        data = f"SF:a.py\n{rows}end_of_record\n".encode()
        reading = read_evidence(data, kind="coverage", name="f", context=ReadContext())
        assert isinstance(reading, Reading)
        return reading.claims["line_rate"]

    assert rate([*hits, 0]) <= rate(hits)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["passed", "failed", "blocked"]), min_size=1, max_size=20))
def test_one_more_failed_scenario_never_raises_the_pass_rate(results: list[str]) -> None:
    def claims(listed: list[str]) -> Reading:
        rows = [
            {"scenario": str(number), "tester": "bob", "result": result, "at": "2026-11-01", "digest": "d"}
            for number, result in enumerate(listed)
        ]
        data = json.dumps({"scenarios": rows}).encode()
        reading = read_evidence(data, kind="uat", name="f", context=ReadContext())
        assert isinstance(reading, Reading)
        return reading

    before, after = claims(results).claims, claims([*results, "failed"]).claims
    assert after["pass_rate"] <= before["pass_rate"]
    assert after["open_critical"] >= before["open_critical"]
