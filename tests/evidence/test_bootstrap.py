"""Bootstrap intervals cover the truth, agree with scipy's and never hide what is undefined."""

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bootstrap import (
    Bootstrap,
    average_precision_of,
    f1_of,
    median_of,
    percentile_interval,
    roc_auc_of,
)


def test_the_interval_covers_the_truth_in_95_of_100_test_sets():
    rng = np.random.default_rng(0)
    drawn = Bootstrap(200, seed=0, resamples=1000)
    intervals = [drawn.mean(rng.random(200) < 0.3) for _ in range(1000)]
    covered = np.mean([low <= 0.3 <= high for low, high in intervals])
    assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("statistic", [np.mean, np.std])
def test_intervals_are_those_of_scipy(statistic):
    values = np.random.default_rng(0).exponential(size=80)
    theirs = bootstrap(
        (values,),
        statistic,
        method="percentile",
        n_resamples=10_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    ours = Bootstrap(80, seed=0, resamples=10_000).of(lambda w: statistic(np.repeat(values, w)))
    # The standard error of a 2.5 % quantile of 10,000 draws is 0.027 of their spread.
    noise = 4 * np.sqrt(2) * 0.027 * theirs.standard_error
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=noise)


def test_a_mean_is_the_same_by_matrix_product_and_resample_by_resample():
    values = np.random.default_rng(0).random(30)
    drawn = Bootstrap(30, seed=0, resamples=200)
    by_loop = drawn.of(lambda weights: np.average(values, weights=weights))
    assert drawn.mean(values) == pytest.approx(by_loop)


def test_a_mean_is_over_the_defined_values_of_each_resample():
    values = np.array([np.nan, 0.2, 0.9, np.nan, 0.4, 0.5])
    drawn = Bootstrap(6, seed=0, resamples=300)
    means = [np.nanmean(np.repeat(values, w)) for w in drawn.counts if w[[1, 2, 4, 5]].any()]
    assert drawn.mean(values) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_the_mean_of_undefined_values_is_undefined():
    assert np.isnan(Bootstrap(4, seed=0).mean(np.full(4, np.nan))).all()


def test_the_record_of_a_mean_holds_it_with_its_interval():
    drawn = Bootstrap(4, seed=0)
    low, high = drawn.mean([0, 1, 1, 1])
    assert drawn.mean_record([0, 1, 1, 1]) == {"value": 0.75, "low": low, "high": high}


def test_a_statistic_undefined_in_many_resamples_is_undefined():
    labels, scores = np.arange(10) == 0, np.arange(10)

    def auc(weights):
        if not 0 < (labels * weights).sum() < 10:
            return np.nan
        return roc_auc_score(labels, scores, sample_weight=weights)

    assert np.isnan(Bootstrap(10, seed=0, resamples=100).of(auc)).all()


def test_up_to_5_percent_of_undefined_resamples_are_left_out():
    replicates = np.arange(100.0)
    replicates[:5] = np.nan
    low, high = np.quantile(np.arange(5, 100), [0.025, 0.975])
    assert percentile_interval(replicates) == pytest.approx((low, high))
    replicates[5] = np.nan
    assert np.isnan(percentile_interval(replicates)).all()


def test_a_resample_draws_as_many_studies_as_there_are_each_equally_often():
    counts = Bootstrap(50, seed=0).counts
    assert counts.shape == (2000, 50)
    assert (counts.sum(axis=1) == 50).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=4 / np.sqrt(2000))


def test_two_metrics_of_a_test_set_share_the_resamples():
    values = np.random.default_rng(0).random(40)
    drawn = Bootstrap(40, seed=0, resamples=200)
    low, high = drawn.mean(values)
    assert drawn.mean(values + 1) == pytest.approx((low + 1, high + 1))
    with pytest.raises(ValueError, match="read-only"):
        drawn.counts[0, 0] = 2


def test_a_seed_gives_one_interval():
    values = np.random.default_rng(0).random(40)
    first, again, other = (Bootstrap(40, seed=seed).mean(values) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("studies", "resamples", "sentence"),
    [(1, 2000, "at least 2 studies, not 1"), (40, 99, "99 resamples have no 2.5 % tail")],
)
def test_a_bootstrap_without_spread_or_tails_is_refused(studies, resamples, sentence):
    with pytest.raises(InputError, match=sentence):
        Bootstrap(studies, seed=0, resamples=resamples)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1, 2], r"5 studies needs 5 values.*\[2\]"),
        (np.ones((5, 1)), r"5 values.*\[5, 1\]"),
        ([1, 2, 3, 4, np.inf], "a value is infinite"),
    ],
)
def test_values_that_are_not_one_a_study_are_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        Bootstrap(5, seed=0).mean(values)


@pytest.fixture
def queries():
    """Tied and untied values, labels, and 30 resamples of 25 queries."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 25) / 8
    scores[:10] += rng.random(10)
    return scores, rng.integers(0, 2, 25), rng.multinomial(25, np.full(25, 1 / 25), 30)


def test_the_median_is_that_of_the_drawn_values(queries):
    values, _, draws = queries
    for weights in [*draws, np.eye(25, dtype=int)[3], np.arange(25) % 2 * 2]:
        expected = np.median(np.repeat(values, weights))
        assert median_of(values)(weights) == pytest.approx(expected)


def test_values_that_are_nan_do_not_count_in_the_median(queries):
    values, _, draws = queries
    values[::3] = np.nan
    for weights in draws:
        expected = np.nanmedian(np.repeat(values, weights))
        assert median_of(values)(weights) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "weights"), [([1.0, np.nan], [0, 2]), ([np.nan] * 2, [1, 1]), ([1.0, 2.0], [0, 0])]
)
def test_a_median_of_nothing_is_nan(values, weights):
    assert np.isnan(median_of(np.array(values))(np.array(weights)))


def test_f1_is_scikit_learns_of_the_drawn_queries(queries):
    values, labels, draws = queries
    predicted = (values > 0.5).astype(int)
    for weights in draws:
        expected = f1_score(np.repeat(labels, weights), np.repeat(predicted, weights))
        assert f1_of(predicted, labels)(weights) == pytest.approx(expected)


def test_f1_of_probabilities_counts_expected_confusions(queries):
    _, labels, draws = queries
    predicted = np.random.default_rng(1).integers(0, 5, 25) / 4
    for weights in draws:
        true = (weights * predicted * labels).sum()
        false = (weights * predicted * (1 - labels)).sum()
        missed = (weights * (1 - predicted) * labels).sum()
        expected = 2 * true / (2 * true + false + missed)
        assert f1_of(predicted, labels)(weights) == pytest.approx(expected)


def test_auc_and_average_precision_are_scikit_learns_with_sample_weights(queries):
    scores, labels, draws = queries
    for weights in draws:
        assert roc_auc_of(scores, labels)(weights) == pytest.approx(
            roc_auc_score(labels, scores, sample_weight=weights)
        )
        assert average_precision_of(scores, labels)(weights) == pytest.approx(
            average_precision_score(labels, scores, sample_weight=weights)
        )


@pytest.mark.parametrize("label", [0, 1])
def test_a_draw_of_one_label_has_no_value(queries, label):
    scores, labels, _ = queries
    weights = (labels == label).astype(int)
    for statistic in (f1_of, roc_auc_of, average_precision_of):
        assert np.isnan(statistic(scores, labels)(weights))
