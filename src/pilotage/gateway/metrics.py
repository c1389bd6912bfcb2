"""What the gateway counts, for Prometheus (operations.md 2.2).

Label values are declared names and closed vocabularies: never a person, a question or a document. Above 2,000 label
sets further ones are counted as `other`. Fail mode: a metric that cannot be counted never fails a request.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.context import Answer, Located, Routed
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import Refusal
from pilotage.serving.run import Finished
from pilotage.serving.service import Serving

MAX_SERIES = 2_000
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30)


class CacheCollector(Collector):
    """What the answer cache of this process holds, and how often it had an answer; read when it is asked for."""

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """Return the counts of this moment."""
        looked = CounterMetricFamily("pilotage_answer_cache", "Questions looked for, by result.", labels=["result"])
        looked.add_metric(["hit"], self._cache.hits)
        looked.add_metric(["miss"], self._cache.misses)
        yield looked
        yield GaugeMetricFamily("pilotage_answer_cache_bytes", "Memory of kept answers.", value=self._cache.bytes)
        yield GaugeMetricFamily("pilotage_answer_cache_entries", "Kept answers.", value=len(self._cache))


class GatewayMetrics:
    """The gateway's metrics in a registry of their own; what `serving` holds is read when it is asked for."""

    def __init__(self, serving: Serving) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(CacheCollector(serving.cache))
        self._requests = Counter(
            "pilotage_requests",
            "Requests by how they ended.",
            ["workflow", "space", "outcome", "arm", "kind"],
            registry=self.registry,
        )
        self._errors = Counter("pilotage_errors", "Error answers by code.", ["code"], registry=self.registry)
        self._duration = Histogram(
            "pilotage_request_duration_seconds",
            "From arrival to the last byte.",
            ["workflow", "space", "arm"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._findings = Counter(
            "pilotage_guard_findings",
            "Findings of the guard.",
            ["workflow", "space", "check", "action"],
            registry=self.registry,
        )
        self._feedback = Counter(
            "pilotage_feedback", "Ratings.", ["workflow", "space", "rating"], registry=self.registry
        )
        self._dropped = Counter("pilotage_label_sets_dropped", "Label sets counted as other.", registry=self.registry)
        streams = Gauge("pilotage_streams", "Streams that are open.", registry=self.registry)
        streams.set_function(lambda: serving.slots.open)
        waiting = Gauge("pilotage_records_waiting", "Records accepted and not yet durable.", registry=self.registry)
        waiting.set_function(lambda: serving.recorder.waiting)
        self._seen: set[tuple[str, ...]] = set()
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}

    def finished(self, finished: Finished) -> None:
        """Count one request that the pipeline has ended."""
        context, result = finished.context, finished.result
        workflow, space, arm = "", "", ""
        kind = TrafficKind.USER.value
        if isinstance(context, Located):
            workflow, space, kind = context.asked.workflow, context.place.space.name, context.asker.kind.value
        if isinstance(context, Routed):
            arm = context.arm.value
        self.request(labels=(workflow, space, finished.outcome.value, arm, kind), seconds=finished.total_us / 1e6)
        if isinstance(result, Refusal):
            self.error(result.code.value)
        elif isinstance(result, Answer) and result.findings:
            found = [(str(item.check), str(item.action), item.count) for item in result.findings]
            self.findings(workflow=workflow, space=space, found=found)

    def request(self, *, labels: tuple[str, str, str, str, str], seconds: float) -> None:
        """Count one request; `labels` are workflow, space, outcome, arm and kind."""
        children = self._children.get(labels)
        if children is None:
            workflow, space, outcome, arm, kind = self._bounded(labels)
            children = (
                self._requests.labels(workflow, space, outcome, arm, kind),
                self._duration.labels(workflow, space, arm),
            )
            if len(self._children) < MAX_SERIES:
                self._children[labels] = children
        children[0].inc()
        children[1].observe(seconds)

    def error(self, code: str) -> None:
        """Count one error answer."""
        self._errors.labels(code).inc()

    def findings(self, *, workflow: str, space: str, found: Iterable[tuple[str, str, int]]) -> None:
        """Count findings given as (check, action, count)."""
        for check, action, count in found:
            names = self._bounded((workflow, space, check, action))
            self._findings.labels(*names).inc(count)

    def feedback(self, *, workflow: str, space: str, rating: str) -> None:
        """Count one rating."""
        self._feedback.labels(*self._bounded((workflow, space, rating))).inc()

    def render(self) -> bytes:
        """Return the text exposition format."""
        return generate_latest(self.registry)

    def _bounded(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels in self._seen:
            return labels
        if len(self._seen) >= MAX_SERIES:
            self._dropped.inc()
            return tuple("other" for _ in labels)
        self._seen.add(labels)
        return labels
