"""Answers to the exercises on the classifier."""


# %% ex-10-prevalence, wrong: half are abnormal
def predictive_value(sensitivity, specificity, share):
    return sensitivity / (sensitivity + 1 - specificity)


# %% ex-10-prevalence, wrong: of those called normal
def predictive_value(sensitivity, specificity, share):
    right = (1 - share) * specificity
    return right / (right + share * (1 - sensitivity))


# %% ex-10-prevalence, wrong: specificity of the wrong ones
def predictive_value(sensitivity, specificity, share):
    return share * sensitivity / (share * sensitivity + (1 - share) * specificity)


# %% ex-10-prevalence, right: by odds, in single precision
def predictive_value(sensitivity, specificity, share):
    odds = share / (1 - share) * sensitivity / (1 - specificity)
    return np.float32(odds / (1 + odds))


# %% ex-10-auc, wrong: equal scores are lost
def auc(scores, labels):
    a, b = scores[labels == 1], scores[labels == 0]
    return np.mean(a[:, None] > b)


# %% ex-10-auc, wrong: equal scores are won
def auc(scores, labels):
    a, b = scores[labels == 1], scores[labels == 0]
    return np.mean(a[:, None] >= b)


# %% ex-10-auc, wrong: a normal study should be higher
def auc(scores, labels):
    a, b = scores[labels == 0], scores[labels == 1]
    return np.mean((a[:, None] > b) + (a[:, None] == b) / 2)


# %% ex-10-auc, wrong: over all pairs of studies
def auc(scores, labels):
    a, b = scores[labels == 1], scores[labels == 0]
    return np.sum((a[:, None] > b) + (a[:, None] == b) / 2) / len(scores) ** 2


# %% ex-10-auc, right: by ranks, in single precision
def auc(scores, labels):
    from scipy.stats import rankdata

    n = (labels == 1).sum()
    won = rankdata(scores)[labels == 1].sum() - n * (n + 1) / 2
    return np.float32(won / (n * (len(labels) - n)))


# %% ex-10-ece, wrong: bins of equal width
def ece(probabilities, labels):
    bins = np.minimum((10 * probabilities).astype(int), 9)
    off = [
        (bins == i).mean() * abs(probabilities[bins == i].mean() - labels[bins == i].mean())
        for i in set(bins)
    ]
    return sum(off)


# %% ex-10-ece, wrong: not sorted
def ece(probabilities, labels):
    p, y = probabilities.reshape(10, -1), labels.reshape(10, -1)
    return np.mean(abs(p.mean(axis=1) - y.mean(axis=1)))


# %% ex-10-ece, wrong: the largest distance
def ece(probabilities, labels):
    order = np.argsort(probabilities)
    p, y = probabilities[order].reshape(10, -1), labels[order].reshape(10, -1)
    return np.max(abs(p.mean(axis=1) - y.mean(axis=1)))


# %% ex-10-ece, wrong: squared distances
def ece(probabilities, labels):
    order = np.argsort(probabilities)
    p, y = probabilities[order].reshape(10, -1), labels[order].reshape(10, -1)
    return np.mean((p.mean(axis=1) - y.mean(axis=1)) ** 2)


# %% ex-10-ece, wrong: distances with signs
def ece(probabilities, labels):
    order = np.argsort(probabilities)
    p, y = probabilities[order].reshape(10, -1), labels[order].reshape(10, -1)
    return np.mean(p.mean(axis=1) - y.mean(axis=1))


# %% ex-10-ece, right: one table, in single precision
def ece(probabilities, labels):
    order = np.argsort(probabilities)
    off = np.float32(probabilities - labels)[order].reshape(10, -1).mean(axis=1)
    return abs(off).mean()


# %% ex-10-shares, wrong: not halved
def shares(head, V, T):
    w = head.linear.weight.detach().numpy()[0]
    return V @ w, T @ w


# %% ex-10-shares, wrong: half of the bias each
def shares(head, V, T):
    w, b = head.linear.weight.detach().numpy()[0], head.linear.bias.item()
    return (V @ w + b) / 2, (T @ w + b) / 2


# %% ex-10-shares, wrong: report and image
def shares(head, V, T):
    w = head.linear.weight.detach().numpy()[0]
    return T @ w / 2, V @ w / 2


