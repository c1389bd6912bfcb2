"""Every reader under damaged files: it reads or refuses with an EV_ code, ends, and never counts what was not done.

The short form runs with the suite; the long form runs each reader for PILOTAGE_FUZZ_SECONDS (ten minutes without).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pilotage.evidence.limits import MAX_SECONDS
from pilotage.evidence.opening import open_bytes
from pilotage.evidence.read import FORMATS, read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.source import Format, Unreadable
from pilotage.workspace.evidence_kinds import KINDS

CONTEXT = ReadContext(
    must_include=("src/*.py",),
    critical_paths={"pay": (("*pay*",), ("*.cs",))},
    denied_licences=frozenset({"AGPL-3.0-only"}),
    expected_requests=1,
    profile_requests=3,
    people={"ann": "local|ann"},
    required_people=frozenset({"local|ann"}),
    required_sections=("Scope",),
)
SEEDS: dict[str, tuple[bytes, ...]] = {
    "Pilotage secrets": (b'{"format": "pilotage.secrets/1", "files_scanned": 3, "findings": []}',),
    "requirement report": (b'{"basis": "requirements", "requirements": [{"id": "a", "scored_cases": 1}]}',),
    "JaCoCo XML": (
        (
            b'<report name="r"><package name="p"><sourcefile name="A.java"><line nr="1" mi="0" ci="2" mb="0" cb="0"/>'
            b'<line nr="2" mi="1" ci="0" mb="0" cb="0"/></sourcefile></package>'
            b'<counter type="LINE" missed="1" covered="1"/></report>'
        ),
    ),
    "lcov": (b"TN:\nSF:src/a.py\nDA:1,1\nDA:2,0\nLF:2\nLH:1\nend_of_record\n",),
    "Locust statistics": (
        (
            b"Type,Name,Request Count,Failure Count,Median Response Time,95%,99%,Requests/s\n"
            b"GET,/a,10,1,20,40,50,2.0\n,Aggregated,10,1,20,40,50,2.0\n"
        ),
    ),
    "k6 summary": (
        (
            b'{"metrics": {"http_reqs": {"count": 5000, "rate": 50}, "http_req_failed": {"value": 0.1},'
            b' "http_req_duration": {"med": 10, "p(95)": 20, "p(99)": 30}}}'
        ),
    ),
    "own load report": (b'{"format": "pilotage.load/1", "samples": [[1, 2, true], [3, 4, false]]}',),
    "failover drill": (b"drill: failover\nruns:\n  - {rto_s: 3, lost_requests: 0}\n",),
    "recovery drill": (b"drill: recovery\nruns:\n  - {rpo_s: 3}\n",),
    "pentest": (b"pentest:\n  independent: true\n  scope_hosts: [a]\n  findings: [{id: X, severity: high}]\n",),
    "GitHub review": (
        (
            b'{"pull": {"head": {"sha": "h"}}, "commits": [{"sha": "h", "commit": {"tree": {"sha": "t"}}}],'
            b' "reviews": [{"user": {"login": "ann"}, "state": "APPROVED", "commit_id": "h"}]}'
        ),
    ),
    "acceptance rows": (b"scenario,tester,result,at,digest\na,ann,passed,2026-11-01,d\nb,bob,failed,2026-11-01,d\n",),
    "training rows": (b"person,course,completed_at\nann,ops,2026-11-01\n",),
    "document": (b"---\nowner: ann\nversion: '1'\nvalid_until: 2027-01-01\n---\n# Scope\n" + b"words " * 200,),
    "Snyk API": (
        (
            b'{"jsonapi": {"version": "1.0"}, "data": [{"id": "i", "attributes": {"status": "open", "title": "t",'
            b' "effective_severity_level": "high", "key": "k", "ignored": false,'
            b' "problems": [{"id": "SNYK-1", "source": "SNYK"}], "coordinates": []}}]}'
        ),
    ),
    "empty JSON": (b"[]", b"{}", b"null"),
}
TOKENS = (
    *(b"", b"0", b"-1", b"1", b"9" * 30, b"1e400", b"1e-400", b"NaN", b"Infinity", b"0.5", b"null", b"true", b"false"),
    *(b'"', b"'", b"<", b">", b"/>", b"&", b"&amp;", b"<!DOCTYPE a [", b"]]>", b"{", b"}", b"[", b"]", b":", b","),
    *(b"\n", b"\r\n", b"\t", b" ", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"- ", b"*a", b"&a ", b"!!x"),
)


@cache
def sample_files(folder: Path) -> tuple[bytes, ...]:
    """Return the public sample files of at most 24 KB."""
    files = (file for file in sorted((folder / "evidence").rglob("*")) if file.is_file())
    return tuple(file.read_bytes() for file in files if file.stat().st_size <= 24_000)


@cache
def seeds_of(one: Format, folder: Path | None) -> tuple[tuple[bytes, str], ...]:
    """Return files of a format, each with a kind that it can be."""
    kinds = [kind for kind in sorted(KINDS) if any(_fits(kind, pattern) for pattern in one.kinds)]
    kinds += ["document.runbook"] if "document.*" in one.kinds else []
    kinds += [kind for kind in one.kinds if kind.startswith("document.") and "*" not in kind]
    found = list(SEEDS.get(one.id, ()))
    for data in () if folder is None else sample_files(folder):
        for kind in kinds[:1]:
            try:
                if one.looks_like(open_bytes(data, kind=kind)):
                    found.append(data)
            except Unreadable:
                continue
    return tuple((data, kind) for data in found[:60] for kind in kinds[:4])


def _fits(kind: str, pattern: str) -> bool:
    return kind == pattern or (pattern.endswith("*") and kind.startswith(pattern[:-1]))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, drop, repeat, swap or overwrite a few places."""
    for _ in range(chance.randint(1, 5)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 1, 3, 10, 60)))
        match chance.randrange(6):
            case 0:
                data = data[:start] + chance.choice(TOKENS) + data[end:]
            case 1:
                data = data[:start] + data[end:]
            case 2:
                data = data[:end] + data[start:end] * chance.choice((1, 2, 50)) + data[end:]
            case 3:
                data = data[:start] + chance.choice(TOKENS)
            case 4:
                other = chance.randrange(len(data) + 1)
                data = data[:start] + data[other : other + 40] + data[end:]
            case _:
                data = _other_number(data, chance)
    return data


