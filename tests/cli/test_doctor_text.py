"""`pilotage doctor` as a person reads it: a disk with no room left says so."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from pilotage.cli.workspace import render_doctor
from pilotage.store.doctor_report import DoctorReport, LedgerHealth, ServerHealth, WorkHealth


@pytest.mark.parametrize(("free", "line"), [(0, "free: 0 bytes"), (2_500_000, "free: 2.5 MB"), (None, None)])
def test_free_room_is_told_in_units_where_it_is_known(free: int | None, line: str | None) -> None:
    report = DoctorReport(
        at=datetime(2026, 11, 23, tzinfo=UTC),
        server=ServerHealth(version="17", embedded=True, fsync=True, checksums=True, free_bytes=free),
        schema="1",
        schema_expected="1",
        sizes_bytes={"interaction": 12_000},
        work=WorkHealth(due=0, late=0, failed=(), failing=(), messages_waiting=0, messages_dead=()),
        ledger=LedgerHealth(size=3, unnumbered=0, oldest_unnumbered_s=0.0, stopped=None),
        processes=(),
        clock_skew_ms=0,
        spaces=(),
        drift=(),
        acls={},
        findings=(),
    )
    out = io.StringIO()
    render_doctor(Console(file=out), report)
    lines = [one.strip() for one in out.getvalue().splitlines()]
    assert [one for one in lines if one.startswith("free")] == ([] if line is None else [line])
    assert "interaction: 12.0 kB" in lines
    assert lines[-1] == "ok"