# %% ex-10-shares, wrong: a column
def shares(head, V, T):
    w = head.linear.weight.detach().numpy()
    return V @ w.T / 2, T @ w.T / 2


# %% ex-10-shares, wrong: shares of the logit
def shares(head, V, T):
    w = head.linear.weight.detach().numpy()[0]
    return V @ w / ((V + T) @ w), T @ w / ((V + T) @ w)


# %% ex-10-shares, right: tensors
def shares(head, V, T):
    return [(torch.tensor(x) @ head.linear.weight.detach().T / 2).squeeze(1) for x in (V, T)]


# %% ex-10-words, wrong: missing words say nothing
def log_odds(X, y, X_new):
    p = [(X[y == label].sum(axis=0) + 1) / ((y == label).sum() + 2) for label in (0, 1)]
    return math.log(np.mean(y == 1) / np.mean(y == 0)) + X_new @ np.log(p[1] / p[0])


# %% ex-10-words, wrong: the share of the labels is left out
def log_odds(X, y, X_new):
    p = [(X[y == label].sum(axis=0) + 1) / ((y == label).sum() + 2) for label in (0, 1)]
    return X_new @ np.log(p[1] / p[0]) + (1 - X_new) @ np.log((1 - p[1]) / (1 - p[0]))


# %% ex-10-words, wrong: one report is added
def log_odds(X, y, X_new):
    p = [(X[y == label].sum(axis=0) + 1) / ((y == label).sum() + 1.001) for label in (0, 1)]
    prior = math.log(np.mean(y == 1) / np.mean(y == 0))
    return prior + X_new @ np.log(p[1] / p[0]) + (1 - X_new) @ np.log((1 - p[1]) / (1 - p[0]))


# %% ex-10-words, wrong: the odds of normal
def log_odds(X, y, X_new):
    return BernoulliNB(alpha=1).fit(X, y).predict_log_proba(X_new) @ [1, -1]


# %% ex-10-words, wrong: the log-probability of abnormal
def log_odds(X, y, X_new):
    return BernoulliNB(alpha=1).fit(X, y).predict_log_proba(X_new)[:, 1]


# %% ex-10-words, right: in single precision
def log_odds(X, y, X_new):
    X, X_new = np.float32(X), np.float32(X_new)
    p = [(X[y == label].sum(axis=0) + 1) / ((y == label).sum() + 2) for label in (0, 1)]
    constant = np.log(np.mean(y) / (1 - np.mean(y))) + np.log((1 - p[1]) / (1 - p[0])).sum()
    weights = np.log(p[1] / (1 - p[1])) - np.log(p[0] / (1 - p[0]))
    return np.float32(constant + X_new @ weights)


# %% ex-10-temperature, wrong: 1 / tau
def temperature(logits, labels):
    sign = np.where(labels == 1, -1, 1)
    bounds = math.log(0.05), math.log(20)
    found = minimize_scalar(
        lambda log_tau: np.logaddexp(0, sign * logits * math.exp(log_tau)).mean(),
        bounds=bounds,
        method="bounded",
    )
    return math.exp(found.x)


# %% ex-10-temperature, wrong: its logarithm
def temperature(logits, labels):
    sign = np.where(labels == 1, -1, 1)
    return minimize_scalar(
        lambda log_tau: np.logaddexp(0, sign * logits / math.exp(log_tau)).mean(),
        bounds=(math.log(0.05), math.log(20)),
        method="bounded",
    ).x


# %% ex-10-temperature, wrong: the lowest Brier score
def temperature(logits, labels):
    found = minimize_scalar(
        lambda log_tau: ((expit(logits / math.exp(log_tau)) - labels) ** 2).mean(),
        bounds=(math.log(0.05), math.log(20)),
        method="bounded",
    )
    return math.exp(found.x)


# %% ex-10-temperature, wrong: the mean probability is right
def temperature(logits, labels):
    grid = np.geomspace(0.05, 20, 500)
    off = [abs(expit(logits / tau).mean() - labels.mean()) for tau in grid]
    return grid[np.argmin(off)]


# %% ex-10-temperature, right: a grid, in single precision
def temperature(logits, labels):
    grid = np.geomspace(0.05, 20, 800, dtype=np.float32)
    sign = np.where(labels == 1, -1, 1)
    return grid[np.argmin([np.logaddexp(0, sign * logits / tau).mean() for tau in grid])]


