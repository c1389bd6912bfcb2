"""k6 summaries in both export forms: `--summary-export` and the data of `handleSummary` (grafana.com/docs/k6).

Rule: the marks of thresholds mean `crossed` in one form and `ok` in the other, so they are ignored; `http_req_failed`
is a rate whose `passes` are the failed requests. Fail mode: a metric the script does not report leaves its claim out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_map, as_number, as_text, at
from pilotage.evidence.load_samples import Totals, host_of, load_reading
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

_ROUNDING = 1e-6


def is_k6(content: Content) -> bool:
    """Tell whether the JSON has k6's metrics."""
    if not isinstance(content, JsonContent):
        return False
    metrics = as_map(as_map(content.value).get("metrics"))
    return not metrics.keys().isdisjoint({"http_reqs", "http_req_duration", "iterations", "vus"})


def read_k6(source: Source, context: ReadContext) -> Reading:
    """Read a k6 summary for any `load.*` kind; without requests it is EV_TOO_SMALL."""
    report = as_map(source.json)
    count = as_number(_metric(report, "http_reqs").get("count"))
    if not count or count < 1:
        raise Unreadable("EV_TOO_SMALL", "The summary counts no request.", observed="0 requests")
    latency = _metric(report, "http_req_duration")
    url = as_text(report.get("target_url"))
    totals = Totals(
        requests=int(count),
        errors=_errors(_metric(report, "http_req_failed"), int(count)),
        latency={
            "p50": _first(latency, "med", "p(50)"),
            "p95": _first(latency, "p(95)"),
            "p99": _first(latency, "p(99)"),
        },
        duration_s=_duration(report, count),
        urls={host_of(url): url} if host_of(url) else {},
    )
    return load_reading(source, context, totals, reader="k6")


def _metric(report: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """Return a metric's values: under `values` in one form, beside the thresholds in the other."""
    metric = as_map(at(report, "metrics", name))
    return as_map(metric["values"]) if "values" in metric else metric


def _errors(failed: Mapping[str, Json], requests: int) -> float | None:
    rate = _first(failed, "rate", "value")
    passes, fails = as_number(failed.get("passes")), as_number(failed.get("fails"))
    if passes is not None and fails is not None and passes + fails != 0:
        if min(passes, fails) < 0 or math.isinf(passes + fails):
            text = f"http_req_failed counts {passes:g} failed and {fails:g} other requests."
            raise Unreadable("EV_INCONSISTENT", text, observed=f"{passes:g} and {fails:g}", limit="counts from 0")
        counted = passes / (passes + fails)
        if rate is not None and abs(counted - rate) > _ROUNDING:
            text = f"http_req_failed states the rate {rate:g}; its counts give {counted:g}."
            raise Unreadable("EV_INCONSISTENT", text, observed=f"{counted:g}", limit=f"{rate:g}")
        rate = counted
    if rate is None:
        return None
    if not 0 <= rate <= 1:
        text = f"http_req_failed states the rate {rate:g}; a rate lies between 0 and 1."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{rate:g}", limit="0 to 1")
    # The nearest whole number above, so that a rate never rounds down to no error.
    return math.ceil(round(rate * requests, 6))


def _duration(report: Mapping[str, Json], count: float) -> float | None:
    milliseconds = as_number(at(report, "state", "testRunDurationMs"))
    if milliseconds:
        return milliseconds / 1000
    per_second = as_number(_metric(report, "http_reqs").get("rate"))
    return count / per_second if per_second else None


def _first(values: Mapping[str, Json], *names: str) -> float | None:
    return next((found for found in (as_number(values.get(name)) for name in names) if found is not None), None)
