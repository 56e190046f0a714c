"""Figures of the classifier: its curves with bands, and how its probabilities are calibrated."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from cxr_mtl.classifier.evaluation import (
    BINS,
    precision_recall_curve_with_band,
    roc_curve_with_band,
)
from cxr_mtl.evidence.bootstrap import LEVEL, Bootstrap, Floats, Integers
from cxr_mtl.figures.common import LABEL_COLOURS, LABEL_NAMES, MODEL_COLOURS, shown_once
from cxr_mtl.figures.texts import drawable

# The first is the classifier of the fine-tuned model; the others, on part of the input, are grey.
CLASSIFIER_STYLES = ((MODEL_COLOURS[0], "-"), ("0.25", "-."), ("0.5", ":"))
_CHANCE = {"color": "black", "linestyle": "--", "linewidth": 1, "label": "chance"}


@shown_once
def roc_and_precision_recall(
    probabilities: Mapping[str, Floats],
    labels: Integers,
    bootstrap: Bootstrap,
) -> Figure:
    """ROC and precision-recall curves of up to three classifiers, with 95 % bootstrap bands.

    `probabilities` maps the names of the classifiers to what they say of each study, [n].

    Raises:
        InputError: all labels are equal.
    """
    figure, (roc, recall) = plt.subplots(1, 2, figsize=(8.8, 4.2), layout="constrained")
    for (name, values), style in zip(probabilities.items(), CLASSIFIER_STYLES, strict=False):
        colour, line = style
        x, y, low, high = roc_curve_with_band(values, labels, bootstrap)
        roc.plot(x, y, line, color=colour, label=drawable(name))
        roc.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        x, y, low, high = precision_recall_curve_with_band(values, labels, bootstrap)
        recall.plot(x, y, line, color=colour, label=drawable(name), drawstyle="steps-pre")
        recall.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0, step="pre")
    roc.plot([0, 1], [0, 1], **_CHANCE)
    recall.plot([0, 1], [labels.mean()] * 2, **_CHANCE)
    roc.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC")
    recall.set(xlabel="recall (sensitivity)", ylabel="precision", title="Precision and recall")
    for axis in (roc, recall):
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    roc.legend(loc="lower right")
    return figure


@shown_once
def reliability(probabilities: Floats, labels: Integers) -> Figure:
    """Abnormal share against mean probability in bins of equally many studies, and a histogram.

    Bars are 95 % Wilson intervals of the shares, from the studies of each bin.
    """
    figure, (curve, counts) = plt.subplots(
        2,
        1,
        figsize=(5.2, 6),
        sharex=True,
        height_ratios=[3, 1],
        layout="constrained",
    )
    share, mean = calibration_curve(labels, probabilities, n_bins=BINS, strategy="quantile")
    curve.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="calibrated")
    curve.plot(mean, share, marker="o", color=MODEL_COLOURS[0], label="test studies")
    curve.vlines(mean, *_share_intervals(probabilities, labels), color=MODEL_COLOURS[0])
    curve.set(ylim=(-0.02, 1.02), ylabel="share abnormal", title="Reliability")
    curve.legend(loc="upper left")
    counts.hist(
        [probabilities[labels == label] for label in LABEL_NAMES],
        bins=np.linspace(0, 1, 21),
        stacked=True,
        color=[LABEL_COLOURS[name] for name in LABEL_NAMES.values()],
        label=list(LABEL_NAMES.values()),
    )
    counts.set(xlim=(-0.02, 1.02), xlabel="probability of abnormal", ylabel="studies")
    counts.legend()
    return figure


def _share_intervals(probabilities: Floats, labels: Integers) -> tuple[list[float], list[float]]:
    """Ends of the Wilson intervals of the abnormal share, in the bins of `calibration_curve`."""
    edges = np.percentile(probabilities, np.linspace(0, 100, BINS + 1))
    bins = np.searchsorted(edges[1:-1], probabilities)
    intervals = [
        binomtest(int(labels[bins == number].sum()), int((bins == number).sum())).proportion_ci(
            LEVEL, method="wilson"
        )
        for number in np.unique(bins)
    ]
    return [interval.low for interval in intervals], [interval.high for interval in intervals]
