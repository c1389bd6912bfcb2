"""A large body may take its time while it makes progress; one that does not ends within its span (serving.md 1.4).

The protocol is driven by a clock that only the test moves: no socket, no waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, cast

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from pilotage.gateway.protocol import protocol_class
from pilotage.workspace.gateway import GatewayLimits

LIMITS: Final = GatewayLimits()
MIB: Final = 1_048_576
STEP_S: Final = 0.5


class StillLoop:
    """A loop whose time is set; what would run later never does."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def time(self) -> float:
        return self.now

    def call_later(self, *_later: object) -> None:
        return None

    def create_task(self, running: Coroutine[Any, Any, None], **_how: object) -> asyncio.Future[None]:
        running.close()
        return asyncio.Future(loop=cast("Any", self))

    def get_debug(self) -> bool:
        return False


class Wire(asyncio.Transport):
    """The server's end of a connection: what was written to it, and whether it was closed or reads no more."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None


async def _never(_scope: object, _receive: object, _send: object) -> None:
    return None


class Upload:
    """One request with a body that is under way; the application takes what comes unless told otherwise."""

    def __init__(self, limits: GatewayLimits = LIMITS, *, length: int = 64 * MIB) -> None:
        self.loop, self.wire = StillLoop(), Wire()
        config = Config(app=_never, interface="asgi3", ws="none", lifespan="off", log_config=None)
        config.load()
        self.protocol = protocol_class(limits)(config, ServerState(), {}, cast("Any", self.loop))
        self.protocol.connection_made(self.wire)
        self.protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)

    def goes_on(self, seconds: float, rate: int, *, is_read: bool = True) -> bool:
        """Let time pass while bytes come at a rate; tell whether the connection is still open."""
        for _ in range(int(seconds / STEP_S)):
            if rate:
                self.protocol.data_received(b"x" * int(rate * STEP_S))
            if is_read:
                self.protocol.cycle.body = bytearray()
                self.protocol.flow.resume_reading()
            self.loop.now += STEP_S
            self.protocol.sweep(self.loop.now)
            if self.wire.is_closed:
                return False
        return True

    def answer(self) -> None:
        """Note that the application has answered, the body unread."""
        self.protocol.cycle.response_started = self.protocol.cycle.response_complete = True

    @property
    def was_told(self) -> bool:
        return b"408" in self.wire.written.partition(b"\r\n")[0]


def test_a_64_mib_file_comes_through_at_one_mbit_a_second() -> None:
    upload = Upload()
    seconds = 64 * MIB / 125_000
    assert seconds > 10 * LIMITS.body_deadline_s
    assert upload.goes_on(seconds, 125_000)
    assert upload.wire.written == b""


@pytest.mark.parametrize("rate", [0, 1, 1_000, 2_000, 20_000, LIMITS.body_rate_bytes_s - 1_000])
def test_a_body_slower_than_the_rate_ends_at_its_deadline_at_the_latest(rate: int) -> None:
    upload = Upload()
    assert not upload.goes_on(LIMITS.body_deadline_s + 2 * STEP_S, rate)
    assert upload.was_told


def test_a_body_that_stalls_ends_a_span_later_however_fast_it_came() -> None:
    upload = Upload()
    assert upload.goes_on(20, 2 * MIB)
    assert not upload.goes_on(2 * LIMITS.body_deadline_s + 2 * STEP_S, 1_000)
    assert upload.was_told


def test_a_small_body_has_its_deadline_and_no_more() -> None:
    upload = Upload(length=MIB)
    assert not upload.goes_on(LIMITS.body_deadline_s + 2 * STEP_S, MIB // 40)
    assert upload.was_told


def test_time_in_which_the_server_does_not_read_is_not_the_senders() -> None:
    upload = Upload()
    assert upload.goes_on(STEP_S, MIB, is_read=False)
    assert upload.goes_on(4 * LIMITS.body_deadline_s, 0, is_read=False)
    assert upload.goes_on(3 * LIMITS.body_deadline_s, 2 * LIMITS.body_rate_bytes_s)
    assert not upload.goes_on(2 * LIMITS.body_deadline_s + 2 * STEP_S, 0)


def test_what_comes_after_the_answer_is_thrown_away_and_has_an_end() -> None:
    upload = Upload(length=10_000 * MIB)
    upload.answer()
    assert upload.goes_on(3 * LIMITS.body_deadline_s, MIB)
    assert not upload.goes_on(300, 4 * MIB)
    assert upload.wire.written == b""


def test_who_dawdles_after_the_answer_is_cut_off_without_a_second_answer() -> None:
    upload = Upload()
    upload.answer()
    assert not upload.goes_on(LIMITS.body_deadline_s + 2 * STEP_S, 20_000)
    assert upload.wire.written == b""
