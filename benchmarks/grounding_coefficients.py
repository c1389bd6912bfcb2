"""Fits the grounding score on the demo data and writes the coefficients the product ships (evaluation.md 3.5).

`python benchmarks/grounding_coefficients.py DATA [--check]`: DATA holds the demo corpora. Supported statements are
copied, cut, reordered or merged from their passage; unsupported ones change a number, date, unit or name, swap the
subject, take a clause from another document, drop a condition, negate, or turn must into may. Documents are split
60/20/20; the middle split fixes `lo` and `hi`, the last one gives AUROC. A rerun gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from grounding_samples import BLIND, FLOORED, KINDS, Sample, make_samples
from grounding_texts import data_digest, read_documents

from pilotage.core.digest import digest_of
from pilotage.guard.anchors import support_of
from pilotage.guard.grounding_features import FEATURES, FEATURES_VERSION, features_of, grounding_tokens, read_evidence
from pilotage.guard.grounding_model import COEFFICIENTS_FILE

SEED = 20260201
RIDGE = 1.0
STEPS = 50
FALSE_ALARMS = 0.02
MISSED = 0.05
HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "pilotage" / "guard" / COEFFICIENTS_FILE


def main() -> int:
    """Fit, print, write; with --check compare with what is shipped instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--check", action="store_true", help="exit 1 when the shipped file differs")
    options = parser.parse_args()
    samples = make_samples(read_documents(options.data), seed=SEED)
    body = fit(samples)
    body |= {"data": data_digest(options.data), "script": script_digest(), "seed": SEED}
    text = json.dumps(body, indent=1, sort_keys=True) + "\n"
    report(body)
    if options.check:
        return int(TARGET.read_text() != text)
    TARGET.write_text(text)
    return 0


def fit(samples: Sequence[Sample]) -> dict[str, object]:
    """Return the model of the first split, its thresholds of the second and its AUROC of the last."""
    x = np.array([features(one) for one in samples])
    y = np.array([one.is_unsupported for one in samples], dtype=float)
    part = np.array([one.part for one in samples])
    kinds = np.array([one.kind for one in samples])
    seen = ~np.isin(kinds, list(BLIND))  # what the features cannot see would only blur their weights
    train = (part == 0) & seen
    mean, sd = x[train].mean(axis=0), np.maximum(x[train].std(axis=0), 1e-3)
    mean, sd = mean.round(6), sd.round(6)
    weights = logistic((x[train] - mean) / sd, y[train]).round(6)
    scores = 1 / (1 + np.exp(-(weights[0] + ((x - mean) / sd) @ weights[1:])))
    middle, last = part == 1, part == 2
    hi = float(np.quantile(scores[middle & (y == 0)], 1 - FALSE_ALARMS))
    lo = min(hi, float(np.quantile(scores[middle & (y == 1) & seen], MISSED)))
    return {
        "features": list(FEATURES),
        "features_version": FEATURES_VERSION,
        "b0": float(weights[0]),
        "b": [float(one) for one in weights[1:]],
        "mean": [float(one) for one in mean],
        "sd": [float(one) for one in sd],
        "lo": round(lo, 6),
        "hi": round(hi, 6),
        "auroc": {kind: auroc(scores[last & (y == 0)], scores[last & (kinds == kind)]) for kind in KINDS},
        "samples": {str(number): int((part == number).sum()) for number in range(3)},
    }


def features(sample: Sample) -> tuple[float, ...]:
    """Return the features of a sample."""
    support = support_of(sample.statement, [sample.evidence])
    return features_of(grounding_tokens(sample.statement), [read_evidence(sample.evidence)], support)


def logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return intercept and weights of ridge logistic regression by Newton steps; both classes weigh the same."""
    design = np.hstack([np.ones((len(x), 1)), x])
    balance = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))
    ridge = np.diag([0.0, *[RIDGE] * x.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (balance * (y - p)) - ridge @ weights
        hessian = (design * (balance * p * (1 - p))[:, None]).T @ design + ridge
        weights = weights + np.linalg.solve(hessian, gradient)
    return weights


def auroc(negative: np.ndarray, positive: np.ndarray) -> dict[str, float | int]:
    """Return the area with a 95 % interval (Hanley and McNeil 1982)."""
    if not len(negative) or not len(positive):
        return {"n": len(positive), "value": 0.0, "low": 0.0, "high": 0.0}
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    area = float(((below + upto) / 2).mean() / len(negative))
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    n, m = len(positive), len(negative)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    half = 1.959963985 * max(0.0, variance) ** 0.5
    return {
        "n": n,
        "value": round(area, 4),
        "low": round(max(0.0, area - half), 4),
        "high": round(min(1.0, area + half), 4),
    }


def script_digest() -> str:
    """Return the digest of the scripts that make the samples and the fit."""
    names = ("grounding_coefficients.py", "grounding_samples.py", "grounding_texts.py")
    return digest_of(b"\0".join((HERE / name).read_bytes() for name in names))


def report(body: Mapping[str, object]) -> None:
    """Print the model and AUROC per kind."""
    print(f"lo {body['lo']}, hi {body['hi']}, b0 {body['b0']}, b {body['b']}, samples {body['samples']}\n")
    print("| kind | n | AUROC | 95 % |  |\n|---|---|---|---|---|")
    areas = body["auroc"]
    assert isinstance(areas, dict)
    for kind, area in areas.items():
        goal = "goal .90" if kind in FLOORED else "blind spot" if kind in BLIND else ""
        goal += " missed" if kind in FLOORED and area["value"] < 0.90 else ""
        print(f"| {kind} | {area['n']} | {area['value']} | {area['low']}-{area['high']} | {goal} |")


if __name__ == "__main__":
    sys.exit(main())
