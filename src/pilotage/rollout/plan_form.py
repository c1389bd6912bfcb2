"""A plan as the row of a rollout keeps it: exact, so that a running rollout never reads the file again.

`plan_digest` is of the plan as declared; sign-offs and gates bind it. Rule: what is written reads back equal. Fail
mode: a stored plan this version does not understand raises ValueError, and its rollout is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import SpaceName
from pilotage.core.remembered import remembered
from pilotage.identity.roles import Role
from pilotage.workspace.plan import Alpha, Approach, Limits, Plan, Shadow, Step, Undecidable, Wave


@remembered
def plan_digest(plan: Plan) -> Digest:
    """Return the digest of the plan as its file declares it."""
    return digest_of_json(dict(plan.plain))


def plan_json(plan: Plan) -> dict[str, Json]:
    """Return the plan as JSON."""
    return {name: plain(value) for name, value in asdict(plan).items()}


def read_plan(value: Mapping[str, object]) -> Plan:
    """Return the plan that `plan_json` wrote; raise ValueError for anything else."""
    try:
        fields = _map(value)
        return Plan(
            name=_text(fields.pop("name")),
            approach=Approach(_text(fields.pop("approach"))),
            undecidable=Undecidable(_text(fields.pop("undecidable"))),
            shadow=Shadow(**_map(fields.pop("shadow"))),
            waves=tuple(_wave(_map(wave)) for wave in _list(fields.pop("waves"))),
            limits=Limits(**_map(fields.pop("limits"))),
            alpha=Alpha(**_map(fields.pop("alpha"))),
            **fields,
        )
    except (KeyError, TypeError) as error:
        message = f"The stored plan is not one of this version ({error})."
        raise ValueError(message) from error


def _wave(value: dict[str, Any]) -> Wave:
    steps = tuple(_step(_map(step)) for step in _list(value.pop("steps")))
    return Wave(space=SpaceName(_text(value.pop("space"))), steps=steps, isolated=value.pop("isolated") is True)


def _step(value: dict[str, Any]) -> Step:
    return Step(
        cohort=tuple(map(_text, _list(value.pop("cohort")))),
        decide=tuple(Role(_text(role)) for role in _list(value.pop("decide"))),
        limits=Limits(**_map(value.pop("limits"))),
        **value,
    )


def plain(value: object) -> Json:
    """Return records, enumerations and tuples as JSON; raise TypeError for what has no JSON form."""
    match value:
        case StrEnum():
            return value.value
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case None | bool() | int() | float() | str():
            return value
    message = f"{type(value).__name__} has no JSON form."
    raise TypeError(message)


def _map(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        message = f"{value!r} is not an object."
        raise TypeError(message)
    return dict(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        message = f"{value!r} is not a list."
        raise TypeError(message)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        message = f"{value!r} is not a text."
        raise TypeError(message)
    return value
