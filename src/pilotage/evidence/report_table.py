"""The table of readers for tests, coverage, load, accessibility, people and documents."""

from __future__ import annotations

from pilotage.evidence.source import Format

REPORT_FORMATS: tuple[Format, ...] = ()