def _other_number(data: bytes, chance: random.Random) -> bytes:
    """Put another number in the place of one, where a total is stated."""
    places = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    start = end = chance.choice(places)
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    new = chance.choice((b"0", b"1", b"-1", b"1000000", b"0.5", b"1e9", b"1e309", b"00"))
    return data[:start] + new + data[end:]


COUNTS = frozenset({"executed", "passed", "failed", "errors", "skipped", "duplicates", "flaky", "files", "lines_valid"})
RATES = frozenset({"line_rate", "branch_rate", "critical_rate", "skipped_share", "error_rate", "pass_rate", "share"})
WORK = {"tests": "executed", "coverage": "lines_valid", "load": "requests", "uat": "scenarios"}
"""What must have been done for a kind to count at all."""


def check(one: Format, data: bytes, kind: str) -> bool:
    """Read one file; return whether it was taken. Whatever is taken says nothing better than what was done."""
    result = read_evidence(data, kind=kind, name="damaged", context=CONTEXT)
    if isinstance(result, ReadRefusal):
        assert result.reason.code.startswith("EV_"), (one.id, data)
        assert result.reason.text
        return False
    assert isinstance(result, Reading)
    claims = result.claims
    for name, value in claims.items():
        assert value >= 0 or name == "valid_days", (one.id, name, value, data)
        assert name not in RATES or value <= 1, (one.id, name, value, data)
        assert name not in COUNTS or value == int(value), (one.id, name, value, data)
    done = WORK.get(kind.partition(".")[0])
    if done is not None and (done != "lines_valid" or done in claims):
        assert claims.get(done, 0) > 0, (one.id, claims, data)
    if "executed" in claims:
        assert claims["executed"] == claims["passed"] + claims["failed"] + claims["errors"], (one.id, claims, data)
    if {"p50", "p95", "p99"} <= claims.keys():
        assert claims["p50"] <= claims["p95"] <= claims["p99"], (one.id, claims, data)
    return True


def rounds(one: Format, folder: Path | None, chance: random.Random) -> Iterator[bool]:
    seeds = seeds_of(one, folder)
    assert seeds, f"no seed for {one.id}"
    while True:
        data, kind = chance.choice(seeds)
        yield check(one, damaged(data, chance), kind)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.id)
def test_a_damaged_file_is_read_or_refused(one: Format, shared_data: Path) -> None:
    run = rounds(one, shared_data, random.Random(one.id))
    for _ in range(60):
        next(run)


@pytest.mark.slow
@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.id)
def test_a_reader_stands_ten_minutes_of_damaged_files(one: Format, shared_data: Path) -> None:
    seed = int(os.environ.get("PILOTAGE_FUZZ_SEED", "0")) or random.SystemRandom().randrange(2**32)
    run = rounds(one, shared_data, random.Random(seed))
    ends = time.monotonic() + float(os.environ.get("PILOTAGE_FUZZ_SECONDS", "600"))
    while time.monotonic() < ends:
        began = time.process_time()
        next(run)
        assert time.process_time() - began < MAX_SECONDS, f"{one.id} hung, seed {seed}"


def test_the_check_can_fail() -> None:
    """A reader that counts nothing as passing would be seen."""
    junit = next(one for one in FORMATS if one.id == "JUnit XML")
    assert check(junit, b'<testsuite tests="1"><testcase name="a"/></testsuite>', "tests.unit")
    assert not check(junit, b'<testsuite tests="0"></testsuite>', "tests.unit")
