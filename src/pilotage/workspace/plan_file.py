"""Reads `rollout` of `workflow.yaml` and `freezes` of `pilotage.yaml` (rollouts.md 2).

Fail mode: a bad plan is refused with all its mistakes: weights that do not rise to 100 %, a weight without its unit,
times of zero, GO limits that are not stricter than trip limits, alphas over their totals, an EU space not isolated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pilotage.core.fields import (
    BOOLEAN,
    TEXT,
    Fields,
    Reader,
    choice,
    integer,
    list_of,
    map_of,
    number,
    read_record,
    record,
)
from pilotage.core.ids import SLUG
from pilotage.core.located import Located, Problems
from pilotage.core.readers import (
    FRACTIONAL_SECONDS,
    LOCAL_TIME,
    MONEY_TEXT,
    PERCENT,
    SECONDS,
    SHARE,
    SLUG_TEXT,
    SPACE,
    TIME_ZONE,
)
from pilotage.identity.roles import Role
from pilotage.workspace.plan import (
    Alpha,
    Approach,
    Freeze,
    Limits,
    Plan,
    Rollout,
    Shadow,
    Step,
    Undecidable,
    Wave,
)

_SHARES = (
    "error_go",
    "error_trip",
    "latency_quantile",
    "ungrounded_go",
    "ungrounded_trip",
    "policy_go",
    "policy_trip",
    "feedback_down",
    "shed",
)
_PAIRS = ("error", "latency", "ungrounded", "policy")


def parse_rollout(fields: Fields) -> Rollout:
    """Read the plans of a workflow."""
    plans = fields.need("plans", map_of(_PLAN, key=SLUG, form="a name of lower-case letters, digits and hyphens"))
    rollout = Rollout(default_plan=fields.need("default_plan", TEXT), plans=plans)
    if plans and rollout.default_plan and rollout.default_plan not in plans:
        hint = f"Write one of: {', '.join(sorted(plans))}."
        fields.problem("default_plan", f"There is no plan {rollout.default_plan!r}", hint)
    return rollout


def _read_plan(at: Located, problems: Problems) -> Plan:
    return read_record(at, problems, partial(_plan, at=at))


_PLAN: Reader[Plan] = Reader(read=_read_plan, stand_in=lambda: Plan(name="", waves=()))


def _plan(fields: Fields, *, at: Located) -> Plan:
    limits = fields.get("limits", record(partial(_limits, outer=Limits(), is_step=False)), Limits())
    caps = fields.get("caps", record(_caps), (3, 50))
    plain = at.plain()
    plan = Plan(
        name=at.path.rpartition(".")[2],
        approach=fields.get("approach", choice(Approach), Approach.CANARY),
        undecidable=fields.get("undecidable", choice(Undecidable), Undecidable.REFUSE),
        shadow=fields.get("shadow", record(_shadow), Shadow()),
        waves=fields.need("waves", list_of(record(partial(_wave, outer=limits)), at_least=1)),
        limits=limits,
        alpha=fields.get("alpha", record(_alpha), Alpha()),
        failures_per_principal=caps[0],
        successes_per_principal=caps[1],
        pause_limit_s=fields.get("pause_limit", SECONDS, 72 * 3600),
        watch_s=fields.get("watch", SECONDS, 14 * 86_400),
        plain=plain if isinstance(plain, Mapping) else {},
    )
    names = [wave.space for wave in plan.waves]
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        fields.problem("waves", f"Two waves name the space {name!r}", "Write one wave per space.")
    return plan


def _caps(fields: Fields) -> tuple[int, int]:
    failures = fields.get("failures_per_principal", integer(1), 3)
    return failures, fields.get("successes_per_principal", integer(1), 50)


def _shadow(fields: Fields) -> Shadow:
    return Shadow(
        enabled=fields.get("enabled", BOOLEAN, default=False),
        sample=fields.get("sample", PERCENT, 0.25),
        duration_s=fields.get("for", SECONDS, 86_400),
        max_cost_per_day=fields.get("max_cost_per_day", MONEY_TEXT, None),
        replay_first=fields.get("replay_first", BOOLEAN, default=True),
    )


def _wave(fields: Fields, *, outer: Limits) -> Wave:
    wave = Wave(
        space=fields.need("space", SPACE),
        steps=fields.need("steps", list_of(record(partial(_step, outer=outer)), at_least=1)),
        isolated=fields.get("isolated", BOOLEAN, default=False),
    )
    weights = [step.weight for step in wave.steps]
    if weights != sorted(set(weights)):
        shown = ", ".join(f"{weight:.4g}" for weight in (100 * w for w in weights))
        fields.problem("steps", f"The weights {shown} % do not rise", "Write each step's weight above the one before.")
    if weights and weights[-1] != 1.0:
        fields.problem("steps", f"The last step has {100 * weights[-1]:.4g} %", "End the wave with weight: 100%.")
    if wave.space:
        fields.problems.refer("isolation" if not wave.isolated else "isolated", wave.space, fields.place("space"))
    for step in wave.steps[:-1]:
        if not step.decide:
            fields.problems.refer("auto step", wave.space, fields.place("steps"))
            break
    return wave


def _read_cohort(at: Located, problems: Problems) -> tuple[str, ...]:
    if at.node == "all":
        return ()
    names = list_of(TEXT, or_one=True, at_least=1).read(at, problems)
    children = at.node if isinstance(at.node, tuple) else (at,)
    for name, child in zip(names, children, strict=True):
        kind, _, group = name.partition(":")
        if kind != "group" or not group:
            problems.add(child, f"{name[:60]!r} is not a cohort", "Write all, or a list of group:NAME.")
        else:
            problems.refer("group", group, child)
    return tuple(name.removeprefix("group:") for name in names)


def _read_decide(at: Located, problems: Problems) -> tuple[Role, ...]:
    if at.node == "auto":
        return ()
    return list_of(choice(Role), or_one=True, at_least=1).read(at, problems)


def _step(fields: Fields, *, outer: Limits) -> Step:
    mistakes = len(fields.problems.found)
    step = Step(
        name=fields.need("name", SLUG_TEXT),
        weight=fields.need("weight", PERCENT),
        cohort=fields.get("cohort", Reader(read=_read_cohort, stand_in=tuple), ()),
        bake_s=fields.need("bake", SECONDS),
        max_s=fields.get("max", SECONDS, None),
        decide=fields.need("decide", Reader(read=_read_decide, stand_in=tuple)),
        limits=fields.get("limits", record(partial(_limits, outer=outer, is_step=True)), outer),
    )
    if step.weight == 0 and mistakes == len(fields.problems.found):
        fields.problem("weight", "A step of 0 % serves nobody", "Write a weight above 0%, or use shadow.")
    if step.max_s is not None and step.max_s < step.bake_s:
        fields.problem("max", "The step ends before its bake time", "Write max: at least as long as bake.")
    return step


def _limits(fields: Fields, *, outer: Limits, is_step: bool) -> Limits:
    """Read limits over `outer`; a later wave may relax its GO limit up to the trip limit (rollouts.md 2)."""
    shares = {key: fields.get(key, SHARE, getattr(outer, key)) for key in _SHARES}
    latency = {
        f"{key}_ms": 1000 * fields.get(key, FRACTIONAL_SECONDS, getattr(outer, f"{key}_ms") / 1000)
        for key in ("latency_go", "latency_trip")
    }
    limits = Limits(ratio=fields.get("ratio", number(1.0, 100.0), outer.ratio), **shares, **latency)
    suffix = {"latency": "_ms"}
    for name in _PAIRS:
        go = getattr(limits, f"{name}_go{suffix.get(name, '')}")
        trip = getattr(limits, f"{name}_trip{suffix.get(name, '')}")
        if go > trip or (go == trip and not is_step):
            what = f"{name}_go {go:g} is not below {name}_trip {trip:g}"
            fields.problem(f"{name}_go", what, "Write a GO limit stricter than the trip limit.")
    return limits


def _alpha(fields: Fields) -> Alpha:
    alpha = Alpha(
        go=fields.get("go", number(1e-9, 0.5), 0.05),
        trip_total=fields.get("trip_total", number(1e-9, 0.5), 0.01),
        hold_total=fields.get("hold_total", number(1e-9, 0.5), 0.10),
        srm=fields.get("srm", number(1e-9, 0.5), 0.001),
    )
    if alpha.trip_total + alpha.hold_total > 0.5:
        fields.problem(
            "trip_total", "The alphas sum to more than 0.5", "Write smaller ones; the default is 0.01 and 0.10."
        )
    return alpha


def _read_weekly(at: Located, problems: Problems) -> bool:
    if at.node != "weekly":
        problems.add(at, f"every cannot be {at.plain()!r}", "Write weekly, or remove the key.")
    return True


def parse_freeze(fields: Fields) -> Freeze:
    """Read one freeze window."""
    freeze = Freeze(
        name=fields.need("name", SLUG_TEXT),
        spaces=fields.need("spaces", list_of(SPACE, or_one=True, at_least=1)),
        start=fields.need("from", LOCAL_TIME),
        end=fields.need("to", LOCAL_TIME),
        timezone=fields.need("timezone", TIME_ZONE),
        weekly=fields.get("every", Reader(read=_read_weekly, stand_in=bool), default=False),
        reason=fields.need("reason", TEXT),
    )
    if freeze.start and freeze.end and freeze.start >= freeze.end:
        fields.problem("to", f"The freeze {freeze.name!r} ends before it starts", "Write a later `to`.")
    return freeze
