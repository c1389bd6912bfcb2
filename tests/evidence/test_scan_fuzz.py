"""Damaged and doctored files of scanners are read or refused with an evidence code; nothing else ever happens."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

KINDS = (
    None,
    "scan.sast",
    "scan.deps",
    "scan.container",
    "scan.iac",
    "scan.dast",
    "scan.secrets",
    "quality",
    "sbom",
    "vex",
)
STRANGE: tuple[Json, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    "",
    "x",
    [],
    {},
    [None],
    [1],
    ["a"],
    {"a": 1},
    [[]],
    [{}],
    "9.8",
    2**60,
)
CONTEXT = ReadContext(denied_licences=frozenset({"AGPL-3.0-only"}))


def samples(shared_data: Path, largest: int) -> list[Path]:
    folder = shared_data / "evidence"
    names = ("defectdojo", "sarif-tutorials", "cyclonedx-examples")
    files = [file for name in names for file in sorted((folder / name).rglob("*")) if file.is_file()]
    return [file for file in files if file.stat().st_size <= largest and not file.name.startswith("LICENSE")]


def check(data: bytes, chance: random.Random) -> None:
    result = read_evidence(data, kind=chance.choice(KINDS), name="mutated", context=CONTEXT)
    if isinstance(result, ReadRefusal):
        assert result.reason.code.startswith("EV_")
        assert result.reason.text
    else:
        assert isinstance(result, Reading)


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0:
                del changed[place : place + chance.randint(1, 40)]
            case 1:
                changed[place:place] = bytes(chance.choices(b'{}[]",:<>/0129nulltrue \x00\xff', k=chance.randint(1, 6)))
            case 2:
                changed[place:place] = changed[chance.randrange(len(changed) + 1) :][:80]
            case _:
                changed = changed[:place]
        if not changed:
            break
    return bytes(changed)


def mutate_json(value: Json, chance: random.Random, depth: int = 0) -> Json:
    """Replace one value, anywhere, by a strange one; or drop or repeat an element."""
    if depth > 12 or chance.random() < 0.12:
        return chance.choice(STRANGE)
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: mutate_json(value[key], chance, depth + 1)}
    if isinstance(value, list) and value:
        place = chance.randrange(len(value))
        return [*value[:place], mutate_json(value[place], chance, depth + 1), *value[place + 1 :]]
    return chance.choice(STRANGE)


def as_json(file: Path) -> Json:
    try:
        value: Json = json.loads(file.read_bytes().decode("utf-8-sig"))
    except ValueError:
        return None
    return value


@pytest.fixture(scope="module")
def small(shared_data: Path) -> list[Path]:
    return samples(shared_data, 12_000)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_damaged_sample_is_read_or_refused(small: list[Path], seed: int) -> None:
    chance = random.Random(seed)
    check(mutate_bytes(chance.choice(small).read_bytes(), chance), chance)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_sample_with_a_value_of_another_shape_is_read_or_refused(small: list[Path], seed: int) -> None:
    chance = random.Random(seed)
    check(json.dumps(mutate_json(as_json(chance.choice(small)), chance)).encode(), chance)


@pytest.mark.slow
def test_every_sample_survives_many_mutations(shared_data: Path) -> None:
    chance = random.Random(20261125)
    for file in samples(shared_data, 120_000):
        data, value = file.read_bytes(), as_json(file)
        for _ in range(40):
            check(mutate_bytes(data, chance), chance)
            check(json.dumps(mutate_json(value, chance)).encode(), chance)


def test_a_mutated_sample_never_turns_a_wrong_shape_of_its_findings_into_a_clean_result(small: list[Path]) -> None:
    keys = ("results", "vulnerabilities", "issues", "Results", "runs", "components", "packages")
    tried = 0
    for file in small:
        value = as_json(file)
        if not isinstance(value, dict):
            continue
        for key in (one for one in keys if one in value):
            for strange in ("x", 1, True, [1], ["x"], [None]):
                tried += 1
                data = json.dumps({**value, key: strange}).encode()
                for kind in ("scan.sast", "scan.deps", "sbom"):
                    result = read_evidence(data, kind=kind, name=file.name, context=CONTEXT)
                    assert (
                        isinstance(result, ReadRefusal) or result.kind != kind or key not in _decisive(result, kind)
                    ), (
                        file,
                        key,
                        strange,
                        result,
                    )
    assert tried > 100


def _decisive(result: Reading, kind: str) -> tuple[str, ...]:
    """Return the keys that hold what this reading counts."""
    if result.reader in ("CycloneDX", "SPDX"):
        return ("components", "packages") if kind == "sbom" else ("vulnerabilities",)
    return ("results", "vulnerabilities", "issues", "Results", "runs")
