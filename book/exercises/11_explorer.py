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
#     needs: [models.json, embeddings]
# ---

# %% [markdown]
# # Exercises: the explorer
#
# These go with [the explorer](../11_explorer). They search as it does, with the fine-tuned model's
# embeddings of the test studies: `v` of the images and `t` of the reports, [studies, d], L2-normalised.
# Row $i$ of both is the same study.

# %% tags=["hide-input"]
import itertools
import math

import faiss
import numpy as np
from scipy.stats import rankdata, skew
from sklearn.neighbors import NearestNeighbors

from cxr_mtl.base import read_json
from cxr_mtl.evidence import tables
from cxr_mtl.retrieval import metrics, normalised, stored_embeddings
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    expect_several,
    open_run,
)

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %%
check_parameters(globals())
run = open_run(run_dir)
models = read_json(run / "models.json")
embeddings = stored_embeddings(run / "embeddings", models)
v, t = map(normalised, embeddings["fine_tuned"])
k = min(10, len(t) - 1)  # how many answers are looked at
rng = np.random.default_rng(seed)
v.shape, t.shape

# %% [markdown]
# ```{exercise} At which rank is the own study?
# :label: ex-11-rank
#
# *Two minutes.* A search gives every study a score. The explorer says at which rank the query's own
# study came: 1 when no score is higher.
#
# Write `own_rank(scores, own)` for scores [studies] and the place of the own study. Equal scores share
# the best of their ranks. Do not sort: how often must you look at each score?
#
# The check compares it with SciPy's ranks.
# ```

# %% [markdown]
# ```{solution-start} ex-11-rank
# :class: dropdown
# ```


# %% tags=["solution"]
def own_rank(scores, own):
    """Rank of the own study, from 1; ties have the best of their ranks."""
    ### BEGIN SOLUTION
    return 1 + int((scores > scores[own]).sum())
    ### END SOLUTION


print("image 0 finds its report at rank", own_rank(t @ v[0], 0))

# %% [markdown] tags=["solution"]
# Once: a rank is a count of those before it. The explorer needs a whole order only for the handful of
# studies that it shows. Giving ties their best rank is kind to a model that gives all studies one score,
# which would always be first; the book's tables share the places of ties instead.

# %% tags=["check"]
ties = np.array([0.5, 0.2, 0.5, 0.9])
for scores in (ties, t @ v[0], v @ t[len(t) - 1]):
    expected = rankdata(-scores, method="min")
    for own in range(len(scores)):
        expect_equal(
            own_rank(scores, own),
            expected[own],
            f"rank of study {own} of {len(scores)}, by SciPy",
        )
