"""Faults of a simulated release: when they act, whom they strike, and how long an answer then takes (rollouts.md 12).

Pure arithmetic; adapters let a fault in at the model, tool or recorder port, never as a written result. Times in
seconds from the start of the simulation. Fail mode: an unknown fault, field or share raises UsageError, exit 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from pilotage.core.errors import UsageError
from pilotage.rollout.assignment import Arm
from pilotage.rollout.simulate import draw, log_normal


class FaultKind(StrEnum):
    """What goes wrong."""

    ERROR = "error"
    LATENCY = "latency"
    STALL = "stall"
    TIMEOUT = "timeout"
    ABORT_STREAM = "abort_stream"
    UNGROUNDED = "ungrounded"
    LEAK = "leak"
    """A marker document outside the asker's permissions is put into the model's output."""
    POLICY = "policy"
    STICKY = "sticky"
    """A share of principals is broken and fails at `rate`, whichever arm answers."""
    LOST_RECORD = "lost_record"
    KILL = "kill"
    CLOCK_SKEW = "clock_skew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `arm`, `space` None: every one. `ramp_s`: the rate rises from 0 over this time.

    `share`: of principals (sticky); `median_ms`, `sigma`: of a log-normal latency; `process`: which one is killed or
    skewed; `skew_s`: how far its clock is off.
    """

    kind: FaultKind
    rate: float = 1.0
    arm: Arm | None = None
    space: str | None = None
    from_s: float = 0.0
    until_s: float = math.inf
    ramp_s: float = 0.0
    share: float = 0.0
    median_ms: float = 0.0
    sigma: float = 0.0
    process: int = 0
    skew_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rate", "share"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise UsageError("BAD_FAULT", f"{name} of {self.kind} is {value!r}.", hint="Give a share from 0 to 1.")
        for name in ("ramp_s", "median_ms", "sigma", "process", "from_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError("BAD_FAULT", f"{name} of {self.kind} is {getattr(self, name)!r}.", hint="At least 0.")
        if not self.from_s < self.until_s or not math.isfinite(self.skew_s):
            raise UsageError("BAD_FAULT", f"{self.kind} has no time to act.", hint="Let from_s stand before until_s.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The request a fault may strike."""

    index: int
    at_s: float
    arm: Arm
    space: str
    principal: str


def parse_fault(value: Mapping[str, object]) -> Fault:
    """Return the fault a mapping declares; unknown kinds and fields name what is allowed."""
    kinds = [kind.value for kind in FaultKind]
    if value.get("kind") not in kinds:
        raise UsageError("UNKNOWN_FAULT", f"{value.get('kind')!r} is no fault.", hint=f"One of: {', '.join(kinds)}.")
    allowed = {field.name for field in fields(Fault)}
    found: dict[str, object] = {}
    for name, given in value.items():
        if name not in allowed:
            raise UsageError(
                "UNKNOWN_FIELD", f"A fault has no {name!r}.", hint=f"One of: {', '.join(sorted(allowed))}."
            )
        found[name] = _typed(name, given)
    return Fault(**found)  # type: ignore[arg-type]  # every field was given its own type one line above


def _typed(name: str, given: object) -> object:
    match name, given:
        case "kind", str():
            return FaultKind(given)
        case "arm", str() if given in set(Arm):
            return Arm(given)
        case "space", str():
            return given
        case "process", int() if not isinstance(given, bool):
            return given
        case (("rate" | "share" | "from_s" | "until_s" | "ramp_s" | "median_ms" | "sigma" | "skew_s"), int() | float()):
            return float(given)
        case _:
            raise UsageError("BAD_FAULT", f"{name} is {given!r}.", hint="Give a value of its type.")


def rate_at(fault: Fault, at_s: float) -> float:
    """Return the fault's rate at a time: 0 outside its window, rising over the ramp."""
    if not fault.from_s <= at_s < fault.until_s:
        return 0.0
    if fault.ramp_s <= 0.0:
        return fault.rate
    return fault.rate * min(1.0, (at_s - fault.from_s) / fault.ramp_s)


def strikes(fault: Fault, seed: int, moment: Moment) -> bool:
    """Tell whether a fault strikes a request; the same seed and request always answer the same."""
    if fault.arm not in {None, moment.arm} or fault.space not in {None, moment.space}:
        return False
    if fault.kind is FaultKind.STICKY and not is_broken(fault, seed, moment.principal):
        return False
    return draw(seed, f"fault.{fault.kind.value}", moment.index) < rate_at(fault, moment.at_s)


def is_broken(fault: Fault, seed: int, principal: str) -> bool:
    """Tell whether a principal belongs to the broken share of a sticky fault."""
    return draw(seed, f"sticky.{principal}", 0) < fault.share


def latency_of(fault: Fault, seed: int, moment: Moment) -> float:
    """Return the milliseconds that a latency fault makes a struck request take."""
    return log_normal(draw(seed, "latency", moment.index), median=fault.median_ms, sigma=fault.sigma)
