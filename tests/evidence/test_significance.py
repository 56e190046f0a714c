"""Tests of significance: exact on small cases, true to their level, and paired or refused."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.significance import (
    compare_models,
    holm,
    lead_of_the_best,
    most_favourable_p,
    paired_test,
    seed_and_test_spread,
    seed_band,
    unpaired_p,
)


def test_paired_test_is_the_share_of_all_sign_flips_on_a_small_case():
    a, b = (
        np.array([1, 0.5, 1, 0.2, 1, 0.9, 0.3, 1]),
        np.array([0.5, 0.5, 0.3, 0.4, 0.2, 0.1, 0.3, 0.7]),
    )
    differences = a - b
    flips = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=8)]
    exact = np.mean(np.array(flips) >= abs(differences.sum()) - 1e-12)
    assert paired_test(a, b, seed=0, permutations=100_000) == pytest.approx(exact, abs=0.005)


def test_paired_test_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a = rng.random(100)
    b = a + 0.1 * rng.standard_normal(100) - 0.012
    theirs = permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    assert 0.005 < theirs < 0.5
    assert paired_test(a, b, seed=0, permutations=20_000) == pytest.approx(theirs, abs=0.015)


def test_paired_test_is_two_sided_seeded_and_never_zero():
    rng = np.random.default_rng(0)
    a, b = rng.random(200) + 0.5, rng.random(200)
    assert paired_test(a, b, seed=0) == 1 / 10_001
    assert paired_test(b, a, seed=0) == 1 / 10_001
    assert paired_test(a, a, seed=0) == 1.0
    c = b + 0.02 * rng.standard_normal(200)
    assert paired_test(b, c, seed=3) == paired_test(b, c, seed=3) == paired_test(c, b, seed=3)


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(0)
    p = [paired_test(*rng.random((2, 50)), seed=i, permutations=500) for i in range(300)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ([1, 2], [1], "lists of one length"),
        ([], [], "lists of one length"),
        ([1, np.nan], [1, 2], "NaN or infinite"),
    ],
)
def test_a_paired_test_of_unpaired_values_is_refused(a, b, sentence):
    with pytest.raises(InputError, match=sentence):
        paired_test(a, b, seed=0)


def test_holm_is_its_definition_by_loops():
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 12):
        p = rng.random(m).round(1) ** 2
        order = sorted(range(m), key=lambda i: p[i])
        expected = np.empty(m)
        for place, i in enumerate(order):
            steps = [(m - j) * p[order[j]] for j in range(place + 1)]
            expected[i] = min(1, max(steps))
        np.testing.assert_allclose(holm(p), expected)


def test_holm_rejects_what_the_step_down_procedure_rejects():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    # 0.005 <= 0.05/4 and 0.01 <= 0.05/3, but 0.03 > 0.05/2 ends the procedure.
    assert (holm(p) <= 0.05).tolist() == [True, False, False, True]


@pytest.mark.parametrize("p", [[0.2, np.nan], [1.1], [-0.1], 0.5])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(InputError, match="each from 0 to 1"):
        holm(p)


def test_the_most_favourable_p_is_the_least_of_all_tables_with_these_shares():
    n = 12
    for a, b in product(range(n + 1), repeat=2):
        only_a = range(max(0, a - b), min(a, n - b) + 1)
        tables = [(hits, hits - a + b) for hits in only_a]
        p = [binomtest(x, x + y).pvalue if x + y else 1.0 for x, y in tables]
        least = most_favourable_p(round(a / n, 3), round(b / n, 3), n)
        assert least == pytest.approx(min(p)), (a, b)


def test_published_shares_of_400_queries_are_read_as_counts():
    # 0.938 and 0.948 print 375/400 and 379/400.
    assert most_favourable_p(0.938, 0.948, 400) == 2 * 0.5**4
    assert most_favourable_p(0.63, 0.63, 400) == 1.0


def test_independent_shares_are_less_significant_than_the_most_favourable_pairing():
    assert unpaired_p(0.938, 0.948, 400) > 0.5
    assert most_favourable_p(0.63, 0.563, 400) < unpaired_p(0.63, 0.563, 400)


def test_fishers_p_is_the_sum_over_the_tables_at_most_as_likely():
    # Margins 3 + 0 of 3 and 3: the tables with 3, 2, 1, 0 have 1, 9, 9, 1 of the 20 orders.
    assert unpaired_p(1.0, 0.0, 3) == pytest.approx(2 / 20)


@pytest.mark.parametrize("test", [most_favourable_p, unpaired_p])
@pytest.mark.parametrize(
    ("shares", "n", "sentence"),
    [
        ((1.2, 0.5), 400, "1.2 is no share of queries"),
        ((0.5, np.nan), 400, "nan is no share of queries"),
        ((0.938, 0.9112), 400, "0.9112 is no share of 400 queries: the nearest is 364"),
        ((0.5, 0.5), 2000, "2000 queries printed to 3 digits"),
        ((0.5, 0.5), 0, "0 queries"),
    ],
)
def test_shares_that_no_count_prints_are_refused(test, shares, n, sentence):
    with pytest.raises(InputError, match=sentence):
        test(*shares, n)


def test_the_spreads_recover_the_components_of_two_way_random_effects():
    rng = np.random.default_rng(0)
    seeds, n, sd_seed, sd_study, sd_rest = 4, 50, 0.03, 0.3, 0.2
    variances = []
    for _ in range(4000):
        values = sd_seed * rng.standard_normal((seeds, 1)) + sd_study * rng.standard_normal(n)
        values += sd_rest * rng.standard_normal((seeds, n))
        variances.append(np.square(seed_and_test_spread(values)))
    seed_variance, test_variance = np.mean(variances, axis=0)
    assert seed_variance == pytest.approx(sd_seed**2 + sd_rest**2 / n, rel=0.05)
    assert test_variance == pytest.approx((sd_study**2 + sd_rest**2) / n, rel=0.02)
    one_run = sd_seed**2 + (sd_study**2 + sd_rest**2) / n
    excess = sd_rest**2 / n
    assert seed_variance + test_variance == pytest.approx(one_run + excess, rel=0.02)


def test_a_spread_of_one_source_alone_is_only_there():
    across_seeds = seed_and_test_spread([[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]])
    assert across_seeds == pytest.approx((np.sqrt(0.02), 0))
    across_studies = seed_and_test_spread([[0.0, 1.0, 0.5]] * 2)
    assert across_studies == pytest.approx((0, 0.5 / np.sqrt(3)))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.ones((1, 5)), r"at least 2 of each, not \[1, 5\]"),
        (np.ones((5, 1)), r"\[5, 1\]"),
        (np.ones(5), r"\[5\]"),
        ([[1, 2], [1, np.nan]], "leave out the queries"),
    ],
)
def test_a_spread_of_too_few_or_undefined_values_is_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        seed_and_test_spread(values)


def test_95_of_100_differences_of_new_trainings_stay_within_the_band_of_5_seeds():
    rng = np.random.default_rng(0)
    values = 0.3 + 0.02 * rng.standard_normal((20_000, 7))
    bands = [seed_band(seed_sd, 5) for seed_sd in values[:, :5].std(axis=1, ddof=1)]
    differences = np.abs(values[:, 5] - values[:, 6])
    assert np.mean(differences <= bands) == pytest.approx(0.95, abs=0.005)


def test_with_many_seeds_the_band_is_that_of_a_known_deviation():
    assert seed_band(0.01, 100_000) == pytest.approx(1.96 * np.sqrt(2) * 0.01, rel=1e-3)
    assert seed_band(0.01, 2) == pytest.approx(12.706 * np.sqrt(2) * 0.01, rel=1e-4)


def test_a_band_of_one_seed_is_refused():
    with pytest.raises(InputError, match="1 training seeds show no spread"):
        seed_band(0.01, 1)


@pytest.fixture
def three_models():
    rng = np.random.default_rng(0)
    ours = rng.random(60)
    noise = 0.1 * rng.standard_normal((2, 60))
    return {"near": ours + noise[0], "ours": ours, "far": ours - 0.2 + noise[1]}


def test_models_are_compared_by_the_paired_differences(three_models):
    bootstrap = Bootstrap(60, seed=0)
    compared = compare_models(three_models, "ours", bootstrap, seed=1)
    assert compared["against"].tolist() == ["near", "far"]
    for row in compared.itertuples():
        theirs = three_models[row.against]
        assert row.difference == pytest.approx((three_models["ours"] - theirs).mean())
        assert (row.low, row.high) == bootstrap.mean(three_models["ours"] - theirs)
        assert row.p_raw == paired_test(three_models["ours"], theirs, seed=1)
    np.testing.assert_array_equal(compared["p"], holm(compared["p_raw"]))
    near, far = compared.itertuples()
    assert near.low < 0 < near.high
    assert near.p > 0.05
    assert far.low > 0
    assert far.p == 2 * far.p_raw < 0.05


def test_a_paired_interval_is_narrower_than_the_models_own(three_models):
    bootstrap = Bootstrap(60, seed=0)
    (row,) = compare_models(
        {name: three_models[name] for name in ("ours", "far")}, "ours", bootstrap, seed=0
    ).itertuples()
    own = bootstrap.mean(three_models["ours"])
    assert row.high - row.low < 0.6 * (own.high - own.low)


@pytest.mark.parametrize(
    ("changes", "reference", "sentence"),
    [
        ({}, "theirs", "nothing to compare with theirs.*near, ours, far"),
        ({"near": np.ones(59)}, "ours", "lists of one length"),
        ({"near": np.full(60, np.nan)}, "ours", "NaN or infinite"),
    ],
)
def test_models_that_cannot_be_paired_are_refused(three_models, changes, reference, sentence):
    with pytest.raises(InputError, match=sentence):
        compare_models({**three_models, **changes}, reference, Bootstrap(60, seed=0), seed=0)


def test_a_model_alone_and_another_test_set_are_refused(three_models):
    with pytest.raises(InputError, match="nothing to compare with ours"):
        compare_models({"ours": np.ones(60)}, "ours", Bootstrap(60, seed=0), seed=0)
    with pytest.raises(InputError, match="40 studies needs 40 values"):
        compare_models(three_models, "ours", Bootstrap(40, seed=0), seed=0)


def test_the_best_of_equal_models_leads_only_where_it_was_chosen():
    values = np.random.default_rng(1).standard_normal((5, 4000))
    seen, kept_out = lead_of_the_best(values - values.mean(axis=1)[:, None], seed=0, cuts=400)
    # The largest of five standard normals is 1.163 on average, of halves of 2000 values each.
    assert seen == pytest.approx(1.163 / np.sqrt(2 * 2000), rel=0.1)
    assert kept_out == pytest.approx(-seen, rel=0.01)  # both halves of each model sum to 0


def test_a_better_model_leads_in_both_halves():
    values = np.vstack([np.ones(50), np.zeros(50), np.zeros(50)])
    assert lead_of_the_best(values, seed=0, cuts=20) == pytest.approx((2 / 3, 2 / 3))


def test_the_lead_is_that_of_a_loop_over_the_cuts():
    values = np.random.default_rng(0).random((3, 7))
    order = np.random.default_rng(5).random((4, 7)).argsort(axis=1)
    seen, kept_out = [], []
    for row in order:
        half, other = values[:, row < 3], values[:, row >= 3]
        best = int(np.argmax(half.mean(axis=1)))
        seen.append(half[best].mean() - half.mean())
        kept_out.append(other[best].mean() - other.mean())
    found = lead_of_the_best(values, seed=5, cuts=4)
    assert found == pytest.approx((np.mean(seen), np.mean(kept_out)))


@pytest.mark.parametrize("shape", [(1, 10), (3, 1), (4,)])
def test_nothing_can_be_chosen_from_one_model_or_one_query(shape):
    with pytest.raises(InputError, match="at least 2 of each"):
        lead_of_the_best(np.zeros(shape), seed=0)
