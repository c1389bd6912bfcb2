"""A worker beside `up` ends with it; one that was started by nobody in particular runs on."""

from __future__ import annotations

import os
import threading

from pilotage.jobs.parent_watch import PARENT, end_with_parent, with_parent


def test_a_worker_whose_starter_is_gone_is_told_to_stop() -> None:
    stop = threading.Event()
    thread = end_with_parent(with_parent({}), stop, parent=lambda: 1)
    assert thread is not None
    thread.join(30)
    assert stop.is_set()


def test_a_worker_whose_starter_lives_runs_on_until_it_is_stopped() -> None:
    stop, looked = threading.Event(), threading.Event()

    def parent() -> int:
        looked.set()
        return os.getpid()

    thread = end_with_parent(with_parent({}), stop, parent=parent)
    assert thread is not None
    assert looked.wait(30)
    assert not stop.is_set()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_worker_alone_watches_nobody() -> None:
    assert PARENT in with_parent({})
    assert end_with_parent({}, threading.Event()) is None
