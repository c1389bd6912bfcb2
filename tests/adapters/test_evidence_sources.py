"""Evidence fetched from GitHub, SonarQube and Snyk reads as an uploaded file does, and half an answer never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.adapters.doubles import Double, Reply

from pilotage.adapters.evidence_sources.github import GithubReviews
from pilotage.adapters.evidence_sources.rest import RestClient, Service
from pilotage.adapters.evidence_sources.snyk import SnykIssues
from pilotage.adapters.evidence_sources.sonarqube import SonarQubeQuality
from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable, UsageError
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading

ORGANISATION = "11111111-2222-3333-4444-555555555555"
PROJECT = "66666666-7777-8888-9999-000000000000"


def at(double: Double, token: str | None = None) -> Service:
    return Service(url=double.url, token=token, root=Path("/"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    monkeypatch.setenv("SOURCE_TOKEN", "t0ken")
    made = Double()
    yield made
    made.close()


@pytest.mark.feature("D5.1")
def test_a_pull_request_with_many_pages_reads_as_code_review(service: Double) -> None:
    pull: Json = {"head": {"sha": "h"}, "user": {"login": "author"}, "commits": 1}
    reviewers = [f"person{number}" for number in range(101)]
    reviews: list[Json] = [
        {
            "user": {"login": who, "type": "User"},
            "state": "APPROVED",
            "commit_id": "h",
            "submitted_at": "2026-11-20T00:00:00Z",
        }
        for who in reviewers
    ]
    commit: Json = {
        "sha": "h",
        "author": {"login": "author"},
        "commit": {"tree": {"sha": "t"}, "author": {"email": "a@b"}, "message": "m"},
    }
    path = "/repos/bank/assistant/pulls/7"
    service.on(path, pull)
    service.on(f"{path}/commits", [commit])
    following = {"Link": f'<{service.url}{path}/reviews?page=2>; rel="next", <{service.url}/x>; rel="last"'}

    def page(_: str, query: dict[str, str]) -> Reply:
        if query.get("page") == "2":
            return 200, {}, json.dumps(reviews[100:]).encode()
        assert query["per_page"] == "100"
        return 200, following, json.dumps(reviews[:100]).encode()

    service.routes[f"{path}/reviews"] = page
    source = GithubReviews(at(service, "env:SOURCE_TOKEN"))
    data = source.pull_request("bank/assistant", 7)
    people = {name: f"local|{name}" for name in [*reviewers, "author"]}
    reading = read_evidence(data, kind="review.code", name="pr", context=ReadContext(people=people))
    assert isinstance(reading, Reading), reading
    assert reading.claims["approvals_on_head"] == 101
    assert {authorisation for _, authorisation in service.seen} == {"Bearer t0ken"}


def test_a_push_while_a_pull_request_is_read_is_an_error(service: Double) -> None:
    path = "/repos/bank/assistant/pulls/7"
    service.on(path, {"head": {"sha": "a"}}, {"head": {"sha": "b"}})
    service.on(f"{path}/commits", [])
    service.on(f"{path}/reviews", [])
    with pytest.raises(Unavailable, match="changed"):
        GithubReviews(at(service)).pull_request("bank/assistant", 7)


@pytest.mark.parametrize("repository", ["assistant", "bank/../x", "bank/a/b", "https://x/y", ""])
def test_a_name_that_is_no_repository_is_never_asked_for(service: Double, repository: str) -> None:
    with pytest.raises(UsageError):
        GithubReviews(at(service)).pull_request(repository, 7)
    assert service.seen == []


def sonar(service: Double, *keys: str) -> None:
    service.on(
        "/api/project_analyses/search",
        *({"analyses": [{"key": key, "revision": "abc", "date": "2026-11-20T10:00:00+0000"}]} for key in keys),
    )
    service.on("/api/qualitygates/project_status", {"projectStatus": {"status": "OK"}})
    names = ("reliability_rating", "security_rating", "sqale_rating", "security_review_rating")
    measures: list[Json] = [{"metric": name, "value": "1.0"} for name in names]
    measures.append({"metric": "duplicated_lines_density", "value": "1.5"})
    service.on("/api/measures/component", {"component": {"measures": measures}})


@pytest.mark.feature("D5.3", "D5.10", "X5")
def test_a_sonarqube_project_reads_as_quality_of_its_newest_analysis(service: Double) -> None:
    sonar(service, "k1")
    data = SonarQubeQuality(at(service, "env:SOURCE_TOKEN")).quality("shop", branch="main")
    reading = read_evidence(data, kind="quality", name="q", context=ReadContext())
    assert isinstance(reading, Reading), reading
    assert (reading.claims["score"], reading.claims["gate_ok"], reading.refs["commit"]) == (98.5, 1, "abc")
    assert any("analysisId=k1" in path for path, _ in service.seen)


def test_an_analysis_that_arrives_meanwhile_or_never_did_is_an_error(service: Double) -> None:
    source = SonarQubeQuality(at(service))
    sonar(service, "k1", "k2")
    with pytest.raises(Unavailable, match="analysed again"):
        source.quality("shop")
    service.on("/api/project_analyses/search", {"analyses": []})
    with pytest.raises(Unavailable, match="never analysed"):
        source.quality("shop")


@pytest.mark.feature("X4")
def test_all_pages_of_snyk_read_as_a_scan(service: Double) -> None:
    path = f"/rest/orgs/{ORGANISATION}/issues"
    first: Json = {"attributes": {"key": "S-1", "status": "open", "effective_severity_level": "high"}}
    second: Json = {"attributes": {"key": "S-2", "status": "open", "effective_severity_level": "low", "ignored": True}}
    following = f"/orgs/{ORGANISATION}/issues?starting_after=x"
    service.on(path, {"data": [first], "links": {"next": following}}, {"data": [second], "links": {}})
    data = SnykIssues(ORGANISATION, at(service, "env:SOURCE_TOKEN")).issues(PROJECT)
    reading = read_evidence(data, kind="scan.deps", name="s", context=ReadContext())
    assert isinstance(reading, Reading), reading
    assert (reading.claims["high"], reading.claims["low"], reading.claims["suppressed"]) == (1, 1, 1)
    assert service.seen[0][1] == "token t0ken"
    assert f"scan_item.id={PROJECT}" in service.seen[0][0]
    with pytest.raises(UsageError):
        SnykIssues("../x", at(service))


def client(double: Double, timeout_s: float = 20.0) -> RestClient:
    return RestClient(Service(url=double.url, token=None, root=Path("/"), timeout_s=timeout_s))


def test_a_redirect_is_an_error_and_the_token_goes_nowhere_else(service: Double) -> None:
    service.routes["/a"] = lambda *_: (302, {"Location": f"{service.url}/b"}, b"")
    service.on("/b", {})
    with pytest.raises(Unavailable, match="302"):
        client(service).get("a")
    assert [path for path, _ in service.seen] == ["/a"]


def test_a_next_page_on_another_host_is_refused(service: Double) -> None:
    service.on("/a", [], Link='<https://elsewhere.example/a?page=2>; rel="next"')
    with pytest.raises(Unavailable, match="another host"):
        client(service).get_all("a")


def test_pages_without_an_end_are_an_error(service: Double) -> None:
    service.on("/a", [1], Link=f'<{service.url}/a>; rel="next"')
    with pytest.raises(Unavailable, match="more than"):
        client(service).get_all("a")


def test_an_answer_that_was_cut_short_is_an_error(service: Double) -> None:
    service.routes["/a"] = lambda *_: (200, {"Content-Length": "400"}, b"[1]")
    with pytest.raises(Unavailable, match="ended before its answer did"):
        client(service).get("a")


def test_a_reading_that_takes_too_long_asks_no_further(service: Double) -> None:
    service.on("/a", [1], Link=f'<{service.url}/a>; rel="next"')
    reader = RestClient(Service(url=service.url, token=None, root=Path("/"), total_s=-1.0))
    with pytest.raises(Unavailable) as late:
        reader.get_all("a")
    assert (late.value.code, service.seen) == ("source_late", [])


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_an_error_names_the_address_without_its_query(service: Double, status: int) -> None:
    service.routes["/a"] = lambda *_: (status, {}, b"")
    with pytest.raises(Unavailable, match=str(status)) as raised:
        client(service).get("a", secret="hidden")
    assert "hidden" not in str(raised.value)


def test_an_answer_that_is_no_json_or_too_large_is_an_error(service: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    service.routes["/a"] = lambda *_: (200, {}, b"<html>")
    with pytest.raises(Unavailable, match="JSON"):
        client(service).get("a")
    monkeypatch.setattr("pilotage.adapters.evidence_sources.rest.MAX_BYTES", 3)
    with pytest.raises(Unavailable, match="more than"):
        client(service).get("a")


def test_a_service_that_is_not_there_is_unavailable() -> None:
    gone = Double()
    gone.close()
    with pytest.raises(Unavailable, match="did not answer"):
        client(gone, timeout_s=2.0).get("a")


@pytest.mark.parametrize("url", ["http://sonar.example", "ftp://127.0.0.1", "sonar.example", "file:///etc/passwd"])
def test_only_https_or_this_machine_is_asked(url: str) -> None:
    with pytest.raises(UsageError):
        RestClient(Service(url=url, token="env:SOURCE_TOKEN", root=Path("/")))


def test_a_token_that_is_not_set_is_named_by_its_reference(service: Double) -> None:
    with pytest.raises(Unavailable, match="env:NOT_SET_ANYWHERE"):
        RestClient(at(service, "env:NOT_SET_ANYWHERE")).get("a")
    assert service.seen == []


@pytest.mark.parametrize("held", ["t0ken\nexpires 2027", "t0\u2013ken"], ids=["two lines", "no ASCII"])
def test_a_token_that_fits_no_header_is_named_by_its_reference_and_not_shown(
    service: Double, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setenv("SOURCE_TOKEN", held)
    with pytest.raises(Unavailable, match="env:SOURCE_TOKEN") as raised:
        RestClient(at(service, "env:SOURCE_TOKEN")).get("a")
    assert "t0" not in f"{raised.value} {raised.value.hint}"
    assert service.seen == []
