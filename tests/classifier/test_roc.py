"""Curves and their bands agree with scikit-learn, one resample at a time."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr_mtl.base.errors import InputError
from cxr_mtl.classifier import roc
from cxr_mtl.evidence.bootstrap import Bootstrap


@pytest.fixture
def classified():
    """60 studies, a third of them abnormal, their probabilities tied in tenths."""
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 3 == 0).astype(int)
    return np.clip((0.2 * labels + rng.random(60)).round(1), 0, 1), labels


def test_the_roc_curve_is_scikit_learns_between_its_points(classified):
    probabilities, labels = classified
    curve = roc.roc_curve_with_band(probabilities, labels, Bootstrap(60, seed=0, resamples=100))
    false, true, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(curve.y, np.interp(curve.x, false, true))
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0, 1, 1)


def test_precision_at_a_recall_is_that_of_the_highest_threshold_that_reaches_it(classified):
    probabilities, labels = classified
    bootstrap = Bootstrap(60, seed=0, resamples=100)
    curve = roc.precision_recall_curve_with_band(probabilities, labels, bootstrap)
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    for x, y in zip(curve.x[::10], curve.y[::10], strict=True):
        reaching = thresholds[recall[:-1] >= x - 1e-9]
        assert y == pytest.approx(precision[:-1][thresholds == reaching.max()][0])


def test_the_bands_are_the_quantiles_of_the_curves_of_single_resamples(classified):
    probabilities, labels = classified
    bootstrap = Bootstrap(60, seed=3, resamples=100)
    curve = roc.roc_curve_with_band(probabilities, labels, bootstrap)
    singles = []
    for weights in bootstrap.counts:
        points = roc_curve(labels, probabilities, sample_weight=weights, drop_intermediate=False)
        singles.append(np.interp(curve.x, *points[:2]))
    low, high = np.quantile(singles, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(curve.low, low)
    np.testing.assert_allclose(curve.high, high)


def test_a_perfect_classifier_has_a_perfect_curve_and_a_band_without_width():
    labels = np.repeat([0, 1], 30)
    bootstrap = Bootstrap(60, seed=0, resamples=100)
    for make in (roc.roc_curve_with_band, roc.precision_recall_curve_with_band):
        curve = make(labels * 0.5, labels, bootstrap)
        for values in (curve.y, curve.low, curve.high):
            np.testing.assert_allclose(values, 1)


def test_one_class_has_no_curve():
    ones = np.ones(12, dtype=int)
    with pytest.raises(InputError, match="all 12 studies have the label 1"):
        roc.roc_curve_with_band(ones / 2, ones, Bootstrap(12, seed=0, resamples=100))
