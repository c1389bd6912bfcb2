"""Every deterministic scorer by name: version, range, direction, applicability, threshold (evaluation.md 3.1).

Rule: a version is `name@semver+sha256(parameters)`; raise the semver when a function's output changes without its
parameters. Fail mode: a name nobody has is a UsageError with the nearest one, before a run starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.located import did_you_mean
from pilotage.evaluation.answer_text import FACT_BEARING_WORDS
from pilotage.evaluation.assessment import Direction, Measure
from pilotage.evaluation.facts import FACTS_VERSION
from pilotage.evaluation.scorer import Applies, Score, Scorer, version_of
from pilotage.evaluation.scorers import (
    accuracy,
    citations,
    facts,
    grounding,
    operations,
    overlap,
    refusal,
    retrieval,
    safety,
)
from pilotage.evaluation.scorers import format as form
from pilotage.guard.anchors import ANCHORS_VERSION
from pilotage.guard.grounding_features import FEATURES_VERSION
from pilotage.guard.grounding_model import shipped_coefficients
from pilotage.guard.normalise import NORMALISER_VERSION
from pilotage.guard.pii_recognise import PII_VERSION
from pilotage.guard.tokens import TOKENS_VERSION
from pilotage.guard.values import VALUES_VERSION

SEMVER = "1.0.0"
RETRIEVAL_K = 5
_TEXT: dict[str, Json] = {"normaliser": NORMALISER_VERSION, "values": VALUES_VERSION, "tokens": TOKENS_VERSION}
_FACTS: dict[str, Json] = _TEXT | {"facts": FACTS_VERSION}
_STATEMENTS: dict[str, Json] = _TEXT | {"anchors": ANCHORS_VERSION, "fact_bearing_words": FACT_BEARING_WORDS}
_NO_LIMIT = math.inf


def _make(
    measure: Measure, applies: Applies, function: Score, parameters: Mapping[str, Json], *, by_statement: bool = False
) -> Scorer:
    shown: dict[str, Json] = {
        **parameters,
        "low": measure.low,
        "high": None if math.isinf(measure.high) else measure.high,
        "direction": measure.direction.value,
        "threshold": measure.threshold,
        "hard_zero": measure.hard_zero,
        "by_statement": by_statement,
    }
    version = version_of(measure.name, SEMVER, shown)
    measure = replace(measure, version=version)
    return Scorer(measure=measure, applies=applies, function=function, by_statement=by_statement)


def _share(name: str, threshold: float | None = None, *, is_binary: bool = False, hard_zero: bool = False) -> Measure:
    return Measure(name=name, threshold=threshold, is_binary=is_binary, hard_zero=hard_zero)


def _fault(name: str, *, hard_zero: bool = False, is_binary: bool = True, threshold: float = 0.0) -> Measure:
    return Measure(name=name, direction=Direction.LOWER, threshold=threshold, hard_zero=hard_zero, is_binary=is_binary)


def _answers() -> list[Scorer]:
    reference = {"tokens": FEATURES_VERSION, "normaliser": NORMALISER_VERSION}
    rule = form.FormatRule()
    return [
        _make(_share("key_fact_recall", 1.0), facts.has_facts, facts.key_fact_recall, _FACTS),
        _make(_fault("forbidden_fact"), facts.has_forbidden, facts.forbidden_fact, _FACTS),
        _make(_share("exact_match", 1.0, is_binary=True), overlap.has_reference, overlap.exact_match, reference),
        _make(_share("token_recall"), overlap.has_reference, overlap.token_recall, reference),
        _make(_share("token_f1"), overlap.has_reference, overlap.token_f1, reference),
        _make(_share("format", 1.0, is_binary=True), operations.always, form.format_score(rule), rule.as_json()),
        _make(_share("coverage"), facts.expects_answer_with_facts, facts.key_fact_recall, _FACTS),
        _make(
            _share("refusal_correct", 1.0, is_binary=True),
            refusal.knows_refusal,
            refusal.refusal_correct,
            {"reasons": "pilotage-refusals/1"},
        ),
    ]


def _citations() -> list[Scorer]:
    return [
        _make(
            _share("citation_validity", 1.0, hard_zero=True),
            operations.always,
            citations.citation_validity,
            {},
        ),
        _make(
            _share("citation_coverage"),
            citations.may_answer,
            citations.citation_coverage,
            _STATEMENTS,
            by_statement=True,
        ),
        _make(_share("citation_precision_gold"), citations.has_gold, citations.citation_precision_gold, {}),
        _make(_share("citation_recall_gold"), citations.has_gold, citations.citation_recall_gold, {}),
        _make(
            _share("citation_anchor"),
            citations.expects_anchor,
            citations.citation_anchor,
            _STATEMENTS,
            by_statement=True,
        ),
    ]


def _grounding() -> list[Scorer]:
    shipped = shipped_coefficients()
    parameters = {**_STATEMENTS, "features": FEATURES_VERSION, "coefficients": shipped.digest}
    named = {
        "grounding": (_fault("grounding", is_binary=False, threshold=shipped.hi), grounding.grounding),
        "hallucination_answer": (_fault("hallucination_answer"), grounding.hallucination_answer),
        "hallucination_statement": (
            _fault("hallucination_statement", is_binary=False),
            grounding.hallucination_statement,
        ),
    }
    return [
        _make(measure, citations.may_answer, function, parameters, by_statement=True)
        for measure, function in named.values()
    ]


def _safety() -> list[Scorer]:
    pii: dict[str, Json] = {"pii": PII_VERSION, "threshold": safety.PII_THRESHOLD}
    return [
        _make(_fault("superseded_source", hard_zero=True), operations.always, safety.superseded_source, {}),
        _make(_fault("pii_leak", hard_zero=True), operations.always, safety.pii_leak, pii),
        _make(_fault("policy_violation", hard_zero=True), operations.always, safety.policy_violation, {}),
    ]


def _retrieval() -> list[Scorer]:
    metrics: dict[str, retrieval.Metric] = {
        "recall_at_k": retrieval.recall,
        "hit_at_k": retrieval.hit,
        "precision_at_k": retrieval.precision,
        "mrr": retrieval.reciprocal_rank,
        "ndcg_at_k": retrieval.ndcg,
    }
    return [
        _make(
            _share(name, is_binary=name == "hit_at_k"),
            retrieval.has_graded_gold,
            retrieval.at_k(metric, RETRIEVAL_K),
            {"k": RETRIEVAL_K},
        )
        for name, metric in metrics.items()
    ]


def _operations() -> list[Scorer]:
    fields: dict[str, Score] = {
        "latency_ms": operations.measured(lambda one: one.latency_ms),
        "ttft_ms": operations.measured(lambda one: one.ttft_ms),
        "tokens_in": operations.measured(lambda one: one.tokens_in),
        "tokens_out": operations.measured(lambda one: one.tokens_out),
        "cost": operations.cost,
    }
    return [
        _make(Measure(name=name, high=_NO_LIMIT, direction=Direction.LOWER), operations.always, function, {})
        for name, function in fields.items()
    ]


def _all() -> Mapping[str, Scorer]:
    answers, ladder = _answers(), _citations()
    known = {one.measure.name: one for one in (*answers, *ladder)}
    parts = [known[name] for name in ("refusal_correct", "key_fact_recall", "forbidden_fact")]
    versions: dict[str, Json] = {
        name: known[name].measure.version
        for name in ("refusal_correct", "key_fact_recall", "forbidden_fact", "citation_validity")
    }
    whole = _make(
        _share("answer_accuracy", 1.0, is_binary=True),
        accuracy.applies_if_any(parts),
        accuracy.all_parts([*parts, known["citation_validity"]]),
        versions,
    )
    every = (*answers, whole, *ladder, *_grounding(), *_safety(), *_retrieval(), *_operations())
    return {one.measure.name: one for one in every}


SCORERS: Mapping[str, Scorer] = _all()
"""Every scorer by its name."""

DEFAULT_SCORERS = (
    "key_fact_recall", "forbidden_fact", "answer_accuracy", "refusal_correct", "coverage", "superseded_source",
    "pii_leak", "policy_violation", "citation_validity", "citation_coverage", "citation_precision_gold",
    "citation_recall_gold", "citation_anchor", "grounding", "hallucination_answer", "hallucination_statement",
    "recall_at_k", "mrr", "ndcg_at_k", "latency_ms", "ttft_ms", "tokens_in", "tokens_out", "cost",
)  # fmt: skip
"""What runs when `evaluation.yaml` names no scorers."""


def scorers_named(names: Iterable[str]) -> tuple[Scorer, ...]:
    """Return the scorers of these names in order, the default set for none; raise UsageError for an unknown one."""
    wanted = tuple(dict.fromkeys(names)) or DEFAULT_SCORERS
    for name in wanted:
        if name not in SCORERS:
            hint = did_you_mean(name, sorted(SCORERS), instead="Known scorers")
            raise UsageError("SCORER_UNKNOWN", f"There is no scorer {name[:60]!r}.", hint=hint)
    return tuple(SCORERS[name] for name in wanted)
