"""A diff names every changed part and raises the flags that somebody must look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pilotage.core.digest import digest_of_json
from pilotage.release.diff import CorpusChange, Flag, Side, diff_releases, key_changes
from pilotage.release.manifest import PartKind

CHECK = {"id": "pii_out", "stage": "output", "action": "redact", "fail": "closed"}
VALUES: dict[PartKind, Any] = {
    PartKind.PROMPT: [],
    PartKind.MODEL: {"model": "a"},
    PartKind.RETRIEVAL: {"top_k": 5},
    PartKind.CORPUS: {},
    PartKind.GUARD: {"policy": {"stream": "buffer", "checks": [CHECK]}, "detectors": {"pii": "1"}},
    PartKind.TOOLS: [],
    PartKind.EGRESS: ["a.example:443"],
    PartKind.GOLDEN: {"files": []},
}
GOLDEN: dict[str, Mapping[str, Any]] = {f"c{n}": {"id": f"c{n}", "must_pass": n == 0} for n in range(10)}


def side(*, golden: Mapping[str, Mapping[str, Any]] = GOLDEN, prompt: str = "old\n", **values: Any) -> Side:
    held = VALUES | {PartKind(name): value for name, value in values.items()}
    held[PartKind.PROMPT], held[PartKind.GOLDEN] = prompt, sorted(map(str, golden.items()))
    parts = {kind: digest_of_json(value) for kind, value in held.items()}
    return Side(
        digest=digest_of_json({str(kind): digest for kind, digest in parts.items()}),
        parts=parts,
        values=held,
        prompt=prompt,
        golden=golden,
    )


def flags(after: Side, corpus: Mapping[str, CorpusChange] | None = None) -> tuple[Flag, ...]:
    return diff_releases(side(), after, corpus=corpus or {}).flags


def guard(*checks: Any, stream: str = "buffer") -> dict[str, Any]:
    return {"policy": {"stream": stream, "checks": list(checks)}, "detectors": {"pii": "1"}}


@pytest.mark.feature("R2.4")
def test_equal_releases_have_eight_equal_parts() -> None:
    found = diff_releases(side(), side(), corpus={})
    assert all(part.is_same for part in found.parts)
    assert found.as_json()["flags"] == []


def test_text_and_keys_are_shown_as_they_changed() -> None:
    found = diff_releases(side(), side(prompt="new\n", retrieval={"top_k": 7}), corpus={})
    detail = {part.kind: part.detail for part in found.parts if not part.is_same}
    assert "-old" in detail[PartKind.PROMPT]
    assert detail[PartKind.RETRIEVAL] == ("top_k: 5 -> 7",)
    assert key_changes({"a": 1}, {"a": {"b": 2}}) == ["a: 1 -> {'b': 2}"]
    assert key_changes({"a": 1}, {}) == ["a: 1 -> (absent)"]


def test_each_risky_change_raises_its_flag() -> None:
    assert flags(side(model={"model": "b"})) == (Flag.MODEL_CHANGED,)
    assert flags(side(tools=[{"tool": "x"}])) == (Flag.TOOL_ADDED,)
    assert flags(side(egress=["a.example:443", "b.example:443"])) == (Flag.EGRESS_ADDED,)
    assert flags(side(egress=[])) == ()
    fewer = {name: case for name, case in GOLDEN.items() if name != "c0"}
    assert flags(side(golden=fewer)) == (Flag.MUST_PASS_REMOVED, Flag.GOLDEN_SHRUNK)
    more = GOLDEN | {"new": {"id": "new"}, "c5": {"id": "c5", "x": 1}}
    assert flags(side(golden=more)) == ()


def test_a_guard_is_weaker_when_a_check_acts_less_fails_open_or_is_gone() -> None:
    for weaker in (
        guard(CHECK | {"action": "flag"}),
        guard(CHECK | {"fail": "open"}),
        guard(),
        guard(CHECK | {"threshold": 0.9}),
        guard(CHECK, stream="token"),
    ):
        assert flags(side(guard=weaker)) == (Flag.GUARD_WEAKENED,)
    for fine in (guard(CHECK | {"action": "block"}), guard(CHECK, CHECK | {"id": "urls"})):
        assert flags(side(guard=fine)) == ()
    assert flags(side(guard="unreadable")) == (Flag.GUARD_WEAKENED,)


def test_wider_readers_and_a_shrunken_corpus_are_flagged() -> None:
    change = CorpusChange(added=("a",), changed=("b",), removed=("c",), widened=("d",), documents_before=5)
    found = diff_releases(side(), side(corpus={"x": 1}), corpus={"production": change})
    assert found.flags == (Flag.ACL_WIDENED, Flag.CORPUS_SHRUNK)
    assert change.documents == 3
    (corpus,) = (part for part in found.parts if part.kind is PartKind.CORPUS)
    assert "production: more people may read d" in corpus.detail
    small = CorpusChange(removed=("c",), documents_before=100)
    assert flags(side(corpus={"x": 1}), {"production": small}) == ()


def test_another_embedding_model_is_another_model_and_another_ranking_is_not() -> None:
    before = side(retrieval={"top_k": 5, "embedding": {"model": "e"}})
    for after, raised in (
        (side(retrieval={"top_k": 5, "embedding": {"model": "f"}}), (Flag.MODEL_CHANGED,)),
        (side(retrieval={"top_k": 5}), (Flag.MODEL_CHANGED,)),
        (side(retrieval={"top_k": 6, "embedding": {"model": "e"}}), ()),
    ):
        assert diff_releases(before, after, corpus={}).flags == raised
