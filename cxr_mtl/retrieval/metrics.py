"""Metrics of ranked results, from the scores of every query against every item.

`scores` is [queries, items], higher is better; `own[q]` is the column of query q's own study;
labels are 1 abnormal, 0 normal.

Tied items stand in a random order: a value that depends on it is the expectation over all orders
of the ties, so that no metric depends on the order in which a search returns equals. Two scores
are tied when they differ by at most `tolerance`.

Every function returns one value per query, [queries]; their mean is the reported metric. A score
that is not finite is an `InputError` everywhere.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from cxr_mtl.base.errors import InputError

Floats = NDArray[np.floating]
Integers = NDArray[np.integer]

# A report encoded in two batches differs by float32 rounding: scores this near are one score.
TIE_TOLERANCE = 1e-6


def rank(scores: Floats, own: Integers, tolerance: float = 0.0) -> Floats:
    """Expected rank of the own study, from 1: 1 + ahead + tied/2.

    `ahead` items score higher than the own study, `tied` others score the same.
    """
    ahead, tied = _ahead_and_tied(scores, own, tolerance)
    return 1 + ahead + tied / 2


def reciprocal_rank(scores: Floats, own: Integers, tolerance: float = 0.0) -> Floats:
    """Expected reciprocal rank of the own study; its mean is the MRR.

    The rank is uniform on ahead+1 … ahead+tied+1, so the expectation is
    (H(ahead+tied+1) − H(ahead)) / (tied+1) with the harmonic numbers H(n) = Σ_{i≤n} 1/i.
    """
    ahead, tied = _ahead_and_tied(scores, own, tolerance)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, scores.shape[1] + 1))])
    return (harmonic[ahead + tied + 1] - harmonic[ahead]) / (tied + 1)


def recall_at_k(scores: Floats, own: Integers, k: int, tolerance: float = 0.0) -> Floats:
    """Probability that the own study, the only relevant one, is among the top k.

    With t other items tied, a random order puts it there with min(1, max(0, k − ahead)/(t + 1)).
    Tables I to III call it accuracy@k: with one relevant item the two are one quantity.

    Raises:
        InputError: k is below 1 or above the number of items.
    """
    _check_k(scores, k)
    ahead, tied = _ahead_and_tied(scores, own, tolerance)
    return np.clip((k - ahead) / (tied + 1), 0, 1)


def similarity_at_k(scores: Floats, k: int) -> Floats:
    """Mean score of the top k, 1/k Σ_{r≤k} s_(r); ties do not matter.

    Raises:
        InputError: k is below 1 or above the number of items.
    """
    _check_finite(scores)
    _check_k(scores, k)
    items = scores.shape[1]
    return np.partition(scores, items - k, axis=1)[:, items - k :].mean(axis=1, dtype=np.float64)


def hit_at_k(
    scores: Floats,
    query_labels: Integers,
    item_labels: Integers,
    k: int,
    tolerance: float = 0.0,
) -> Floats:
    """Probability that at least one of the top k has the query's label.

    The tables call it precision@k, but it rises to 1.0 with k. Of t items tied at the k-th score,
    r with the query's label, m = k − ahead are taken at random: where no item ahead has the
    label, the probability is 1 − C(t − r, m) / C(t, m).

    Raises:
        InputError: k is below 1 or above the number of items.
    """
    _check_k(scores, k)
    ahead, tied = _around_the_kth(scores, k, tolerance)
    same = np.asarray(query_labels)[:, None] == np.asarray(item_labels)
    sure = (ahead & same).any(axis=1)
    draws = k - ahead.sum(axis=1)
    missed = hypergeom.pmf(0, tied.sum(axis=1), (tied & same).sum(axis=1), draws)
    return np.where(sure, 1.0, 1 - missed)


def _ahead_and_tied(scores: Floats, own: Integers, tolerance: float) -> tuple[Integers, Integers]:
    """Number of items above the own study, and of others level with it, per query."""
    _check_finite(scores)
    lead = scores - np.take_along_axis(scores, np.asarray(own)[:, None], axis=1)
    return (lead > tolerance).sum(axis=1), (np.abs(lead) <= tolerance).sum(axis=1) - 1


def _around_the_kth(
    scores: Floats, k: int, tolerance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which items are above the k-th highest score of their query, and which are level with it."""
    _check_finite(scores)
    items = scores.shape[1]
    lead = scores - np.partition(scores, items - k, axis=1)[:, [items - k]]
    return lead > tolerance, np.abs(lead) <= tolerance


def _check_finite(scores: Floats) -> None:
    if not np.isfinite(scores).all():
        raise InputError(
            "a score is NaN or infinite: look for NaN in the embeddings, and lower the learning "
            "rate if training diverged"
        )


def _check_k(scores: Floats, k: int) -> None:
    if not 1 <= k <= scores.shape[1]:
        raise InputError(
            f"k is {k} for {scores.shape[1]} items: give a k from 1 to {scores.shape[1]}"
        )
