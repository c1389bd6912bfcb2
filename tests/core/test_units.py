"""Sizes, shares, rates, durations and the other written values are read exactly, or refused with what to write."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.canonical import Json
from pilotage.core.durations import format_duration, parse_duration
from pilotage.core.fields import Reader, read_record
from pilotage.core.located import Problems, from_plain
from pilotage.core.readers import (
    DATE,
    DAYS,
    DECIMAL,
    LOCAL_TIME,
    MONEY_NANO,
    MONEY_TEXT,
    NETWORK,
    SECONDS,
    SECRET_REF,
    SHARE,
    TIME_ZONE,
    WALL_TIME,
)
from pilotage.core.units import MAX_RATE, Rate, parse_bytes, parse_percent, parse_rate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8GB", 8_000_000_000),
        ("16GB", 16_000_000_000),
        ("32GB", 32_000_000_000),
        ("8GiB", 8_589_934_592),
        ("512 MB", 512_000_000),
        ("1.5KB", 1500),
        ("64KiB", 65_536),
        ("10", 10),
        ("2TB", 2_000_000_000_000),
    ],
)
def test_sizes_are_bytes_decimal_unless_binary_is_written(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "8gb", "8 apples", "-1GB", "1.0001B", "GB", "1e3", "0.0001KB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "value"), [("70%", 0.7), ("0%", 0.0), ("100%", 1.0), ("0.1%", 0.001), ("12.5 %", 0.125)]
)
def test_percentages_are_shares(text: str, value: float) -> None:
    assert parse_percent(text) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["70", "101%", "-1%", "%", "1e1%", "70 percent"])
def test_other_percentages_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write a number from 0 to 100"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("text", "count", "window"),
    [
        ("10000/hour", 10_000, 3600),
        ("30/10s", 30, 10),
        ("10_000/hour", 10_000, 3600),
        ("10,000/day", 10_000, 86_400),
        ("1/second", 1, 1),
        ("600/minute", 600, 60),
        ("5/2d", 5, 172_800),
        ("1000000000/1h", 10**9, 3600),
    ],
)
def test_rates_follow_the_grammar(text: str, count: int, window: int) -> None:
    assert parse_rate(text) == Rate(count=count, window_s=window)


@pytest.mark.parametrize(
    "text", ["0/hour", "1000000001/hour", "10/week", "10/0s", "10", "/hour", "1.5/hour", "10/hours", "__/hour"]
)
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Write a count and a window"):
        parse_rate(text)


@given(st.integers(1, MAX_RATE), st.sampled_from([1, 60, 3600, 86_400, 10, 90]))
def test_a_written_rate_reads_back(count: int, window: int) -> None:
    rate = Rate(count=count, window_s=window)
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("15min", 900),
        ("24h", 86_400),
        ("14d", 1_209_600),
        ("2w", 1_209_600),
        ("250ms", 0.25),
        ("P14D", 1_209_600),
        ("PT4H", 14_400),
        ("P1DT12H", 129_600),
        ("PT30M", 1800),
        ("P2W", 1_209_600),
        ("PT1H1M1S", 3661),
    ],
)
def test_durations_in_both_forms(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "14", "d", "1.5h", "-3d", "PT-1H", "14D", "P14d", "1h30m"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration\. Write"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y2M3D"])
def test_months_and_years_have_no_fixed_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"no fixed length\. Write days"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_written_duration_reads_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_percent, parse_rate, parse_duration):
        with contextlib.suppress(ValueError):
            parse(text)


def read(reader: Reader[object], value: Json) -> tuple[object, list[str]]:
    problems = Problems()
    found = read_record(from_plain({"x": value}, file="f"), problems, lambda fields: fields.need("x", reader))
    return found, [problem.what for problem in problems.found]


@pytest.mark.parametrize(
    ("reader", "value", "found"),
    [
        (SECONDS, "30s", 30),
        (DAYS, "P14D", 14),
        (SHARE, "5%", 0.05),
        (SHARE, 0.05, 0.05),
        (MONEY_NANO, "50 USD", 50 * 10**9),
        (MONEY_NANO, "0.02 EUR", 20_000_000),
        (MONEY_TEXT, "50 USD", "50 USD"),
        (NETWORK, "10.0.0.0/8", "10.0.0.0/8"),
        (NETWORK, "192.0.2.7", "192.0.2.7/32"),
        (NETWORK, "2001:db8::/32", "2001:db8::/32"),
        (SECRET_REF, "env:KEY", "env:KEY"),
        (SECRET_REF, "file:/run/secrets/key", "file:/run/secrets/key"),
        (TIME_ZONE, "America/New_York", "America/New_York"),
        (LOCAL_TIME, "2026-12-20T00:00", "2026-12-20T00:00"),
        (WALL_TIME, "09:00", "09:00"),
    ],
)
def test_written_values_are_read(reader: Reader[object], value: Json, found: object) -> None:
    assert read(reader, value) == (found, [])


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (SECONDS, "0s"),
        (SECONDS, "250ms"),
        (DAYS, "36h"),
        (SHARE, "5"),
        (SHARE, 1.5),
        (MONEY_NANO, "50"),
        (MONEY_NANO, "$50"),
        (NETWORK, "10.0.0.1/8"),
        (NETWORK, "10.0.0.0/33"),
        (NETWORK, "host.example"),
        (SECRET_REF, "sk-12345"),
        (SECRET_REF, "env:1X"),
        (TIME_ZONE, "EST5"),
        (TIME_ZONE, "../etc/passwd"),
        (LOCAL_TIME, "2026-12-20T00:00Z"),
        (LOCAL_TIME, "2026-02-30T00:00"),
        (WALL_TIME, "24:00"),
        (DATE, "2026-02-30"),
        (DATE, "20260230"),
        (DECIMAL, "-1"),
        (DECIMAL, "NaN"),
        (DECIMAL, "ten"),
    ],
)
def test_other_written_values_are_one_mistake(reader: Reader[object], value: Json) -> None:
    assert len(read(reader, value)[1]) == 1


def test_host_bits_are_named_with_the_range_that_was_meant() -> None:
    _, problems = read(NETWORK, "10.0.0.1/8")
    assert problems == ["'x': '10.0.0.1/8' has host bits set"]
