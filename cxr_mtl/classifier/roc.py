"""ROC and precision-recall curves of a classifier with bootstrap bands.

`probabilities` and `labels` are [n], one a study; label 1 is abnormal, 0 normal. The curves of all
resamples come from one sort of the probabilities.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bootstrap import LEVEL, Bootstrap

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]

POINTS = 201


class Curve(NamedTuple):
    """A curve with its pointwise 95 % bootstrap band: x, y, low and high, each [points]."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def roc_curve_with_band(probabilities: Floats, labels: Labels, bootstrap: Bootstrap) -> Curve:
    """Sensitivity over 1 − specificity, straight between two thresholds.

    Raises:
        InputError: all labels are equal.
    """
    grid = np.linspace(0, 1, POINTS)
    curves = [
        np.interp(grid, false / false[-1], true / true[-1])
        for true, false in _sample_and_resamples(probabilities, labels, bootstrap)
    ]
    return _with_band(grid, curves)


def precision_recall_curve_with_band(
    probabilities: Floats, labels: Labels, bootstrap: Bootstrap
) -> Curve:
    """Precision over recall: at each recall that of the highest threshold that reaches it.

    Raises:
        InputError: all labels are equal.
    """
    grid = np.linspace(0, 1, POINTS)[1:]
    curves = []
    for true, false in _sample_and_resamples(probabilities, labels, bootstrap):
        # The slack keeps rounding from asking for more studies than the recall stands for.
        reached = np.searchsorted(true, grid * true[-1] - 1e-9)
        curves.append(true[reached] / (true[reached] + false[reached]))
    return _with_band(grid, curves)


def _sample_and_resamples(
    probabilities: Floats, labels: Labels, bootstrap: Bootstrap
) -> Iterator[tuple[Floats, Floats]]:
    """Abnormal and normal studies called abnormal, [thresholds]: of the sample, then resamples.

    Thresholds fall from above the highest probability through the distinct ones. A resample
    without one of the classes has no curve and is left out.
    """
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"all {len(labels)} studies have the label {labels[0]}: a curve needs normal and "
            "abnormal studies"
        )
    order = np.argsort(-probabilities, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
    abnormal = labels[order] == 1
    for weights in (np.ones(len(labels)), *bootstrap.counts):
        drawn = weights[order]
        true = np.append(0, np.cumsum(drawn * abnormal)[ends])
        false = np.append(0, np.cumsum(drawn * ~abnormal)[ends])
        if true[-1] and false[-1]:
            yield true, false


def _with_band(grid: Floats, curves: list[Floats]) -> Curve:
    low, high = np.quantile(curves[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Curve(grid, curves[0], low, high)
