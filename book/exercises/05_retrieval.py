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
from scipy.stats import binom, permutation_test

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
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    open_run,
)

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
tuned, *_ = stored_embeddings(run / "embeddings", models).values()
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
# The check knows six ranks by hand, and compares both with the library on the strict scores. Which of recall@10 and the mean
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
few = np.array([1, 2, 3, 4, 10, 11])
for k, expected in {1: 1 / 6, 3: 1 / 2, 10: 5 / 6}.items():
    expect_close(recall_at_k(few, k), expected, f"recall@{k} of {few}")
expected = (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 10 + 1 / 11) / 6
expect_close(mean_reciprocal_rank(few), expected, f"MRR of {few}")

# A little noise parts equal scores: ties are a later exercise.
rng = np.random.default_rng(seed)
noisy = scores.astype(float) + rng.uniform(0, 1e-5, scores.shape)
ranks = 1 + (noisy > noisy.diagonal()[:, None]).sum(axis=1)
for k in (1, 3, 10):
    expected = metrics.recall_at_k(noisy, own, k).mean()
    expect_close(recall_at_k(ranks, k), expected, f"recall@{k}")
expected = metrics.reciprocal_rank(noisy, own).mean()
expect_close(mean_reciprocal_rank(ranks), expected, "MRR")
print("ex-05-ranks: passed")

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
# studies in 512 dimensions, with reports that are strangers to the images and with related ones, and
# prints both accuracies for the chapter's own embeddings.
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


few = normalised(np.array([[0, 3, 1], [1, 2, 0], [1, 0, 3.0]]))
expect_close(
    accuracy_at_1(few, np.eye(3)),
    2 / 3,
    "accuracy@1 of three queries, whose best items are 1, 1 and 2",
)
rng = np.random.default_rng(seed)
images, strangers = (
    normalised(rng.standard_normal((400, 512))) for _ in range(2)
)
related = normalised(images + 8 * strangers)
for name, reports in {"random": strangers, "related": related}.items():
    items = {"fused": fused_vectors(images, reports), "strict": reports}
    for protocol, vectors in items.items():
        expect_close(
            accuracy_at_1(images, vectors),
            found_by_faiss(images, vectors),
            f"accuracy@1 of {name} vectors, {protocol}, by FAISS",
        )
for name, pair in {
    "random": (images, strangers),
    "fine-tuned": (v, t),
}.items():
    fused = accuracy_at_1(pair[0], fused_vectors(*pair))
    strict = accuracy_at_1(*pair)
    print(f"{name}: fused {fused:.3f}, strict {strict:.3f}")
print("ex-05-random-vectors: passed")

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
few, asked = np.array([[1, 0, 1], [0, 0, 1]]), np.array([1, 1])
for k, share, hits in [
    (1, 1 / 2, 1 / 2),
    (2, 1 / 4, 1 / 2),
    (3, 1 / 2, 1),
]:
    what = "of the labels 1 0 1 and 0 0 1, both asked for 1"
    expect_close(
        precision_at_k(few, asked, k), share, f"precision@{k} {what}"
    )
    expect_close(hit_at_k(few, asked, k), hits, f"hit@{k} {what}")

rng = np.random.default_rng(seed)
noisy = scores.astype(float) + rng.uniform(0, 1e-5, scores.shape)
result_labels = labels[np.argsort(-noisy, axis=1)]
same_label = labels[:, None] == labels
order = graded_metrics.rank_items(noisy, same_label)
for k in (1, 3, 5, 10):
    expect_close(
        precision_at_k(result_labels, labels, k),
        graded_metrics.precision_at_k(order, k).mean(),
        f"precision@{k} of the images",
    )
    expect_close(
        hit_at_k(result_labels, labels, k),
        metrics.hit_at_k(noisy, labels, labels, k).mean(),
        f"hit@{k} of the images",
    )

halves = np.repeat([0, 1], 100)
shuffled = rng.permuted(np.tile(halves, (4000, 1)), axis=1)
asked = np.zeros(4000, dtype=int)
for k in (1, 3, 5, 10):
    by_chance = 1 - comb(100, k) / comb(200, k)
    hits, share = (
        f(shuffled, asked, k) for f in (hit_at_k, precision_at_k)
    )
    expect_close(hits, by_chance, f"hit@{k} by chance", atol=0.04)
    expect_close(share, 0.5, f"precision@{k} by chance", atol=0.04)
    print(
        f"random order, k = {k}: hit {hits:.3f}, precision {share:.3f}"
    )
