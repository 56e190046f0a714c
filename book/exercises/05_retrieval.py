# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   cxr_mtl:
#     needs: [studies.parquet, models.json, embeddings]
# ---

# %% [markdown]
# # Exercises: retrieval
#
# These go with [the chapter on retrieval](../05_retrieval) and work on the embeddings of the test
# studies that it left.

# %% tags=["hide-input"]
from itertools import permutations, product
from math import comb

import faiss
import numpy as np
import pandas as pd
from scipy.stats import norm, permutation_test

from cxr_mtl.base import read_json, read_table
from cxr_mtl.evidence import Bootstrap, paired_test, tables
from cxr_mtl.retrieval import (
    Index,
    fused_vectors,
    graded_metrics,
    metrics,
    normalised,
    stored_embeddings,
)
from cxr_mtl.runs import check_parameters, open_run

faiss.omp_set_num_threads(1)  # The sets are small: threads would wait.

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %% [markdown]
# In all of them $v$ and $t$ are the L2-normalised image and report embeddings of the fine-tuned
# model, row $i$ of each being test study $i$. The scores of the strict protocol are $v t^\top$: row
# $i$ holds the similarity of image $i$ with every report, so the study's own report stands on the
# diagonal.

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
labels, own = test["label"].to_numpy(), np.arange(len(test))
models = read_json(run / "models.json")
tuned, base, _ = stored_embeddings(run / "embeddings", models).values()
v, t = map(normalised, tuned)
scores = v @ t.T
scores.shape

# %% [markdown]
# ```{exercise} From ranks to metrics
# :label: ex-05-ranks
#
# *Two minutes.* Each query has one relevant item, its own study, at some rank, counted from 1.
# Recall@k is the share of queries with a rank of at most $k$; the mean reciprocal rank is the mean
# of 1/rank.
#
# Write `recall_at_k(ranks, k)` and `mean_reciprocal_rank(ranks)` for an array of ranks [queries].
# The check compares both with the library on the strict scores. Which of recall@10 and the mean
# reciprocal rank notices that a study has risen from rank 40 to rank 11, and how much?
# ```

# %% [markdown]
# ```{solution-start} ex-05-ranks
# :class: dropdown
# ```


