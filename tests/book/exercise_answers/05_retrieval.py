"""Answers to the exercises on retrieval."""


# %% ex-05-ranks, wrong: ranks below k
def recall_at_k(ranks, k):
    return (ranks < k).mean()


# %% ex-05-ranks, wrong: ranks from 0
def recall_at_k(ranks, k):
    return (ranks <= k + 1).mean()


# %% ex-05-ranks, wrong: a count
def recall_at_k(ranks, k):
    return (ranks <= k).sum()


# %% ex-05-ranks, wrong: one over the mean
def mean_reciprocal_rank(ranks):
    return 1 / ranks.mean()


# %% ex-05-ranks, wrong: ranks from 0 in the mean
def mean_reciprocal_rank(ranks):
    return (1 / (ranks + 1)).mean()


# %% ex-05-ranks, right: in single precision
def recall_at_k(ranks, k):
    return (ranks <= k).astype(np.float32).mean()


def mean_reciprocal_rank(ranks):
    return np.mean(1 / ranks.astype(np.float32), dtype=np.float32)


# %% ex-05-ranks, right: Python's own numbers
def recall_at_k(ranks, k):
    return sum(rank <= k for rank in ranks.tolist()) / len(ranks)


def mean_reciprocal_rank(ranks):
    return sum(1 / rank for rank in ranks.tolist()) / len(ranks)


# %% ex-05-random-vectors, wrong: items ask for queries
def accuracy_at_1(queries, items):
    return ((queries @ items.T).argmax(axis=0) == np.arange(len(items))).mean()


# %% ex-05-random-vectors, wrong: the worst item
def accuracy_at_1(queries, items):
    return ((queries @ items.T).argmin(axis=1) == np.arange(len(queries))).mean()


# %% ex-05-random-vectors, wrong: for each query
def accuracy_at_1(queries, items):
    return (queries @ items.T).argmax(axis=1) == np.arange(len(queries))


# %% ex-05-random-vectors, right: the nearest item, in single precision
def accuracy_at_1(queries, items):
    squares = (items**2).sum(axis=1) - 2 * queries @ items.T
    return np.mean(squares.argmin(axis=1) == np.arange(len(queries)), dtype=np.float32)


# %% ex-05-hit-rate, wrong: one is the other
def precision_at_k(result_labels, query_labels, k):
    return (result_labels[:, :k] == query_labels[:, None]).any(axis=1).mean()


# %% ex-05-hit-rate, wrong: a share of all results
def precision_at_k(result_labels, query_labels, k):
    same = result_labels[:, :k] == query_labels[:, None]
    return (same.sum(axis=1) / result_labels.shape[1]).mean()


# %% ex-05-hit-rate, wrong: the result at place k
def precision_at_k(result_labels, query_labels, k):
    return (result_labels[:, k - 1] == query_labels).mean()


# %% ex-05-hit-rate, wrong: all results
def hit_at_k(result_labels, query_labels, k):
    return (result_labels[:, :k] == query_labels[:, None]).all(axis=1).mean()


# %% ex-05-hit-rate, wrong: a result too many
def hit_at_k(result_labels, query_labels, k):
    return (result_labels[:, : k + 1] == query_labels[:, None]).any(axis=1).mean()


# %% ex-05-hit-rate, wrong: for each query
def hit_at_k(result_labels, query_labels, k):
    return (result_labels[:, :k] == query_labels[:, None]).any(axis=1)


# %% ex-05-hit-rate, right: by loops, in single precision
def precision_at_k(result_labels, query_labels, k):
    pairs = zip(result_labels, query_labels, strict=True)
    return np.float32(np.mean([np.mean(row[:k] == label) for row, label in pairs]))


def hit_at_k(result_labels, query_labels, k):
    pairs = zip(result_labels, query_labels, strict=True)
    return np.float32(np.mean([label in row[:k] for row, label in pairs]))


# %% ex-05-ties, wrong: the best place
def recall_with_ties(scores, k):
    own = scores.diagonal()[:, None]
    return ((scores > own).sum(axis=1) < k).astype(float)


# %% ex-05-ties, wrong: the worst place
def recall_with_ties(scores, k):
    own = scores.diagonal()[:, None]
    return ((scores >= own).sum(axis=1) <= k).astype(float)


# %% ex-05-ties, wrong: the mean place
def recall_with_ties(scores, k):
    own = scores.diagonal()[:, None]
    ahead, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return (ahead + (tied + 1) / 2 <= k).astype(float)


