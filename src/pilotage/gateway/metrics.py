"""What the gateway counts of requests, for Prometheus (operations.md 2.2).

Label values are declared names, digests and closed vocabularies: never a person, a question or a document. Above 2,000
label sets further ones are counted as `other`. Fail mode: a metric that cannot be counted never fails a request; what
nobody knows has no series, never a 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pilotage.gateway.states import StoreState, states_of
from pilotage.serving.context import Answer, Generated, Located, Routed
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import STATUS, Refusal
from pilotage.serving.run import STAGES, Finished
from pilotage.serving.service import Serving

MAX_SERIES = 2_000
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30)
_NANO = 1e9
_FORBIDDEN = 403
_PURPOSE = "serving"
"""What the gateway spends on; evaluation and shadow run apart and are told by their reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """The series of one label set: looked up once, then counted without a search."""

    requests: Counter
    duration: Histogram
    first: Histogram
    stages: Mapping[str, Histogram]
    input: Counter
    output: Counter


class GatewayMetrics:
    """The gateway's metrics in a registry of their own; what the process holds and the store says is read with them."""

    def __init__(self, serving: Serving, store: StoreState | None = None) -> None:
        self._serving = serving
        self._store = store
        self.registry = CollectorRegistry()
        for state in (*states_of(serving), *([] if store is None else [store])):
            self.registry.register(state)
        place = ["workflow", "space"]
        self._requests = self._counter(
            "pilotage_requests", "Requests by how they ended.", [*place, "outcome", "arm", "kind"]
        )
        self._errors = self._counter("pilotage_errors", "Error answers by code.", ["code"])
        self._duration = self._histogram("pilotage_request_duration_seconds", "From arrival to the last byte.", "arm")
        self._first = self._histogram("pilotage_first_token_seconds", "From arrival to the model's first word.", "arm")
        self._stages = self._histogram("pilotage_stage_duration_seconds", "Of one stage of a request.", "stage")
        self._tokens = self._counter("pilotage_tokens", "Tokens of the model.", [*place, "type"])
        self._cost = self._counter("pilotage_cost", "What models cost.", [*place, "currency", "purpose"])
        self._unpriced = self._counter("pilotage_unpriced_requests", "Answers whose cost is unknown.", place)
        self._findings = self._counter("pilotage_guard_findings", "Findings of the guard.", [*place, "check", "action"])
        self._denied = self._counter("pilotage_permission_denied", "Refused for lack of a right.", [*place, "check"])
        self._feedback = self._counter("pilotage_feedback", "Ratings.", [*place, "rating"])
        self._dropped = Counter("pilotage_label_sets_dropped", "Label sets counted as other.", registry=self.registry)
        streams = Gauge("pilotage_streams", "Streams that are open.", registry=self.registry)
        streams.set_function(lambda: serving.slots.open)
        self._seen: set[tuple[str, ...]] = set()
        self._series: dict[tuple[str, ...], _Series] = {}

    def _counter(self, name: str, words: str, labels: list[str]) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    def _histogram(self, name: str, words: str, label: str) -> Histogram:
        return Histogram(name, words, ["workflow", "space", label], buckets=_BUCKETS, registry=self.registry)

    def finished(self, finished: Finished) -> None:
        """Count one request that the pipeline has ended."""
        context, result = finished.context, finished.result
        workflow, space, arm, kind = "", "", "", TrafficKind.USER
        if isinstance(context, Located):
            workflow, space, kind = context.asked.workflow, context.place.space.name, context.asker.kind
        if isinstance(context, Routed):
            arm = context.arm.value
        series = self._series_of((workflow, space, finished.outcome.value, arm, kind.value))
        series.requests.inc()
        series.duration.observe(finished.total_us / 1e6)
        for stage, took_us in finished.stages:
            series.stages[stage].observe(took_us / 1e6)
        if isinstance(context, Generated):
            self._said(context, series)
        if isinstance(result, Refusal):
            self.error(result.code.value)
            if STATUS[result.code] == _FORBIDDEN:
                self._denied.labels(*self._bounded((workflow, space, result.code.value))).inc()
        elif isinstance(result, Answer) and result.findings:
            found = [(str(item.check), str(item.action), item.count) for item in result.findings]
            self.findings(workflow=workflow, space=space, found=found)

    def _said(self, context: Generated, series: _Series) -> None:
        """Count what the model was asked and said, whether or not its answer left."""
        said, place = context.generation, (context.asked.workflow, context.place.space.name)
        if not said.usage.prompt_tokens:  # kept from before, or stopped by a check
            return
        if said.first_us is not None:
            series.first.observe(said.first_us / 1e6)
        series.input.inc(said.usage.prompt_tokens)
        series.output.inc(said.usage.completion_tokens)
        if said.cost_nano is not None:
            prices = self._serving.prices_of(context.release.content)
            currency = "" if prices is None else prices.currency
            self._cost.labels(*self._bounded((*place, currency, _PURPOSE))).inc(said.cost_nano / _NANO)
        elif self._serving.lacks_price(context.release.content):
            self._unpriced.labels(*self._bounded(place)).inc()

    def _series_of(self, labels: tuple[str, str, str, str, str]) -> _Series:
        """Return the series of workflow, space, outcome, arm and kind."""
        found = self._series.get(labels)
        if found is None:
            workflow, space, outcome, arm, kind = self._bounded(labels)
            found = _Series(
                requests=self._requests.labels(workflow, space, outcome, arm, kind),
                duration=self._duration.labels(workflow, space, arm),
                first=self._first.labels(workflow, space, arm),
                stages={stage: self._stages.labels(workflow, space, stage) for stage in STAGES},
                input=self._tokens.labels(workflow, space, "input"),
                output=self._tokens.labels(workflow, space, "output"),
            )
            if len(self._series) < MAX_SERIES:
                self._series[labels] = found
        return found

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

    async def read(self) -> bytes:
        """Return the text exposition format."""
        if self._store is not None:
            await self._store.refresh()
        return generate_latest(self.registry)

    def _bounded(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels in self._seen:
            return labels
        if len(self._seen) >= MAX_SERIES:
            self._dropped.inc()
            return tuple("other" for _ in labels)
        self._seen.add(labels)
        return labels