# %% tags=["solution"]
def recall_at_k(ranks: np.ndarray, k: int) -> float:
    """Share of the queries whose own study is among the first k."""
    ### BEGIN SOLUTION
    return float((ranks <= k).mean())
    ### END SOLUTION


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1/rank."""
    ### BEGIN SOLUTION
    return float((1 / ranks).mean())
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Recall@10 does not move. The query's reciprocal rank gains $1/11 - 1/40 \approx 0.066$, an eighth of
# what it gains by rising from rank 2 to rank 1: the mean reciprocal rank sees every rank, and hardly
# any but the first few.

# %% tags=["check"]
# A little noise parts equal scores: ties are a later exercise.
rng = np.random.default_rng(seed)
noisy = scores.astype(float) + rng.uniform(0, 1e-5, scores.shape)
ranks = 1 + (noisy > noisy.diagonal()[:, None]).sum(axis=1)
for k in (1, 3, 10):
    expected = metrics.recall_at_k(noisy, own, k).mean()
    answer = recall_at_k(ranks, k)
    assert answer == expected, (
        f"recall@{k} is {answer}, expected {expected}"
    )
expected = metrics.reciprocal_rank(noisy, own).mean()
answer = mean_reciprocal_rank(ranks)
assert answer is not None, "mean_reciprocal_rank returns nothing"
assert np.isclose(answer, expected), (
    f"MRR is {answer}, expected {expected}"
)
print("from ranks to metrics: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Random vectors under two protocols
# :label: ex-05-random-vectors
#
# *Ten minutes.* Draw images and reports as independent Gaussian vectors, so that neither knows
# anything of the other. Before you compute it: how often does an image find its own study among the
# fused vectors $f = \text{normalise}((v + t)/2)$? How often its own report among the reports?
#
# Write `accuracy_at_1(queries, items)` for L2-normalised vectors [n, d], twice: the share of queries
# whose best item has the query's own row number. The check asks a FAISS index about 400 random
# studies in 512 dimensions, then about the chapter's own embeddings.
# ```

# %% [markdown]
# ```{solution-start} ex-05-random-vectors
# :class: dropdown
# ```


# %% tags=["solution"]
def accuracy_at_1(queries: np.ndarray, items: np.ndarray) -> float:
    """Share of the queries whose best item has their own row number."""
    ### BEGIN SOLUTION
    best = (queries @ items.T).argmax(axis=1)
    return float((best == np.arange(len(queries))).mean())
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# A random image has the cosine $1/\sqrt{2} \approx 0.71$ with its own fused vector, half of which
# it is, and about $0 \pm 1/\sqrt{512} \approx 0 \pm 0.04$ with any other. It cannot miss. Among the
# reports it finds its own once in 400 times. The fused index rewards images for lying far apart, as
# random ones do.


# %% tags=["check"]
def found_by_faiss(queries, items):
    about = pd.DataFrame({"study": range(len(items)), "label": 0})
    index = Index.build(items, about.assign(image="", text=""), "any")
    _, positions = index.search(queries, 1)
    return (positions[:, 0] == np.arange(len(queries))).mean()


rng = np.random.default_rng(seed)
random_v, random_t = (
    normalised(rng.standard_normal((400, 512))) for _ in range(2)
)
# Equal reports are moved apart a little: ties are a later exercise.
apart_t = normalised(t + rng.normal(0, 1e-4, t.shape))
pairs = {"random": (random_v, random_t), "fine-tuned": (v, apart_t)}
for name, (images, reports) in pairs.items():
    fused = accuracy_at_1(images, fused_vectors(images, reports))
    strict = accuracy_at_1(images, reports)
    assert fused is not None, "accuracy_at_1 returns nothing"
    assert np.ndim(fused) == 0, "accuracy_at_1 returns no single number"
    indexed = found_by_faiss(images, fused_vectors(images, reports))
    assert np.isclose(fused, indexed), f"fused {fused}, FAISS {indexed}"
    indexed = found_by_faiss(images, reports)
    assert np.isclose(strict, indexed), (
        f"strict {strict}, FAISS {indexed}"
    )
    print(f"{name}: fused {fused:.3f}, strict {strict:.3f}")
    if name == "random":
        assert fused == 1, (
            "a random image has missed its own fused vector"
        )
        assert strict < 0.03, "random images know their reports"
print("random vectors: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A hit rate called precision
# :label: ex-05-hit-rate
#
# *Ten minutes.* The paper's "precision@k" rises with $k$ to 1. Write both readings for the labels
# of the results, best first, an array [queries, results] and the labels of the queries [queries]:
#
# - `precision_at_k(result_labels, query_labels, k)`: the mean share of the first $k$ results with
#   the query's label;
# - `hit_at_k(result_labels, query_labels, k)`: the share of queries with *at least one* such result
#   among the first $k$.
#
# What is either for a random order of $n$ items, half of each label? Write that down before you run
# the check. It compares both with the library on the images' retrieval of reports, and both with
# random orders.
# ```

# %% [markdown]
# ```{solution-start} ex-05-hit-rate
# :class: dropdown
# ```


# %% tags=["solution"]
def precision_at_k(
    result_labels: np.ndarray, query_labels: np.ndarray, k: int
) -> float:
    """Mean share of the first k results with the query's label."""
    ### BEGIN SOLUTION
    return float((result_labels[:, :k] == query_labels[:, None]).mean())
    ### END SOLUTION


def hit_at_k(
    result_labels: np.ndarray, query_labels: np.ndarray, k: int
) -> float:
    """Share of queries with a result of their label among the k."""
    ### BEGIN SOLUTION
    same = result_labels[:, :k] == query_labels[:, None]
    return float(same.any(axis=1).mean())
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# In a random order of half and half, precision@k is 1/2 for every $k$. A hit is missed only if all
# $k$ results have the other label, so hit@k is $1 - \binom{n/2}{k} / \binom{n}{k}$, about
# $1 - 2^{-k}$: 0.5, 0.875, 0.97 and 0.999 for $k$ = 1, 3, 5 and 10.

