"""Confidence intervals of test metrics: resamples of the test studies, and statistics of each.

A resample draws as many studies as there are, with replacement, and each study brings all that
belongs to it. The collection that is searched and the trained model stay as they are: an interval
says how far the metric would move with other queries, not with another collection or another
training run.

What is no mean is a `Statistic`: it takes how often each study is drawn, [studies], and returns the
statistic of that resample, NaN where it is undefined.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]
Statistic = Callable[[Integers], float]

LEVEL = 0.95
TAILS = (1 - LEVEL) / 2, (1 + LEVEL) / 2
MOST_UNDEFINED = 0.05
"""Share of undefined resamples above which an interval of the others would mislead."""


class Interval(NamedTuple):
    """The ends of a 95 % confidence interval, both NaN where it is undefined."""

    low: float
    high: float


class Bootstrap:
    """Resamples of the test studies, drawn once, for the 95 % percentile intervals of all metrics.

    The intervals of one test set share the resamples, so those of two models are paired. Where all
    values are equal the interval has no width: no resample shows another value, which is not to
    say that another study could not.

    Attributes:
        counts: [resamples, studies], how often each study is in each resample; every row sums to
            the number of studies.
    """

    counts: NDArray[np.int32]
    _as_floats: Floats

    def __init__(self, studies: int, *, seed: int, resamples: int = 2000) -> None:
        """Draw the resamples.

        Raises:
            InputError: fewer than 2 studies or 100 resamples.
        """
        if studies < 2:
            raise InputError(
                f"a bootstrap needs at least 2 studies, not {studies}: take more test studies"
            )
        if resamples < 100:
            raise InputError(f"{resamples} resamples have no 2.5 % tail: take at least 100")
        rng = np.random.default_rng(seed)
        equal = np.full(studies, 1 / studies)
        self.counts = rng.multinomial(studies, equal, size=resamples).astype(np.int32)
        self.counts.flags.writeable = False
        self._as_floats = self.counts.astype(np.float64)  # Once: every mean multiplies by it.

    def mean(self, values: ArrayLike) -> Interval:
        """Interval of the mean of `values`, [studies]; NaN is left out of every resample's mean.

        Raises:
            InputError: another number of values than of studies, or an infinite value.
        """
        values = np.asarray(values, dtype=np.float64)
        studies = self.counts.shape[1]
        if values.shape != (studies,):
            raise InputError(
                f"a bootstrap of {studies} studies needs {studies} values, one a study, not an "
                f"array of shape {list(values.shape)}"
            )
        if np.isinf(values).any():
            raise InputError("a value is infinite: a metric is a number, or NaN where undefined")
        defined = ~np.isnan(values)
        sums = self._as_floats @ np.where(defined, values, 0.0)
        sizes = self._as_floats @ defined
        nothing = np.full_like(sums, np.nan)
        return percentile_interval(np.divide(sums, sizes, out=nothing, where=sizes > 0))

    def mean_record(self, values: ArrayLike) -> dict[str, float]:
        """The mean of `values`, [studies] without NaN, and its interval: value, low and high.

        Raises:
            InputError: as in `mean`.
        """
        return {"value": float(np.mean(values)), **self.mean(values)._asdict()}

    def of(self, statistic: Statistic) -> Interval:
        """Interval of a statistic that is no mean, such as a ROC AUC or a median."""
        return percentile_interval([statistic(weights) for weights in self.counts])


def percentile_interval(replicates: ArrayLike) -> Interval:
    """The 2.5 % and 97.5 % quantiles of a statistic's values in the resamples, [resamples].

    NaN values are left out; where they are more than 5 %, the interval is undefined (Efron,
    Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13).
    """
    replicates = np.asarray(replicates, dtype=np.float64)
    undefined = np.isnan(replicates)
    if undefined.mean() > MOST_UNDEFINED:
        return Interval(np.nan, np.nan)
    low, high = np.quantile(replicates[~undefined], TAILS)
    return Interval(float(low), float(high))


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
