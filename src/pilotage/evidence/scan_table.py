"""The table of readers for scans, quality, bills of material and secrets."""

from __future__ import annotations

from pilotage.evidence.source import Format

SCAN_FORMATS: tuple[Format, ...] = ()
