"""Reads `workflows/<name>/evaluation.yaml` (evaluation.md 2.1): personas, thresholds, margins, schedule, judges.

Fail mode: every mistake at once. An absent file means defaults and no personas.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.core.canonical import Json
from pilotage.core.fields import ANY, TEXT, Fields, Reader, choice, integer, list_of, map_of, number, record
from pilotage.core.located import Located, Problems, did_you_mean
from pilotage.core.readers import GROUP, MONEY_CURRENCY, MONEY_NANO
from pilotage.corpus.cadence import Interval, parse_cadence
from pilotage.corpus.settings_file import CADENCE
from pilotage.identity.roles import Role
from pilotage.workspace.evidence_kinds import TARGET_METRICS
from pilotage.workspace.golden import EvaluationSettings, Persona


def metric_numbers() -> Reader[Mapping[str, float]]:
    """Return a reader of `metric: number`, refusing metrics nobody measures."""
    numbers = map_of(number(-1e9, 1e9))

    def read(at: Located, problems: Problems) -> Mapping[str, float]:
        values = numbers.read(at, problems)
        children = at.node if isinstance(at.node, Mapping) else {}
        for name, child in children.items():
            if name not in TARGET_METRICS:
                hint = did_you_mean(name, sorted(TARGET_METRICS), instead="Known metrics")
                problems.add(child, f"{name[:60]!r} is not a metric", hint)
        return values

    return Reader(read=read, stand_in=dict)


def _read_schedule(at: Located, problems: Problems) -> str:
    mistakes = len(problems.found)
    text = CADENCE.read(at, problems)
    if mistakes == len(problems.found):
        cadence = parse_cadence(text)
        if isinstance(cadence, Interval) and cadence.every.total_seconds() < 3600:
            problems.add(at, f"{text!r} runs more than once an hour", "Write an interval of 1h or more.")
    return text


def parse_evaluation(fields: Fields) -> EvaluationSettings:
    """Read the evaluation settings of a workflow."""
    personas = fields.get("personas", list_of(record(_persona)), ())
    names = [persona.name for persona in personas]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        fields.problem("personas", f"Two personas are called {name!r}", "Give each a name of its own.")
    return EvaluationSettings(
        personas={persona.name: persona for persona in personas},
        scorers=fields.get("scorers", list_of(TEXT, or_one=True), ()),
        primary=fields.get("primary", TEXT, "answer_accuracy"),
        thresholds=fields.get("thresholds", metric_numbers(), {}),
        margins=fields.get("margins", metric_numbers(), {}),
        criteria=fields.get("criteria", list_of(TEXT, or_one=True), ()),
        alpha=fields.get("alpha", number(1e-6, 0.5), 0.05),
        repeats=fields.get("repeats", integer(1, 25), None),
        schedule=fields.get("schedule", Reader(read=_read_schedule, stand_in=str), None),
        judges=tuple(_objects(judge) for judge in fields.get("judges", list_of(ANY), ())),
        fairness=_objects(fields.place("fairness")) if fields.has("fairness") else {},
        cost_cap_nano=fields.get("cost_cap", MONEY_NANO, None),
        cost_cap_currency=fields.get("cost_cap", MONEY_CURRENCY, ""),
        max_attempts=fields.get("max_attempts", integer(1, 1000), 20),
    )


def _objects(at: Located) -> Mapping[str, Json]:
    plain = at.plain()
    return plain if isinstance(plain, Mapping) else {"value": plain}


def _persona(fields: Fields) -> Persona:
    return Persona(
        name=fields.need("name", TEXT),
        groups=frozenset(fields.get("groups", list_of(GROUP, or_one=True), ())),
        roles=frozenset(fields.get("roles", list_of(choice(Role), or_one=True), ())),
        region=fields.get("region", TEXT, None),
    )
