"""Answers to the exercises on evidence."""


# %% ex-08-none, wrong: the rule of three
def highest_rate(n):
    return 3 / n


# %% ex-08-none, wrong: two-sided
def highest_rate(n):
    return 1 - 0.025 ** (1 / n)


# %% ex-08-none, wrong: the probability of a hit
def highest_rate(n):
    return 1 - 0.95 ** (1 / n)


# %% ex-08-none, right: SciPy's quantile of the beta distribution
def highest_rate(n):
    from scipy.stats import beta

    return np.float32(beta.ppf(0.95, 1, n))


# %% ex-08-hit, wrong: every item is put back
def chance_of_hit(items, relevant, k):
    return 1 - (1 - relevant / items) ** k


# %% ex-08-hit, wrong: no hit
def chance_of_hit(items, relevant, k):
    return math.comb(items - relevant, k) / math.comb(items, k)


# %% ex-08-hit, wrong: exactly one
def chance_of_hit(items, relevant, k):
    return relevant * math.comb(items - relevant, k - 1) / math.comb(items, k)


# %% ex-08-hit, wrong: the mean number of hits
def chance_of_hit(items, relevant, k):
    return min(1, k * relevant / items)


# %% ex-08-hit, right: place by place
def chance_of_hit(items, relevant, k):
    places = np.arange(k)
    return np.float32(1 - np.prod(np.maximum(0, items - relevant - places) / (items - places)))


# %% ex-08-ndcg, wrong: the gain grows as a power of two
def ndcg(relevance, k):
    gain = 2.0**relevance - 1
    discount = np.log2(np.arange(2, k + 2))
    return (gain[:k] / discount).sum() / (np.sort(gain)[::-1][:k] / discount).sum()


# %% ex-08-ndcg, wrong: the best order of the top k
def ndcg(relevance, k):
    top, discount = relevance[:k], np.log2(np.arange(2, k + 2))
    return (top / discount).sum() / max(1e-9, (np.sort(top)[::-1] / discount).sum())


# %% ex-08-ndcg, wrong: places from 0
def ndcg(relevance, k):
    discount = np.log2(np.arange(3, k + 3))
    return (relevance[:k] / discount).sum() / (np.sort(relevance)[::-1][:k] / discount).sum()


# %% ex-08-ndcg, wrong: not normalised
def ndcg(relevance, k):
    return (relevance[:k] / np.log2(np.arange(2, k + 2))).sum()


# %% ex-08-ndcg, wrong: the worst order
def ndcg(relevance, k):
    discount = np.log2(np.arange(2, k + 2))
    worst = (np.sort(relevance)[:k] / discount).sum()
    return (relevance[:k] / discount).sum() / max(1, worst)


# %% ex-08-ndcg, right: another logarithm, in single precision
def ndcg(relevance, k):
    weights = 1 / np.log(np.arange(2, k + 2), dtype=np.float32)
    return relevance[:k] @ weights / (-np.sort(-relevance)[:k] @ weights)


# %% ex-08-holm, wrong: Bonferroni
def adjusted(p):
    return np.minimum(1, len(p) * p)


# %% ex-08-holm, wrong: they fall
def adjusted(p):
    rank = np.argsort(np.argsort(p))
    return np.minimum(1, (len(p) - rank) * p)


# %% ex-08-holm, wrong: above 1
def adjusted(p):
    order = np.argsort(p)
    result = np.empty(len(p))
    result[order] = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return result


# %% ex-08-holm, wrong: in rising order
def adjusted(p):
    p = np.sort(p)
    return np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * p))


