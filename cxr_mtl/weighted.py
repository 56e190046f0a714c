"""Statistics of resampled queries, for bootstraps: values are sorted once, then only reweighted.

Each function takes the values of n queries and returns a function of weights [n], how often each
query is drawn. Its value is the statistic of the drawn queries, NaN where they have none.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Statistic = Callable[[Integers], float]


def median_of(values: Floats) -> Statistic:
    """The median of those that are not NaN; the mean of the middle two of an even number drawn."""
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # NaN sorts last.
    ordered = values[order]

    def statistic(weights: Integers) -> float:
        last = np.cumsum(weights[order])
        if not last.any():
            return float("nan")
        middle = np.searchsorted(last, [(last[-1] - 1) // 2, last[-1] // 2], side="right")
        return float(ordered[middle].mean())

    return statistic


def f1_of(predicted: Floats, labels: Integers) -> Statistic:
    """F1 = 2TP / (2TP + FP + FN) of label 1; `predicted` is the probability of predicting it."""
    predicted, labels = np.asarray(predicted, dtype=np.float64), np.asarray(labels)
    true_positive, both = predicted * labels, predicted + labels

    def statistic(weights: Integers) -> float:
        positives = weights @ labels
        if not 0 < positives < weights.sum():
            return float("nan")
        return float(2 * (weights @ true_positive) / (weights @ both))

    return statistic


def roc_auc_of(scores: Floats, labels: Integers) -> Statistic:
    """ROC AUC, P(score of a 1 > score of a 0) + P(equal)/2."""
    split = _by_score(scores, labels)

    def statistic(weights: Integers) -> float:
        positives, negatives = split(weights)
        pairs = positives.sum() * negatives.sum()
        above = negatives.sum() - np.cumsum(negatives) + negatives / 2
        return float(positives @ above / pairs) if pairs else float("nan")

    return statistic


def average_precision_of(scores: Floats, labels: Integers) -> Statistic:
    """Average precision Σₙ (Rₙ − Rₙ₋₁) Pₙ over the thresholds, equal scores at one threshold."""
    split = _by_score(scores, labels)

    def statistic(weights: Integers) -> float:
        positives, negatives = split(weights)
        if not (positives.any() and negatives.any()):
            return float("nan")
        found = np.cumsum(positives)
        precision = found / np.maximum(found + np.cumsum(negatives), 1)
        return float(positives @ precision / found[-1])

    return statistic


def _by_score(scores: Floats, labels: Integers) -> Callable[[Integers], tuple[Floats, Floats]]:
    """Of weights: the drawn positives and negatives at each distinct score, highest score first."""
    distinct, group = np.unique(-np.asarray(scores), return_inverse=True)
    positive = np.asarray(labels) == 1

    def split(weights: Integers) -> tuple[Floats, Floats]:
        return (
            np.bincount(group, weights * positive, len(distinct)),
            np.bincount(group, weights * ~positive, len(distinct)),
        )

    return split
