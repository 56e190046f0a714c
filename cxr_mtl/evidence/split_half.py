"""How good the best of several models looks on the queries that chose it, and on others.

The queries are cut into halves at random, many times. What is best on one half is chosen; the
other half, which had no say in it, tells how good the choice is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxr_mtl.base.errors import InputError


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
