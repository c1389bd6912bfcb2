"""The process that reads evidence: `python -m pilotage.adapters.parsing.evidence_child SECONDS`, on stdin and stdout.

One question (kind, name, context) and one file per turn; back comes the reading, the refusal, or the name of an error
no reader should raise. Fail mode: any limit or crash ends the process; its owner refuses the file and starts another.
"""

from __future__ import annotations

import sys
from typing import BinaryIO

from pilotage.adapters.parsing.confine import allow_cpu, confine
from pilotage.adapters.parsing.evidence_wire import READY, Failed, Question, encode_answer, read_question
from pilotage.adapters.parsing.wire import own_streams, read_frame, write_frame
from pilotage.core.reason import Reason
from pilotage.evidence.limits import MAX_BYTES
from pilotage.evidence.read import read_evidence
from pilotage.evidence.records import Reading, ReadRefusal


def main() -> None:
    """Answer questions until stdin ends."""
    source, target = own_streams()
    confine()
    write_frame(target, READY)
    serve(source, target, seconds=int(sys.argv[1]))


def serve(source: BinaryIO, target: BinaryIO, *, seconds: int) -> None:
    """Answer every question until the stream ends."""
    while (asked := read_frame(source, most=MAX_BYTES)) is not None:
        data = read_frame(source, most=MAX_BYTES) or b""
        allow_cpu(seconds)
        write_frame(target, encode_answer(attempt(read_question(asked), data)))


def attempt(question: Question, data: bytes) -> Reading | ReadRefusal | Failed:
    """Read one file; return the name of the error when the reader breaks on it."""
    try:
        return read_evidence(data, kind=question.kind, name=question.name, context=question.context)
    except MemoryError:
        text = "The file needs more memory to read than any report should."
        return ReadRefusal(reason=Reason(code="EV_TOO_LARGE", text=text, where=question.name, limit="1 GiB"))
    except Exception as error:  # noqa: BLE001 - hostile bytes; whatever a reader missed refuses this one file
        return Failed(error=type(error).__name__)


if __name__ == "__main__":
    main()
