"""Evidence is read in a process of its own: bounded in time and memory, and a reader that breaks refuses one file."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotage.adapters.parsing import evidence_child, evidence_process
from pilotage.adapters.parsing.evidence_child import attempt
from pilotage.adapters.parsing.evidence_process import EvidenceProcesses
from pilotage.adapters.parsing.evidence_wire import Failed, Question, encode_answer, encode_question, read_answer
from pilotage.adapters.parsing.wire import WireError
from pilotage.core.reason import Reason
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal

JUNIT = b'<testsuite tests="2"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
EMPTY = ReadContext()


@pytest.fixture(scope="module")
def processes() -> Iterator[EvidenceProcesses]:
    made = EvidenceProcesses()
    yield made
    made.close()


def read(
    processes: EvidenceProcesses, data: bytes, kind: str | None = "tests.unit", subject: str = "a release"
) -> Reading | ReadRefusal:
    return processes.read(data, kind=kind, name="f", subject=subject, context=EMPTY)


def kept(processes: EvidenceProcesses) -> dict[str, int]:
    """Return the process that waits for each subject's next file."""
    return {one.subject: one.process.pid for one in processes._idle}


@pytest.fixture
def fresh() -> Iterator[EvidenceProcesses]:
    made = EvidenceProcesses()
    yield made
    made.close()


def test_it_says_what_reading_here_says(processes: EvidenceProcesses, shared_data: Path) -> None:
    folder = shared_data / "evidence" / "junit-enricomi"
    files = [file.read_bytes() for file in sorted(folder.rglob("*.xml"))[:25]]
    for data in (JUNIT, b"", b"{", b"PK\x03\x04", b"%PDF-1.7", *files):
        assert read(processes, data) == read_evidence(data, kind="tests.unit", name="f", context=EMPTY)


def heavy() -> bytes:
    """Return a report that is small, well-formed, and slow: half a million findings."""
    one = b'{"ruleId":"r","message":{"text":"t"},"level":"error","locations":[]}'
    return (
        b'{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[' + b",".join([one] * 400_000) + b"]}]}"
    )


def test_what_takes_too_long_is_refused_and_the_next_file_is_read() -> None:
    processes = EvidenceProcesses(seconds=0)
    slow = read(processes, heavy(), "scan.sast")
    assert isinstance(slow, ReadRefusal)
    assert (slow.reason.code, slow.reason.limit) == ("EV_TOO_LARGE", "0 s")
    assert isinstance(read(processes, JUNIT), Reading)
    processes.close()


def test_what_takes_too_much_memory_is_refused(processes: EvidenceProcesses) -> None:
    # Two million small texts are within every limit of form; as values they take more than a process has.
    data = b"[" + b",".join([b'{"a":"%030d"}' % n for n in range(900_000)]) + b"]"
    found = read(processes, data, "scan.sast")
    assert isinstance(found, ReadRefusal)
    assert found.reason.code.startswith("EV_")
    assert isinstance(read(processes, JUNIT), Reading)


def test_a_kept_process_that_died_costs_no_file(processes: EvidenceProcesses) -> None:
    assert isinstance(read(processes, JUNIT), Reading)
    assert processes._idle  # what other tests left may wait there too
    assert processes._spare is not None
    for one in (*processes._idle, processes._spare):
        os.kill(one.process.pid, signal.SIGKILL)
        one.process.wait()
    assert isinstance(read(processes, JUNIT), Reading)
    assert isinstance(read(processes, JUNIT, subject="another release"), Reading)


def test_a_process_that_read_for_one_release_reads_for_no_other(fresh: EvidenceProcesses) -> None:
    for _ in range(2):
        assert isinstance(read(fresh, JUNIT), Reading)
    assert fresh._spare is not None
    first, spare = kept(fresh)["a release"], fresh._spare.process.pid
    assert isinstance(read(fresh, JUNIT, subject="another release"), Reading)
    assert kept(fresh) == {"a release": first, "another release": spare}
    assert isinstance(read(fresh, JUNIT, subject="a third one"), Reading)
    assert list(kept(fresh)) == ["another release", "a third one"]


@pytest.mark.parametrize("data", [b"", b"{", b"<testsuite/>"])
def test_a_process_whose_file_was_refused_reads_nothing_more(fresh: EvidenceProcesses, data: bytes) -> None:
    assert isinstance(read(fresh, JUNIT), Reading)
    assert isinstance(read(fresh, data), ReadRefusal)
    assert kept(fresh) == {}
    assert isinstance(read(fresh, JUNIT), Reading)


def test_a_process_reads_so_many_files_and_no_more(fresh: EvidenceProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_process, "FILES_PER_CHILD", 2)
    assert isinstance(read(fresh, JUNIT), Reading)
    assert list(kept(fresh)) == ["a release"]
    assert isinstance(read(fresh, JUNIT), Reading)
    assert kept(fresh) == {}


def test_several_threads_read_at_once(processes: EvidenceProcesses) -> None:
    found: list[Reading | ReadRefusal] = []
    threads = [threading.Thread(target=lambda: found.append(read(processes, JUNIT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(isinstance(one, Reading) for one in found)


@pytest.mark.parametrize("error", [ValueError("secret of the file"), MemoryError()])
def test_a_reader_that_breaks_refuses_the_file_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> Reading:
        raise error

    monkeypatch.setattr(evidence_child, "read_evidence", broken)
    answer = attempt(Question(kind="tests.unit", name="f", context=EMPTY), JUNIT)
    assert not isinstance(answer, Reading)
    assert b"secret" not in encode_answer(answer)


def test_what_is_said_is_read_back_equal_and_anything_else_is_none() -> None:
    reason = Reason(code="EV_EMPTY", text="Nothing.", where="f")
    for answer in (ReadRefusal(reason=reason), Failed(error="ValueError")):
        assert read_answer(encode_answer(answer)) == answer
    for data in (None, b"", b"{}", b"[1]", encode_question(Question(kind=None, name="f", context=EMPTY))):
        with pytest.raises(WireError):
            read_answer(data)
