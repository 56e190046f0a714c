"""Answers to the exercises on embedding maps."""


# %% ex-06-perplexity, wrong: natural logarithms
def perplexity(p):
    p = p[p > 0]
    return 2 ** -(p * np.log(p)).sum()


# %% ex-06-perplexity, wrong: zeros
def perplexity(p):
    with np.errstate(all="ignore"):
        return 2 ** -(p * np.log2(p)).sum()


# %% ex-06-perplexity, wrong: the entropy
def perplexity(p):
    p = p[p > 0]
    return -(p * np.log2(p)).sum()


# %% ex-06-perplexity, wrong: one over the sum of squares
def perplexity(p):
    return 1 / (p**2).sum()


# %% ex-06-perplexity, right: a product, in single precision
def perplexity(p):
    p = np.float32(p)
    return np.prod(p**-p)


# %% ex-06-label-accuracy, wrong: the study is its own neighbour
def label_accuracy(distances, labels):
    nearest = np.argsort(distances, axis=1)[:, :10]
    same = (labels[nearest] == labels[:, None]).sum(axis=1)
    return np.where(same == 5, 0.5, same > 5).mean()


# %% ex-06-label-accuracy, wrong: five against five is right
def label_accuracy(distances, labels):
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    return ((labels[nearest] == labels[:, None]).sum(axis=1) >= 5).mean()


# %% ex-06-label-accuracy, wrong: five against five is wrong
def label_accuracy(distances, labels):
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    return ((labels[nearest] == labels[:, None]).sum(axis=1) > 5).mean()


# %% ex-06-label-accuracy, wrong: the mean share
def label_accuracy(distances, labels):
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    return (labels[nearest] == labels[:, None]).mean()


# %% ex-06-label-accuracy, wrong: the furthest
def label_accuracy(distances, labels):
    nearest = np.argsort(-distances, axis=1)[:, :10]
    same = (labels[nearest] == labels[:, None]).sum(axis=1)
    return np.where(same == 5, 0.5, same > 5).mean()


# %% ex-06-label-accuracy, right: without loops, in single precision
def label_accuracy(distances, labels):
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    same = (labels[nearest] == labels[:, None]).sum(axis=1)
    return np.float32((np.sign(same - 5).mean() + 1) / 2)


# %% ex-06-pca, wrong: not centred
def pca_map(vectors):
    u, s, _ = np.linalg.svd(vectors, full_matrices=False)
    return u[:, :2] * s[:2], (s[:2] ** 2).sum() / (s**2).sum()


# %% ex-06-pca, wrong: without the singular values
def pca_map(vectors):
    u, s, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return u[:, :2], (s[:2] ** 2).sum() / (s**2).sum()


# %% ex-06-pca, wrong: the share of the singular values
def pca_map(vectors):
    u, s, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return u[:, :2] * s[:2], s[:2].sum() / s.sum()


# %% ex-06-pca, wrong: standardised
def pca_map(vectors):
    centred = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return u[:, :2] * s[:2], (s[:2] ** 2).sum() / (s**2).sum()


# %% ex-06-pca, wrong: the mean of each study
def pca_map(vectors):
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return u[:, :2] * s[:2], (s[:2] ** 2).sum() / (s**2).sum()


# %% ex-06-pca, wrong: without the share
def pca_map(vectors):
    u, s, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    return u[:, :2] * s[:2]


# %% ex-06-pca, right: other signs, a list, in single precision
def pca_map(vectors):
    centred = np.float32(vectors) - np.float32(vectors).mean(axis=0)
    _, s, directions = np.linalg.svd(centred, full_matrices=False)
    return [-centred @ directions[:2].T, (s[:2] ** 2).sum() / (s**2).sum()]


# %% ex-06-trustworthiness, wrong: space and map exchanged
def trust(space, drawn, k):
    n = len(space)
    rank = np.argsort(np.argsort(drawn, axis=1), axis=1)
    near = np.argsort(space, axis=1)[:, 1 : k + 1]
    penalty = np.maximum(np.take_along_axis(rank, near, axis=1) - k, 0).sum()
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


# %% ex-06-trustworthiness, wrong: ranks from 0
def trust(space, drawn, k):
    n = len(space)
    rank = np.argsort(np.argsort(space, axis=1), axis=1) - 1
    near = np.argsort(drawn, axis=1)[:, 1 : k + 1]
    penalty = np.maximum(np.take_along_axis(rank, near, axis=1) - k, 0).sum()
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


# %% ex-06-trustworthiness, wrong: the study is its own neighbour
def trust(space, drawn, k):
    n = len(space)
    rank = np.argsort(np.argsort(space, axis=1), axis=1)
    near = np.argsort(drawn, axis=1)[:, :k]
    penalty = np.maximum(np.take_along_axis(rank, near, axis=1) - k, 0).sum()
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


