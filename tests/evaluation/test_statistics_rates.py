"""The promises behind the bounds: they cover as often as they say, and a release at the margin seldom gets GO.

The long form (2,000 runs) is marked slow; the short one keeps the same promises with room for its own noise.
"""

from __future__ import annotations

import numpy as np
import pytest

from pilotage.core.draws import seed_of
from pilotage.evaluation.intervals import clustered, clustered_t, mean_interval
from pilotage.evaluation.paired import Pair, difference_interval, pair_up
from pilotage.evaluation.power import attainable_margin

CLUSTERS, PER_CLUSTER, ICC = 30, 3, 0.3
CASES, PSI = 200, 0.10


def clustered_normal(run: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 90 values with mean 0 and intraclass correlation .3, and their clusters."""
    draw = np.random.Generator(np.random.Philox(key=seed_of("coverage", str(run))))
    groups = np.repeat(np.arange(CLUSTERS), PER_CLUSTER)
    shared = np.sqrt(ICC) * draw.standard_normal(CLUSTERS)[groups]
    return shared + np.sqrt(1 - ICC) * draw.standard_normal(groups.size), groups


def coverage(runs: int) -> tuple[float, float]:
    """Return how often the one-sided lower bound lies below the truth: ours, and that of an iid t."""
    ours = iid = 0
    for run in range(runs):
        values, groups = clustered_normal(run)
        ours += mean_interval(values, groups, tail=0.05, seed=seed_of("bound", str(run)), span=6.0).lower <= 0.0
        iid += clustered_t(clustered(values, np.arange(values.size)), tail=0.05).lower <= 0.0
    return ours / runs, iid / runs


def go_rate(runs: int, *, loss: float, margin: float) -> float:
    """Return how often a release with this true loss and PSI discordant cases of 200 clears the margin."""
    go = 0
    for run in range(runs):
        draw = np.random.Generator(np.random.Philox(key=seed_of("go", str(loss), str(run))))
        kinds = draw.choice(3, size=CASES, p=[1 - PSI, (PSI + loss) / 2, (PSI - loss) / 2])
        pairs = pair_up(
            (
                Pair(case_id=f"{i:03}", cluster=f"{i:03}", old=float(kind == 1), new=float(kind == 2))
                for i, kind in enumerate(kinds)
            ),
            is_binary=True,
        )
        go += difference_interval(pairs, tail=0.05, seed=run)[0].lower > -margin
    return go / runs


def test_bounds_of_clustered_cases_cover_and_naive_ones_do_not() -> None:
    ours, iid = coverage(120)
    assert ours >= 0.91
    assert iid < ours


def test_a_release_that_lost_the_margin_seldom_gets_go() -> None:
    margin = attainable_margin(CASES, PSI)
    assert margin == 0.06
    assert go_rate(300, loss=margin, margin=margin) <= 0.09
    assert go_rate(300, loss=0.0, margin=margin) >= 0.73


@pytest.mark.slow
def test_interval_coverage_over_2000_runs() -> None:
    ours, iid = coverage(2000)
    assert ours >= 0.93
    assert iid < 0.93


@pytest.mark.slow
def test_false_go_rate_over_2000_runs() -> None:
    margin = attainable_margin(CASES, PSI)
    assert margin is not None
    assert go_rate(2000, loss=margin, margin=margin) <= 0.06
    assert go_rate(2000, loss=0.0, margin=margin) >= 0.77


def test_random_inputs_agree_with_scipy_and_statsmodels() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is an oracle only; install it to compare")
    proportion = pytest.importorskip(
        "statsmodels.stats.proportion", reason="statsmodels is an oracle only; install it to compare"
    )
    from pilotage.core.tails import beta_quantile, t_quantile  # noqa: PLC0415 - only with the oracles at hand
    from pilotage.evaluation.intervals import clopper_pearson, wilson  # noqa: PLC0415

    draw = np.random.Generator(np.random.Philox(key=1))
    for _ in range(500):
        n = int(draw.integers(1, 2000))
        x = int(draw.integers(0, n + 1))
        a, b, p = float(draw.uniform(0.1, 300)), float(draw.uniform(0.1, 300)), float(draw.uniform(0.001, 0.999))
        assert beta_quantile(p, a, b) == pytest.approx(float(stats.beta.ppf(p, a, b)), abs=1e-8)
        assert t_quantile(p, a) == pytest.approx(float(stats.t.ppf(p, a)), rel=1e-6)
        exact = clopper_pearson(x, n, tail=0.025)
        assert (exact.lower, exact.upper) == pytest.approx(proportion.proportion_confint(x, n, method="beta"), abs=1e-8)
        score = wilson(x, n, tail=0.025)
        assert (score.lower, score.upper) == pytest.approx(
            proportion.proportion_confint(x, n, method="wilson"), abs=1e-8
        )