# %% ex-08-holm, wrong: Benjamini and Hochberg
def adjusted(p):
    m, order = len(p), np.argsort(p)
    steps = p[order] * m / np.arange(1, m + 1)
    result = np.empty(m)
    result[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return np.minimum(1, result)


# %% ex-08-holm, right: a list, in single precision
def adjusted(p):
    p = np.float32(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    highest = np.maximum.accumulate([(len(p) - place) * p[i] for place, i in enumerate(order)])
    return [min(np.float32(1), highest[order.index(i)]) for i in range(len(p))]


# %% ex-08-mcnemar, wrong: one side
def mcnemar(a, b):
    from scipy.stats import binomtest

    first, second = int((a & ~b).sum()), int((~a & b).sum())
    if first + second == 0:
        return 1.0
    return binomtest(max(first, second), first + second, alternative="greater").pvalue


# %% ex-08-mcnemar, wrong: by chi squared
def mcnemar(a, b):
    from scipy.stats import chi2

    first, second = (a & ~b).sum(), (~a & b).sum()
    return chi2.sf((first - second) ** 2 / max(1, first + second), 1)


# %% ex-08-mcnemar, wrong: above 1
def mcnemar(a, b):
    first, second = int((a & ~b).sum()), int((~a & b).sum())
    tosses = first + second
    return 2 * sum(math.comb(tosses, x) for x in range(min(first, second) + 1)) / 2**tosses


# %% ex-08-mcnemar, wrong: all queries are tosses
def mcnemar(a, b):
    from scipy.stats import binomtest

    return binomtest(int((a & ~b).sum()), len(a)).pvalue


# %% ex-08-mcnemar, wrong: half of the observed
def mcnemar(a, b):
    first, second = int((a & ~b).sum()), int((~a & b).sum())
    tosses, few = first + second, min(first, second)
    tail = sum(math.comb(tosses, x) for x in range(few + 1)) - math.comb(tosses, few) / 2
    return min(1.0, 2 * tail / 2**tosses)


# %% ex-08-mcnemar, right: SciPy
def mcnemar(a, b):
    from scipy.stats import binomtest

    first, second = int((a & ~b).sum()), int((~a & b).sum())
    return np.float32(binomtest(first, first + second).pvalue if first + second else 1)


# %% ex-08-queries, wrong: one side
def queries_needed(difference, disagree, power=0.8):
    unlikely = norm.ppf(0.95) * math.sqrt(disagree)
    likely = norm.ppf(power) * math.sqrt(disagree - difference**2)
    return math.ceil(((unlikely + likely) / difference) ** 2)


# %% ex-08-queries, wrong: one variance
def queries_needed(difference, disagree, power=0.8):
    quantiles = norm.ppf(0.975) + norm.ppf(power)
    return math.ceil(quantiles**2 * disagree / difference**2)


# %% ex-08-queries, wrong: rounded down
def queries_needed(difference, disagree, power=0.8):
    unlikely = norm.ppf(0.975) * math.sqrt(disagree)
    likely = norm.ppf(power) * math.sqrt(disagree - difference**2)
    return int(((unlikely + likely) / difference) ** 2)


# %% ex-08-queries, wrong: always a power of 0.8
def queries_needed(difference, disagree, power=0.8):
    unlikely = norm.ppf(0.975) * math.sqrt(disagree)
    likely = norm.ppf(0.8) * math.sqrt(disagree - difference**2)
    return math.ceil(((unlikely + likely) / difference) ** 2)


# %% ex-08-queries, wrong: the variances are not rooted
def queries_needed(difference, disagree, power=0.8):
    unlikely = norm.ppf(0.975) * disagree
    likely = norm.ppf(power) * (disagree - difference**2)
    return math.ceil(((unlikely + likely) / difference) ** 2)


# %% ex-08-queries, right: NumPy, and 1.96
def queries_needed(difference, disagree, power=0.8):
    unlikely = 1.96 * np.sqrt(disagree)
    likely = norm.ppf(power) * np.sqrt(disagree - difference**2)
    return np.ceil(((unlikely + likely) / difference) ** 2)


# %% ex-08-curse, wrong: significant on either side
def curse(truth, error, rows, tables, rng):
    observed = rng.normal(truth, error, (tables, rows))
    return observed.max(axis=1).mean(), observed[abs(observed) > 1.96 * error].mean()


# %% ex-08-curse, wrong: more than 1.64 standard errors
def curse(truth, error, rows, tables, rng):
    observed = rng.normal(truth, error, (tables, rows))
    return observed.max(axis=1).mean(), observed[observed > 1.645 * error].mean()


# %% ex-08-curse, wrong: above the truth
def curse(truth, error, rows, tables, rng):
    observed = rng.normal(truth, error, (tables, rows))
    return observed.max(axis=1).mean(), observed[observed > truth + 1.96 * error].mean()


# %% ex-08-curse, wrong: the largest of all tables
def curse(truth, error, rows, tables, rng):
    observed = rng.normal(truth, error, (tables, rows))
    return observed.max(), observed[observed > 1.96 * error].mean()


# %% ex-08-curse, wrong: the largest of each row
def curse(truth, error, rows, tables, rng):
    observed = rng.normal(truth, error, (tables, rows))
    return observed.max(axis=0).mean(), observed[observed > 1.96 * error].mean()


# %% ex-08-curse, right: a list, in single precision
def curse(truth, error, rows, tables, rng):
    observed = np.float32(truth + error * rng.standard_normal((rows, tables)))
    return [observed.max(axis=0).mean(), observed[observed > 1.96 * error].mean()]


# %% ex-08-clusters, wrong: the studies are drawn
def cluster_interval(values, clusters, resamples, rng):
    means = rng.choice(values, (resamples, len(values))).mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


# %% ex-08-clusters, wrong: the mean of the clusters' means
def cluster_interval(values, clusters, resamples, rng):
    _, members = np.unique(clusters, return_inverse=True)
    means = np.bincount(members, values) / np.bincount(members)
    drawn = rng.choice(means, (resamples, len(means))).mean(axis=1)
    return np.quantile(drawn, [0.025, 0.975])


# %% ex-08-clusters, wrong: as many clusters as studies
def cluster_interval(values, clusters, resamples, rng):
    _, members = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(members, values), np.bincount(members)
    drawn = rng.integers(0, len(sizes), (resamples, len(values)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return np.quantile(means, [0.025, 0.975])


# %% ex-08-clusters, wrong: one value of each cluster
def cluster_interval(values, clusters, resamples, rng):
    _, first = np.unique(clusters, return_index=True)
    drawn = rng.choice(values[first], (resamples, len(first))).mean(axis=1)
    return np.quantile(drawn, [0.025, 0.975])


# %% ex-08-clusters, wrong: 5 % and 95 %
def cluster_interval(values, clusters, resamples, rng):
    _, members = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(members, values), np.bincount(members)
    drawn = rng.integers(0, len(sizes), (resamples, len(sizes)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return np.quantile(means, [0.05, 0.95])


# %% ex-08-clusters, right: by loops, in single precision
def cluster_interval(values, clusters, resamples, rng):
    names, own = list(dict.fromkeys(clusters)), {}
    for value, name in zip(values, clusters, strict=True):
        own.setdefault(name, []).append(value)
    sums = np.array([sum(own[name]) for name in names], dtype=np.float32)
    sizes = np.array([len(own[name]) for name in names])
    means = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(names), len(names))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    return tuple(np.quantile(np.float32(means), [0.025, 0.975]))
