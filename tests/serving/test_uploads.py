"""A large body is held once, on disk while it comes; few come at a time; each gives its place back, however it ends."""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Self

import pytest

from pilotage.serving.uploads import IN_MEMORY, Receive, UploadRefused, Uploads, Why

pytestmark = pytest.mark.anyio
PIECE = 65_536
MOST = 64 * IN_MEMORY


def coming(pieces: Sequence[bytes] | Iterator[bytes], *, leaves: bool = False) -> Receive:
    """Hand out the pieces one by one, as a server does; who leaves does so after the last."""
    left = iter(pieces)
    ahead = next(left, None)

    async def receive() -> MutableMapping[str, Any]:
        nonlocal ahead
        piece, ahead = ahead, next(left, None)
        if piece is None:
            assert leaves, "read on after the end"
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": leaves or ahead is not None}

    return receive


def large(*, leaves: bool = False, size: int = IN_MEMORY + 1) -> Receive:
    return coming([bytes([number % 251]) * PIECE for number in range(size // PIECE + 1)], leaves=leaves)


async def refused(uploads: Uploads, receive: Receive, *, most: int = MOST, sender: str = "a") -> Why:
    with pytest.raises(UploadRefused) as caught:
        async with uploads.take(receive, most=most, sender=sender):
            pytest.fail("it was taken")
    return caught.value.why


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY, 3 * IN_MEMORY + 7])
@pytest.mark.parametrize("piece", [PIECE, 10 * IN_MEMORY], ids=["pieces", "at once"])
async def test_a_body_comes_whole_in_memory_or_from_disk(size: int, piece: int) -> None:
    sent = bytes(range(251)) * (size // 251 + 1)
    sent = sent[:size]
    uploads = Uploads()
    pieces = [sent[at : at + piece] for at in range(0, size, piece)] or [b""]
    async with uploads.take(coming(pieces), most=MOST, sender="a") as body:
        assert (body.file is not None) == (size > IN_MEMORY)
        assert uploads.under_way == (size > IN_MEMORY)
        assert body.read() == sent
    assert uploads.under_way == 0


async def test_a_large_body_takes_little_memory_while_it_comes_and_its_own_size_when_it_is_read() -> None:
    size = 24 * IN_MEMORY
    receive = coming(b"x" * PIECE for _ in range(size // PIECE))
    tracemalloc.start()
    try:
        async with Uploads().take(receive, most=MOST, sender="a") as body:
            assert tracemalloc.get_traced_memory()[1] < 6 * IN_MEMORY
            assert len(body.read()) == size
            assert tracemalloc.get_traced_memory()[1] < size + 6 * IN_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("most", [10, IN_MEMORY, 2 * IN_MEMORY])
async def test_a_body_above_its_limit_is_refused_as_soon_as_it_is(most: int) -> None:
    uploads, read = Uploads(), 0

    async def endless() -> MutableMapping[str, Any]:
        nonlocal read
        read += PIECE
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": True}

    assert await refused(uploads, endless, most=most) is Why.TOO_LARGE
    assert read <= most + PIECE
    assert uploads.under_way == 0


async def test_of_many_large_bodies_a_few_are_taken_and_the_rest_is_told_at_once() -> None:
    uploads = Uploads(at_once=3, of_one=2)
    a, b, c = (uploads.take(large(), most=MOST, sender=one) for one in ("a", "a", "b"))
    async with a, b:
        assert await refused(uploads, large(), sender="a") is Why.OWN_BUSY
        async with c:
            assert await refused(uploads, large(), sender="c") is Why.BUSY
            async with uploads.take(coming([b"small"]), most=MOST, sender="c") as body:
                assert body.read() == b"small"
        async with uploads.take(large(), most=MOST, sender="c"):
            assert uploads.under_way == 3
    assert uploads.under_way == 0


async def test_a_sender_who_leaves_gives_the_place_back() -> None:
    uploads = Uploads()
    assert await refused(uploads, coming([b"x"], leaves=True)) is Why.CLIENT_GONE
    assert await refused(uploads, large(leaves=True)) is Why.CLIENT_GONE
    assert uploads.under_way == 0


async def test_a_request_that_is_cancelled_gives_the_place_back() -> None:
    uploads, begun = Uploads(), asyncio.Event()
    first = large(leaves=True, size=2 * IN_MEMORY)

    async def stalls() -> MutableMapping[str, Any]:
        message = await first()
        if message["type"] == "http.disconnect":
            begun.set()
            await asyncio.Event().wait()
        return message

    task = asyncio.create_task(refused(uploads, stalls))
    await begun.wait()
    assert uploads.under_way == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert uploads.under_way == 0


async def test_work_that_fails_gives_the_place_back() -> None:
    uploads = Uploads()
    with pytest.raises(ZeroDivisionError):
        async with uploads.take(large(), most=MOST, sender="a"):
            raise ZeroDivisionError
    assert uploads.under_way == 0


async def test_the_beginning_of_a_large_body_is_looked_at_before_more_is_read_or_kept() -> None:
    seen: list[int] = []
    uploads = Uploads()

    def look(first: bytes) -> None:
        seen.append(len(first))
        assert uploads.under_way == 0
        raise PermissionError

    receive = large(size=8 * IN_MEMORY)
    with pytest.raises(PermissionError):
        async with uploads.take(receive, most=MOST, sender="a", look=look):
            pytest.fail("it was taken")
    assert len(seen) == 1
    assert IN_MEMORY < seen[0] <= IN_MEMORY + PIECE


class FullDisk:
    """A file on a disk that takes nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def write(self, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")


def no_folder(**_how: object) -> FullDisk:
    raise FileNotFoundError(2, "No usable temporary directory found")


def full_disk(**_how: object) -> FullDisk:
    return FullDisk()


@pytest.mark.parametrize("opened", [no_folder, full_disk])
async def test_a_disk_that_takes_nothing_is_said_as_such(
    opened: Callable[..., FullDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", opened)
    uploads = Uploads()
    assert await refused(uploads, large()) is Why.NO_ROOM
    assert uploads.under_way == 0


def test_each_refusal_has_its_status() -> None:
    found = {why: UploadRefused(why, "").status for why in Why}
    assert found == {
        Why.TOO_LARGE: 413,
        Why.CLIENT_GONE: 400,
        Why.BUSY: 503,
        Why.OWN_BUSY: 429,
        Why.NO_ROOM: 503,
    }
