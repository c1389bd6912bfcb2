"""Reads `oncall.yaml`, `costs.yaml` and `training.yaml` (operations.md 3.3, 7, 10).

Fail mode: every mistake at once; people, spaces and workflows must exist.
"""

from __future__ import annotations

import re

from pilotage.core.fields import TEXT, Fields, choice, integer, list_of, map_of, matching, record
from pilotage.core.ids import SLUG
from pilotage.core.readers import (
    DATE,
    DECIMAL,
    LOCAL_TIME,
    PERSON,
    SLUG_TEXT,
    SPACE,
    TIME_ZONE,
    WALL_TIME,
    WORKFLOW,
)
from pilotage.workspace.operations import (
    CostClass,
    CostLine,
    Costs,
    CostSource,
    Escalation,
    Handoff,
    Layer,
    Override,
    Per,
    Rota,
    Training,
    TrainingKind,
    TrainingRecord,
)

_CURRENCY = matching(re.compile(r"[A-Z]{3}"), "a currency code such as USD")
_TARGET = matching(re.compile(r"layer:[1-9]|person:\S+|role:[a-z-]+"), "layer:1, person:ID or role:NAME")


def parse_rotas(fields: Fields) -> dict[str, Rota]:
    """Read `oncall.yaml`: one rota (called `default`), or `rotas` by name."""
    if not fields.has("rotas"):
        return {"default": _rota(fields, "default")}
    form = "a name of lower-case letters, digits and hyphens"
    named = fields.need("rotas", map_of(record(lambda inner: _rota(inner, "")), key=SLUG, form=form))
    return {name: _renamed(rota, name) for name, rota in named.items()}


def _renamed(rota: Rota, name: str) -> Rota:
    return Rota(
        name=name,
        time_zone=rota.time_zone,
        layers=rota.layers,
        overrides=rota.overrides,
        escalation=rota.escalation,
        minimum=rota.minimum,
    )


def _rota(fields: Fields, name: str) -> Rota:
    rota = Rota(
        name=name,
        time_zone=fields.need("time_zone", TIME_ZONE),
        layers=fields.need("layers", list_of(record(_layer), at_least=1)),
        overrides=fields.get("overrides", list_of(record(_override)), ()),
        escalation=fields.get("escalation", list_of(record(_escalation)), ()),
        minimum=fields.get("minimum", integer(1, 10), 2),
    )
    if len(rota.layers) < rota.minimum:
        what = f"{len(rota.layers)} layers cannot keep {rota.minimum} people on duty"
        fields.problem("layers", what, "Add a layer, or write a smaller minimum.")
    for layer in rota.layers:
        if len(layer.people) < 2:
            what = "A layer with one person never changes hands"
            fields.problems.warn(fields.place("layers"), what, "Name at least two people per layer.")
    return rota


def _layer(fields: Fields) -> Layer:
    return Layer(
        people=fields.need("people", list_of(PERSON, at_least=1)),
        start=fields.need("start", DATE),
        handoff=fields.need("handoff", choice(Handoff)),
        at=fields.need("at", WALL_TIME),
    )


def _override(fields: Fields) -> Override:
    override = Override(
        person=fields.need("person", PERSON),
        start=fields.need("from", LOCAL_TIME),
        end=fields.need("to", LOCAL_TIME),
        by=fields.need("by", PERSON),
    )
    if override.start and override.end and override.start >= override.end:
        fields.problem("to", "The override ends before it starts", "Write a later `to`.")
    return override


def _escalation(fields: Fields) -> Escalation:
    to = fields.need("to", _TARGET)
    kind, _, name = to.partition(":")
    if kind in {"person", "role"} and name:
        fields.problems.refer("person" if kind == "person" else "role", name, fields.place("to"))
    return Escalation(to=to, after_minutes=fields.need("after_minutes", integer(0, 1440)))


def parse_costs(fields: Fields) -> Costs:
    """Read `costs.yaml`."""
    lines = fields.need("lines", list_of(record(_cost_line)))
    ids = [line.id for line in lines]
    for name in sorted({name for name in ids if name and ids.count(name) > 1}):
        fields.problem("lines", f"Two cost lines have the id {name!r}", "Give each an id of its own.")
    return Costs(currency=fields.get("currency", _CURRENCY, "USD"), lines=lines)


def _cost_line(fields: Fields) -> CostLine:
    return CostLine(
        id=fields.need("id", SLUG_TEXT),
        cost_class=fields.need("class", choice(CostClass)),
        phase=fields.need("phase", TEXT),
        amount=fields.need("amount", DECIMAL),
        per=fields.need("per", choice(Per)),
        starts_month=fields.get("starts_month", integer(1, 120), 1),
        source=fields.need("source", choice(CostSource)),
        space=fields.get("space", SPACE, None),
        workflow=fields.get("workflow", WORKFLOW, None),
    )


def parse_training(fields: Fields) -> Training:
    """Read `training.yaml`."""
    return Training(
        valid_days=fields.get("valid_days", integer(1, 3650), 365),
        records=fields.need("records", list_of(record(_training))),
    )


def _training(fields: Fields) -> TrainingRecord:
    return TrainingRecord(
        person=fields.need("person", PERSON),
        course=fields.need("course", TEXT),
        kind=fields.need("kind", choice(TrainingKind)),
        date=fields.need("date", DATE),
        result=fields.need("result", TEXT),
        trainer=fields.need("trainer", TEXT),
    )