# %% ex-05-ties, wrong: by the order in which they stand
def recall_with_ties(scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return (order == np.arange(len(scores))[:, None]).any(axis=1).astype(float)


# %% ex-05-ties, wrong: the mean over the queries
def recall_with_ties(scores, k):
    own = scores.diagonal()[:, None]
    ahead, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return (np.clip(k - ahead, 0, tied) / tied).mean()


# %% ex-05-ties, right: a list, without loops
def recall_with_ties(scores, k):
    own = scores.diagonal()[:, None]
    ahead, tied = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return list(np.float32(np.clip(k - ahead, 0, tied) / tied))


# %% ex-05-bootstrap, wrong: mean ± 1.96 standard errors
def bootstrap_interval(values, resamples, rng):
    error = values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - 1.96 * error, values.mean() + 1.96 * error


# %% ex-05-bootstrap, wrong: the standard error of the resamples
def bootstrap_interval(values, resamples, rng):
    means = rng.choice(values, (resamples, len(values))).mean(axis=1)
    return values.mean() - 1.96 * means.std(), values.mean() + 1.96 * means.std()


# %% ex-05-bootstrap, wrong: turned around the mean
def bootstrap_interval(values, resamples, rng):
    means = rng.choice(values, (resamples, len(values))).mean(axis=1)
    return 2 * values.mean() - np.quantile(means, [0.975, 0.025])


# %% ex-05-bootstrap, wrong: 5 % and 95 %
def bootstrap_interval(values, resamples, rng):
    means = rng.choice(values, (resamples, len(values))).mean(axis=1)
    return np.quantile(means, [0.05, 0.95])


# %% ex-05-bootstrap, wrong: half as many queries
def bootstrap_interval(values, resamples, rng):
    means = rng.choice(values, (resamples, len(values) // 2)).mean(axis=1)
    return np.quantile(means, [0.025, 0.975])


# %% ex-05-bootstrap, wrong: without replacement
def bootstrap_interval(values, resamples, rng):
    means = [rng.permutation(values).mean() for _ in range(resamples)]
    return np.quantile(means, [0.025, 0.975])


# %% ex-05-bootstrap, wrong: quantiles of the values
def bootstrap_interval(values, resamples, rng):
    return np.quantile(values, [0.025, 0.975])


# %% ex-05-bootstrap, wrong: the medians
def bootstrap_interval(values, resamples, rng):
    medians = np.median(rng.choice(values, (resamples, len(values))), axis=1)
    return np.quantile(medians, [0.025, 0.975])


# %% ex-05-bootstrap, right: sorted means, in single precision
def bootstrap_interval(values, resamples, rng):
    means = sorted(rng.choice(np.float32(values), len(values)).mean() for _ in range(resamples))
    return [means[int(0.025 * resamples)], means[int(0.975 * resamples)]]


# %% ex-05-randomisation, wrong: one side
def exact_p(a, b):
    differences = a - b
    signs = np.array(list(product([1, -1], repeat=len(a))))
    return np.mean(signs @ differences >= differences.sum() - 1e-12)


# %% ex-05-randomisation, wrong: more extreme only
def exact_p(a, b):
    differences = a - b
    signs = np.array(list(product([1, -1], repeat=len(a))))
    return np.mean(abs(signs @ differences) > abs(differences.sum()) + 1e-12)


# %% ex-05-randomisation, wrong: without the observed one
def exact_p(a, b):
    differences = a - b
    signs = np.array(list(product([1, -1], repeat=len(a))))[1:]
    return np.mean(abs(signs @ differences) >= abs(differences.sum()) - 1e-12)


# %% ex-05-randomisation, wrong: the models are dealt, not the signs
def exact_p(a, b):
    values, rng = np.r_[a, b], np.random.default_rng(0)
    deals = [rng.permutation(values) for _ in range(2000)]
    far = [abs(d[: len(a)].mean() - d[len(a) :].mean()) for d in deals]
    return np.mean(np.array(far) >= abs(a.mean() - b.mean()) - 1e-12)


# %% ex-05-randomisation, right: sums, in single precision
def exact_p(a, b):
    differences = np.float32(a) - np.float32(b)
    signs = np.array(list(product([1, -1], repeat=len(a))), dtype=np.float32)
    return np.float32(np.mean(abs(signs @ differences) >= abs(differences.sum()) - 1e-5))


# %% ex-05-ivf, wrong: place by place
def ivf_recall(items, queries, k, lists, probes):
    flat, inverted = _indexes(items, lists, probes)
    return np.mean(flat.search(queries, k)[1] == inverted.search(queries, k)[1])


def _indexes(items, lists, probes):
    flat = faiss.IndexFlatIP(items.shape[1])
    inverted = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(items)
    for index in (flat, inverted):
        index.add(items)
    inverted.nprobe = probes
    return flat, inverted


# %% ex-05-ivf, wrong: of what was found
def ivf_recall(items, queries, k, lists, probes):
    flat, inverted = _indexes(items, lists, probes)
    pairs = zip(flat.search(queries, k)[1], inverted.search(queries, k)[1], strict=True)
    return np.mean([len(set(e) & set(f)) / (f >= 0).sum() for e, f in pairs])


def _indexes(items, lists, probes):
    flat = faiss.IndexFlatIP(items.shape[1])
    inverted = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(items)
    for index in (flat, inverted):
        index.add(items)
    inverted.nprobe = probes
    return flat, inverted


# %% ex-05-ivf, wrong: one group always
def ivf_recall(items, queries, k, lists, probes):
    flat = faiss.IndexFlatIP(items.shape[1])
    inverted = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(items)
    for index in (flat, inverted):
        index.add(items)
    pairs = zip(flat.search(queries, k)[1], inverted.search(queries, k)[1], strict=True)
    return np.mean([len(set(e) & set(f)) / k for e, f in pairs])


# %% ex-05-ivf, wrong: a count
def ivf_recall(items, queries, k, lists, probes):
    flat = faiss.IndexFlatIP(items.shape[1])
    inverted = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(items)
    for index in (flat, inverted):
        index.add(items)
    inverted.nprobe = probes
    pairs = zip(flat.search(queries, k)[1], inverted.search(queries, k)[1], strict=True)
    return np.mean([len(set(e) & set(f)) for e, f in pairs])


# %% ex-05-ivf, right: by the factory
def ivf_recall(items, queries, k, lists, probes):
    flat = faiss.IndexFlatIP(items.shape[1])
    inverted = faiss.index_factory(items.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.cp.min_points_per_centroid = 1
    inverted.train(items)
    for index in (flat, inverted):
        index.add(items)
    inverted.nprobe = probes
    pairs = zip(flat.search(queries, k)[1], inverted.search(queries, k)[1], strict=True)
    return np.float32(np.mean([np.isin(e, f).mean() for e, f in pairs]))
