"""With kills at every instruction, a target that knows idempotency keys sees each message's effect once, in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.control.instance import Instance
from pilotage.core.ids import new_ulid
from pilotage.jobs import outbox as delivery
from pilotage.jobs.handlers import Registry
from pilotage.jobs.outbox import OutboxDelivery
from pilotage.jobs.worker import DELIVERERS
from pilotage.store import outbox as store
from pilotage.store.engine import make_engine
from pilotage.store.outbox import (
    MAX_ATTEMPTS,
    NOTICE_ATTEMPTS,
    NOTIFICATION,
    Message,
    add_message,
    backoff,
    bury_exhausted,
    claim_message,
    mark_failed,
    replay_dead,
    wait_after,
)
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.effects import EffectCounter

pytestmark = pytest.mark.store

_WATCHED = {str(Path(module.__file__ or "")) for module in (delivery, store)} | {__file__}


def _deliver(instance: Instance, message: Message) -> None:
    with instance.engine.begin() as connection:
        EffectCounter.write_once(connection, message.payload["name"], message.idempotency_key)


def _send(instance: Instance, *names: str, target: str = "bank") -> list[str]:
    ids = [new_ulid(instance.clock.now()) for _ in names]
    with instance.engine.begin() as connection:
        for message_id, name in zip(ids, names, strict=True):
            add_message(
                connection,
                message_id=message_id,
                kind="post",
                target=target,
                payload={"name": name},
                now=instance.clock.now(),
            )
    return ids


def _states(instance: Instance) -> list[str]:
    with instance.engine.connect() as connection:
        return list(connection.execute(text("SELECT state FROM outbox ORDER BY seq")).scalars())


def _killed_at(instruction: int) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that kills this process at the n-th line of the delivery's own code."""
    left = instruction

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in _WATCHED:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def _turn_in_a_child(url: str, clock: SimulatedClock, instruction: int) -> bool:
    """Run one turn in a forked process that dies at an instruction; tell whether it lived to the end."""
    child = os.fork()
    if child == 0:
        try:
            engine = make_engine(url)
            mine: Any = SimpleNamespace(engine=engine, clock=clock)
            worker = OutboxDelivery(mine, Registry(deliverers={"post": _deliver}))
            sys.settrace(_killed_at(instruction))
            worker.turn()
            sys.settrace(None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def test_killed_at_every_instruction_each_message_has_one_effect(
    instance: Instance, clock: SimulatedClock, effects: EffectCounter, database_url: str
) -> None:
    instruction, lived = 0, False
    while not lived:
        instruction += 1
        name = f"killed at {instruction}"
        _send(instance, name)
        lived = _turn_in_a_child(database_url, clock, instruction)
        clock.advance(timedelta(minutes=2))
        delivery, ends = OutboxDelivery(instance, Registry(deliverers={"post": _deliver})), time.monotonic() + 20
        # The dead child's session keeps its lock until the server notices.
        while delivery.turn() or (name not in effects.counts() and time.monotonic() < ends):
            time.sleep(0.01)
        assert effects.counts().get(name) == 1
    assert instruction > 10
    assert set(_states(instance)) == {"done"}


def test_messages_of_one_target_keep_their_order_also_when_the_first_one_fails(
    instance: Instance, clock: SimulatedClock
) -> None:
    seen: list[str] = []
    broken = True

    def deliver(_instance: Instance, message: Message) -> None:
        if broken and message.payload["name"] == "first":
            raise ConnectionError
        seen.append(message.payload["name"])

    _send(instance, "first", "second")
    _send(instance, "other", target="elsewhere")
    worker = OutboxDelivery(instance, Registry(deliverers={"post": deliver}))
    while worker.turn():
        pass
    assert seen == ["other"]
    broken = False
    clock.advance(timedelta(seconds=1))
    while worker.turn():
        pass
    assert seen == ["other", "first", "second"]


def test_a_target_that_hangs_keeps_no_other_waiting_and_keeps_its_own_order(instance: Instance) -> None:
    seen: list[str] = []
    reached, released, stop = threading.Event(), threading.Event(), threading.Event()

    def deliver(_instance: Instance, message: Message) -> None:
        if message.payload["name"] == "first":
            assert released.wait(60)
        seen.append(message.payload["name"])
        if message.target == "pager":
            reached.set()

    _send(instance, "first", "second", target="chat")
    _send(instance, "page", target="pager")
    registry = Registry(deliverers={"post": deliver})
    threads = [threading.Thread(target=OutboxDelivery(instance, registry).run, args=(stop,)) for _ in range(DELIVERERS)]
    try:
        for thread in threads:
            thread.start()
        assert reached.wait(30)
        assert seen == ["page"]
        released.set()
        while len(seen) < 3:
            stop.wait(0.05)
    finally:
        released.set()
        stop.set()
        for thread in threads:
            thread.join()
    assert seen == ["page", "first", "second"]


def test_after_twelve_failures_a_message_is_dead_the_next_has_its_turn_and_a_person_can_replay_it(
    instance: Instance, clock: SimulatedClock
) -> None:
    tries: list[int] = []

    def deliver(_instance: Instance, message: Message) -> None:
        if message.payload["name"] == "bad":
            tries.append(message.attempt)
            raise ConnectionError

    bad, _ = _send(instance, "bad", "good")
    worker = OutboxDelivery(instance, Registry(deliverers={"post": deliver}))
    for _ in range(MAX_ATTEMPTS):
        while worker.turn():
            pass
        clock.advance(timedelta(hours=1))
    worker.turn()
    assert tries == list(range(1, MAX_ATTEMPTS + 1))
    assert _states(instance) == ["dead", "done"]
    with instance.engine.begin() as connection:
        assert replay_dead(connection, bad, clock.now())
    worker.turn()
    assert tries[-1] == 1


def test_an_attempt_that_never_comes_back_twelve_times_is_dead_too(instance: Instance, clock: SimulatedClock) -> None:
    def vanish(_instance: Instance, _message: Message) -> None:
        raise SystemExit

    _send(instance, "poison")
    worker = OutboxDelivery(instance, Registry(deliverers={"post": vanish}))
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(SystemExit):
            worker.turn()
        assert not worker.turn()
        clock.advance(timedelta(minutes=2))
    assert not worker.turn()
    assert _states(instance) == ["dead"]


def test_a_message_rolled_back_with_its_change_is_never_delivered(instance: Instance, effects: EffectCounter) -> None:
    with instance.engine.connect() as connection:
        add_message(
            connection, message_id="m", kind="post", target="t", payload={"name": "ghost"}, now=instance.clock.now()
        )
        connection.rollback()
    assert not OutboxDelivery(instance, Registry(deliverers={"post": _deliver})).turn()
    assert effects.counts() == {}


def test_kinds_without_a_deliverer_wait_for_a_newer_worker(instance: Instance) -> None:
    _send(instance, "future")
    assert not OutboxDelivery(instance, Registry()).turn()
    assert _states(instance) == ["waiting"]


def test_waits_double_from_one_second_to_one_hour() -> None:
    assert [backoff(n).total_seconds() for n in (1, 2, 3, 12, 13, 100)] == [1, 2, 4, 2048, 3600, 3600]


def test_what_people_are_told_is_tried_ten_times_in_half_an_hour_and_not_all_at_once(
    instance: Instance, clock: SimulatedClock
) -> None:
    def told(attempt: int, name: str = "m") -> float:
        key = "k" * 64
        one = Message(id=name, kind=NOTIFICATION, target="t", payload={}, idempotency_key=key, attempt=attempt)
        return wait_after(one).total_seconds()

    longest = [900 ** (n / 8) for n in range(9)]
    for attempt, most in enumerate(longest, start=1):
        waits = {told(attempt, f"m{n}") for n in range(50)}
        assert max(1.0, most / 2) <= min(waits)
        assert max(waits) <= most + 1e-6
    assert len({told(9, f"m{n}") for n in range(50)}) == 50
    assert told(9) == told(9)

    start = clock.now()
    with instance.engine.begin() as connection:
        add_message(connection, message_id="n", kind=NOTIFICATION, target="t", payload={}, now=start)
    tries = 0
    while True:
        with instance.engine.begin() as connection:
            message = claim_message(connection, [NOTIFICATION], clock.now())
            assert message is not None
            tries += 1
            if mark_failed(connection, message, "away", clock.now()):
                break
            clock.advance(wait_after(message))
    assert tries == NOTICE_ATTEMPTS == 10
    assert clock.now() - start < timedelta(seconds=sum(longest))
    with instance.engine.begin() as connection:
        assert replay_dead(connection, "n", clock.now())
        for _ in range(NOTICE_ATTEMPTS):  # whose worker dies in the middle, each time
            assert claim_message(connection, [NOTIFICATION], clock.now()) is not None
            clock.advance(timedelta(minutes=2))
        assert bury_exhausted(connection, clock.now()) == ("n",)
