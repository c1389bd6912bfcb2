"""An answer as it is kept in memory: one run of bytes, from the permission decision to the checked text."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pilotage.serving.context import Generation, Retrieval, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What steps 5 to 7 found out."""

    retrieval: Retrieval
    generation: Generation
    verdict: Verdict


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode


def pack(kept: KeptAnswer) -> bytes:
    """Return the bytes of an answer."""
    return _encode(kept)


def unpack(body: bytes) -> KeptAnswer:
    """Return the answer that `pack` wrote."""
    return _decode(body)
