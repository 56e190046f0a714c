"""Answers to the exercises on the explorer."""


# %% ex-11-rank, wrong: ranks from 0
def own_rank(scores, own):
    return (scores > scores[own]).sum()


# %% ex-11-rank, wrong: ties have the worst of their ranks
def own_rank(scores, own):
    return (scores >= scores[own]).sum()


# %% ex-11-rank, wrong: the lowest score is first
def own_rank(scores, own):
    return 1 + (scores < scores[own]).sum()


# %% ex-11-rank, wrong: ties by their places
def own_rank(scores, own):
    return 1 + list(np.argsort(-scores, kind="stable")).index(own)


# %% ex-11-rank, right: a number with a point
def own_rank(scores, own):
    return np.float32(len(scores) - (scores <= scores[own]).sum() + 1)


# %% ex-11-bits, wrong: rounded down
def quantise(x):
    scales = np.abs(x).max(axis=1, keepdims=True) / 127
    return np.floor(x / scales).astype(np.int8), scales


# %% ex-11-bits, wrong: cut off
def quantise(x):
    scales = np.abs(x).max(axis=1, keepdims=True) / 127
    return (x / scales).astype(np.int8), scales


# %% ex-11-bits, wrong: one scale for all rows
def quantise(x):
    scales = np.full((len(x), 1), np.abs(x).max() / 127)
    return np.rint(x / scales).astype(np.int8), scales


# %% ex-11-bits, wrong: -128
def quantise(x):
    scales = np.abs(x).max(axis=1, keepdims=True) / 127
    codes = np.rint(x / scales)
    return np.where(codes == -127, -128, codes).astype(np.int8), scales


# %% ex-11-bits, wrong: numbers with a point
def quantise(x):
    scales = np.abs(x).max(axis=1, keepdims=True) / 127
    return np.rint(x / scales), scales


# %% ex-11-bits, wrong: scales without an axis
def quantise(x):
    scales = np.abs(x).max(axis=1) / 127
    return np.rint(x / scales[:, None]).astype(np.int8), scales


# %% ex-11-bits, wrong: by the largest positive number
def quantise(x):
    scales = x.max(axis=1, keepdims=True) / 127
    return np.clip(np.rint(x / scales), -127, 127).astype(np.int8), scales


# %% ex-11-bits, right: a list, scales in single precision
def quantise(x):
    scales = np.float32(np.linalg.norm(x, np.inf, axis=1, keepdims=True) / 127)
    return [np.round(x / scales).clip(-127, 127).astype("int8"), scales]


# %% ex-11-best, wrong: with replacement
def expected_best(values, tries):
    rank, n = np.arange(1, len(values) + 1), len(values)
    return np.sort(values) @ ((rank / n) ** tries - ((rank - 1) / n) ** tries)


# %% ex-11-best, wrong: simulated
def expected_best(values, tries):
    draws = np.random.default_rng(0)
    return np.mean([max(draws.choice(values, tries, replace=False)) for _ in range(500)])


# %% ex-11-best, wrong: the worst
def expected_best(values, tries):
    n, falling = len(values), sorted(values, reverse=True)
    return sum(math.comb(i, tries - 1) / math.comb(n, tries) * x for i, x in enumerate(falling))


# %% ex-11-best, wrong: places from 1
def expected_best(values, tries):
    n, rising = len(values), enumerate(sorted(values), start=1)
    return sum(math.comb(i, tries - 1) / math.comb(n, tries) * x for i, x in rising)


# %% ex-11-best, right: by a recursion from the top
def expected_best(values, tries):
    n, best, missed = len(values), 0.0, 1.0
    for i, value in enumerate(sorted(values, reverse=True)):
        chance = min(1.0, tries / (n - i))
        best, missed = best + missed * chance * value, missed * (1 - chance)
    return np.float32(best)


# %% ex-11-hubs, wrong: the last k
def occurrences(scores, k):
    first = np.argsort(scores, axis=1)[:, :k]
    return np.bincount(first.ravel(), minlength=scores.shape[1])


# %% ex-11-hubs, wrong: items that never occur are left out
def occurrences(scores, k):
    return np.unique(np.argsort(-scores, axis=1)[:, :k], return_counts=True)[1]


# %% ex-11-hubs, wrong: for each query
def occurrences(scores, k):
    first = np.argsort(-scores, axis=0)[:k]
    return np.bincount(first.ravel(), minlength=scores.shape[0])


# %% ex-11-hubs, wrong: shares
def occurrences(scores, k):
    first = np.argsort(-scores, axis=1)[:, :k]
    return np.bincount(first.ravel(), minlength=scores.shape[1]) / len(scores)


# %% ex-11-hubs, wrong: rows alone
def csls(scores, k):
    return 2 * scores - 2 * np.sort(scores, axis=1)[:, -k:].mean(axis=1, keepdims=True)


# %% ex-11-hubs, wrong: not doubled
def csls(scores, k):
    rows = np.sort(scores, axis=1)[:, -k:].mean(axis=1, keepdims=True)
    return scores - rows - np.sort(scores, axis=0)[-k:].mean(axis=0)


# %% ex-11-hubs, wrong: the lowest k
def csls(scores, k):
    rows = np.sort(scores, axis=1)[:, :k].mean(axis=1, keepdims=True)
    return 2 * scores - rows - np.sort(scores, axis=0)[:k].mean(axis=0)


# %% ex-11-hubs, wrong: the mean of all
def csls(scores, k):
    return 2 * scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0)


# %% ex-11-hubs, right: a list, in single precision
def occurrences(scores, k):
    first = np.argsort(scores, axis=1)[:, ::-1][:, :k].tolist()
    return [sum(item in row for row in first) for item in range(scores.shape[1])]


def csls(scores, k):
    scores = np.float32(scores)
    rows, columns = (np.sort(x, axis=0)[::-1][:k].mean(axis=0) for x in (scores.T, scores))
    return 2 * scores - np.add.outer(rows, columns)