print("ex-05-hit-rate: passed")

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
    # `sorted` keeps the order of equals: go through all orders.
    expected = [
        np.mean(
            [
                query in sorted(order, key=(-row).__getitem__)[:k]
                for order in permutations(range(5))
            ]
        )
        for query, row in enumerate(small)
    ]
    expect_close(
        recall_with_ties(small, k),
        expected,
        f"recall@{k} of five queries, over all orders of the items",
    )
coarse = np.round(scores[:100, :100], 2)
for k in (1, 10):
    expect_close(
        recall_with_ties(coarse, k),
        metrics.recall_at_k(coarse, np.arange(len(coarse)), k),
        f"recall@{k} of the rounded scores, the library's",
    )
print("ex-05-ties: passed")

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
# generator; it returns the two ends. The check takes twenty values, two 1s and eighteen 0.02s, whose
# resamples the binomial distribution knows. For the strict reciprocal ranks of the fine-tuned model it
# prints your interval, the book's and mean ± 1.96 standard errors. Then try it with values that are all
# equal: what does an interval without width claim, and what does it not?
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
# How often is a 1 drawn? That alone says what the mean is.
values = np.where(np.arange(20) < 2, 1.0, 0.02)
ones = binom.ppf([0.025, 0.975], 20, 2 / 20)
expect_close(
    bootstrap_interval(values, 4000, np.random.default_rng(seed)),
    (ones + 0.02 * (20 - ones)) / 20,
    "interval of two 1s among twenty values",
)
expect_close(
    bootstrap_interval(np.ones(50), 100, np.random.default_rng(seed)),
    [1, 1],
    "interval of equal values",
)
values = tables.reciprocal_ranks(*tuned, "image_to_text")
low, high = bootstrap_interval(
    values, 2000, np.random.default_rng(seed)
)
error = values.std(ddof=1) / np.sqrt(len(values))
mean = values.mean()
book = Bootstrap(len(values), seed=seed).mean(values)
normal = mean - 1.96 * error, mean + 1.96 * error
print(f"MRR {mean:.4f} [{low:.4f}, {high:.4f}]")
print(f"by the book {np.round(tuple(book), 4)}")
print(f"mean ± 1.96 errors {np.round(normal, 4)}")
print("ex-05-bootstrap: passed")

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
wins, losses = np.ones(5), np.zeros(5)
expect_close(exact_p(wins, losses), 2 / 32, "p of five wins in five")
expect_close(exact_p(wins, wins), 1, "p of equal models")
rng = np.random.default_rng(seed)
for _ in range(3):
    a, b = rng.integers(0, 5, (2, 8)) / 4  # many sums are equal
    answer = exact_p(a, b)
    by_scipy = permutation_test(
        (a - b,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    expect_close(answer, by_scipy, "p of eight queries, by SciPy")
    drawn = paired_test(a, b, seed=seed)
    expect_close(drawn, answer, "p by the book's test", atol=0.03)
print("ex-05-randomisation: passed")

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
# finds too, averaged over the queries. The check knows the answer for two groups on a circle; of random
# vectors it expects 1 where all groups are searched, and no fall when more are. Then measure it for the chapter's fused vectors, with images and with fused
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
# Two groups on a circle. The first eight are four of either, and the
# query at 0° is nearer to the group below it.
angles = np.radians(np.r_[-30:-9:4, 12:33:4])
circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
circle, query = circle.astype(np.float32), np.float32([[1, 0]])
for probes, expected in {1: 1 / 2, 2: 1}.items():
    expect_close(
        ivf_recall(circle, query, 8, 2, probes),
        expected,
        f"share of the first 8 in {probes} of two groups",
    )

rng = np.random.default_rng(seed)
items = normalised(rng.standard_normal((1000, 16)))
asked = normalised(rng.standard_normal((100, 16)))
found = [
    ivf_recall(items, asked, 5, 8, probes) for probes in range(1, 9)
]
expect_close(found[-1], 1, "recall where all groups are searched")
expect_between(
    min(np.diff(found)), -1e-6, 1, "gain of recall by one more group"
)
expect_between(found[0], 1 / 8, 0.9, "recall in one group of eight")
expect_close(
    ivf_recall(items, items, 1, 8, 1),
    1,
    "recall of vectors in the group of their own centroid",
)
print("ex-05-ivf: passed")

# %% [markdown]
# ```{solution-end}
# ```
