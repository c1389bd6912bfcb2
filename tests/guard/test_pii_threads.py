"""Recognising personal data in several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pilotage.guard.pii_recognise import recognise


def test_scans_in_several_threads_do_not_disturb_each_other() -> None:
    texts = [f"Card 4111 1111 1111 1111 and number {number}. " * 40 for number in range(200)]
    alone = [recognise(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(recognise, texts))
    assert together == alone
    assert all(alone)
