"""Answers to the exercises on ablations."""


# %% ex-09-two, wrong: the normal distribution
def band_of_two(a, b):
    return 1.96 * abs(a - b)


# %% ex-09-two, wrong: two standard deviations
def band_of_two(a, b):
    return t.ppf(0.975, 1) * np.std([a, b], ddof=1)


# %% ex-09-two, wrong: the population's standard deviation
def band_of_two(a, b):
    return t.ppf(0.975, 1) * math.sqrt(2) * np.std([a, b])


# %% ex-09-two, wrong: one side
def band_of_two(a, b):
    return t.ppf(0.95, 1) * abs(a - b)


# %% ex-09-two, wrong: with a sign
def band_of_two(a, b):
    return t.ppf(0.975, 1) * (a - b)


# %% ex-09-two, right: by the standard deviation of two numbers
def band_of_two(a, b):
    return np.float32(t.ppf(0.975, 1) * math.sqrt(2) * np.std([a, b], ddof=1))


# %% ex-09-best, wrong: the best of all
def gain_of_best(seeds, repeats, rng):
    return rng.normal(size=(repeats, seeds)).max()


# %% ex-09-best, wrong: the largest in size
def gain_of_best(seeds, repeats, rng):
    return abs(rng.normal(size=(repeats, seeds))).max(axis=1).mean()


# %% ex-09-best, wrong: a seed more
def gain_of_best(seeds, repeats, rng):
    return rng.normal(size=(repeats, seeds + 1)).max(axis=1).mean()


# %% ex-09-best, wrong: the distance of best and worst
def gain_of_best(seeds, repeats, rng):
    return np.ptp(rng.normal(size=(repeats, seeds)), axis=1).mean()


# %% ex-09-best, right: in single precision
def gain_of_best(seeds, repeats, rng):
    return rng.standard_normal((seeds, repeats), dtype=np.float32).max(axis=0).mean()


# %% ex-09-mix, wrong: the shares are exchanged
def mix(first, second, alpha):
    if first.keys() != second.keys():
        raise ValueError("other names")
    return {name: alpha * first[name] + (1 - alpha) * second[name] for name in first}


# %% ex-09-mix, wrong: the first is changed
def mix(first, second, alpha):
    if first.keys() != second.keys():
        raise ValueError("other names")
    return {name: first[name].lerp_(second[name], alpha) for name in first}


# %% ex-09-mix, wrong: the second is changed
def mix(first, second, alpha):
    if first.keys() != second.keys():
        raise ValueError("other names")
    for name in second:
        second[name] = (1 - alpha) * first[name] + alpha * second[name]
    return dict(second)


# %% ex-09-mix, wrong: names that both have
def mix(first, second, alpha):
    names = first.keys() & second.keys()
    return {name: (1 - alpha) * first[name] + alpha * second[name] for name in names}


# %% ex-09-mix, wrong: a KeyError
def mix(first, second, alpha):
    return {name: (1 - alpha) * first[name] + alpha * second[name] for name in first}


# %% ex-09-mix, wrong: more names in the second
def mix(first, second, alpha):
    if not first.keys() <= second.keys():
        raise ValueError("other names")
    return {name: (1 - alpha) * first[name] + alpha * second[name] for name in first}


# %% ex-09-mix, right: in single precision, in another order
def mix(first, second, alpha):
    if set(first) != set(second):
        raise ValueError("other names")
    return {n: torch.lerp(first[n].float(), second[n].float(), alpha) for n in sorted(first)[::-1]}


# %% ex-09-many, wrong: each variant has a baseline
def false_alarms(variants, repeats, rng):
    p = 2 * norm.sf(abs(rng.normal(size=(repeats, variants))))
    return (p < 0.05).any(axis=1).mean(), (variants * p < 0.05).any(axis=1).mean()


# %% ex-09-many, wrong: the root is forgotten
def false_alarms(variants, repeats, rng):
    x = rng.normal(size=(repeats, variants + 1))
    p = 2 * norm.sf(abs(x[:, 1:] - x[:, :1]))
    return (p < 0.05).any(axis=1).mean(), (variants * p < 0.05).any(axis=1).mean()


# %% ex-09-many, wrong: one side
def false_alarms(variants, repeats, rng):
    x = rng.normal(size=(repeats, variants + 1))
    p = norm.sf((x[:, 1:] - x[:, :1]) / math.sqrt(2))
    return (p < 0.05).any(axis=1).mean(), (variants * p < 0.05).any(axis=1).mean()


# %% ex-09-many, wrong: the share of all tests
def false_alarms(variants, repeats, rng):
    x = rng.normal(size=(repeats, variants + 1))
    p = 2 * norm.sf(abs(x[:, 1:] - x[:, :1]) / math.sqrt(2))
    return (p < 0.05).mean(), (variants * p < 0.05).mean()


# %% ex-09-many, wrong: corrected twice
def false_alarms(variants, repeats, rng):
    x = rng.normal(size=(repeats, variants + 1))
    p = 2 * norm.sf(abs(x[:, 1:] - x[:, :1]) / math.sqrt(2))
    return (p < 0.05).any(axis=1).mean(), (variants**2 * p < 0.05).any(axis=1).mean()


# %% ex-09-many, wrong: the worst p-value
def false_alarms(variants, repeats, rng):
    x = rng.normal(size=(repeats, variants + 1))
    p = 2 * norm.sf(abs(x[:, 1:] - x[:, :1]) / math.sqrt(2))
    return (p < 0.05).any(axis=1).mean(), (p < 0.05).all(axis=1).mean()


