"""Metrics of ranked results where several items may be relevant, more or less so.

`rank_items` sorts the items of every query once; the metrics are functions of what it returns and
give one value per query, [queries]. It is NaN where the query has no relevant item. An item is
relevant where its relevance is above 0; only `ndcg` also uses how relevant it is.

Tied items stand in a random order, and a value is the expectation over all orders of the ties. A
metric that is a sum over places of gains takes the mean gain of the tied at each of their places.
Equal scores for all items thus give the value of a random ranking.

A cut-off k above the number of items means all of them. The arrays are [queries, items], and the
work takes up to about 80 bytes per score: many queries among many items go in chunks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]


@dataclass(frozen=True)
class Ranked:
    """The items of each query by falling score, arrays of [queries, items].

    Place p, from 0, holds an item of relevance `relevance[:, p]`. It is tied with the items of the
    places `first[:, p]` to `stop[:, p]` − 1, itself among them.
    """

    relevance: Floats
    first: Integers
    stop: Integers


def rank_items(scores: ArrayLike, relevance: ArrayLike, tolerance: float = 0.0) -> Ranked:
    """Sort the items of every query by falling score and find the ties.

    `scores` and `relevance` are [queries, items]; relevance is 0 for an item that is not relevant
    and positive for one that is. Neighbours in the order of the scores are tied when they differ
    by at most `tolerance`, so that a chain of such neighbours is one tie.

    Raises:
        InputError: the two differ in shape or hold no item, a score is not finite, or a relevance
            is negative or not finite.
    """
    relevance = np.asarray(relevance, dtype=np.float64)
    # Whole numbers become floats: a negated unsigned one would sort wrongly.
    scores = np.asarray(scores, dtype=np.result_type(np.asarray(scores), np.float32))
    _check(scores, relevance)
    order = np.argsort(-scores, axis=1, kind="stable")
    falling = np.take_along_axis(scores, order, axis=1)
    parted = falling[:, :-1] - falling[:, 1:] > tolerance

    items = scores.shape[1]
    first = np.zeros(scores.shape, dtype=np.intp)
    first[:, 1:] = np.where(parted, np.arange(1, items), 0)
    stop = np.full(scores.shape, items, dtype=np.intp)
    stop[:, :-1] = np.where(parted, np.arange(1, items), items)
    return Ranked(
        np.take_along_axis(relevance, order, axis=1),
        np.maximum.accumulate(first, axis=1),
        np.minimum.accumulate(stop[:, ::-1], axis=1)[:, ::-1],
    )


def precision_at_k(ranked: Ranked, k: int) -> Floats:
    """Share of the top k that is relevant.

    Raises:
        InputError: k is below 1.
    """
    k = _cut(ranked, k)
    return _defined(ranked, _mean_of_tied(ranked, ranked.relevance > 0)[:, :k].mean(axis=1))


def hit_at_k(ranked: Ranked, k: int) -> Floats:
    """Probability that at least one of the top k is relevant.

    Raises:
        InputError: k is below 1.
    """
    return _defined(ranked, 1 - _none_so_far(ranked)[:, _cut(ranked, k) - 1])


def recall_at_k(ranked: Ranked, k: int) -> Floats:
    """Share of the relevant items that is among the top k.

    Raises:
        InputError: k is below 1.
    """
    found = _mean_of_tied(ranked, ranked.relevance > 0)[:, : _cut(ranked, k)].sum(axis=1)
    return _defined(ranked, found / _relevant_or_one(ranked))


def r_precision(ranked: Ranked) -> Floats:
    """Precision at R, the number of relevant items of the query."""
    relevant = _relevant_or_one(ranked)
    found = np.cumsum(_mean_of_tied(ranked, ranked.relevance > 0), axis=1)
    at_r = np.take_along_axis(found, relevant[:, None] - 1, axis=1)[:, 0]
    return _defined(ranked, at_r / relevant)


def average_precision(ranked: Ranked) -> Floats:
    """Mean, over the relevant items, of the precision at the place of each; its mean is the mAP.

    Of t items tied behind a others, r and R are relevant. One of the tied stands at their place p
    and is relevant with probability r/t; the p − 1 tied before it then hold (p − 1)(r − 1)/(t − 1)
    relevant ones on average. The place adds (r/t) (R + 1 + (p − 1)(r − 1)/(t − 1)) / (a + p).
    """
    ahead, tied = _ahead_and_tied(ranked, ranked.relevance > 0)
    size = ranked.stop - ranked.first
    place = np.arange(1, size.shape[1] + 1)
    before = (place - 1 - ranked.first) * (tied - 1) / np.maximum(size - 1, 1)
    precision = (ahead + 1 + before) / place
    return _defined(ranked, (tied / size * precision).sum(axis=1) / _relevant_or_one(ranked))


def reciprocal_rank(ranked: Ranked) -> Floats:
    """Expected reciprocal rank of the first relevant item; its mean is the MRR."""
    first_here = -np.diff(_none_so_far(ranked), axis=1, prepend=1.0)
    return _defined(ranked, first_here @ (1 / np.arange(1, first_here.shape[1] + 1)))


def first_rank(ranked: Ranked) -> Floats:
    """Expected rank of the first relevant item, from 1.

    Of t items tied behind a others, the first of r relevant ones stands at a + (t + 1)/(r + 1).
    """
    relevant = ranked.relevance > 0
    place = relevant.argmax(axis=1)[:, None]
    first = np.take_along_axis(ranked.first, place, axis=1)[:, 0]
    tied = ranked.first == first[:, None]
    rank = first + (tied.sum(axis=1) + 1) / ((tied & relevant).sum(axis=1) + 1)
    return _defined(ranked, rank)


def ndcg(ranked: Ranked, k: int | None = None) -> Floats:
    """Normalised discounted cumulative gain of the top k, of all items without k.

    DCG = Σ_{p≤k} relevance_p / log₂(p + 1), divided by that of the items in the order of their
    relevance (Järvelin, Kekäläinen, 2002; the linear gain of trec_eval and scikit-learn).

    Raises:
        InputError: k is below 1.
    """
    items = ranked.relevance.shape[1]
    k = items if k is None else _cut(ranked, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.sort(ranked.relevance, axis=1)[:, ::-1][:, :k] @ discount
    gained = _mean_of_tied(ranked, ranked.relevance)[:, :k] @ discount
    return _defined(ranked, gained / np.where(ideal > 0, ideal, 1))


def _ahead_and_tied(ranked: Ranked, gains: NDArray) -> tuple[NDArray, NDArray]:
    """Sum of the gains ahead of the tie of each place, and within it."""
    total = np.zeros((len(gains), gains.shape[1] + 1))
    np.cumsum(gains, axis=1, out=total[:, 1:])
    ahead = np.take_along_axis(total, ranked.first, axis=1)
    return ahead, np.take_along_axis(total, ranked.stop, axis=1) - ahead


def _mean_of_tied(ranked: Ranked, gains: NDArray) -> Floats:
    """Expected gain at each place: the mean over the tied."""
    _, tied = _ahead_and_tied(ranked, gains)
    return tied / (ranked.stop - ranked.first)


def _none_so_far(ranked: Ranked) -> Floats:
    """Probability that no item up to each place, that place included, is relevant.

    Where none of the tied came up yet, the next is relevant with probability r / (those left); it
    is sure once only r are left: that factor is 0, and so is the product from there on.
    """
    _, tied = _ahead_and_tied(ranked, ranked.relevance > 0)
    left = ranked.stop - np.arange(tied.shape[1])
    return np.cumprod(1 - tied / left, axis=1)


def _relevant_or_one(ranked: Ranked) -> Integers:
    """Number of relevant items, 1 where there is none: a divisor of what `_defined` leaves out."""
    return np.maximum((ranked.relevance > 0).sum(axis=1), 1)


def _defined(ranked: Ranked, values: Floats) -> Floats:
    return np.where((ranked.relevance > 0).any(axis=1), values, np.nan)


def _cut(ranked: Ranked, k: int) -> int:
    if k < 1:
        raise InputError(f"k is {k}: give a k of at least 1")
    return min(k, ranked.relevance.shape[1])


def _check(scores: NDArray, relevance: Floats) -> None:
    if scores.ndim != 2 or scores.shape != relevance.shape or not scores.shape[1]:
        raise InputError(
            f"scores of shape {list(scores.shape)} and relevance of shape {list(relevance.shape)} "
            "cannot be ranked: give two tables [queries, items] of one shape with at least one item"
        )
    if not np.isfinite(scores).all():
        raise InputError("a score is NaN or infinite: look for NaN in the embeddings")
    usable = np.isfinite(relevance) & (relevance >= 0)
    if not usable.all():
        raise InputError(
            f"{relevance[~usable][0]} is no relevance: give 0 to items that are not relevant and a "
            "positive number to those that are"
        )
