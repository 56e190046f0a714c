"""The classifier's figures show the data they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.calibration import calibration_curve

from cxr_mtl.classifier.evaluation import (
    BINS,
    precision_recall_curve_with_band,
    roc_curve_with_band,
)
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.figures import classifier, common


@pytest.fixture(autouse=True)
def _closed():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def classified():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    return rng.beta(2 + labels, 3 - labels), labels


def test_every_classifier_has_its_curves_bands_and_colour(classified):
    values, labels = classified
    bootstrap = Bootstrap(60, seed=0, resamples=100)
    shown = {"ours": values, "reversed": 1 - values}
    figure = classifier.roc_and_precision_recall(shown, labels, bootstrap)
    makers = (roc_curve_with_band, precision_recall_curve_with_band)
    for axis, make in zip(figure.axes, makers, strict=True):
        *curves, chance = axis.lines
        assert chance.get_label() == "chance"
        assert [to_hex(line.get_color()) for line in curves] == [
            to_hex(colour) for colour, _ in classifier.CLASSIFIER_STYLES[:2]
        ]
        for line, band, name in zip(curves, axis.collections, shown, strict=True):
            expected = make(shown[name], labels, bootstrap)
            assert line.get_label() == name
            np.testing.assert_array_equal(line.get_xdata(), expected.x)
            np.testing.assert_array_equal(line.get_ydata(), expected.y)
            drawn = band.get_paths()[0].vertices[:, 1]
            assert {*expected.low, *expected.high} <= set(drawn)
    assert list(figure.axes[1].lines[-1].get_ydata()) == [0.5, 0.5]


def test_the_reliability_diagram_shows_the_bins_and_every_study(classified):
    values, labels = classified
    curve, counts = classifier.reliability(values, labels).axes
    share, mean = calibration_curve(labels, values, n_bins=BINS, strategy="quantile")
    points = next(line for line in curve.lines if line.get_label() == "test studies")
    np.testing.assert_allclose(points.get_xydata(), np.column_stack([mean, share]))
    heights = [sum(bar.get_height() for bar in bars) for bars in counts.containers]
    assert heights == [30, 30]
    assert [to_hex(bars[0].get_facecolor()) for bars in counts.containers] == list(
        common.LABEL_COLOURS.values()
    )


def test_every_point_of_the_reliability_diagram_has_its_wilson_interval(classified):
    values, labels = classified
    curve = classifier.reliability(values, labels).axes[0]
    (bars,) = curve.collections
    share, mean = calibration_curve(labels, values, n_bins=BINS, strategy="quantile")
    n, z = len(labels) / BINS, 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    for segment, x, low, high in zip(
        bars.get_segments(), mean, middle - half, middle + half, strict=True
    ):
        np.testing.assert_allclose(segment, [[x, low], [x, high]], atol=1e-6)
