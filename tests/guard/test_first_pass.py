"""The first pass only saves work: with and without hyperscan, loaded or compiled, the same is found."""

from __future__ import annotations

import random
import runpy
import subprocess
import sys
from typing import Any

import pytest
from tests.guard.test_holdback_stream import VALUES, WORDS
from tests.guard.test_pii_vectors import INVALID, VALID

from pilotage.guard import first_pass, pii_patterns
from pilotage.guard.first_pass import every_form, kept_name, open_database
from pilotage.guard.pii_recognise import recognise

pytest.importorskip("hyperscan")


class Shelf:
    """A place that keeps what it is given."""

    def __init__(self, held: dict[str, bytes] | None = None) -> None:
        self.held = {} if held is None else held
        self.asked: list[str] = []

    def load(self, name: str) -> bytes | None:
        self.asked.append(name)
        return self.held.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.held[name] = data


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """The compiled forms, by name."""
    shelf = Shelf()
    open_database(shelf)
    return shelf.held


def mixed(seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(VALUES) if rng.random() < 0.3 else rng.choice(WORDS) for _ in range(40))


@pytest.mark.parametrize("text", [text for text, _ in (*VALID, *INVALID)])
def test_re2_alone_finds_what_hyperscan_and_re2_find(text: str) -> None:
    assert recognise(text, present=every_form) == recognise(text)


def test_re2_alone_finds_the_same_in_mixed_text() -> None:
    for seed in range(200):
        assert recognise(mixed(seed), present=every_form) == recognise(mixed(seed))


def test_a_process_that_cannot_import_the_library_still_recognises() -> None:
    script = (
        "import sys; sys.modules['hyperscan'] = None\n"
        "from pilotage.guard.pii_recognise import recognise\n"
        "print([one.type.value for one in recognise('mail a@b.com, SSN 536-90-8726')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['EMAIL', 'US_SSN']\n"


def test_without_the_library_every_form_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    bare: dict[str, Any] = runpy.run_path(str(first_pass.__file__))
    assert list(bare["FIRST_PASS"]("nothing in it")) == list(range(len(pii_patterns.RECOGNISERS)))


def test_forms_are_compiled_once_and_then_loaded(kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled() -> object:
        pytest.fail("compiled although the compiled forms were kept")

    monkeypatch.setattr(first_pass, "_compiled", compiled)
    database = open_database(Shelf(kept))
    found: list[int] = []
    database.scan(b"mail a@b.com", match_event_handler=lambda number, *_: found.append(number))
    assert {pii_patterns.RECOGNISERS[number].type for number in found} == {"EMAIL"}


def test_a_process_loads_its_forms_from_where_they_are_kept(kept: dict[str, bytes]) -> None:
    process: dict[str, Any] = runpy.run_path(str(first_pass.__file__))
    place = Shelf(kept)
    process["keep_in"](place)
    assert [pii_patterns.RECOGNISERS[number].type for number in process["FIRST_PASS"]("mail a@b.com")] == ["EMAIL"]
    assert place.asked == [kept_name()]


def test_what_cannot_be_loaded_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = object()
    monkeypatch.setattr(first_pass, "_compiled", lambda: made)
    monkeypatch.setattr(first_pass.hyperscan, "dumpb", lambda _database: b"fresh")
    shelf = Shelf({kept_name(): b"\0" * 4096})
    assert open_database(shelf) is made
    assert shelf.held == {kept_name(): b"fresh"}
    assert open_database(None) is made


def test_another_form_or_library_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {kept_name()}
    with monkeypatch.context() as changed:
        changed.setattr(first_pass.hyperscan, "__version__", "0.0")
        names.add(kept_name())
    monkeypatch.setattr(first_pass, "RECOGNISERS", pii_patterns.RECOGNISERS[1:])
    assert len(names | {kept_name()}) == 3


def test_importing_the_recogniser_compiles_nothing() -> None:
    script = (
        "import pilotage.guard.pii_recognise, pilotage.guard.first_pass as first\n"
        "print(first._database.cache_info().currsize)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"
