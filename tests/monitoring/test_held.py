"""drift_found: each compared part, changed alone, is found; the same parts are no drift; other moments say nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from pilotage.core.digest import Digest
from pilotage.monitoring.held import Approved, CorpusState, Drift, Part, Settings, behind, drifts

ONE, NEXT = (Digest("sha256:" + number * 64) for number in "12")
PARTS = {name: f"sha256:{name}" for name in ("prompt", "model", "retrieval", "guard", "egress")}
APPROVED = Approved(
    generation=7,
    stable=ONE,
    is_authorised=True,
    engine="1.0",
    parts={ONE: PARTS},
    engines={ONE: "1.0"},
    corpora={ONE: CorpusState(generation=3, root="sha256:root", chunks=40)},
    settings=Settings(release=NEXT, digest="sha256:space"),
)
HELD: dict[str, Any] = {
    "generation": 7,
    "stable": ONE,
    "space": "sha256:space",
    "engine": "1.0",
    "releases": {ONE: PARTS},
    "corpora": {ONE: {"generation": 3, "root": "sha256:root", "chunks": 40}},
}


def changed(*path: str, value: object) -> dict[str, Any]:
    """Return the report with one value changed."""
    held = deepcopy(HELD)
    place = held
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return held


def other(path: tuple[str, ...]) -> object:
    """Return a value that differs; a stable release or documents of None are not loaded."""
    values: dict[tuple[str, ...], object] = {("stable",): "sha256:other", ("corpora",): {}}
    return values.get(path)


def parts(held: dict[str, Any], approved: Approved = APPROVED) -> list[Part]:
    return [found.part for found in drifts(held, approved)]


def test_a_process_that_holds_what_was_approved_has_not_drifted() -> None:
    assert parts(HELD) == []


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("stable",), Part.RELEASE),
        (("space",), Part.SPACE),
        (("engine",), Part.ENGINE),
        *((("releases", ONE, name), Part(name)) for name in PARTS),
        (("corpora", ONE, "root"), Part.CORPUS),
        (("corpora", ONE, "chunks"), Part.INDEX),
        (("corpora",), Part.CORPUS),
    ],
)
def test_each_part_changed_alone_is_found(path: tuple[str, ...], part: Part) -> None:
    found = drifts(changed(*path, value=other(path)), APPROVED)
    assert [(one.part, one.release) for one in found] == [(part, NEXT if part is Part.SPACE else ONE)]
    reason = found[0].reason(process="gateway-1", space="east")
    assert (reason.code, reason.where) == (f"DRIFT_{part.value.upper()}", "east")


def test_a_release_that_is_not_loaded_has_not_drifted_and_one_left_unsaid_has() -> None:
    held = changed("stable", value=None)
    held["releases"], held["corpora"] = {}, {}
    assert parts(held) == []
    assert parts(held, replace(APPROVED, is_authorised=False)) == [Part.RELEASE]
    del held["stable"]
    assert parts(held) == [Part.RELEASE]


@pytest.mark.parametrize("recorded", ["1.0", "1.1"])
def test_parts_read_by_another_engine_are_not_compared_and_the_engine_is_drift(recorded: str) -> None:
    held = changed("engine", value="1.1")
    held["releases"][ONE] = dict.fromkeys(PARTS, "sha256:one-field-more")
    assert parts(held, replace(APPROVED, engines={ONE: recorded})) == [Part.ENGINE]


def test_a_release_without_a_deployment_record_was_promoted_outside() -> None:
    outside = Approved(generation=7, stable=ONE, is_authorised=False, engine="1.0", parts={ONE: PARTS})
    assert parts(HELD, outside) == [Part.RELEASE]


@pytest.mark.parametrize(("path", "value"), [(("generation",), 6), (("corpora", ONE, "generation"), 2)])
def test_a_report_of_another_moment_is_not_compared(path: tuple[str, ...], value: int) -> None:
    held = changed(*path, value=value)
    held["corpora"][ONE]["root"] = "sha256:older"
    assert parts(held) == []
    said = behind(held, APPROVED)
    assert said is not None
    assert said.startswith(f"generation {value} of the ")


def test_a_process_that_says_nothing_of_a_workflow_is_behind_and_one_that_can_be_compared_is_not() -> None:
    assert behind(None, APPROVED) == "nothing of the workflow"
    assert behind(HELD, APPROVED) is None
    assert behind(changed("releases", value={}), APPROVED) is None  # not loaded
    assert behind(changed("corpora", value={}), APPROVED) is None  # that is drift already


def test_documents_that_are_not_loaded_are_waited_for_and_those_left_unsaid_have_drifted() -> None:
    held = changed("corpora", ONE, value=None)
    assert parts(held) == []
    assert behind(held, APPROVED) == "a release without its documents, which stand at generation 3"
    assert parts(changed("corpora", value={})) == [Part.CORPUS]


def test_a_generation_that_moved_for_permissions_only_leaves_the_same_documents() -> None:
    held = changed("corpora", ONE, "generation", value=2)
    assert (parts(held), behind(held, APPROVED)) == ([], None)


def test_engines_of_several_releases_are_told_in_one_order() -> None:
    held = changed("releases", value={NEXT: PARTS, ONE: PARTS})
    both = replace(APPROVED, engine="2.0", engines={NEXT: "2.0", ONE: "2.0"})
    assert [one.release for one in drifts(held, both) if one.part is Part.ENGINE] == [ONE, NEXT]


def test_a_process_that_has_not_reported_is_told_as_unknown() -> None:
    silent = Drift(part=Part.UNKNOWN, release=ONE, observed="no report for 200 s", approved="a report in 180 s")
    reason = silent.reason(process="gateway-1", space="east")
    assert (reason.code, reason.observed) == ("DRIFT_UNKNOWN", "no report for 200 s")
    assert reason.text == "gateway-1 in east has not said what it serves: no report for 200 s."


def test_another_model_at_the_provider_is_told_by_its_name() -> None:
    other = Drift(part=Part.IDENTITY, release=ONE, observed="m (f9)", approved="m (f1)")
    reason = other.reason(process="provider", space="east")
    assert (reason.code, reason.observed, reason.limit) == ("MODEL_IDENTITY_CHANGED", "m (f9)", "m (f1)")
    assert reason.text == f"m (f9) answers for {ONE[:19]} in east; its first answers were m (f1)."


def test_only_what_decides_an_answer_takes_a_process_out() -> None:
    assert {part for part in Part if not part.is_content} == {Part.SPACE, Part.ENGINE, Part.IDENTITY, Part.UNKNOWN}
