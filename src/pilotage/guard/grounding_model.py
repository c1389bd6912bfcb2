"""P(unsupported) of a statement: a logistic model over the grounding features, its numbers read from a data file.

The file `grounding_coefficients.json` ships beside this module; `benchmarks/grounding_coefficients.py` makes it, and a
rerun gives the same bytes. Fail mode: a file with other features, or an sd that is not above 0, does not load. Negation
and modality are blind spots of this score; it is never a gate's only criterion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from pilotage.core.canonical import parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import UsageError
from pilotage.guard.grounding_features import FEATURES

COEFFICIENTS_FILE = "grounding_coefficients.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """sigmoid(b0 + sum b (x - mean)/sd); below `lo` supported, above `hi` unsupported, between uncertain."""

    b0: float
    b: tuple[float, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    lo: float
    hi: float
    digest: Digest


def parse_coefficients(data: bytes) -> Coefficients:
    """Read the coefficients; raise UsageError when they are not for these features."""
    value: Any = parse_json(data)
    if not isinstance(value, Mapping) or tuple(value.get("features", ())) != FEATURES:
        hint = "Run python benchmarks/grounding_coefficients.py and ship what it writes."
        raise UsageError("GROUNDING_FEATURES", f"{COEFFICIENTS_FILE} is not for the features {FEATURES}.", hint=hint)
    rows = tuple(tuple(float(number) for number in value[name]) for name in ("b", "mean", "sd"))
    if any(len(row) != len(FEATURES) for row in rows) or min(rows[2]) <= 0:
        raise UsageError("GROUNDING_NUMBERS", f"{COEFFICIENTS_FILE} needs {len(FEATURES)} numbers a row, sd above 0.")
    return Coefficients(
        b0=float(value["b0"]),
        b=rows[0],
        mean=rows[1],
        sd=rows[2],
        lo=float(value["lo"]),
        hi=float(value["hi"]),
        digest=digest_of(data),
    )


@lru_cache(maxsize=1)
def shipped_coefficients() -> Coefficients:
    """Return the coefficients of this version of the product."""
    return parse_coefficients(resources.files("pilotage.guard").joinpath(COEFFICIENTS_FILE).read_bytes())


def probability(features: Sequence[float], coefficients: Coefficients) -> float:
    """Return P(unsupported) in (0, 1)."""
    rows = zip(features, coefficients.b, coefficients.mean, coefficients.sd, strict=True)
    return sigmoid(coefficients.b0 + math.fsum(b * (x - mean) / sd for x, b, mean, sd in rows))


def sigmoid(x: float) -> float:
    """Return 1/(1 + e^-x) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    power = math.exp(x)
    return power / (1.0 + power)
