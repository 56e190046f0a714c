"""Is a difference more than luck? Tests of paired values, of published shares, and of two spreads.

Values of a query are those of one metric whose mean over the queries is reported; every test speaks
of other queries against the same collection.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact, t

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bootstrap import Bootstrap


class Selection(NamedTuple):
    """Means over the cuts: on the half that chose, and on the half that was kept out of it."""

    seen: float
    kept_out: float


class Spread(NamedTuple):
    """Standard deviations of a metric over training seeds and over draws of the test studies."""

    seed_sd: float
    test_sd: float


def paired_test(a: ArrayLike, b: ArrayLike, *, seed: int, permutations: int = 10_000) -> float:
    """Two-sided p-value that a and b, per-query values of two models, have one mean.

    Paired randomisation test: under the null hypothesis the sign of each difference a[q] − b[q] is
    a coin toss. p = (x + 1) / (permutations + 1), where x random sign assignments give a mean
    difference at least as far from 0 as the observed one (Smucker, Allan, Carterette, 2007;
    Phipson, Smyth, 2010).

    Raises:
        InputError: a and b differ in length, are empty, or hold NaN.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise InputError(
            f"a paired test needs two lists of one length, not {list(a.shape)} and "
            f"{list(b.shape)}: give the values of the same queries"
        )
    return float(paired_tests((a - b)[:, None], seed=seed, permutations=permutations)[0])


def paired_tests(
    differences: ArrayLike, *, seed: int, permutations: int = 10_000
) -> NDArray[np.float64]:
    """`paired_test` of several metrics at once: differences [queries, metrics] -> [metrics].

    All metrics see the same sign assignments.

    Raises:
        InputError: a difference is NaN or infinite.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise InputError("a paired test needs numbers: a value is NaN or infinite")
    observed = np.abs(differences.sum(axis=0))
    slack = 1e-12 * np.abs(differences).sum(axis=0)
    rng = np.random.default_rng(seed)
    extreme = np.zeros(differences.shape[1], dtype=int)
    for start in range(0, permutations, 1000):
        shape = min(1000, permutations - start), len(differences)
        signs = rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1
        extreme += (np.abs(signs @ differences) >= observed - slack).sum(axis=0)
    return (extreme + 1) / (permutations + 1)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values, in the order given.

    The i-th smallest of m, from 1, becomes max_{j≤i} min(1, (m − j + 1) p_(j)). To call those at
    most α significant keeps the chance of any false one at α (Holm, 1979).

    Raises:
        InputError: a value is no number from 0 to 1, or they are no list.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1 or not ((p_values >= 0) & (p_values <= 1)).all():
        raise InputError("Holm's adjustment needs a list of p-values, each from 0 to 1")
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def compare_models(
    values: Mapping[str, ArrayLike], reference: str, bootstrap: Bootstrap, *, seed: int
) -> pd.DataFrame:
    """The reference model against every other, by the values of the same queries, [studies].

    Returns:
        A row per other model: `against`; `difference`, the reference's mean less the other's;
        `low` and `high`, its bootstrap interval; `p_raw`, of the paired randomisation test; and
        `p`, adjusted by Holm over the rows.

    Raises:
        InputError: the reference is not among the models or is the only one, or the values of two
            models cannot be paired with each other or with the bootstrap's studies.
    """
    others = [model for model in values if model != reference]
    if reference not in values or not others:
        raise InputError(
            f"there is nothing to compare with {reference}: give its values and those of another "
            f"model, not of {', '.join(values) or 'none'}"
        )
    ours = np.asarray(values[reference], dtype=np.float64)
    p_raw = [paired_test(ours, values[model], seed=seed) for model in others]
    differences = [ours - np.asarray(values[model], dtype=np.float64) for model in others]
    intervals = [bootstrap.mean(difference) for difference in differences]
    return pd.DataFrame(
        {
            "against": others,
            "difference": [float(difference.mean()) for difference in differences],
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
            "p_raw": p_raw,
            "p": holm(p_raw),
        }
    )


def most_favourable_p(a: float, b: float, n: int) -> float:
    """The smallest p that two published shares of the same n queries allow.

    `a` and `b` are shares of hits, printed to three digits. Without the hits of each query the
    exact McNemar test cannot be made, but with d hits between the two it gives no less than when
    all discordant queries are on one side: p = min(1, 2 · 0.5^d) (McNemar, 1947). The true p is
    this or larger.

    Raises:
        InputError: a share is outside 0 to 1 or of no whole number of queries, or so many queries
            that the digits do not tell their number.
    """
    hits_a, hits_b = _hits(a, n), _hits(b, n)
    return min(1.0, 2 * 0.5 ** abs(hits_a - hits_b))


def unpaired_p(a: float, b: float, n: int) -> float:
    """The p of Fisher's exact test of two published shares, as if each had n queries of its own.

    It is what independence would give; models that find the same queries easy differ by chance
    less than that.

    Raises:
        InputError: as `most_favourable_p`.
    """
    hits_a, hits_b = _hits(a, n), _hits(b, n)
    return float(fisher_exact([[hits_a, n - hits_a], [hits_b, n - hits_b]]).pvalue)


def seed_and_test_spread(values: ArrayLike) -> Spread:
    """How far a metric moves with the training seed, and how far with the test studies.

    `values`, [seeds, n], are those of each query and seed. With value = mean + seed + study + rest,
    the last three of variances σ_seed², σ_study² and σ_rest² (two-way random effects):

    - `seed_sd`, the sample standard deviation over seeds of the mean over queries, estimates
      √(σ_seed² + σ_rest²/n): one training run against another on these test studies.
    - `test_sd`, the standard error over studies of one run's mean, its variance averaged over the
      seeds, estimates √((σ_study² + σ_rest²)/n): one training on other test studies.

    seed_sd² + test_sd² is the variance of one run with another seed on other test studies, on
    average too large by σ_rest²/n.

    Raises:
        InputError: fewer than 2 seeds or queries, or a value that is NaN or infinite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise InputError(
            "the spread over seeds and test studies needs values [seeds, queries], at least 2 of "
            f"each, not {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        raise InputError(
            "the spread over seeds and test studies needs numbers: leave out the queries whose "
            "value is NaN or infinite"
        )
    test_sd = np.sqrt(values.var(axis=1, ddof=1).mean() / values.shape[1])
    return Spread(seed_sd=float(values.mean(axis=1).std(ddof=1)), test_sd=float(test_sd))


