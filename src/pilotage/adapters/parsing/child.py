"""The parsing process: `python -m pilotage.adapters.parsing.child READER`, spoken to over stdin and stdout.

Reads the bytes of one document per frame, answers with the document or the reason there is none. Fail mode: any limit
or crash ends the process; its owner rejects the document and starts another.
"""

from __future__ import annotations

import sys
from typing import BinaryIO

from pilotage.adapters.parsing.blocks import Unreadable
from pilotage.adapters.parsing.confine import allow_cpu, confine
from pilotage.adapters.parsing.formats import Parse, Reader, load
from pilotage.adapters.parsing.wire import encode_reply, own_streams, read_frame, write_frame
from pilotage.corpus.records import ParsedDocument

MAX_INPUT_BYTES = 64 << 20


def main() -> None:
    """Serve frames until stdin ends."""
    source, target = own_streams()
    parse = load(Reader(sys.argv[1]))
    confine()
    serve(parse, source, target)


def serve(parse: Parse, source: BinaryIO, target: BinaryIO) -> None:
    """Answer every frame until the stream ends."""
    while (frame := read_frame(source, most=MAX_INPUT_BYTES)) is not None:
        allow_cpu()
        write_frame(target, encode_reply(attempt(parse, frame)))


def attempt(parse: Parse, data: bytes) -> ParsedDocument | str:
    """Parse one document; return the reason when it cannot be."""
    try:
        return parse(data)
    except Unreadable as refusal:
        return str(refusal)
    except MemoryError:
        return "needs more than 1 GiB of memory to read"
    except RecursionError:
        return "is nested too deeply"
    except Exception as error:  # noqa: BLE001 - hostile bytes make libraries raise anything; one document is rejected
        return f"cannot be parsed: {type(error).__name__}"


if __name__ == "__main__":
    main()
