"""Moments as people write them: UTC where no zone is said, and a clear word about anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pilotage.core.clock import read_moment
from pilotage.core.errors import UsageError


@pytest.mark.parametrize("text", ["2026-11-26 14:00", "2026-11-26T14:00Z", "2026-11-26T16:00+02:00"])
def test_a_moment_is_read_in_utc_or_its_own_zone(text: str) -> None:
    assert read_moment(text) == datetime(2026, 11, 26, 14, tzinfo=UTC)
    assert read_moment("2026-11-26 16:00+02:00").tzinfo == timezone(timedelta(hours=2))


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "14:00"])
def test_anything_else_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as caught:
        read_moment(text)
    assert caught.value.hint == "Write it as 2026-11-26 14:00, in UTC."
