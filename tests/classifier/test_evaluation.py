"""The classifier's logits, threshold, metrics and curves, by definition and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, precision_recall_curve, roc_curve

from cxr_mtl.base.errors import InputError
from cxr_mtl.classifier.evaluation import (
    BINS,
    METRICS,
    classifier_records,
    expected_calibration_error,
    logits_of,
    precision_recall_curve_with_band,
    roc_curve_with_band,
)
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.models.backbones import FusionHead


def classified(studies: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(studies) % 2)
    return rng.beta(2 + labels, 3 - labels), labels


def values(records):
    return {record["metric"]: record["value"] for record in records}


def test_logits_are_the_linear_layer_on_the_mean_embedding_without_dropout():
    head = FusionHead(6, dropout=0.9).train()
    images, texts = np.random.default_rng(0).normal(size=(2, 5, 6))
    weight, bias = head.linear.weight.detach().numpy()[0], head.linear.bias.item()
    expected = (images + texts) / 2 @ weight + bias
    np.testing.assert_allclose(logits_of(head, images, texts), expected, rtol=1e-5, atol=1e-6)
    alone = logits_of(head, images, images)
    np.testing.assert_allclose(alone, images @ weight + bias, rtol=1e-5, atol=1e-6)
    assert head.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("images", "texts", "message"),
    [
        (np.ones((2, 6)), np.ones((3, 6)), r"\[2, 6\] and \[3, 6\]"),
        (np.ones((2, 5)), np.ones((2, 5)), r"a head for \[studies, 6\]"),
        (np.ones((2, 6)), np.full((2, 6), np.nan), "NaN or infinity"),
    ],
)
def test_embeddings_that_do_not_fit_the_head_are_refused(images, texts, message):
    with pytest.raises(InputError, match=message):
        logits_of(FusionHead(6, 0.0), images, texts)


def test_the_calibration_error_is_the_mean_distance_in_equal_bins():
    probabilities, labels = classified(200)
    share, mean = calibration_curve(labels, probabilities, n_bins=BINS, strategy="quantile")
    error = expected_calibration_error(probabilities, labels)
    assert error == pytest.approx(np.abs(share - mean).mean())
    assert expected_calibration_error(np.full(40, 0.25), np.arange(40) % 4 == 0) == 0
    assert expected_calibration_error(np.full(40, 0.9), np.arange(40) % 2) == pytest.approx(0.4)


def test_the_metrics_are_those_of_their_definitions():
    probabilities = np.repeat([0.1, 0.4, 0.6, 0.9], 25)
    labels = np.repeat([0, 1, 0, 1], 25)
    found = values(classifier_records(probabilities, labels, 0.6, Bootstrap(100, seed=0)))
    assert found == pytest.approx(
        {
            "roc_auc": 0.75,
            "average_precision": 0.5 * 1 + 0.5 * 2 / 3,
            "sensitivity": 0.5,
            "specificity": 0.5,
            "accuracy": 0.5,
            "f1": 0.5,
            "brier": (0.01 + 0.36 + 0.36 + 0.01) / 4,
            "ece": (0.1 + 0.6 + 0.6 + 0.1) / 4,
        }
    )
    assert list(found) == list(METRICS)


def test_every_interval_is_that_of_the_metric_on_the_resampled_studies():
    probabilities, labels = classified(100)
    bootstrap = Bootstrap(100, seed=0, resamples=100)
    records = classifier_records(probabilities, labels, 0.5, bootstrap)
    drawn = [np.repeat(np.arange(100), counts) for counts in bootstrap.counts]
    for record in records:
        if record["metric"] == "ece":  # its bins stay those of the sample
            continue
        compute = METRICS[record["metric"]]
        replicates = [
            compute(labels[rows], probabilities[rows], probabilities[rows] >= 0.5) for rows in drawn
        ]
        low, high = np.quantile(replicates, [0.025, 0.975])
        assert (record["low"], record["high"]) == pytest.approx((low, high)), record["metric"]


def test_the_interval_of_the_calibration_error_keeps_the_bins_of_the_sample():
    probabilities, labels = classified(100)
    bootstrap = Bootstrap(100, seed=0, resamples=200)
    record = classifier_records(probabilities, labels, 0.5, bootstrap)[-1]
    bins = np.array_split(np.argsort(probabilities), BINS)
    replicates = [
        sum(abs((counts * (probabilities - labels))[rows].sum()) for rows in bins) / 100
        for counts in bootstrap.counts
    ]
    low, high = np.quantile(replicates, [0.025, 0.975])
    assert (record["low"], record["high"]) == pytest.approx((low, high))


def test_a_group_has_the_metrics_of_its_own_studies():
    probabilities, labels = classified(150)
    rows = np.arange(150) % 3 > 0
    labels = np.where(rows, labels, -1)  # the others need no label
    bootstrap = Bootstrap(150, seed=0)
    records = classifier_records(probabilities, labels, 0.5, bootstrap, "some", rows)
    assert {(r["group"], r["n"], r["positives"]) for r in records} == {
        ("some", 100, int(labels[rows].sum()))
    }
    for record in records:
        expected = METRICS[record["metric"]](
            labels[rows], probabilities[rows], probabilities[rows] >= 0.5
        )
        assert record["value"] == pytest.approx(expected)
        if record["metric"] != "ece":
            assert record["low"] < expected < record["high"]


def test_what_fewer_than_ten_studies_of_a_class_or_in_a_bin_decide_is_undefined():
    probabilities, labels = classified(60)
    normal = values(
        classifier_records(probabilities, labels, 0.5, Bootstrap(60, seed=0), "normal", labels == 0)
    )
    undefined = {"roc_auc", "average_precision", "sensitivity", "f1", "ece"}
    assert {metric for metric, value in normal.items() if value is None} == undefined
    assert normal["accuracy"] == normal["specificity"]
    few = np.cumsum(labels == 1) <= 9
    nine = classifier_records(probabilities, labels, 0.5, Bootstrap(60, seed=0), "nine", few)
    for record in nine:
        if record["metric"] in undefined:
            assert (record["value"], record["low"], record["high"]) == (None, None, None)
    nobody = np.zeros(60, dtype=bool)
    nothing = classifier_records(probabilities, labels, 0.5, Bootstrap(60, seed=0), "none", nobody)
    assert {record["value"] for record in nothing} == {None}


def test_f1_without_any_study_called_abnormal_is_zero_not_undefined():
    probabilities, labels = classified(60)
    found = values(classifier_records(probabilities, labels, 1.0, Bootstrap(60, seed=0)))
    assert found["f1"] == f1_score(labels, np.zeros(60)) == 0
    assert found["sensitivity"] == 0


def test_records_are_refused_where_the_arrays_do_not_belong_together():
    probabilities, labels = classified(40)
    with pytest.raises(InputError, match="for a bootstrap of 30 studies"):
        classifier_records(probabilities, labels, 0.5, Bootstrap(30, seed=0))
    rows = np.ones(39, dtype=bool)
    with pytest.raises(InputError, match=r"are \[40\], \[40\] and \[39\]"):
        classifier_records(probabilities, labels, 0.5, Bootstrap(40, seed=0), "g", rows)
    with pytest.raises(InputError, match="is no probability"):
        classifier_records(probabilities * 9, labels, 0.5, Bootstrap(40, seed=0))
    with pytest.raises(InputError, match="40 of 40 labels"):
        classifier_records(probabilities, labels - 5, 0.5, Bootstrap(40, seed=0))


@pytest.fixture
def in_tenths():
    """60 studies, a third of them abnormal, their probabilities tied in tenths."""
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 3 == 0).astype(int)
    return np.clip((0.2 * labels + rng.random(60)).round(1), 0, 1), labels


def test_the_roc_curve_is_scikit_learns_between_its_points(in_tenths):
    probabilities, labels = in_tenths
    curve = roc_curve_with_band(probabilities, labels, Bootstrap(60, seed=0, resamples=100))
    false, true, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(curve.y, np.interp(curve.x, false, true))
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0, 1, 1)


def test_precision_at_a_recall_is_that_of_the_highest_threshold_that_reaches_it(in_tenths):
    probabilities, labels = in_tenths
    bootstrap = Bootstrap(60, seed=0, resamples=100)
    curve = precision_recall_curve_with_band(probabilities, labels, bootstrap)
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    for x, y in zip(curve.x[::10], curve.y[::10], strict=True):
        reaching = thresholds[recall[:-1] >= x - 1e-9]
        assert y == pytest.approx(precision[:-1][thresholds == reaching.max()][0])


def test_the_bands_are_the_quantiles_of_the_curves_of_single_resamples(in_tenths):
    probabilities, labels = in_tenths
    bootstrap = Bootstrap(60, seed=3, resamples=100)
    curve = roc_curve_with_band(probabilities, labels, bootstrap)
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
    for make in (roc_curve_with_band, precision_recall_curve_with_band):
        curve = make(labels * 0.5, labels, bootstrap)
        for values in (curve.y, curve.low, curve.high):
            np.testing.assert_allclose(values, 1)


def test_one_class_has_no_curve():
    ones = np.ones(12, dtype=int)
    with pytest.raises(InputError, match="all 12 studies have the label 1"):
        roc_curve_with_band(ones / 2, ones, Bootstrap(12, seed=0, resamples=100))
