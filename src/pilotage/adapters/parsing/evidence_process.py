"""Reads evidence in confined processes: ten seconds and one GiB a file at most, no network, nothing written.

The seconds are of processor time, so that a busy machine refuses nothing; one that only waits is ended after a minute.
A process reads for one subject (a release, a workflow) and is kept for that one's next file while all it says are
readings, two at most; whatever it read can never speak about another subject. A spare that read nothing stands ready.
Rule: a report that hangs, crashes or breaks its reader is refused with an EV_ code, never guessed at; PDF and Word
files go to the document parser, confined likewise. Fail mode: where no process starts at all, every file is refused.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from threading import Lock, Timer
from typing import BinaryIO, Final, cast

from pilotage.adapters.parsing.evidence_wire import MAX_ANSWER, READY, Failed, Question, encode_question, read_answer
from pilotage.adapters.parsing.pool import child_environment
from pilotage.adapters.parsing.wire import WireError, read_frame, write_frame
from pilotage.core.reason import Reason
from pilotage.evidence.limits import MAX_BYTES, MAX_SECONDS
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.source import TextOf, no_text

LOG = logging.getLogger("pilotage.evidence")
_START_SECONDS: Final = 60
_WALL_SECONDS: Final = 60.0
_IDLE: Final = 2
FILES_PER_CHILD: Final = 1_000
_OTHER_PARSER: Final = (b"%PDF-", b"PK\x03\x04")


class EvidenceProcesses:
    """The processes of this process; safe to use from several threads."""

    def __init__(self, *, seconds: int = MAX_SECONDS, wall_seconds: float = _WALL_SECONDS) -> None:
        self._seconds = seconds
        self._wall_seconds = wall_seconds
        self._idle: list[_Child] = []
        self._spare: _Child | None = None
        self._lock = Lock()

    def read(
        self,
        data: bytes,
        *,
        kind: str | None,
        name: str,
        subject: str,
        context: ReadContext,
        text_of: TextOf = no_text,
    ) -> Reading | ReadRefusal:
        """Return what a file says, or why it cannot count, as `read_evidence` does; never raises for what is in it."""
        if len(data) > MAX_BYTES or data.startswith(_OTHER_PARSER):
            return read_evidence(data, kind=kind, name=name, context=context, text_of=text_of)
        question = encode_question(Question(kind=kind, name=name, context=context))
        child = self._taken(subject)
        is_waiting = child is not None
        child = child or _launch(self._wall_seconds, self._seconds)
        answer = child.ask(question, data)
        if is_waiting and isinstance(answer, _Dead) and not answer.timed_out:
            # A process that waited ends with the thread that started it; that says nothing of this file.
            child = _launch(self._wall_seconds, self._seconds)
            answer = child.ask(question, data)
        self._put_back(child, subject, is_good=isinstance(answer, Reading))
        if isinstance(answer, _Dead):
            return ReadRefusal(reason=answer.reason(name, self._seconds))
        if isinstance(answer, Failed):
            LOG.warning("A reader raised %s on evidence of kind %s.", answer.error, kind)
            text = f"The file breaks the form of its format ({answer.error}). Export it again with the tool."
            return ReadRefusal(reason=Reason(code="EV_MALFORMED", text=text, where=name))
        return answer

    def close(self) -> None:
        """End the processes that wait."""
        with self._lock:
            waiting, self._idle, self._spare = [*self._idle, self._spare], [], None
        for child in waiting:
            if child is not None:
                child.drop()

    def _taken(self, subject: str) -> _Child | None:
        """Return a process that waits for this subject, else the spare; None when neither lives."""
        with self._lock:
            kept = next((one for one in self._idle if one.subject == subject), None)
            if kept is None:
                kept, self._spare = self._spare, None
            else:
                self._idle.remove(kept)
        if kept is not None and kept.process.poll() is not None:
            kept.drop()
            return None
        return kept

    def _put_back(self, child: _Child, subject: str, *, is_good: bool) -> None:
        """Keep a process for its subject or end it, and let a spare start meanwhile."""
        child.subject, child.served = subject, child.served + 1
        over: _Child | None = child
        with self._lock:
            if is_good and child.served < FILES_PER_CHILD:
                self._idle.append(child)
                over = self._idle.pop(0) if len(self._idle) > _IDLE else None
            if self._spare is None:
                with contextlib.suppress(OSError):  # without a spare the next subject's first file waits for a start
                    self._spare = _launch(self._wall_seconds, self._seconds)
        if over is not None:
            over.drop()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dead:
    """The process ended over a file. `code` as its exit status says, None when it had to be killed here."""

    code: int | None
    timed_out: bool

    def reason(self, name: str, seconds: float) -> Reason:
        """Return why the file is refused."""
        if self.timed_out or self.code == -signal.SIGXCPU:
            text = f"The file takes more than {seconds:g} s to read. Upload a smaller report."
            return Reason(code="EV_TOO_LARGE", text=text, where=name, limit=f"{seconds:g} s")
        text = "The file ended the process that read it. Export it again with the tool."
        return Reason(code="EV_MALFORMED", text=text, where=name, observed=str(self.code))


@dataclass(slots=True, kw_only=True)
class _Child:
    """One process. `subject` is whom it read for and `served` how many files; it is asked once it `is_ready`."""

    process: subprocess.Popen[bytes]
    wall_seconds: float
    subject: str = ""
    served: int = 0
    is_ready: bool = False
    killed: bool = field(default=False)

    def ask(self, question: bytes, data: bytes) -> Reading | ReadRefusal | Failed | _Dead:
        """Return the answer, or how the process ended."""
        self._await_start()
        timer = Timer(self.wall_seconds, self._kill)
        timer.daemon = True
        timer.start()
        try:
            stream = cast("BinaryIO", self.process.stdin)
            write_frame(stream, question)
            write_frame(stream, data)
            return read_answer(read_frame(cast("BinaryIO", self.process.stdout), most=MAX_ANSWER))
        except (WireError, OSError):
            return _Dead(code=self._end(), timed_out=self.killed)
        finally:
            timer.cancel()

    def drop(self) -> None:
        """End the process at once: it has said what it was asked, and holds nothing."""
        self.process.kill()
        self._end()

    def _await_start(self) -> None:
        if self.is_ready:
            return
        timer = Timer(_START_SECONDS, self.process.kill)
        timer.daemon = True
        timer.start()
        with contextlib.suppress(WireError, OSError):  # one that did not start is found dead by its first question
            read_frame(cast("BinaryIO", self.process.stdout), most=len(READY))
        timer.cancel()
        self.is_ready = True

    def _kill(self) -> None:
        self.killed = True
        self.process.kill()

    def _end(self) -> int | None:
        """End the process; return its exit code, or None when it had to be killed here."""
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            return self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def _launch(wall_seconds: float, seconds: int) -> _Child:
    """Start a process without waiting until it is ready."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
        [sys.executable, "-P", "-m", "pilotage.adapters.parsing.evidence_child", str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        cwd="/",
    )
    return _Child(process=process, wall_seconds=wall_seconds)


EVIDENCE: Final = EvidenceProcesses()
"""The one pool of this process."""
atexit.register(EVIDENCE.close)