print("ex-11-rank: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Embeddings in eight bits
# :label: ex-11-bits
#
# *Ten minutes.* A page that carries all embeddings should be small. Eight bits per number are a quarter of
# the usual 32. Does the search still find the same?
#
# Write `quantise(x)` for `x` [studies, d]: whole numbers from −127 to 127 of the type `np.int8`,
# [studies, d], and the scales [studies, 1], one per row, such that `codes * scales` is as near to `x` as a
# row's largest number allows.
#
# The check asks for the bound on every number's error that rounding promises. What bound on a similarity
# follows from it?
# ```

# %% [markdown]
# ```{solution-start} ex-11-bits
# :class: dropdown
# ```


# %% tags=["solution"]
def quantise(x):
    """Codes of eight bits [studies, d] and scales [studies, 1]."""
    ### BEGIN SOLUTION
    scales = np.abs(x).max(axis=1, keepdims=True) / 127
    return np.rint(x / scales).astype(np.int8), scales
    ### END SOLUTION


codes, scales = quantise(t)
moved = np.argmax(v @ (codes * scales).T, 1) != np.argmax(v @ t.T, 1)
print(
    f"{moved.mean():.1%} of the image queries have another first report"
)

# %% [markdown] tags=["solution"]
# Rounding is off by half a step at most. By Cauchy and Schwarz a similarity moves by no more than the
# length of the error, for a query of length 1; in practice the errors have random signs and nearly cancel.
# What moves are the orders of reports that scored alike anyway.

# %% tags=["check"]
for x in (v, t, 5 * rng.standard_normal((7, 16))):
    codes, scales = expect_several(quantise(x), 2, "quantise")
    whole = expect_numbers(codes, x.shape, "codes")
    expect_equal(
        np.asarray(codes).dtype == np.int8, True, "are they int8"
    )
    # -128 would have no partner of the other sign.
    expect_between(np.abs(whole).max(), 0, 127, "largest code")
    per_row = expect_numbers(scales, (len(x), 1), "scales")
    step = np.abs(x).max(axis=1, keepdims=True) / 127
    error = np.abs(whole * per_row - x) / step
    expect_between(error.max(), 0, 0.501, "largest error, in steps")
print("ex-11-bits: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The best of ten searches
# :label: ex-11-best
#
# *Half an hour.* "One query proves nothing: whoever tries ten and keeps the best has chosen, not measured."
# How much does the choice lie? The reciprocal rank of a query's own study is 1 at rank 1, 1/2 at rank 2
# and so on.
#
# Write `expected_best(values, tries)`: the mean of the highest of `tries` values, over all ways to draw that
# many *different* ones from `values`. Exactly, not by simulation. It helps to ask for the probability that
# the $i$-th smallest value is the highest one drawn.
#
# The check draws all subsets of a few values.
# ```

# %% [markdown]
# ```{solution-start} ex-11-best
# :class: dropdown
# ```


# %% tags=["solution"]
def expected_best(values, tries):
    """Mean of the highest of `tries` values drawn without replacement."""
    ### BEGIN SOLUTION
    # The i-th smallest (from 0) is the highest drawn if the others are among
    # the i below it: C(i, tries - 1) of C(n, tries) ways.
    n = len(values)
    ways = [math.comb(i, tries - 1) for i in range(n)]
    pairs = zip(ways, sorted(values), strict=True)
    return sum(
        way / math.comb(n, tries) * value for way, value in pairs
    )
    ### END SOLUTION


found = tables.reciprocal_ranks(v, t, "image_to_text")
for tries in (1, min(3, k), k):
    print(f"best of {tries}: {expected_best(found, tries):.3f}")

# %% [markdown] tags=["solution"]
# The best of one is the mean, what the tables call MRR. The best of ten is another quantity altogether, and
# grows with the tries until it is the maximum. An example in a paper is the best of an unknown number of
# tries: it shows what can happen, never how often.

# %% tags=["check"]
values = np.array([0.1, 1.0, 0.25, 0.25, 0.5, 0.0])
for tries in range(1, len(values) + 1):
    subsets = list(itertools.combinations(values, tries))
    expect_close(
        expected_best(values, tries),
        sum(map(max, subsets)) / len(subsets),
        f"best of {tries} on average, over all subsets",
    )
expect_close(
    expected_best(found, 1), np.mean(found), "the best of one, the mean"
)
expect_close(
    expected_best(found, len(found)),
    np.max(found),
    "the best of all, the maximum",
)
print("ex-11-best: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Hubs, and a score against them
# :label: ex-11-hubs
#
# *An afternoon.* Try ten queries in the explorer and some reports turn up again and again. In spaces of many
# dimensions a few points are near to nearly everything: *hubs*.
#
# Write `occurrences(scores, k)` for scores [queries, items]: how often each item is among the first `k`,
# [items]. The mean is the same for every model; the skewness tells hubs.
#
# Then correct the scores. *Cross-domain similarity local scaling* (CSLS) takes from each similarity what
# both sides have on average with their `k` nearest of the other side:
#
# $$ \text{CSLS}_{ij} = 2 s_{ij} - r_i - c_j, $$
#
# with $r_i$ the mean of the `k` highest of row $i$ of the scores $s$, and $c_j$ of column $j$ (Conneau et
# al., 2018, arXiv:1710.04087). Write `csls(scores, k)`. Does it make the hubs smaller, and does the own study
# come earlier? The lines below your functions print it.
#
# The check compares with FAISS and with scikit-learn's neighbours on random vectors, and on a hub made
# by hand.
# ```

# %% [markdown]
# ```{solution-start} ex-11-hubs
# :class: dropdown
# ```


# %% tags=["solution"]
def occurrences(scores, k):
    """How often each item is among the first k of a query, [items]."""
    ### BEGIN SOLUTION
    first = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return np.bincount(first.ravel(), minlength=scores.shape[1])
    ### END SOLUTION


def csls(scores, k):
    """Scores less what both sides have with their nearest."""
    ### BEGIN SOLUTION
    rows = np.sort(scores, axis=1)[:, -k:].mean(axis=1)
    columns = np.sort(scores, axis=0)[-k:].mean(axis=0)
    return 2 * scores - rows[:, None] - columns
    ### END SOLUTION


for name, scores in {
    "as it is": v @ t.T,
    "CSLS": csls(v @ t.T, k),
}.items():
    often = occurrences(scores, k)
    mrr = metrics.reciprocal_rank(scores, np.arange(len(scores)))
    print(
        f"{name}: skewness {skew(often):.2f}, "
        f"most frequent {np.max(often)} times, "
        f"mean reciprocal rank {mrr.mean():.3f}"
    )

# %% [markdown] tags=["solution"]
# A query's own term $r_i$ changes no order of its answers; it is there so that the correction is the same
# in both directions. What acts is $c_j$, which takes from a report what it gives to everyone. Whether the hubs
# shrink and the own study comes earlier is printed above. Neither need: $c_j$ looks at the nearest $k$
# queries only, and a hub is one reason of several to be found late.
#
# It has a price: $c_j$ is made of *other queries*. A score for one query then depends on which others
# were asked, and a table with it cannot be compared with one without. In a paper it must be said. Where
# queries come one by one, $c_j$ must be taken from others, for example those of the validation studies.

# %% tags=["check"]
asked, items = (
    normalised(rng.standard_normal((n, 8))).astype(np.float32)
    for n in (30, 40)
)
toy = asked @ items.T
index = faiss.IndexFlatIP(8)
index.add(items)
_, first = index.search(asked, 3)
expect_equal(
    occurrences(toy, 3),
    np.bincount(first.ravel(), minlength=40),
    "occurrences among the first 3, by FAISS",
)
near = NearestNeighbors(n_neighbors=3, metric="cosine")
r = 1 - near.fit(items).kneighbors(asked)[0].mean(axis=1)
c = 1 - near.fit(asked).kneighbors(items)[0].mean(axis=1)
expect_close(
    csls(toy, 3),
    2 * toy - r[:, None] - c,
    "CSLS, by scikit-learn's neighbours",
)
hub = 0.4 * np.eye(8)
hub[:, 0] = 0.5  # the first item is nearest to every query
corrected = expect_numbers(csls(hub, 8), (8, 8), "CSLS of a hub")
expect_equal(
    corrected[1:].argmax(1), np.arange(1, 8), "best items, corrected"
)
print("ex-11-hubs: passed")

# %% [markdown]
# ```{solution-end}
# ```
