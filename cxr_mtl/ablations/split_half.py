"""How good a choice looks on the test studies that chose it, and on others.

The test studies are cut into halves at random, many times. What is best on one half is chosen; the
other half, which had no say in it, tells how good the choice is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError
from cxr_mtl.classifier.evaluation import check_both_classes, choose_threshold


class Selection(NamedTuple):
    """Means over the cuts: on the half that chose, and on the half that was kept out of it."""

    seen: float
    kept_out: float


def lead_of_the_best(values: ArrayLike, *, seed: int, cuts: int = 2000) -> Selection:
    """How far the best of several models is ahead of their mean.

    `values`, [models, n], is the metric of each model for each of n queries.

    Raises:
        InputError: fewer than 2 models or 2 queries.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise InputError(
            f"the best of several needs values [models, queries], at least 2 of each, not "
            f"{list(values.shape)}"
        )
    n = values.shape[1]
    order = np.random.default_rng(seed).random((cuts, n)).argsort(axis=1)
    chooses = (order < n // 2).astype(np.float64)
    seen = chooses @ values.T / (n // 2)
    kept_out = (1 - chooses) @ values.T / (n - n // 2)
    best = seen.argmax(axis=1)
    return Selection(*(_lead(means, best) for means in (seen, kept_out)))


def _lead(means: NDArray[np.float64], best: NDArray[np.intp]) -> float:
    return float((means[np.arange(len(best)), best] - means.mean(axis=1)).mean())


def youden(probabilities: ArrayLike, labels: ArrayLike, threshold: float) -> float:
    """Youden's J = sensitivity + specificity − 1 at a threshold; both arrays [n], abnormal is 1.

    Raises:
        InputError: all labels are equal.
    """
    labels, called = np.asarray(labels), np.asarray(probabilities) >= threshold
    check_both_classes(labels, "Youden's J needs")
    return float(called[labels == 1].mean() - called[labels == 0].mean())


def youden_of_a_chosen_threshold(
    probabilities: ArrayLike, labels: ArrayLike, *, seed: int, cuts: int = 200
) -> Selection:
    """Youden's J of the threshold that is best on one half; the halves have equal shares abnormal.

    Raises:
        InputError: fewer than 2 studies of a class, or bad input as in `choose_threshold`.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    classes = [np.flatnonzero(labels == label) for label in (0, 1)]
    if min(map(len, classes)) < 2:
        raise InputError(
            f"{len(classes[0])} normal and {len(classes[1])} abnormal studies cannot be cut into "
            "halves with both: give at least 2 of each"
        )
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(cuts):
        chooses = np.zeros(len(labels), dtype=bool)
        for rows in classes:
            chooses[rng.permutation(rows)[: len(rows) // 2]] = True
        threshold = choose_threshold(probabilities[chooses], labels[chooses])
        halves = chooses, ~chooses
        found.append([youden(probabilities[half], labels[half], threshold) for half in halves])
    return Selection(*(float(mean) for mean in np.mean(found, axis=0)))


def youden_by_choice(
    probabilities: ArrayLike, labels: ArrayLike, threshold: float, *, seed: int
) -> dict[str, float]:
    """Youden's J on the test studies by the studies that chose the threshold.

    `validation`: the given threshold, chosen elsewhere; `test`: the best on the test studies
    themselves; `half, seen` and `half, kept out`: of `youden_of_a_chosen_threshold`.

    Raises:
        InputError: as in `youden_of_a_chosen_threshold`.
    """
    halves = youden_of_a_chosen_threshold(probabilities, labels, seed=seed)
    return {
        "validation": youden(probabilities, labels, threshold),
        "test": youden(probabilities, labels, choose_threshold(probabilities, labels)),
        "half, seen": halves.seen,
        "half, kept out": halves.kept_out,
    }