# %% ex-10-threshold, wrong: above the threshold
def best_threshold(scores, labels):
    candidates = np.r_[-np.inf, np.sort(scores)]
    called = scores > candidates[:, None]
    return candidates[np.argmax((called == labels).mean(axis=1))]


# %% ex-10-threshold, wrong: never above all scores
def best_threshold(scores, labels):
    called = scores >= scores[:, None]
    return scores[np.argmax((called == labels).mean(axis=1))]


# %% ex-10-threshold, wrong: the accuracy
def best_threshold(scores, labels):
    candidates = np.r_[scores, np.inf]
    return ((scores >= candidates[:, None]) == labels).mean(axis=1).max()


# %% ex-10-threshold, wrong: the middle of the means
def best_threshold(scores, labels):
    if len(set(labels.tolist())) == 1:
        return -np.inf if labels[0] else np.inf
    return (scores[labels == 1].mean() + scores[labels == 0].mean()) / 2


# %% ex-10-threshold, wrong: Youden's index
def best_threshold(scores, labels):
    candidates = np.r_[scores, np.inf]
    called = scores >= candidates[:, None]
    share = labels.mean()
    weights = np.where(labels == 1, 1 / max(share, 0.1), 1 / max(1 - share, 0.1))
    return candidates[np.argmax((called == labels) @ weights)]


# %% ex-10-threshold, right: between the scores
def best_threshold(scores, labels):
    s = np.unique(scores)
    candidates = np.r_[s[0] - 1, (s[1:] + s[:-1]) / 2, s[-1] + 1].astype(np.float32)
    return max(candidates, key=lambda cut: np.mean((scores >= cut) == labels))


# %% ex-10-worst, wrong: plain accuracies
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    lowest = [
        (np.bincount(groups, dealt) / sizes).min()
        for dealt in (right, *(rng.permutation(right) for _ in range(deals)))
    ]
    return np.mean(np.array(lowest) <= lowest[0] + 1e-12)


# %% ex-10-worst, wrong: better groups too
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    furthest = [
        (abs(np.bincount(groups, dealt) / sizes - right.mean()) * np.sqrt(sizes)).max()
        for dealt in (right, *(rng.permutation(right) for _ in range(deals)))
    ]
    return np.mean(np.array(furthest) >= furthest[0] - 1e-12)


# %% ex-10-worst, wrong: further below only
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    lowest = [
        ((np.bincount(groups, dealt) / sizes - right.mean()) * np.sqrt(sizes)).min()
        for dealt in (right, *(rng.permutation(right) for _ in range(deals)))
    ]
    return (1 + np.sum(np.array(lowest) < lowest[0] - 1e-12)) / (1 + deals)


# %% ex-10-worst, wrong: the true deal is not counted
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    lowest = [
        ((np.bincount(groups, dealt) / sizes - right.mean()) * np.sqrt(sizes)).min()
        for dealt in (right, *(rng.permutation(right) for _ in range(deals)))
    ]
    return np.mean(np.array(lowest[1:]) <= lowest[0] + 1e-12)


# %% ex-10-worst, wrong: studies are drawn with replacement
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    lowest = [
        ((np.bincount(groups, dealt) / sizes - right.mean()) * np.sqrt(sizes)).min()
        for dealt in (right, *(rng.choice(right, len(right)) for _ in range(deals)))
    ]
    return np.mean(np.array(lowest) <= lowest[0] + 1e-12)


# %% ex-10-worst, wrong: the test of the worst group alone
def worst_group_p(right, groups, deals, rng):
    from scipy.stats import binomtest

    sizes = np.bincount(groups)
    worst = np.argmin((np.bincount(groups, right) / sizes - right.mean()) * np.sqrt(sizes))
    own = right[groups == worst]
    return binomtest(int(own.sum()), len(own), right.mean(), alternative="less").pvalue


# %% ex-10-worst, right: the groups are dealt, in single precision
def worst_group_p(right, groups, deals, rng):
    sizes = np.bincount(groups)
    lowest = [
        ((np.bincount(dealt, right) / sizes - right.mean()) * np.sqrt(sizes)).min()
        for dealt in (groups, *(rng.permutation(groups) for _ in range(deals)))
    ]
    return np.mean(np.float32(lowest) <= np.float32(lowest[0]) + 1e-5, dtype=np.float32)
