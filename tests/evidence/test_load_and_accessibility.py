"""Load reports and accessibility: the samples of gates.md 2.7, both forms of k6, and loads too small to count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pilotage.core.canonical import Json
from pilotage.evidence import load_samples
from pilotage.evidence.load_samples import Samples, Totals, load_reading, nearest_rank
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.source import Source, TextContent, Unreadable

SMALL = ReadContext(expected_requests=1)


def read(data: bytes | str, kind: str = "load.expected", context: ReadContext = SMALL) -> Reading:
    raw = data.encode() if isinstance(data, str) else data
    result = read_evidence(raw, kind=kind, name="file", context=context)
    assert isinstance(result, Reading), result
    return result


def code(data: bytes | str, kind: str = "load.expected", context: ReadContext = SMALL) -> str:
    raw = data.encode() if isinstance(data, str) else data
    result = read_evidence(raw, kind=kind, name="file", context=context)
    assert isinstance(result, ReadRefusal), result
    return result.reason.code


@pytest.mark.feature("D6.15", "D10.18")
def test_jmeter_transactions_are_dropped_from_the_sample(shared_data: Path) -> None:
    data = (shared_data / "evidence/perf-jenkins/filewithtransactions.csv").read_bytes()
    reading = read(data, context=ReadContext(expected_requests=210))
    claims = reading.claims
    assert (claims["requests"], claims["p50"], claims["p95"], claims["errors"]) == (210, 792, 1894, 0)
    assert round(claims["duration_s"], 1) == 116.4
    assert reading.refs["target_url"] == "https://www.foo.com/blog/"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("test_results_stats.csv", "EV_INCONSISTENT"),
        ("JENKINS-16627_CSV_instead_of_XML.jtl", "EV_MALFORMED"),
        ("JMeterCsvResults2.csv", "EV_MALFORMED"),
        ("JMeterCsvResults3.csv", "EV_MALFORMED"),
        ("emptyfile.jtl", "EV_EMPTY"),
        ("TaurusXMLReport.xml", "EV_KIND_MISMATCH"),
    ],
)
def test_load_samples_that_cannot_count_are_refused(shared_data: Path, file: str, expected: str) -> None:
    assert code((shared_data / "evidence/perf-jenkins" / file).read_bytes()) == expected


@pytest.mark.feature("X28")
@pytest.mark.parametrize(
    ("file", "requests", "errors"),
    [
        ("JMeterResults.jtl", 8, 0),
        ("whitespace-followed-by-xml.jtl", 8, 0),
        ("JMeterResultsMultiLevel.jtl", 10, 0),
        ("multiLineCSV.jtl", 2, 1),
        ("JMeterPublisher_formatted_timeStamp.csv", 3, 1),
    ],
)
def test_jmeter_samples_count_their_top_samples(shared_data: Path, file: str, requests: int, errors: int) -> None:
    claims = read((shared_data / "evidence/perf-jenkins" / file).read_bytes()).claims
    assert (claims["requests"], claims["errors"]) == (requests, errors)


def test_a_load_below_a_thousand_needs_ninety_percent_of_its_profile() -> None:
    report = own([(number * 10, 5, True) for number in range(90)])
    assert read(report, context=ReadContext(expected_requests=100)).claims["requests"] == 90
    assert code(report, context=ReadContext(expected_requests=101)) == "EV_TOO_SMALL"
    assert code(report, context=ReadContext()) == "EV_TOO_SMALL"
    large = own([(number, 5, True) for number in range(1000)])
    assert read(large, context=ReadContext(expected_requests=100_000)).claims["requests"] == 1000


def own(samples: Sequence[tuple[float, float, bool]], url: str = "https://space.example/ask") -> str:
    return json.dumps({"format": "pilotage.load/1", "target_url": url, "samples": samples})


@pytest.mark.parametrize(
    "report",
    [
        own([]),
        '<testResults version="1.2"/>',
        "timeStamp,elapsed,success\n",
        '{"metrics": {"http_reqs": {"count": 0, "rate": 0}}}',
        "Type,Name,Request Count,Failure Count\n,Aggregated,0,0\n",
    ],
)
def test_no_request_is_too_small(report: str) -> None:
    assert code(report) == "EV_TOO_SMALL"


@pytest.mark.feature("D11.15")
def test_gap_drift_volume_and_rate_come_from_single_requests() -> None:
    samples = [(number * 1000, 100.0 if number < 10 else 250.0, number != 3) for number in range(20)]
    samples.append((90_000, 250.0, True))
    claims = read(own(samples), "load.sustained", ReadContext(expected_requests=20, profile_requests=7)).claims
    assert claims["max_gap_s"] == 71
    assert claims["duration_s"] == 90
    assert claims["drift_ratio"] == 1.0
    assert claims["volume_ratio"] == 3
    assert claims["error_rate"] == 1 / 21
    assert claims["p50"] == 250
    slow = [(number * 1000.0, 100.0 + 10 * number, True) for number in range(21)]
    assert read(own(slow)).claims["drift_ratio"] == 300 / 140


def test_a_request_that_is_no_http_response_is_an_error_whatever_it_says() -> None:
    header = "timeStamp,elapsed,label,responseCode,responseMessage,success,URL\n"
    rows = "1,5,a,200,OK,true,https://one.example/\n2,5,a,Non HTTP response code: x,late,true,https://two.example/\n"
    reading = read(header + rows)
    assert reading.claims["errors"] == 1
    assert "target_url" not in reading.refs
    assert reading.names["target_hosts"] == ("one.example", "two.example")


@pytest.mark.parametrize(
    "report",
    [
        "timeStamp,elapsed,success\n1,x,true\n",
        "timeStamp,elapsed,success\n1,-5,true\n",
        'timeStamp,elapsed,success\n1,5,"true\n',
        "timeStamp,elapsed,success\n1,5,true,6\n",
        "timeStamp,elapsed,success,success\n1,5,true,true\n",
        "timeStamp,elapsed,success\n" + "9" * 200_000 + ",5,true\n",
        "<testResults><sample t='1' s='true'/></testResults>",
        own([(1, 2, True)]).replace("true", "1"),
        "Type,Name,Request Count,Failure Count\n,x,1,0\n",
        "Type,Name,Request Count,Failure Count\n,x,-1,0\n,Aggregated,-1,0\n",
    ],
)
def test_rows_that_are_not_what_they_should_be_are_malformed(report: str) -> None:
    assert code(report) == "EV_MALFORMED"


def test_another_version_of_our_own_format_is_unsupported() -> None:
    assert code(own([(1, 1, True)]).replace("load/1", "load/2")) == "EV_UNSUPPORTED"


@pytest.mark.feature("D6.15", "D10.18", "X28")
def test_locust_statistics_that_add_up_are_read() -> None:
    header = "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%\n"
    rows = "GET,/a,900,1,9,10,20,N/A\nGET,/b,100,1,1,12,22,30\n,Aggregated,1000,2,10,11,21,N/A\n"
    claims = read(header + rows, context=ReadContext()).claims
    assert claims["error_rate"] == 0.002
    assert claims["p95"] == 21
    assert claims["duration_s"] == 100
    assert "p99" not in claims


def k6(*, is_flat: bool, failed: int = 2, crossed: bool = False) -> str:
    trend: dict[str, Json] = {"med": 120.5, "p(95)": 400.0}
    counter: dict[str, Json] = {"count": 2000, "rate": 20.0}
    rate: dict[str, Json] = {"passes": failed, "fails": 2000 - failed}
    if is_flat:
        metrics: dict[str, Json] = {
            "http_reqs": counter,
            "http_req_failed": {**rate, "value": failed / 2000, "thresholds": {"rate<0.01": crossed}},
            "http_req_duration": trend,
        }
    else:
        metrics = {
            "http_reqs": {"type": "counter", "values": counter},
            "http_req_failed": {"values": {**rate, "rate": failed / 2000}, "thresholds": {"x": {"ok": not crossed}}},
            "http_req_duration": {"values": trend},
        }
    return json.dumps({"metrics": metrics, "target_url": "https://space.example"})


@pytest.mark.feature("D6.15", "D10.18", "X28")
def test_both_forms_of_k6_say_the_same_and_thresholds_say_nothing() -> None:
    readings = [read(k6(is_flat=flat, crossed=crossed)) for flat in (True, False) for crossed in (True, False)]
    assert all(reading.claims == readings[0].claims for reading in readings)
    claims = readings[0].claims
    assert (claims["errors"], claims["error_rate"], claims["p50"], claims["duration_s"]) == (2, 0.001, 120.5, 100)
    assert "p99" not in claims


def test_k6_states_its_duration_or_it_follows_from_the_rate() -> None:
    stated = json.loads(k6(is_flat=True))
    stated["state"] = {"testRunDurationMs": 90_500}
    assert read(json.dumps(stated)).claims["duration_s"] == 90.5
    del stated["state"], stated["metrics"]["http_reqs"]["rate"]
    assert "duration_s" not in read(json.dumps(stated)).claims


def source() -> Source:
    return Source(name="file", data=b"", content=TextContent(value=""), kind="load.expected")


@pytest.mark.parametrize("field", ["duration_s", "max_gap_s"])
def test_a_test_that_lasts_less_than_nothing_is_inconsistent(field: str) -> None:
    sound = Totals(requests=1, errors=0, latency={}, duration_s=1.0, max_gap_s=0.0)
    assert load_reading(source(), SMALL, sound, reader="own@1").claims["duration_s"] == 1.0
    totals = replace(sound, **{field: -0.5})  # type: ignore[arg-type]
    with pytest.raises(Unreadable) as caught:
        load_reading(source(), SMALL, totals, reader="own@1")
    assert caught.value.reason.code == "EV_INCONSISTENT"


def test_hosts_are_collected_from_addresses_that_have_one_and_no_longer_than_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_samples, "_MAX_SEEN", 2)
    samples = Samples()
    for url in ("", "no address", "https://a.example/1", "https://b.example/1", "https://A.example/2"):
        samples.add(start_ms=0, elapsed_ms=1, is_ok=True, url=url)
    assert samples.urls == {"a.example": "https://a.example/1", "b.example": "https://b.example/1"}
    assert len(samples.seen) == 2


def test_k6_without_a_failure_metric_leaves_the_error_rate_absent_and_contradictions_are_refused() -> None:
    silent = json.loads(k6(is_flat=True))
    del silent["metrics"]["http_req_failed"]
    assert "error_rate" not in read(json.dumps(silent)).claims
    false = json.loads(k6(is_flat=True))
    false["metrics"]["http_req_failed"]["value"] = 0.5
    assert code(json.dumps(false)) == "EV_INCONSISTENT"
    rate_only = json.loads(k6(is_flat=True))
    rate_only["metrics"]["http_req_failed"] = {"value": 0.0001}
    assert read(json.dumps(rate_only)).claims["errors"] == 1
    rate_only["metrics"]["http_req_failed"] = {"value": 7}
    assert code(json.dumps(rate_only)) == "EV_INCONSISTENT"


@pytest.mark.parametrize(
    "failed",
    [
        {"value": 1e308},
        {"value": -0.1},
        {"passes": 1e308, "fails": 1e308},
        {"passes": -5, "fails": 2005},
        {"passes": 0, "fails": -2000},
    ],
)
def test_counts_and_rates_of_k6_that_nothing_can_have_are_refused(failed: dict[str, float]) -> None:
    report = json.loads(k6(is_flat=True))
    report["metrics"]["http_req_failed"] = failed
    assert code(json.dumps(report)) == "EV_INCONSISTENT"


@pytest.mark.parametrize("stated", [{"med": -1}, {"p(95)": -1}, {"p(99)": -0.5}, {"med": 5, "p(99)": 4}])
def test_latencies_that_no_requests_have_are_refused(stated: dict[str, float]) -> None:
    report = json.loads(k6(is_flat=True))
    report["metrics"]["http_req_duration"] = stated
    assert code(json.dumps(report)) == "EV_INCONSISTENT"


def test_percentiles_are_nearest_rank() -> None:
    assert [nearest_rank(range(1, 21), share) for share in (0.5, 0.95, 0.99)] == [10, 19, 20]
    assert nearest_rank([7.0], 0.5) == 7


@pytest.mark.feature("D10.12", "X29")
@pytest.mark.parametrize("form", ["axe-cli-v4.10.2", "reporter-v1", "reporter-v2"])
def test_axe_counts_violated_rules_by_impact(shared_data: Path, form: str) -> None:
    data = (shared_data / f"evidence/axe/w3citylights-axe-v4.10.2.{form}.json").read_bytes()
    result = read_evidence(data, kind=None, name="axe", context=ReadContext())
    assert isinstance(result, Reading)
    assert result.kind == "accessibility"
    expected = {"critical": 2, "serious": 3, "moderate": 2, "minor": 0, "rules_run": 94, "pages": 1}
    assert {name: result.claims[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("basic-axe-v4.10.2.axe-cli-v4.10.2.json", "EV_PARTIAL"),
        ("basic-axe-v4.10.2.reporter-v2.json", "EV_PARTIAL"),
        ("w3citylights-axe-v4.10.2.reporter-raw.json", "EV_UNSUPPORTED"),
    ],
)
def test_one_rule_and_the_raw_reporter_are_refused(shared_data: Path, file: str, expected: str) -> None:
    assert code((shared_data / "evidence/axe" / file).read_bytes(), "accessibility") == expected


def test_a_page_that_ran_few_rules_is_not_hidden_by_one_that_ran_many() -> None:
    full: dict[str, Json] = {
        "testEngine": {},
        "url": "https://a.example",
        "violations": [{"id": "x", "impact": None}],
        "passes": [{"id": f"r{n}"} for n in range(60)],
        "incomplete": [],
        "inapplicable": [],
    }
    assert read(json.dumps(full), "accessibility").claims["critical"] == 1
    assert code(json.dumps([full, {**full, "passes": []}]), "accessibility") == "EV_PARTIAL"
    assert code(json.dumps([full, 1]), "accessibility") == "EV_PARTIAL"


def test_more_errors_than_requests_contradict_each_other() -> None:
    rows = (
        "Type,Name,Request Count,Failure Count,Median Response Time,95%,99%,Requests/s\n"
        "GET,/a,5000,5001,20,40,50,2.0\n,Aggregated,5000,5001,20,40,50,2.0\n"
    )
    assert code(rows) == "EV_INCONSISTENT"
