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
# # Exercises: evidence
#
# These belong to [the chapter on what the tables can say](../08_evidence). Random numbers in the
# checks have seeds of their own: a check that passes once passes always.

# %% tags=["hide-input"]
import itertools
import math

import numpy as np
from scipy.integrate import quad
from scipy.stats import binom, binomtest, norm
from sklearn.metrics import ndcg_score

from cxr_mtl.base import read_json, read_table
from cxr_mtl.evidence import Bootstrap, paired_test, significance
from cxr_mtl.retrieval import (
    graded_metrics,
    metrics,
    normalised,
    stored_embeddings,
)
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    open_run,
)

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run

# %% [markdown]
# The test studies of this run, and the strict scores of every image with every report, [n, n], by
# the fine-tuned model and by the one it started from:

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
test = studies[studies["split"] == "test"].reset_index(drop=True)
labels, texts = test["label"].to_numpy(), test["text"]
own = np.arange(len(test))
models = read_json(run / "models.json")
base = models["fine_tuned_from"]["name"]
embeddings = stored_embeddings(run / "embeddings", models)
scores = {
    name: normalised(embeddings[name][0])
    @ normalised(embeddings[name][1]).T
    for name in ("fine_tuned", base)
}

# %% [markdown]
# ```{exercise} None of 400
# :label: ex-08-none
#
# *Two minutes.* A model has no hit in 400 queries. The bootstrap's interval is from 0 to 0, but the
# 401st query may still be a hit. Which hit rates are still plausible?
#
# Write `highest_rate(n)`: the rate at which no hit in `n` independent queries still has a
# probability of 5 %. Compare it with $3/n$.
# ```

# %% [markdown]
# ```{solution-start} ex-08-none
# :class: dropdown
# ```


# %% tags=["solution"]
def highest_rate(n):
    """The rate at which n queries have no hit in 5 % of the cases."""
    ### BEGIN SOLUTION
    return 1 - 0.05 ** (1 / n)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# $(1-p)^n = 0.05$ gives $p = 1 - 0.05^{1/n} \approx -\ln(0.05)/n \approx 3/n$, the *rule of three*. It
# is one-sided. Wilson's interval, printed below, is two-sided, and its upper end is close to
# $3.84/n$, with 3.84 the square of 1.96.

# %% tags=["check"]
for n in (1, 20, 400):
    exact = binomtest(0, n, alternative="less").proportion_ci(0.95)
    expect_close(
        highest_rate(n),
        exact.high,
        f"highest rate after 0 of {n}, SciPy's one-sided interval",
    )
