"""The fusion head as a classifier: its logits, a threshold, and how good both are.

`probabilities` and `labels` are [n], one a study; label 1 is abnormal, 0 normal. A study is called
abnormal where its probability reaches the threshold. Metrics and curves have 95 % bootstrap
intervals; the curves of all resamples come from one sort of the probabilities.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
)

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import Record
from cxr_mtl.evidence.bootstrap import (
    TAILS,
    Bootstrap,
    Floats,
    Integers,
    Interval,
    Statistic,
    average_precision_of,
    f1_of,
    roc_auc_of,
)
from cxr_mtl.models.backbones import FusionHead
from cxr_mtl.retrieval.relevance import binary_labels

Booleans = NDArray[np.bool_]

BINS = 10
"""Bins of the calibration error and of the reliability diagram, each of as many studies."""
MIN_STUDIES = 10
"""Studies that a metric needs of each class it depends on, or in each bin, to be defined."""
POINTS = 201
"""Of a curve."""


class Curve(NamedTuple):
    """A curve with its pointwise 95 % bootstrap band: x, y, low and high, each [points]."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def logits_of(head: FusionHead, images: ArrayLike, texts: ArrayLike) -> Floats:
    """Logits [n] of the head without dropout; positive means abnormal.

    `images` and `texts` are embeddings before L2 normalisation, [n, dim]. Given the embeddings of
    one modality twice, the head reads this modality alone, for (V + V)/2 = V.

    Raises:
        InputError: the two shapes differ, the head is for another dim, or a value is not finite.
    """
    images, texts = (np.asarray(values, dtype=np.float32) for values in (images, texts))
    size = head.linear.in_features
    if images.shape != texts.shape or images.ndim != 2 or images.shape[1] != size:
        raise InputError(
            f"embeddings of shapes {list(images.shape)} and {list(texts.shape)} do not fit a head "
            f"for [studies, {size}]: give both embeddings of the model it was trained with"
        )
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        raise InputError("an embedding holds NaN or infinity: run the training chapter again")
    was_training = head.training
    head.eval()
    with torch.inference_mode():
        logits = head(torch.from_numpy(images), torch.from_numpy(texts))
    head.train(was_training)
    return logits.double().numpy()


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Distance of mean probability and abnormal share, averaged over `BINS` bins by their studies.

    The bins are those of scikit-learn's `calibration_curve(strategy="quantile")`: of equally many
    studies, but equal probabilities share a bin. A finite sample of a perfectly calibrated
    classifier has an error above 0.
    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.

    Raises:
        InputError: bad input as in `classifier_records`.
    """
    probabilities, labels = checked(probabilities, labels)
    return _calibration_error_of(probabilities, labels)(np.ones(len(labels)))


METRICS = {
    "roc_auc": lambda y, p, called: roc_auc_score(y, p),
    "average_precision": lambda y, p, called: average_precision_score(y, p),
    "sensitivity": lambda y, p, called: recall_score(y, called),
    "specificity": lambda y, p, called: recall_score(y, called, pos_label=0),
    "accuracy": lambda y, p, called: accuracy_score(y, called),
    "f1": lambda y, p, called: f1_score(y, called),
    "brier": lambda y, p, called: brier_score_loss(y, p, pos_label=1),
    "ece": lambda y, p, called: expected_calibration_error(p, y),
}
"""Every metric as a function of labels, probabilities and "called abnormal", each [n]."""


def classifier_records(
    probabilities: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    bootstrap: Bootstrap,
    group: str = "all",
    rows: Booleans | None = None,
) -> list[Record]:
    """Metrics of a classifier on a group of the test studies, one tidy record per `METRICS`.

    A record holds group, n, positives (the group's abnormal studies), metric, value, low and high.
    `rows`, [n], marks the group's studies; without it all belong to it. `bootstrap` is that of all
    test studies. Where fewer than `MIN_STUDIES` studies are of a class that a metric depends on,
    or in a bin of the ece, value, low and high are None. Resampling adds to an ece,
    so the interval of a small one lies above it.

    Raises:
        InputError: arrays of different lengths, a probability outside 0 to 1, a label of the group
            that is neither 0 nor 1, or a bootstrap of another number of studies.
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    rows = np.ones(labels.shape, dtype=bool) if rows is None else np.asarray(rows)
    if not probabilities.shape == labels.shape == rows.shape == bootstrap.counts.shape[1:]:
        raise InputError(
            f"probabilities, labels and the group's rows are {list(probabilities.shape)}, "
            f"{list(labels.shape)} and {list(rows.shape)} for a bootstrap of "
            f"{bootstrap.counts.shape[1]} studies: give one of each per test study"
        )
    if rows.any():
        checked(probabilities[rows], labels[rows])
    called = probabilities >= threshold
    abnormal, normal = int((labels[rows] == 1).sum()), int((labels[rows] == 0).sum())
    enough = {"sensitivity": abnormal, "specificity": normal, "ece": (abnormal + normal) // BINS}
    enough |= dict.fromkeys(("roc_auc", "average_precision", "f1"), min(abnormal, normal))
    records = []
    for metric, compute in METRICS.items():
        value, ends = None, (np.nan, np.nan)
        if enough.get(metric, abnormal + normal) >= MIN_STUDIES:
            value = float(compute(labels[rows], probabilities[rows], called[rows]))
            ends = _interval(metric, probabilities, labels, called, rows, bootstrap)
        low, high = (None if np.isnan(end) else end for end in ends)
        record = {"group": group, "n": abnormal + normal, "positives": abnormal, "metric": metric}
        records.append(record | {"value": value, "low": low, "high": high})
    return records


def roc_curve_with_band(probabilities: Floats, labels: Integers, bootstrap: Bootstrap) -> Curve:
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
    probabilities: Floats, labels: Integers, bootstrap: Bootstrap
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


def _interval(
    metric: str,
    probabilities: Floats,
    labels: Integers,
    called: Booleans,
    rows: Booleans,
    bootstrap: Bootstrap,
) -> Interval:
    of_each_study = {
        "sensitivity": np.where(labels == 1, called, np.nan),
        "specificity": np.where(labels == 0, ~called, np.nan),
        "accuracy": called == labels,
        "brier": (probabilities - labels) ** 2,
    }
    if metric in of_each_study:
        return bootstrap.mean(np.where(rows, of_each_study[metric], np.nan))
    statistics = {
        "roc_auc": roc_auc_of,
        "average_precision": average_precision_of,
        "f1": lambda p, y: f1_of(called[rows], y),
        "ece": _calibration_error_of,
    }
    statistic = statistics[metric](probabilities[rows], labels[rows])
    return bootstrap.of(lambda weights: statistic(weights[rows]))


def _calibration_error_of(probabilities: Floats, labels: Integers) -> Statistic:
    """The expected calibration error of drawn studies, in the bins of all of them."""
    edges = np.quantile(probabilities, np.linspace(0, 1, BINS + 1))
    in_bin = np.searchsorted(edges[1:-1], probabilities)[:, None] == np.arange(BINS)
    excess = in_bin * (probabilities - labels)[:, None]

    def statistic(weights: Integers) -> float:
        drawn = weights.sum()
        return float(np.abs(weights @ excess).sum() / drawn) if drawn else float("nan")

    return statistic


def _sample_and_resamples(
    probabilities: Floats, labels: Integers, bootstrap: Bootstrap
) -> Iterator[tuple[Floats, Floats]]:
    """Abnormal and normal studies called abnormal, [thresholds]: of the sample, then resamples.

    Thresholds fall from above the highest probability through the distinct ones. A resample
    without one of the classes has no curve and is left out.
    """
    check_both_classes(labels, "a curve needs")
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
    low, high = np.quantile(curves[1:], TAILS, axis=0)
    return Curve(grid, curves[0], low, high)


def checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Integers]:
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.ndim != 1 or probabilities.shape != labels.shape or not len(labels):
        raise InputError(
            f"probabilities of shape {list(probabilities.shape)} and labels of shape "
            f"{list(labels.shape)} do not belong together: give one of each per study"
        )
    wrong = probabilities[~((probabilities >= 0) & (probabilities <= 1))]
    if len(wrong):
        raise InputError(f"{wrong[0]:g} is no probability: apply the sigmoid to the logits")
    return probabilities, binary_labels(labels)


def check_both_classes(labels: Integers, needing: str) -> None:
    """Refuse labels that are all equal, with what is `needing` both.

    Raises:
        InputError: all labels are equal.
    """
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"all {len(labels)} studies have the label {labels[0]}: {needing} normal and abnormal "
            "studies"
        )
