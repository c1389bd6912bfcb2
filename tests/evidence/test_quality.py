"""SonarQube's quality: the score of gates.md 2.6, and no score without all of its parts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.evidence.quality import POINTS, quality_score
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

NAMES = ("reliability_rating", "security_rating", "sqale_rating", "security_review_rating")


def measures(ratings: str, duplicated: str | None = "0.0", **more: str) -> list[Json]:
    found: list[Json] = [
        {"metric": name, "value": f"{'ABCDE'.index(letter) + 1}.0"}
        for name, letter in zip(NAMES, ratings, strict=False)
    ]
    if duplicated is not None:
        found.append({"metric": "duplicated_lines_density", "value": duplicated})
    return [*found, *({"metric": name, "value": value} for name, value in more.items())]


def outcome(value: Json) -> Reading | ReadRefusal:
    return read_evidence(json.dumps(value).encode(), kind="quality", name="q.json", context=ReadContext())


def read(value: Json) -> Reading:
    reading = outcome(value)
    assert isinstance(reading, Reading), reading
    return reading


@pytest.mark.feature("D5.3", "D5.14")
@pytest.mark.parametrize(("ratings", "duplicated", "score"), [("AAAB", "2.0", 94.25), ("ABBB", "0.0", 88.75)])
def test_the_score_is_the_mean_of_ratings_less_duplication(ratings: str, duplicated: str, score: float) -> None:
    reading = read({"component": {"key": "k", "measures": measures(ratings, duplicated)}})
    assert reading.claims["score"] == score
    assert reading.claims["ratings"] == 4


def test_duplication_costs_at_most_ten_points_and_the_score_is_never_negative() -> None:
    assert quality_score(("A", "A", "A", "A"), 60.0) == 90.0
    assert quality_score(("E", "E", "E", "E"), 60.0) == 0.0


def test_a_missing_rating_or_duplication_leaves_no_score() -> None:
    assert "score" not in read({"component": {"measures": measures("AAA")}}).claims
    assert "score" not in read({"component": {"measures": measures("AAAA", None)}}).claims


def test_the_answers_of_three_calls_in_one_file_are_read_together() -> None:
    value: Json = {
        "project_status": {"projectStatus": {"status": "OK", "conditions": [{"status": "OK"}]}},
        "measures": {"component": {"measures": measures("AAAA", security_hotspots="2", new_violations="5")}},
        "analyses": {"analyses": [{"revision": "abc", "date": "2026-11-20T10:00:00+0000"}]},
    }
    reading = read(value)
    assert reading.claims["gate_ok"] == 1
    assert (reading.claims["hotspots_to_review"], reading.claims["new_issues"]) == (2, 5)
    assert reading.refs == {"commit": "abc", "read_by": "SonarQube quality@1"}
    assert reading.produced_at is not None


@pytest.mark.parametrize(
    ("status", "gate_ok"), [("OK", 1.0), ("ERROR", 0.0), ("WARN", 0.0), ("NONE", None), ("ok", None)]
)
def test_a_gate_status_is_a_claim_only_when_it_is_known(status: str, gate_ok: float | None) -> None:
    assert read({"projectStatus": {"status": status}}).claims.get("gate_ok") == gate_ok


def test_an_ok_gate_beside_a_failed_condition_is_inconsistent() -> None:
    refused = outcome({"projectStatus": {"status": "OK", "conditions": [{"status": "ERROR"}]}})
    assert isinstance(refused, ReadRefusal)
    assert refused.reason.code == "EV_INCONSISTENT"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"measures": []}, "EV_EMPTY"),
        ({"projectStatus": {}}, "EV_EMPTY"),
        ({"component": {"measures": measures("A", "-1")}}, "EV_INCONSISTENT"),
        ({"component": {"measures": [*measures("A"), *measures("B", None)]}}, "EV_INCONSISTENT"),
    ],
)
def test_a_file_that_says_nothing_or_two_things_is_refused(value: Json, code: str) -> None:
    refused = outcome(value)
    assert isinstance(refused, ReadRefusal)
    assert refused.reason.code == code


def test_the_worse_of_the_standard_and_the_new_rating_counts() -> None:
    twice = [*measures("AAAA"), {"metric": "software_quality_security_rating", "value": "C"}]
    assert read({"component": {"measures": twice}}).claims["score"] == 92.5


@given(st.lists(st.sampled_from("ABCDE"), min_size=4, max_size=4), st.integers(0, 3), st.floats(0, 100))
def test_a_worse_rating_or_more_duplication_never_raises_the_score(
    ratings: list[str], place: int, duplicated: float
) -> None:
    worse = [*ratings]
    worse[place] = "E"
    before = quality_score(tuple(ratings), duplicated)
    assert quality_score(tuple(worse), duplicated) <= before
    assert quality_score(tuple(ratings), duplicated + 1) <= before
    assert 0 <= before <= POINTS["A"]