# %% ex-06-trustworthiness, wrong: the share of true neighbours
def trust(space, drawn, k):
    near = [np.argsort(each, axis=1)[:, 1 : k + 1] for each in (space, drawn)]
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(*near, strict=True)])


# %% ex-06-trustworthiness, right: without loops, in single precision
def trust(space, drawn, k):
    n = len(space)
    rank = np.argsort(np.argsort(space, axis=1), axis=1)
    near = np.argsort(drawn, axis=1)[:, 1 : k + 1]
    penalty = np.maximum(np.take_along_axis(rank, near, axis=1) - k, 0).sum()
    return np.float32(1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty)


# %% ex-06-noise, wrong: the point is in its own mean
def silhouette(points, groups):
    distances, values = cdist(points, points), []
    for point, group in enumerate(groups):
        means = {g: distances[point, groups == g].mean() for g in set(groups)}
        a = means.pop(group)
        b = min(means.values())
        values.append((b - a) / max(a, b) if (groups == group).sum() > 1 else 0)
    return np.mean(values)


# %% ex-06-noise, wrong: all others are one group
def silhouette(points, groups):
    distances, values = cdist(points, points), []
    for point, group in enumerate(groups):
        size = (groups == group).sum()
        a = distances[point, groups == group].sum() / max(1, size - 1)
        b = distances[point, groups != group].mean()
        values.append((b - a) / max(a, b) if size > 1 else 0)
    return np.mean(values)


# %% ex-06-noise, wrong: 1 for a point alone
def silhouette(points, groups):
    distances, values = cdist(points, points), []
    for point, group in enumerate(groups):
        size = (groups == group).sum()
        a = distances[point, groups == group].sum() / max(1, size - 1)
        b = min(distances[point, groups == g].mean() for g in set(groups) - {group})
        values.append((b - a) / max(a, b))
    return np.mean(values)


# %% ex-06-noise, wrong: squared distances
def silhouette(points, groups):
    return silhouette_score(cdist(points, points, "sqeuclidean"), groups, metric="precomputed")


# %% ex-06-noise, right: scikit-learn, in single precision
def silhouette(points, groups):
    return np.float32(silhouette_score(points.astype(np.float32), groups))


# %% ex-06-tsne, wrong: squared once more
def choice(squared, perplexity):
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        p = np.exp(-np.exp(middle) * (squared**2 - (squared**2).min()))
        p /= p.sum()
        low, high = (middle, high) if np.exp(entropy(p)) > perplexity else (low, middle)
    return p


# %% ex-06-tsne, wrong: the entropy in bits to the base e
def choice(squared, perplexity):
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        p = np.exp(-np.exp(middle) * (squared - squared.min()))
        p /= p.sum()
        low, high = (middle, high) if np.exp(entropy(p, base=2)) > perplexity else (low, middle)
    return p


# %% ex-06-tsne, wrong: the nearest alike
def choice(squared, perplexity):
    p = np.zeros(len(squared))
    p[np.argsort(squared)[:perplexity]] = 1 / perplexity
    return p + 1e-15


# %% ex-06-tsne, wrong: the factor 4 is missing
def tsne_gradient(p, y):
    difference = y[:, None] - y
    w = 1 / (1 + (difference**2).sum(axis=2))
    np.fill_diagonal(w, 0)
    return (((p - w / w.sum()) * w)[:, :, None] * difference).sum(axis=1)


# %% ex-06-tsne, wrong: w is missing
def tsne_gradient(p, y):
    difference = y[:, None] - y
    w = 1 / (1 + (difference**2).sum(axis=2))
    np.fill_diagonal(w, 0)
    return 4 * ((p - w / w.sum())[:, :, None] * difference).sum(axis=1)


# %% ex-06-tsne, wrong: each study with itself
def tsne_gradient(p, y):
    difference = y[:, None] - y
    w = 1 / (1 + (difference**2).sum(axis=2))
    return 4 * (((p - w / w.sum()) * w)[:, :, None] * difference).sum(axis=1)


# %% ex-06-tsne, wrong: uphill
def tsne_gradient(p, y):
    difference = y - y[:, None]
    w = 1 / (1 + (difference**2).sum(axis=2))
    np.fill_diagonal(w, 0)
    return 4 * (((p - w / w.sum()) * w)[:, :, None] * difference).sum(axis=1)


# %% ex-06-tsne, right: in single precision, as a tensor
def choice(squared, perplexity):
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        p = np.exp(-np.exp(middle) * (squared - squared.min()), dtype=np.float64)
        p /= p.sum()
        low, high = (middle, high) if 2 ** entropy(p, base=2) > perplexity else (low, middle)
    return np.float32(p)


def tsne_gradient(p, y):
    p, y = (torch.as_tensor(each, dtype=torch.float32) for each in (p, y))
    difference = y[:, None] - y
    w = (1 / (1 + (difference**2).sum(axis=2))).fill_diagonal_(0)
    return 4 * (((p - w / w.sum()) * w)[:, :, None] * difference).sum(axis=1)