# %% ex-09-many, right: the smallest times m, a list
def false_alarms(variants, repeats, rng):
    x = rng.standard_normal((repeats, variants + 1), dtype=np.float32)
    p = 2 * norm.sf(abs(x[:, 1:] - x[:, :1]).max(axis=1) / math.sqrt(2))
    return [np.float32((p < 0.05).mean()), np.float32((variants * p < 0.05).mean())]


# %% ex-09-alpha, wrong: chosen on the test studies
def choose(alphas):
    return max(sorted(alphas), key=lambda alpha: mrr_of(alpha, "test"))


# %% ex-09-alpha, wrong: the largest of equals
def choose(alphas):
    return max(sorted(alphas, reverse=True), key=lambda alpha: mrr_of(alpha, "validation"))


# %% ex-09-alpha, wrong: the first of equals
def choose(alphas):
    return max(alphas, key=lambda alpha: mrr_of(alpha, "validation"))


# %% ex-09-alpha, wrong: the lowest
def choose(alphas):
    return min(sorted(alphas), key=lambda alpha: mrr_of(alpha, "validation"))


# %% ex-09-alpha, wrong: the place in the list
def choose(alphas):
    return int(np.argmax([mrr_of(alpha, "validation") for alpha in alphas]))


# %% ex-09-alpha, wrong: the shares are exchanged
def mrr_of(alpha, part):
    rows = torch.from_numpy(np.flatnonzero(studies["split"] == part))
    mixed = training_runs.interpolated(start, trained, 1 - alpha).to(device)
    return evaluation.study_mrr(*embed_rows(mixed, features, rows, device)).mean()


# %% ex-09-alpha, wrong: for each study
def mrr_of(alpha, part):
    rows = torch.from_numpy(np.flatnonzero(studies["split"] == part))
    mixed = training_runs.interpolated(start, trained, alpha).to(device)
    return evaluation.study_mrr(*embed_rows(mixed, features, rows, device))


# %% ex-09-alpha, right: in single precision, not cached
def mrr_of(alpha, part):
    rows = torch.from_numpy(np.flatnonzero(studies["split"] == part))
    mixed = training_runs.interpolated(start, trained, alpha).to(device)
    return np.float32(evaluation.study_mrr(*embed_rows(mixed, features, rows, device)).mean())


def choose(alphas):
    best = max(mrr_of(alpha, part="validation") for alpha in alphas)
    return min(alpha for alpha in alphas if mrr_of(alpha, part="validation") == best)


# %% ex-09-parts, wrong: estimates below 0 are 0
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    a, b = (x.mean(axis=i).var(ddof=1) - m_e / n for i, n in ((1, queries), (0, seeds)))
    return max(0, a), max(0, b), m_e


# %% ex-09-parts, wrong: the population's variances
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = rest.var()
    return x.mean(axis=1).var() - m_e / queries, x.mean(axis=0).var() - m_e / seeds, m_e


# %% ex-09-parts, wrong: the rest is not taken away
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    return x.mean(axis=1).var(ddof=1), x.mean(axis=0).var(ddof=1), m_e


# %% ex-09-parts, wrong: standard deviations
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    parts = [x.mean(axis=i).var(ddof=1) - m_e / n for i, n in ((1, queries), (0, seeds))]
    return [math.sqrt(max(0, part)) for part in (*parts, m_e)]


# %% ex-09-parts, wrong: seeds and queries are exchanged
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    return [*(x.mean(axis=i).var(ddof=1) - m_e / x.shape[i] for i in (0, 1)), m_e]


# %% ex-09-parts, right: an array in single precision
def variances(x):
    seeds, queries = x.shape
    rest = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0) + x.mean()
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    parts = [x.mean(axis=i).var(ddof=1) - m_e / n for i, n in ((1, queries), (0, seeds))]
    return np.array([*parts, m_e], dtype=np.float32)


# %% ex-09-both, wrong: over the queries alone
def difference_interval(a, b):
    d = a.mean(axis=0) - b.mean(axis=0)
    half = 1.96 * d.std(ddof=1) / math.sqrt(len(d))
    return d.mean() - half, d.mean() + half


# %% ex-09-both, wrong: over the seeds alone
def difference_interval(a, b):
    one, other = a.mean(axis=1), b.mean(axis=1)
    error = math.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    half = t.ppf(0.975, len(one) + len(other) - 2) * error
    return one.mean() - other.mean() - half, one.mean() - other.mean() + half


# %% ex-09-both, wrong: the queries do not cancel
def difference_interval(a, b):
    parts = [x.mean(axis=i).var(ddof=1) / x.shape[1 - i] for x in (a, b) for i in (0, 1)]
    half = t.ppf(0.975, 8) * math.sqrt(sum(parts))
    return a.mean() - b.mean() - half, a.mean() - b.mean() + half


# %% ex-09-both, wrong: the spread of the values
def difference_interval(a, b):
    half = 1.96 * math.sqrt(a.var(ddof=1) + b.var(ddof=1))
    return a.mean() - b.mean() - half, a.mean() - b.mean() + half


# %% ex-09-both, right: the larger of Student's factors, an array
def difference_interval(a, b):
    d = a.mean(axis=0) - b.mean(axis=0)
    seeds = a.mean(axis=1).var(ddof=1) / len(a) + b.mean(axis=1).var(ddof=1) / len(b)
    queries = d.var(ddof=1) / len(d)
    half = math.hypot(t.ppf(0.975, 8) * math.sqrt(seeds), 1.97 * math.sqrt(queries))
    return np.float32([d.mean() - half, d.mean() + half])
