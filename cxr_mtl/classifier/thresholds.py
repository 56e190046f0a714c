"""A threshold of the classifier: chosen, and how good the choice looks elsewhere.

`probabilities` and `labels` are [n], one a study; label 1 is abnormal, 0 normal. A study is called
abnormal where its probability reaches the threshold.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

from cxr_mtl.base.errors import InputError
from cxr_mtl.classifier.evaluation import check_both_classes, checked
from cxr_mtl.evidence.significance import Selection


def choose_threshold(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The threshold of the greatest Youden's J = sensitivity + specificity − 1.

    All thresholds between two neighbouring probabilities give one J: the middle of the best gap is
    taken, of several best gaps the widest, of equally wide ones the highest.
    Source: Youden, "Index for rating diagnostic tests", Cancer 1950.

    Raises:
        InputError: bad input as in `classifier_records`, one class, or one probability for all.
    """
    probabilities, labels = checked(probabilities, labels)
    check_both_classes(labels, "a threshold needs")
    false, true, thresholds = roc_curve(labels, probabilities, drop_intermediate=False)
    # The first point calls no study abnormal and the last one all: neither is a threshold.
    gain, upper, lower = (true - false)[1:-1], thresholds[1:-1], thresholds[2:]
    if not len(gain):
        raise InputError(
            f"all {len(labels)} studies have the probability {probabilities[0]:g}: no threshold "
            "tells one from another"
        )
    best = np.isclose(gain, gain.max(), rtol=0, atol=1e-12)
    chosen = np.argmax(np.where(best, upper - lower, -1))
    return float((upper[chosen] + lower[chosen]) / 2)


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
