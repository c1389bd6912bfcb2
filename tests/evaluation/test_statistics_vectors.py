"""Every published figure of the statistics chapter holds to 1e-6, and the exact parts agree with independent sums."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.core.draws import indices, seed_of, signs
from pilotage.core.multiple import benjamini_hochberg, holm
from pilotage.core.tails import (
    beta_cdf,
    beta_quantile,
    beta_sf,
    binomial_cdf,
    binomial_sf,
    normal_cdf,
    normal_quantile,
    t_quantile,
)
from pilotage.evaluation.intervals import (
    Interval,
    bootstrap,
    clopper_pearson,
    clustered,
    clustered_t,
    katz,
    log_ratio_interval,
    mean_interval,
    newcombe,
    tango,
    wilson,
)
from pilotage.evaluation.paired import mcnemar, repeats, sign_flip
from pilotage.evaluation.power import attainable_margin, cases_needed, check_margin, detectable_drop

D3 = np.array([0, -1, 0, 0, -1, -1, 0, 1, 0, 0, 0, -1], dtype=np.float64)
C3 = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5], dtype=np.int64)
I16 = np.arange(1, 61)
D16 = ((37 * I16) % 101) / 100 - 0.5
C16 = (I16 % 20).astype(np.int64)
KEY16 = 20260201


def close(found: Interval, lower: float, upper: float, tolerance: float = 1e-6) -> None:
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=tolerance)


@pytest.mark.parametrize(
    ("losses", "gains", "two_sided"), [(9, 2, 0.0654296875), (6, 0, 0.03125), (5, 0, 0.0625), (12, 1, 0.0034179688)]
)
def test_vectors_1_and_2_mcnemar_and_its_equal_sign_flip(losses: int, gains: int, two_sided: float) -> None:
    test = mcnemar(gains, losses)
    assert test.p_two_sided == pytest.approx(two_sided, abs=1e-9)
    assert test.p_worse == pytest.approx(two_sided / 2, abs=1e-9)
    flipped = sign_flip(np.array([-1.0] * losses + [1.0] * gains + [0.0] * 7))
    assert flipped.p_two_sided == pytest.approx(test.p_two_sided)
    assert flipped.p_worse == pytest.approx(test.p_worse)


def test_vectors_3_to_5_clustered_error_t_and_sign_flip() -> None:
    found = clustered(D3, C3)
    assert found.mean == -0.25
    assert (found.se_iid, found.se, found.deff) == pytest.approx((0.1794351, 0.1989556, 1.2294118), abs=1e-7)
    assert t_quantile(0.95, 5) == pytest.approx(2.0150484, abs=1e-7)
    assert clustered_t(found, tail=0.05).lower == pytest.approx(-0.6509052, abs=1e-7)
    test = sign_flip(np.array([-1.0, -2.0, 1.0, 0.0, 0.0, -1.0]))
    assert (test.p_worse, test.p_two_sided) == (16 / 64, 32 / 64)


def test_vectors_6_to_10_tango() -> None:
    close(tango(1, 7, 21, tail=0.025), -0.5172323, -0.0260030)
    close(tango(2, 9, 200, tail=0.025), -0.0747697, -0.0030099)
    close(tango(2, 9, 200, tail=0.05), -0.0671594, -0.0088420)
    close(tango(0, 0, 50, tail=0.05), -0.0513332, 0.0513332)
    close(tango(0, 0, 200, tail=0.05), -0.0133472, 0.0133472)
    close(tango(2, 9, 200, tail=0.05, deff=1.5), -0.0761396, -0.0019375)
    assert tango(3, 2, 200, tail=0.05).lower == pytest.approx(-0.0166864, abs=1e-7)
    assert tango(3, 4, 200, tail=0.05).lower == pytest.approx(-0.0308458, abs=1e-7)


def test_vectors_11_and_12_holm_and_benjamini_hochberg() -> None:
    assert holm([0.010, 0.040, 0.030, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    expected = (0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.0845714, 0.205)
    given_p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.060, 0.074, 0.205]
    assert benjamini_hochberg(given_p) == pytest.approx(expected, abs=1e-7)
    assert holm([]) == benjamini_hochberg([]) == ()


def test_vectors_13_to_15_clopper_pearson_and_wilson() -> None:
    assert clopper_pearson(0, 1000, tail=0.05).upper == pytest.approx(0.0029912, abs=1e-7)
    assert clopper_pearson(1, 1000, tail=0.05).upper == pytest.approx(0.0047350, abs=1e-7)
    close(clopper_pearson(2, 400, tail=0.025), 0.0006061, 0.0179441)
    close(wilson(45, 50, tail=0.025), 0.7863977, 0.9565242)
    close(wilson(0, 50, tail=0.025), 0.0, 0.0713476)
    close(wilson(3, 120, tail=0.025), 0.0085382, 0.0709300)


def test_vectors_16_and_17_bca_cluster_bootstrap() -> None:
    found = bootstrap(D16, C16, seed=KEY16)
    assert (found.mean, found.z0) == pytest.approx((0.0116667, 0.0062666), abs=1e-6)
    bound = found.bound(0.05)
    assert bound is not None
    close(bound, -0.0231667, 0.0480000)
    close(clustered_t(clustered(D16, C16), tail=0.05), -0.0263193, 0.0496526)
    assert list(indices(KEY16, rows=1, size=20)[0][:10]) == [2, 12, 1, 9, 5, 3, 18, 1, 2, 14]
    close(mean_interval(D16, C16, tail=0.05, seed=KEY16, span=1.0), -0.0263193, 0.0496526)


def test_repeats_split_variance_within_and_between_cases() -> None:
    rows = ["111", "101", "000", "110", "111", "010"]
    found = repeats(np.array([[float(digit) for digit in row] for row in rows]))
    figures = (found.mean, found.within, found.between, found.se)
    assert figures == pytest.approx((0.6111, 0.1667, 0.0963, 0.1591), abs=5e-5)


def test_separate_samples_by_newcombe_and_katz() -> None:
    close(newcombe(180, 200, 168, 200, tail=0.025), -0.0064, 0.1267, 5e-5)
    close(katz(168, 200, 180, 200, tail=0.025), 0.8649, 1.0071, 5e-5)
    assert newcombe(0, 0, 1, 2, tail=0.025) == Interval(lower=-1.0, upper=1.0)
    assert katz(0, 5, 1, 2, tail=0.025) == Interval(lower=0.0, upper=math.inf)


TABLE = {
    50: ((None, 0.100), (None, 0.125), (0.165, 0.170)),
    100: ((None, 0.065), (0.085, 0.090), (0.120, 0.115)),
    200: ((0.045, 0.045), (0.060, 0.060), (0.085, 0.085)),
    300: ((0.035, 0.035), (0.050, 0.050), (0.070, 0.065)),
    500: ((0.030, 0.030), (0.040, 0.040), (0.055, 0.055)),
    1000: ((0.020, 0.018), (0.030, 0.025), (0.040, 0.035)),
}


@pytest.mark.parametrize("n", sorted(TABLE))
def test_what_a_set_of_this_size_can_show(n: int) -> None:
    for psi, (drop, margin) in zip((0.05, 0.10, 0.20), TABLE[n], strict=True):
        assert detectable_drop(n, psi) == drop
        found = attainable_margin(n, psi)
        assert found is not None
        assert round(found, 3) == margin


def test_where_every_case_changed_or_none_did_the_drop_is_still_found_or_not_at_all() -> None:
    assert detectable_drop(24, 1.0) == 0.52
    assert detectable_drop(3, 1.0) is None
    assert detectable_drop(24, 0.0) is None
    assert attainable_margin(24, 0.0) == 0.105


def test_the_drop_of_a_large_set_is_the_normal_one_and_costs_nothing() -> None:
    began = time.perf_counter()
    assert detectable_drop(50_000, 0.10) == pytest.approx(2.4865 * math.sqrt(0.10 / 50_000), abs=1e-6)
    assert detectable_drop(1_001, 0.001) is None
    assert time.perf_counter() - began < 0.05


def test_a_margin_no_set_of_this_size_can_show_is_flagged_with_the_cases_needed() -> None:
    assert check_margin("answer_accuracy", 0.06, cases=200) is None
    flagged = check_margin("answer_accuracy", 0.02, cases=200)
    assert flagged is not None
    assert str(cases_needed(0.02, 0.10)) in flagged.text
    assert check_margin("answer_accuracy", 0.06, cases=200, deff=2.0) is not None
    assert check_margin("answer_accuracy", 0.06, cases=0) is not None
    assert cases_needed(0.02, 0.10) == 1546
    assert attainable_margin(1, 0.1) is not None


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 99))
@settings(max_examples=200, deadline=None)
def test_binomial_tails_equal_exact_sums_of_fractions(n: int, k: int, percent: int) -> None:
    p = Fraction(percent, 100)
    terms = [math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)]
    assert binomial_sf(k, n, percent / 100) == pytest.approx(float(sum(terms[k:], Fraction(0))), rel=1e-9, abs=1e-300)
    assert binomial_cdf(k, n, percent / 100) == pytest.approx(float(sum(terms[: k + 1])), rel=1e-9)


@given(st.floats(0.3, 500), st.floats(0.3, 500), st.floats(0.001, 0.999))
@settings(max_examples=100, deadline=None)
def test_a_beta_quantile_is_where_its_tail_says(a: float, b: float, p: float) -> None:
    x = beta_quantile(p, a, b)
    assert beta_cdf(x, a, b) == pytest.approx(p, abs=1e-9)
    assert beta_cdf(0.4, a, b) + beta_sf(0.4, a, b) == pytest.approx(1.0, abs=1e-12)


def test_quantiles_of_known_tables() -> None:
    assert normal_quantile(0.975) == pytest.approx(1.9599639845400545)
    assert normal_cdf(1.9599639845400545) == pytest.approx(0.975)
    assert t_quantile(0.975, 1) == pytest.approx(12.7062047362)
    assert t_quantile(0.025, 30) == pytest.approx(-2.0422724563)
    assert t_quantile(0.5, 3) == 0.0
    assert t_quantile(0.95, 1e5) == pytest.approx(1.64486, abs=2e-5)
    assert beta_quantile(0.0, 2, 3) == 0.0
    assert beta_cdf(-1.0, 2, 3) == 0.0
    assert beta_cdf(1.0, 2, 3) == 1.0


def test_numbers_outside_the_domain_are_refused() -> None:
    for call in (
        lambda: beta_cdf(0.5, 0.0, 1.0),
        lambda: beta_quantile(1.5, 1, 1),
        lambda: holm([2.0]),
        lambda: clopper_pearson(3, 2, tail=0.05),
        lambda: indices(1, rows=1, size=0),
        lambda: signs(1, rows=0, size=1),
        lambda: beta_cdf(0.5, 1e12, 1e12),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()


def test_draws_repeat_and_signs_are_fair() -> None:
    found = signs(7, rows=4000, size=70)
    assert np.array_equal(found, signs(7, rows=4000, size=70))
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert abs(found.mean()) < 0.01
    assert seed_of("a", "b") != seed_of("ab")


def test_a_sign_flip_of_many_clusters_is_drawn_and_never_zero() -> None:
    worse = sign_flip(np.full(40, -1.0), seed=3)
    assert worse.p_worse == 1 / 100_000
    even = sign_flip(np.array([1.0, -1.0] * 15), seed=3)
    assert even.p_two_sided == 1.0
    assert even.p_worse == pytest.approx(0.5722, abs=0.01)
    assert sign_flip(np.zeros(3)).p_worse == 1.0


def test_equal_values_and_single_clusters_never_give_a_point() -> None:
    ones = np.ones(30)
    z2 = normal_quantile(0.95) ** 2
    found = mean_interval(ones, np.arange(30), tail=0.05, seed=1, span=1.0)
    assert found.lower == pytest.approx(1 - z2 / (30 + z2))
    lone = mean_interval(np.array([0.2, 0.9]), np.zeros(2, dtype=np.int64), tail=0.05, seed=1, span=1.0)
    assert lone.lower < 0
    assert lone.upper > 1
    assert clustered_t(clustered(ones, np.zeros(30, dtype=np.int64)), tail=0.05).upper == math.inf
    assert clustered(np.array([1.0]), np.array([0])).deff == 1.0
    assert wilson(0, 0, tail=0.05) == Interval(lower=0.0, upper=1.0)
    assert tango(0, 0, 0, tail=0.05) == Interval(lower=-1.0, upper=1.0)
    assert tango(5, 0, 5, tail=0.05).upper == pytest.approx(1.0)


def test_the_log_ratio_of_latencies_keeps_pairs_and_finds_a_tenth() -> None:
    old = np.linspace(100, 900, 120)
    groups = np.arange(120)
    found = log_ratio_interval(old * 1.1, old, groups, statistic=lambda x: float(x.mean()), seed=5, tail=0.05)
    assert found.lower == pytest.approx(math.log(1.1))
    assert found.upper == pytest.approx(math.log(1.1))
    lone = log_ratio_interval(
        old, old, np.zeros(120, dtype=np.int64), statistic=lambda x: float(x.mean()), seed=5, tail=0.05
    )
    assert lone.lower == -math.inf


def test_a_bootstrap_with_all_draws_on_one_side_bounds_nothing_and_the_rule_stands_in() -> None:
    two = np.array([0, 0, 1, 1], dtype=np.int64)
    found = bootstrap(np.array([0.0, 1.0, 1.0, 0.0]), two, seed=1)
    assert found.bound(0.05) is not None
    lone = bootstrap(np.array([0.2, 0.4]), np.zeros(2, dtype=np.int64), seed=1)
    assert lone.acceleration == 0.0
    rare = np.full(60, 1e-30)
    rare[0] = 0.0
    wide = mean_interval(rare, np.arange(60), tail=0.05, seed=1, span=1.0)
    assert wide.lower < wide.upper
    one_sided = replace(found, z0=math.inf)
    assert one_sided.bound(0.05) is None


def test_a_set_of_no_power_shows_no_margin() -> None:
    assert attainable_margin(50, 0.5, power=1.0) is None