def seed_band(seed_sd: float, seeds: int) -> float:
    """The half-width that 95 % of the differences between two trainings of other seeds stay within.

    `seed_sd` is the sample standard deviation of a metric over `seeds` trainings. The difference of
    two further ones has √2 times its standard deviation; that this is estimated makes the band
    t_{0.975, seeds − 1} √2 seed_sd, for normal metrics.

    Raises:
        InputError: fewer than 2 seeds.
    """
    if seeds < 2:
        raise InputError(f"{seeds} training seeds show no spread: train with at least 2")
    return float(t.ppf(0.975, seeds - 1) * np.sqrt(2) * seed_sd)


def lead_of_the_best(values: ArrayLike, *, seed: int, cuts: int = 2000) -> Selection:
    """How far the best of several models is ahead of their mean, where it was chosen and elsewhere.

    The queries are cut into halves at random, many times. What is best on one half is chosen; the
    other half had no say in it.

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


def _hits(share: float, n: int) -> int:
    """How many of n queries a share printed to three digits stands for."""
    if not 1 <= n <= 1000:
        raise InputError(
            f"a share of {n} queries printed to 3 digits does not tell how many hit: give from 1 "
            "to 1000 queries"
        )
    if not 0 <= share <= 1:
        raise InputError(f"{share} is no share of queries: give a number from 0 to 1")
    hits = round(share * n)
    if abs(share - hits / n) > 0.0005 + 1e-9:
        raise InputError(
            f"{share} is no share of {n} queries: the nearest is {hits} of them, {hits / n:.3f}"
        )
    return hits
