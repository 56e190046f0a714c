import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cxr_mtl import metrics
from cxr_mtl.weighted import average_precision_of, f1_of, median_of, roc_auc_of


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


def test_f1_of_probabilities_is_the_metrics_own():
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 3, (25, 25)) / 2, rng.integers(0, 2, 25)
    predicted = metrics.hit_at_k(scores, np.ones(25, int), labels, 1)
    assert ((predicted > 0) & (predicted < 1)).any()
    expected = metrics.f1_of_top1(scores, labels, labels)
    assert f1_of(predicted, labels)(np.ones(25, int)) == pytest.approx(expected)


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
