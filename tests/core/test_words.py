"""Ids, times, reasons and problems keep the forms that users and ledgers depend on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pilotage.core.clock import from_text, to_text
from pilotage.core.errors import InvalidFiles, Problem
from pilotage.core.ids import is_ulid, new_ulid, ulid_of_answer
from pilotage.core.reason import Outcome, Reason, Refusal, worst
from pilotage.testing.clock import SimulatedClock

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)


def test_a_later_ulid_sorts_after_an_earlier_one() -> None:
    early = new_ulid(NOON, entropy=b"\xff" * 10)
    late = new_ulid(NOON + timedelta(milliseconds=1), entropy=b"\x00" * 10)
    assert early < late
    assert is_ulid(early)
    assert not is_ulid("O" * 26)
    assert ulid_of_answer(early) == ulid_of_answer(f"chatcmpl-{early}") == early
    assert ulid_of_answer(f"chatcmpl-chatcmpl-{early}") is None
    assert new_ulid(NOON) != new_ulid(NOON)


def test_a_moment_is_written_in_utc_milliseconds_and_reads_back() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5)))
    assert to_text(local) == "2026-03-02T12:00:00.123Z"
    assert from_text("2026-03-02T12:00:00.123Z") == NOON.replace(microsecond=123000)
    with pytest.raises(ValueError, match="time zone"):
        from_text("2026-03-02T12:00:00")


def test_unknown_is_never_a_pass() -> None:
    assert worst([]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.OK, Outcome.INCONCLUSIVE]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.NOT_OK, Outcome.INCONCLUSIVE, Outcome.OK]) is Outcome.NOT_OK
    assert worst([Outcome.OK]) is Outcome.OK


def test_a_reason_carries_only_what_is_known() -> None:
    reason = Reason(code="SOAK_SHORT", text="Soak 2 h < 4 h.", observed="2 h", limit="4 h")
    assert reason.as_json() == {"code": "SOAK_SHORT", "text": "Soak 2 h < 4 h.", "observed": "2 h", "limit": "4 h"}
    assert Refusal(reasons=(reason,)).as_json() == {"refused": True, "reasons": [reason.as_json()]}


def test_every_mistake_in_a_file_is_named_with_its_line_and_what_to_write() -> None:
    first = Problem(file="a.yaml", line=3, what="unknown key `ownr`", hint="Write `owner`.")
    whole = Problem(file="b.yaml", line=0, what="the file is empty.", hint="Write an id.")
    error = InvalidFiles((first, whole))
    assert str(error) == "a.yaml:3: unknown key `ownr`. Write `owner`.\nb.yaml: the file is empty. Write an id."


def test_the_simulated_clock_never_runs_backwards() -> None:
    clock = SimulatedClock(NOON)
    clock.advance(timedelta(hours=1))
    assert clock.now() == NOON + timedelta(hours=1)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))