n = len(test)
wilson = binomtest(0, n).proportion_ci(0.95, method="wilson")
print(
    f"0 of {n}: exact {highest_rate(n):.5f}, rule of three {3 / n:.5f}"
)
print(f"Wilson, two-sided: {wilson.low:.5f} to {wilson.high:.5f}")
print(f"bootstrap: {Bootstrap(n, seed=0).mean(np.zeros(n))}")
print("ex-08-none: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} What does a hit rate owe to chance?
# :label: ex-08-hit
#
# *Ten minutes.* A random order of `items` items, of which `relevant` are relevant. With which
# probability is at least one relevant item among the first `k`? If half of the items are relevant,
# $1 - 2^{-k}$ is nearly right. Why only nearly, and on which side is it?
#
# Write `chance_of_hit(items, relevant, k)`, exactly.
# ```

# %% [markdown]
# ```{solution-start} ex-08-hit
# :class: dropdown
# ```


# %% tags=["solution"]
def chance_of_hit(items, relevant, k):
    """Probability of a relevant item in the top k of a random order."""
    ### BEGIN SOLUTION
    return 1 - math.comb(items - relevant, k) / math.comb(items, k)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# $1 - 2^{-k}$ puts every item back before the next is drawn. Without putting back, each item that is
# not relevant leaves fewer of its kind, so a hit becomes a little more likely.

# %% tags=["check"]
for items, relevant, k in [(6, 2, 1), (7, 3, 4), (5, 0, 2), (6, 5, 2)]:
    draws = list(itertools.combinations(range(items), k))
    expect_close(
        chance_of_hit(items, relevant, k),
        np.mean([min(draw) < relevant for draw in draws]),
        f"chance of a hit, {k} of {items}, {relevant} of them relevant",
    )
abnormal = int(labels.sum())
for k in (1, 3, 5, 10):
    tied = np.zeros((1, len(labels)))  # equal scores: a random order
    ours = chance_of_hit(len(labels), abnormal, k)
    expect_close(
        ours,
        metrics.hit_at_k(tied, np.array([1]), labels, k)[0],
        f"hit@{k} of an abnormal query, by the library",
    )
    print(f"hit@{k} of an abnormal query by chance: {ours:.4f}")
print("ex-08-hit: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} nDCG by hand
# :label: ex-08-ndcg
#
# *Ten minutes.* Relevance in grades: place $p$, from 1, gives its item's relevance divided by
# $\log_2(1 + p)$. The sum over the top k is divided by the largest sum that any order of the same
# items has.
#
# Write `ndcg(relevance, k)`: the relevance of all items by falling score, [items], no ties -> nDCG@k.
# ```

# %% [markdown]
# ```{solution-start} ex-08-ndcg
# :class: dropdown
# ```


# %% tags=["solution"]
def ndcg(relevance, k):
    """nDCG@k of the items in this order, with the relevance as gain."""
    ### BEGIN SOLUTION
    relevance = np.asarray(relevance, dtype=float)
    best = np.sort(relevance)[::-1]
    discount = np.log2(np.arange(2, k + 2))
    return np.sum(relevance[:k] / discount) / np.sum(
        best[:k] / discount
    )
    ### END SOLUTION


# %% tags=["check"]
rng = np.random.default_rng(0)
for k in (1, 3, 5, 8):
    grades = rng.integers(0, 4, 8) + (np.arange(8) == 7)
    falling = np.arange(8, 0, -1.0)
    for name, value in {
        "scikit-learn": ndcg_score([grades], [falling], k=k),
        "the library": graded_metrics.ndcg(
            graded_metrics.rank_items([falling], [grades]), k
        )[0],
    }.items():
        expect_close(
            ndcg(grades, k), value, f"nDCG@{k} of {grades}, by {name}"
        )
best = np.array([3, 2, 1, 0])
expect_close(ndcg(best, 4), 1, f"nDCG@4 of the best order {best}")
print("ex-08-ndcg: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Holm's correction, and why it is allowed
# :label: ex-08-holm
#
# *Ten minutes.* Several p-values, and the chance of any false claim is to stay at 5 %. Holm
# {cite}`holm1979` multiplies the smallest of $m$ by $m$, the next by $m - 1$, and so on; no adjusted
# value may be below the one before it, or above 1.
#
# Write `adjusted(p)`: p-values [m] -> adjusted p-values [m] in the order given. The check knows it
# from another side: a hypothesis is rejected only if every set of hypotheses that holds it is
# rejected, a set of $s$ being rejected by its smallest p times $s$.
# ```

# %% [markdown]
# ```{solution-start} ex-08-holm
# :class: dropdown
# ```


# %% tags=["solution"]
def adjusted(p):
    """Holm's adjusted p-values, in the order given."""
    ### BEGIN SOLUTION
    p, highest = np.asarray(p, dtype=float), 0.0
    result = np.empty_like(p)
    for place, index in enumerate(np.argsort(p)):
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        result[index] = highest
    return result
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Why it is allowed: take the set of all hypotheses that are true, $s$ of them. By Bonferroni the
# smallest of their p-values times $s$ is at most 0.05 in at most 5 % of the cases, however they depend on
# each other. Otherwise this set is not rejected, and then none of its members is. Holm need not go through
# all sets: of those that share a smallest p, the largest set has the highest value, and it holds all p-values
# from there upwards. These are his products, and the greatest of them up to a hypothesis decides about it.


# %% tags=["check"]
def by_closed_testing(p):
    sets = [
        chosen
        for size in range(1, len(p) + 1)
        for chosen in itertools.combinations(range(len(p)), size)
    ]
    return [
        max(
            min(1, len(chosen) * min(p[j] for j in chosen))
            for chosen in sets
            if i in chosen
        )
        for i in range(len(p))
    ]


rng = np.random.default_rng(0)
for p in (
    rng.random(6) ** 3,
    np.array([0.04, 0.01, 0.04, 0.5]),
    np.array([0.03]),
):
    answer = adjusted(p.copy())
    what = f"adjusted p-values of {np.round(p, 3)}"
    expect_close(answer, by_closed_testing(p), f"{what}, over all sets")
    expect_close(
        answer, significance.holm(p), f"{what}, by the library"
    )
print("ex-08-holm: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} McNemar's exact test, and how it is a randomisation test
# :label: ex-08-mcnemar
#
# *Half an hour.* Two models answer the same queries. Only the queries on which they disagree say
# anything: if neither model is better, each of these is a toss of a coin. Write the exact two-sided
# test {cite}`mcnemar1947`.
#
# Write `mcnemar(a, b)`: hits of two models, bool [n] each -> p. Then think: which p does the paired
# randomisation test, the one behind the stars of the book's tables, give for the same zeros and
# ones?
# ```

# %% [markdown]
# ```{solution-start} ex-08-mcnemar
# :class: dropdown
# ```


# %% tags=["solution"]
def mcnemar(a, b):
    """Exact two-sided p that two models hit equally often."""
    ### BEGIN SOLUTION
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    tosses = only_a + only_b
    tail = sum(
        math.comb(tosses, x) for x in range(min(only_a, only_b) + 1)
    )
    return min(1.0, 2 * tail / 2**tosses)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The differences are 1, 0 and -1. Tossing signs changes nothing about the zeros, and the sum of the
# rest is binomial: for hits the randomisation test *is* McNemar's, up to the number of random signs.

# %% tags=["check"]
rng = np.random.default_rng(0)
for agreement in (0.2, 0.6, 1.0):
    a = rng.random(12) < 0.6
    b = np.where(rng.random(12) < agreement, a, ~a)
    difference = a.astype(int) - b
    signs = np.array(list(itertools.product([-1, 1], repeat=12)))
    far = np.abs(signs @ difference) >= abs(difference.sum())
    p = mcnemar(a, b)
    expect_close(
        p,
        far.mean(),
        f"p where {np.sum(a & ~b)} hit by the first alone and "
        f"{np.sum(~a & b)} by the second, over all signs",
    )
    bound = significance.most_favourable_p(a.mean(), b.mean(), 12)
    expect_between(
        p, bound - 1e-6, 1, "p, not below the chapter's bound"
    )
hits = {
    name: (s >= s[own, own][:, None]).sum(axis=1) <= 10
    for name, s in scores.items()
}
p = mcnemar(hits["fine_tuned"], hits[base])
by_signs = paired_test(
    *(found.astype(float) for found in hits.values()), seed=0
)
slack = 6 * math.sqrt(p * (1 - p) / 10_000) + 2e-4
expect_close(by_signs, p, "p by the library's random signs", atol=slack)
for name, found in hits.items():
    print(f"{name}: own report in the top 10 for {found.mean():.1%}")
print(f"p = {p:.2g}, by random signs {by_signs:.2g}")
print("ex-08-mcnemar: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How many queries does a difference of 0.03 need?
# :label: ex-08-queries
#
# *Half an hour.* Two models differ in their hit rate by $\delta$, and disagree on a share $\psi$ of
# the queries. By the normal approximation McNemar's test at 0.05, two-sided, finds the difference
# with a probability (its *power*) of 0.8 from about
#
# $$ n = \left( \frac{z_{0.975} \sqrt{\psi} + z_{0.8} \sqrt{\psi - \delta^2}}{\delta} \right)^2 $$
#
# queries on, with $z_q$ the quantiles of the normal distribution. Derive it, starting from the
# variance of a query's difference, which is $\psi$ if $\delta = 0$, and $\psi - \delta^2$ otherwise.
#
# Write `queries_needed(difference, disagree, power=0.8)`: a whole number, rounded up. Guess first
# what it is for a difference of 0.03 and models that disagree on every tenth query.
# ```

# %% [markdown]
# ```{solution-start} ex-08-queries
# :class: dropdown
# ```


# %% tags=["solution"]
def queries_needed(difference, disagree, power=0.8):
    """Queries that McNemar's test needs to find a difference."""
    ### BEGIN SOLUTION
    unlikely = norm.ppf(0.975) * math.sqrt(disagree)
    likely = norm.ppf(power) * math.sqrt(disagree - difference**2)
    return math.ceil(((unlikely + likely) / difference) ** 2)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The mean difference of $n$ queries has a standard error of $\sqrt{\psi/n}$ if the models are equal:
# beyond $z_{0.975}$ of these the test rejects. If they differ it lies around $\delta$ with
# $\sqrt{(\psi - \delta^2)/n}$, and is to be $z_{0.8}$ of these beyond that limit. Both add up to
# $\delta$. The exact test is somewhat more careful: about one query in sixteen more.


# %% tags=["check"]
def power_of(queries, difference, disagree):
    """Power of the test by the normal approximation."""
    limit = norm.ppf(0.975) * math.sqrt(disagree / queries)
    error = math.sqrt((disagree - difference**2) / queries)
    return norm.sf(limit, loc=difference, scale=error)


def exact_power(queries, difference, disagree):
    """Power of the exact test, over how many queries disagree."""
    m = np.arange(queries + 1)
    limit = binom.ppf(0.025, m, 0.5) - 1  # at most so many on one side
    better = (disagree + difference) / (2 * disagree)
    found = binom.cdf(limit, m, better) + binom.sf(
        m - limit - 1, m, better
    )
    return float(binom.pmf(m, queries, disagree) @ found)


for difference, disagree, power in [
    (0.03, 0.1, 0.8),
    (0.03, 0.05, 0.8),
    (0.3, 0.4, 0.8),
    (0.1, 0.3, 0.9),
]:
    n = 1
    while power_of(n, difference, disagree) < power:
        n += 1
    expect_equal(
        queries_needed(difference, disagree, power),
        n,
        f"queries for a power of {power} at a difference of "
        f"{difference} where {disagree} disagree, one by one",
    )
n = queries_needed(0.03, 0.1)
print(f"0.03 where 0.1 disagree: {n} queries, whose exact power is")
print(f"{exact_power(n, 0.03, 0.1):.2f}; of 400 queries it is")
print(f"{exact_power(400, 0.03, 0.1):.2f}")
print("ex-08-queries: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The winner's curse in a table of 32 rows
# :label: ex-08-curse
#
# *Half an hour.* In each row of a table one model is better by the same true difference, and each
# observed difference has the same standard error, independently. Which is the largest observed one
# on average? And what do those come to on average that are significantly above 0, more than 1.96
# standard errors?
#
# Write `curse(truth, error, rows, tables, rng)`: simulate `tables` tables with the generator `rng`
# and return the mean of the largest difference of a table, and the mean of all differences that are
# significantly above 0.
# ```

# %% [markdown]
# ```{solution-start} ex-08-curse
# :class: dropdown
# ```


# %% tags=["solution"]
def curse(truth, error, rows, tables, rng):
    """Means of each table's largest and of all significant ones."""
    ### BEGIN SOLUTION
    observed = rng.normal(truth, error, (tables, rows))
    largest = observed.max(axis=1).mean()
    return largest, observed[observed > 1.96 * error].mean()
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Whoever reports the best row, or only the rows with a star, reports too much, though every single
# row is right on average. The rows of a real table share their queries and are not independent. Where
# they rise and fall together, the best of them is less exaggerated; the mean of the significant ones stays
# as it is, since it asks for no other row.


# %% tags=["check"]
def largest_of(rows):
    """Expected largest of as many standard normal numbers."""

    def density(z):
        return rows * z * norm.pdf(z) * norm.cdf(z) ** (rows - 1)

    return quad(density, -10, 10)[0]


for truth, rows in [(0.01, 32), (0.0, 32), (0.03, 5)]:
    error = math.sqrt(
        0.1 / 400
    )  # models that disagree on a tenth of 400
    far = 1.96 - truth / error
    ours = curse(truth, error, rows, 20_000, np.random.default_rng(0))
    expect_close(
        ours,
        (
            truth + error * largest_of(rows),
            truth + error * norm.pdf(far) / norm.sf(far),
        ),
        f"largest and significant of {rows} rows, true {truth}",
        atol=0.05 * error,
    )
    print(
        f"true {truth:.3f}: the best of {rows} shows {ours[0]:.3f}, "
        f"the significant {ours[1]:.3f}"
    )
print("ex-08-curse: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} An interval that knows of equal reports
# :label: ex-08-clusters
#
# *An afternoon.* The book's bootstrap draws studies as if they were independent. But studies with
# the same report, word for word, ask the same question where a report is the query, and get one answer for
# all. Draw whole *clusters* instead: all studies of one text, or none of them.
#
# Write `cluster_interval(values, clusters, resamples, rng)`: a value and the cluster of each study,
# [n] each (a cluster is any number or text), the number of resamples and a generator -> the two ends
# of the 95 % percentile interval of the mean. As many clusters are drawn as there are, and the mean
# is that of the studies in them. Then look at this run: is the interval of a report query's recall@10
# wider? Explain what you find by how often reports repeat here, and by how alike the values of one report's
# studies are.
# ```

# %% [markdown]
# ```{solution-start} ex-08-clusters
# :class: dropdown
# ```


# %% tags=["solution"]
def cluster_interval(values, clusters, resamples, rng):
    """95 % interval of the mean; whole clusters are drawn."""
    ### BEGIN SOLUTION
    _, members = np.unique(np.asarray(clusters), return_inverse=True)
    sums, sizes = np.bincount(members, values), np.bincount(members)
    drawn = rng.integers(0, len(sizes), (resamples, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return np.quantile(means, [0.025, 0.975])
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# A mean of $n/2$ pairs of equal values knows no more than $n/2$ values: the honest interval is
# $\sqrt 2$ times as wide. In general, let the values of studies of one text have the correlation $\rho$,
# and let a study stand in a cluster of $m$ on average (over the studies: $\sum_c n_c^2 / n$). Then the
# variance is about $1 + \rho (m - 1)$ times that of independent values, the *design effect*. The check prints
# $m$. Where $\rho$ is small the width hardly moves, even with $m$ well above 1: the studies of one text are
# looked for in one order of the images, but each waits for an image of its own, and the places are few.


# %% tags=["check"]
def width(ends):
    low, high = expect_numbers(ends, (2,), "ends of the interval")
    return high - low


rng = np.random.default_rng(0)
values = rng.random(300)
plain = width(Bootstrap(300, seed=0, resamples=4000).mean(values))
expect_close(
    width(cluster_interval(values, np.arange(300), 4000, rng)),
    plain,
    "width where each study is a cluster, the ordinary bootstrap's",
    rtol=0.1,
)
order = rng.permutation(600)
twice, pairs = (
    np.repeat(values, 2)[order],
    np.repeat(range(300), 2)[order],
)
expect_close(
    width(cluster_interval(twice, pairs, 4000, rng)),
    plain,
    "width where every value stands twice, that of once",
    rtol=0.1,
)
# Two clusters of nine 1s and eighteen of one 0: the mean of a resample
# follows from how many of the two are drawn.
values = np.repeat([1.0, 0.0], 18)
names = np.array([*"aaaaaaaaabbbbbbbbb", *"cdefghijklmnopqrst"])
large = binom.ppf([0.025, 0.975], 20, 2 / 20)
expect_close(
    cluster_interval(values, names, 4000, rng),
    9 * large / (9 * large + 20 - large),
    "interval of two clusters of nine 1s and eighteen of one 0",
)

found = metrics.recall_at_k(scores["fine_tuned"].T, own, 10, 1e-6)
clustered = cluster_interval(
    found, texts.to_numpy(), 2000, np.random.default_rng(0)
)
bootstrap = Bootstrap(len(found), seed=0).mean(found)
m = (texts.value_counts() ** 2).sum() / len(texts)
print(f"{len(found)} reports, {texts.nunique()} different, m = {m:.2f}")
print(
    f"recall@10 {found.mean():.3f}, by study {np.round(bootstrap, 3)},"
)
print(f"by report {np.round(clustered, 3)}")
print("ex-08-clusters: passed")

# %% [markdown]
# ```{solution-end}
# ```