# %% tags=["check"]
rng = np.random.default_rng(seed)
noisy = scores.astype(float) + rng.uniform(0, 1e-5, scores.shape)
result_labels = labels[np.argsort(-noisy, axis=1)]
same_label = labels[:, None] == labels
order = graded_metrics.rank_items(noisy, same_label)
for k in (1, 3, 5, 10):
    answer = precision_at_k(result_labels, labels, k)
    expected = graded_metrics.precision_at_k(order, k).mean()
    assert answer is not None, "precision_at_k returns nothing"
    assert np.isclose(answer, expected), f"precision@{k} is {answer}"
    answer = hit_at_k(result_labels, labels, k)
    expected = metrics.hit_at_k(noisy, labels, labels, k).mean()
    assert answer is not None, "hit_at_k returns nothing"
    assert np.isclose(answer, expected), f"hit@{k} is {answer}"

halves = np.repeat([0, 1], 100)
shuffled = rng.permuted(np.tile(halves, (4000, 1)), axis=1)
asked = np.zeros(4000, dtype=int)
for k in (1, 3, 5, 10):
    by_chance = 1 - comb(100, k) / comb(200, k)
    hits, share = (
        f(shuffled, asked, k) for f in (hit_at_k, precision_at_k)
    )
    assert abs(hits - by_chance) < 0.04, f"random hit@{k} is {hits}"
    assert abs(share - 0.5) < 0.04, f"random precision@{k} is {share}"
    print(
        f"random order, k = {k}: hit {hits:.3f}, precision {share:.3f}"
    )
