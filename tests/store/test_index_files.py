"""An index folder is served only as it was written: any other byte in any file is found when it is opened."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from tests.retrieval.small_index import Doc, segment_of

from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.retrieval.quantiser import Quantiser
from pilotage.retrieval.segment import Segment
from pilotage.store.index_files import read_segment, write_segment

DOCS = [
    Doc(id="a", rev=1, chunks=(("refund", "limit"), ("wire", "fee", "fee")), vectors=((1.0, 0.0), (0.0, 2.0))),
    Doc(id="b", rev=4, chunks=(("größe", "limit"),), vectors=((0.0, 0.0),)),
]
CELLS = Quantiser(centroids=np.array([[2048, 0], [0, 2048], [1024, 1024]], np.float32), probes=2)
SEGMENT = segment_of(DOCS, dimension=2, quantiser=CELLS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "corpus" / "base-1"
    write_segment(SEGMENT, target, corpus="corpus", analyser="one")
    return target


def _read(folder: Path) -> Segment:
    return read_segment(folder, corpus="corpus", analyser="one")


def test_what_is_opened_is_what_was_written_and_cannot_be_changed(folder: Path) -> None:
    opened = _read(folder)
    assert opened.quantiser is not None
    assert (opened.quantiser.digest, opened.quantiser.probes) == (CELLS.digest, 2)
    assert not opened.quantiser.centroids.flags.writeable
    for one in fields(Segment):
        if one.name == "quantiser":
            continue
        array = getattr(opened, one.name)
        assert np.array_equal(array, getattr(SEGMENT, one.name)), one.name
        assert not array.flags.writeable
    assert opened.term("größe") == SEGMENT.term("größe")


def _is_found(folder: Path, file: Path, place: int) -> bool:
    before = file.read_bytes()
    file.write_bytes(before[:place] + bytes([before[place] ^ 0x10]) + before[place + 1 :])
    try:
        _read(folder)
    except IntegrityError:
        return True
    finally:
        file.write_bytes(before)
    return False


def _missed(folder: Path, step: int) -> list[tuple[str, int]]:
    return [
        (file.name, place)
        for file in sorted(folder.iterdir())
        for place in range(0, file.stat().st_size, step)
        if not _is_found(folder, file, place)
    ]


def test_a_flipped_byte_in_any_file_is_found(folder: Path) -> None:
    assert _missed(folder, 23) == []


@pytest.mark.slow
def test_every_flipped_byte_is_found(folder: Path) -> None:
    assert _missed(folder, 1) == []


def test_a_missing_or_shortened_file_is_found(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        before = file.read_bytes()
        file.write_bytes(before[:-1])
        with pytest.raises(IntegrityError):
            _read(folder)
        file.unlink()
        with pytest.raises(IntegrityError):
            _read(folder)
        file.write_bytes(before)
    _read(folder)


def test_an_index_of_another_corpus_analyser_or_model_is_refused(folder: Path) -> None:
    for corpus, analyser, model in (("other", "one", None), ("corpus", "two", None), ("corpus", "one", "m")):
        with pytest.raises(IntegrityError, match="other settings"):
            read_segment(folder, corpus=corpus, analyser=analyser, model=model)


@contextmanager
def _full_disk(room: int) -> Iterator[None]:
    """Refuse to let any file grow beyond `room` bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_index_and_no_half_of_the_new_one(folder: Path) -> None:
    for room in (0, 130, 200):
        with _full_disk(room), pytest.raises(Unavailable, match="could not be written"):
            write_segment(SEGMENT, folder.with_name("base-2"), corpus="corpus", analyser="one")
        assert [path.name for path in folder.parent.iterdir()] == ["base-1"]
    _read(folder)