print("hit rate and precision: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Recall with ties
# :label: ex-05-ties
#
# *Half an hour.* Equal reports have equal embeddings, so an image has the same score with all of
# them. Which comes first is an accident of the search, and a metric must not depend on it. The
# book's answer: a metric is its expectation over all orders of the tied.
#
# Write `recall_with_ties(scores, k)` for scores [queries, items] with the own study on the diagonal:
# for each query the probability that its own study is among the first $k$ when tied items stand in
# random order, an array [queries]. Use loops; two scores are tied when they are equal. The
# check goes through all orders of small examples, and compares with the library on the chapter's
# scores, rounded so that there are many ties.
# ```

# %% [markdown]
# ```{solution-start} ex-05-ties
# :class: dropdown
# ```


# %% tags=["solution"]
def recall_with_ties(scores: np.ndarray, k: int) -> np.ndarray:
    """Probability that the own study is in the first k, [queries]."""
    ### BEGIN SOLUTION
    found = []
    for query, row in enumerate(scores):
        ahead = sum(score > row[query] for score in row)
        tied = sum(
            score == row[query] for score in row
        )  # Itself as well.
        places = min(max(k - ahead, 0), tied)
        found.append(places / tied)
    return np.array(found)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The tied share the places after those `ahead`, and the own study is equally probable at each of
# them. Taking the best of the tied places would be too kind: where all scores are equal, such a
# recall@1 is 1.

# %% tags=["check"]
rng = np.random.default_rng(seed)
small = rng.integers(0, 3, (5, 5)) / 2
for k in (1, 2, 5):
    answer = recall_with_ties(small, k)
    for query in range(5):
        # `sorted` keeps the order of equals: go through all orders.
        among = [
            query
            in sorted(order, key=lambda item, q=query: -small[q, item])[
                :k
            ]
            for order in permutations(range(5))
        ]
        wrong = (
            f"query {query}, k = {k}: {answer}, not {np.mean(among)}"
        )
        assert answer is not None, "recall_with_ties returns nothing"
        assert np.isclose(answer[query], np.mean(among)), wrong
coarse = np.round(scores[:100, :100], 2)
for k in (1, 10):
    expected = metrics.recall_at_k(coarse, np.arange(len(coarse)), k)
    answer = recall_with_ties(coarse, k)
    assert np.allclose(answer, expected), (
        f"not the library's recall@{k}"
    )
print("recall with ties: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A bootstrap interval by hand
# :label: ex-05-bootstrap
#
# *Half an hour.* The tables' intervals come from a percentile bootstrap: draw as many queries as
# there are, with replacement; take the mean; do it many times; the 2.5 % and the 97.5 % quantile of
# these means are the ends of the interval.
#
# Write `bootstrap_interval(values, resamples, rng)` for one value per query [queries] and a NumPy
# generator; it returns the two ends. The check uses the strict reciprocal ranks of the fine-tuned
# model. It compares the interval with the book's and with mean ± 1.96 standard errors. Then try it
# with values that are all equal: what does an interval without width claim, and what does it not?
# ```

# %% [markdown]
# ```{solution-start} ex-05-bootstrap
# :class: dropdown
# ```


# %% tags=["solution"]
def bootstrap_interval(
    values: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The ends of the 95 % percentile interval of the mean."""
    ### BEGIN SOLUTION
    n = len(values)
    means = [
        values[rng.integers(0, n, n)].mean() for _ in range(resamples)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The bootstrap's interval need not be symmetric: a mean of reciprocal ranks, most of them small and
# a few large, has the longer tail above. An interval without width says that no resample shows
# another value. It does not say that the next query would agree; for $n$ hits of $n$, a one-sided
# 95 % bound on the share of misses is about $3/n$.

# %% tags=["check"]
values = tables.reciprocal_ranks(*tuned, "image_to_text")
answer = bootstrap_interval(values, 4000, np.random.default_rng(seed))
assert answer is not None, "bootstrap_interval returns nothing"
book = Bootstrap(len(values), seed=seed).mean(values)
width = book.high - book.low
apart = np.abs(np.subtract(answer, book)).max()
assert apart <= 0.12 * width, f"{answer}, the book's is {tuple(book)}"
error = values.std(ddof=1) / np.sqrt(len(values))
normal = norm.interval(0.95, values.mean(), error)
ratio = (answer[1] - answer[0]) / (normal[1] - normal[0])
assert 0.85 < ratio < 1.15, (
    f"{ratio} times as wide as mean ± 1.96 errors"
)
low, high = bootstrap_interval(
    np.ones(50), 100, np.random.default_rng(seed)
)
assert (low, high) == (1, 1), "equal values have other means"
print(f"MRR {values.mean():.4f} [{answer[0]:.4f}, {answer[1]:.4f}]")
print("bootstrap interval: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A paired randomisation test by hand
# :label: ex-05-randomisation
#
# *Half an hour.* Two models answer the same queries. If they were equally good, each query's
# difference could as well have had the other sign. The p-value is the probability that random
# signs give a mean difference at least as far from 0 as the observed one
# {cite}`smucker2007`.
#
# Write `exact_p(a, b)` for the values of a few queries, twice [queries]: go through all $2^n$
# assignments of signs, the observed one included, and return the share that is as extreme. Compare
# absolute values, and allow for rounding (`1e-12`). The check asks SciPy, and then the book's test,
# which draws the signs at random because $2^{400}$ are too many.
# ```

# %% [markdown]
# ```{solution-start} ex-05-randomisation
# :class: dropdown
# ```


# %% tags=["solution"]
def exact_p(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of the paired randomisation test, all signs tried."""
    ### BEGIN SOLUTION
    differences = np.asarray(a) - np.asarray(b)
    observed = abs(differences.mean())
    means = [
        abs(np.mean(signs * differences))
        for signs in product([1, -1], repeat=len(differences))
    ]
    return float(np.mean(np.array(means) >= observed - 1e-12))
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# With $n$ queries that differ, no p-value is below $2 / 2^n$: five queries cannot be significant at
# 0.05, whatever they show. The random version adds the observed assignment to the drawn ones, so
# that p is never 0.

# %% tags=["check"]
values, others = (
    tables.reciprocal_ranks(*model, "image_to_text")
    for model in (tuned, base)
)
rng = np.random.default_rng(seed)
for _ in range(3):
    some = rng.choice(len(values), 9, replace=False)
    a, b = values[some], others[some]
    answer = exact_p(a, b)
    scipy_says = permutation_test(
        (a - b,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert answer is not None, "exact_p returns nothing"
    assert np.isclose(answer, scipy_says), (
        f"{answer}, SciPy {scipy_says}"
    )
    drawn = paired_test(a, b, seed=seed)
    assert abs(answer - drawn) < 0.03, (
        f"{answer}, the book's test {drawn}"
    )
assert exact_p([1, 1, 1, 1, 1], [0, 0, 0, 0, 0]) == 2 / 32, (
    "five of five"
)
assert exact_p([1, 2, 3], [1, 2, 3]) == 1, (
    "equal models must have p = 1"
)
print("paired randomisation test: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} What an approximate index misses
# :label: ex-05-ivf
#
# *An afternoon.* A flat index compares a query with every vector. For millions of studies an
# inverted file (IVF) is faster: it groups the vectors around centroids and looks only into the
# `probes` groups whose centroids are nearest the query. What it does not look at it cannot find.
# That loss is another one than the model's, and is measured against the flat index, whatever is
# relevant.
#
# Write `ivf_recall(items, queries, k, lists, probes)` with FAISS (`IndexIVFFlat` over an
# `IndexFlatIP`, inner product): the share of the flat index's first $k$ results that the IVF index
# finds too, averaged over the queries. The check expects 1 where all groups are searched, and no
# fall when more are. Then measure it for the chapter's fused vectors, with images and with fused
# vectors as queries. Which of the two needs more probes, and why? What would the loss do to
# accuracy@1?
# ```

# %% [markdown]
# ```{solution-start} ex-05-ivf
# :class: dropdown
# ```


# %% tags=["solution"]
def ivf_recall(
    items: np.ndarray,
    queries: np.ndarray,
    k: int,
    lists: int,
    probes: int,
) -> float:
    """Share of the exact first k that an IVF index finds."""
    ### BEGIN SOLUTION
    dimension = items.shape[1]
    flat = faiss.IndexFlatIP(dimension)
    flat.add(items)
    metric = faiss.METRIC_INNER_PRODUCT
    coarse = faiss.IndexFlatIP(dimension)
    inverted = faiss.IndexIVFFlat(coarse, dimension, lists, metric)
    inverted.cp.min_points_per_centroid = (
        1  # No warning for a small set.
    )
    inverted.train(items)
    inverted.add(items)
    inverted.nprobe = probes
    exact, found = (
        index.search(queries, k)[1] for index in (flat, inverted)
    )
    return float(
        np.mean(
            [
                len(set(e) & set(f)) / k
                for e, f in zip(exact, found, strict=True)
            ]
        )
    )
    ### END SOLUTION


# %% tags=["solution"]
### BEGIN SOLUTION
fused = fused_vectors(v, t)
pd.DataFrame(
    {
        f"{name} as queries": {
            probes: ivf_recall(fused, queries, 10, 8, probes)
            for probes in (1, 2, 4, 8)
        }
        for name, queries in {
            "fused vectors": fused,
            "images": v,
        }.items()
    }
).rename_axis("probes").round(3)
### END SOLUTION

# %% [markdown] tags=["solution"]
# The groups are made from fused vectors. Images lie apart from these (the modality gap), so the
# nearest centroids of an image are less certain to hold its nearest vectors. An own study in a
# group that is not searched is lost for accuracy@1 however good the model is, so a paper that uses
# an approximate index should say how much it misses. For a few thousand studies the flat index is
# exact and takes milliseconds.

# %% tags=["check"]
rng = np.random.default_rng(seed)
items = normalised(rng.standard_normal((1000, 16)))
asked = normalised(rng.standard_normal((100, 16)))
found = [
    ivf_recall(items, asked, 5, 8, probes) for probes in range(1, 9)
]
assert found[0] is not None, "ivf_recall returns nothing"
assert np.isclose(found[-1], 1), (
    f"all groups searched, recall {found[-1]}"
)
assert (np.diff(found) >= -1e-9).all(), (
    f"more probes, less recall: {found}"
)
assert 1 / 8 < found[0] < 0.9, f"one group of eight gives {found[0]}"
alone = ivf_recall(items, items, 1, 8, 1)
assert np.isclose(alone, 1), (
    "a vector lies in the group of its own centroid"
)
print("recall of an IVF index: passed")

# %% [markdown]
# ```{solution-end}
# ```
