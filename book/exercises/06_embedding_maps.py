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
#     needs: [studies.parquet, models.json, embeddings, tsne.parquet]
# ---

# %% [markdown]
# # Exercises: embedding maps
#
# These go with [the chapter on embedding maps](../06_embedding_maps): what a t-SNE map keeps of the
# space, what it makes up, and how it comes about.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.neighbors import kneighbors_graph
from threadpoolctl import threadpool_limits

from cxr_mtl.base import read_json, read_table
from cxr_mtl.figures import embedding_maps, use_theme
from cxr_mtl.retrieval import (
    embedding_map,
    fused_vectors,
    normalised,
    stored_embeddings,
    tsne_maps,
)
from cxr_mtl.runs import (
    check_parameters,
    expect_close,
    expect_numbers,
    expect_several,
    open_run,
)

# The sets are small: threads would wait for each other.
threadpool_limits(1)
use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %% [markdown]
# `fused` holds the fused vectors of the test studies by the fine-tuned model, [studies, d] and
# L2-normalised, and `on_map` the places that the chapter's t-SNE gave them, [studies, 2].

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
labels = studies.loc[studies["split"] == "test", "label"].to_numpy()
models = read_json(run / "models.json")
embeddings = stored_embeddings(run / "embeddings", models)
fused = fused_vectors(*embeddings["fine_tuned"])
tsne = read_table(run / "tsne.parquet")
on_map = tsne.loc[tsne["model"] == "fine_tuned", ["x", "y"]].to_numpy()
fused.shape, on_map.shape

# %% [markdown]
# ```{exercise} What a perplexity is
# :label: ex-06-perplexity
#
# *Two minutes.* t-SNE gives every study a probability distribution over the others, high for near
# ones, and makes its width such that the *perplexity* $2^H$ is the one asked for, where
# $H = -\sum_j p_j \log_2 p_j$ is the entropy in bits. It counts neighbours: a fair choice among 30
# has the perplexity 30.
#
# Write `perplexity(p)` for an array of probabilities that sum to 1. Some may be 0 and then add
# nothing to the entropy. The check asks SciPy.
# ```

# %% [markdown]
# ```{solution-start} ex-06-perplexity
# :class: dropdown
# ```


# %% tags=["solution"]
def perplexity(p: np.ndarray) -> float:
    """2 to the entropy of p in bits."""
    ### BEGIN SOLUTION
    positive = p[p > 0]
    return float(2 ** -(positive * np.log2(positive)).sum())
    ### END SOLUTION


# %% tags=["check"]
rng = np.random.default_rng(seed)
for p in (
    [1.0],
    [0.5, 0.5, 0.0],
    [1 / 30] * 30,
    rng.dirichlet([0.3] * 9),
):
    expect_close(
        perplexity(np.array(p)),
        2 ** entropy(p, base=2),
        f"perplexity of {np.round(p[:3], 2)} and {len(p[3:])} more",
    )
print("ex-06-perplexity: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Labels of neighbours, in the space and on the map
# :label: ex-06-label-accuracy
#
# *Ten minutes.* Below each map of the chapter stands how often the label of a study is that of most
# of its 10 nearest neighbours in the embedding space. On the map the same can be computed. Are the
# two equal? Which of them would you report?
#
# Write `label_accuracy(distances, labels)` for a matrix of distances [studies, studies]: the share
# of studies whose label is the majority's among the 10 nearest others. Five against five counts one
# half. The check compares it on random points with the library, by cosine distance, and with
# scikit-learn's neighbours, and prints it for the space and for the map.
# ```

# %% [markdown]
# ```{solution-start} ex-06-label-accuracy
# :class: dropdown
# ```


# %% tags=["solution"]
def label_accuracy(distances: np.ndarray, labels: np.ndarray) -> float:
    """Share of studies with the label of most of 10 neighbours."""
    ### BEGIN SOLUTION
    correct = []
    for study, row in enumerate(distances):
        nearest = [
            other for other in np.argsort(row) if other != study
        ][:10]
        same = sum(labels[nearest] == labels[study])
        correct.append(0.5 if same == 5 else float(same > 5))
    return float(np.mean(correct))
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The two need not be equal, and the map's may be the higher one: t-SNE pulls neighbourhoods
# together. It says how the *picture* looks; the chapter reports the space, which is what a search
# uses.

# %% tags=["check"]
rng = np.random.default_rng(seed)
points, marks = rng.standard_normal((80, 5)), rng.integers(0, 2, 80)
expect_close(
    label_accuracy(cdist(points, points, "cosine"), marks),
    tsne_maps.neighbour_label_accuracy(points, marks),
    "label accuracy of random points, by cosine distance",
)
same = kneighbors_graph(points, 10) @ marks
same = np.where(marks == 1, same, 10 - same)
expect_close(
    label_accuracy(cdist(points, points), marks),
    np.mean(np.where(same == 5, 0.5, same > 5)),
    "label accuracy of random points, by scikit-learn's neighbours",
)
in_space = label_accuracy(cdist(fused, fused, "cosine"), labels)
drawn = label_accuracy(cdist(on_map, on_map), labels)
print(
    f"label accuracy: in the space {in_space:.3f}, "
    f"on the map {drawn:.3f}"
)
print("ex-06-label-accuracy: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} A map without tricks
# :label: ex-06-pca
#
# *Ten minutes.* Principal component analysis (PCA) is the plainest map: subtract the mean, and keep
# the two directions with the greatest variance. It is linear, so distances on the map are never
# larger than in the space, and it has no perplexity and no seed. What it cannot show, it drops.
#
# Write `pca_map(vectors)` with NumPy's singular value decomposition. It returns the coordinates
# [studies, 2] and the share of the variance that the two directions hold. The check compares it
# with scikit-learn on random points, up to the sign of a direction, and prints the trustworthiness of
# both maps of the run.
# ```

# %% [markdown]
# ```{solution-start} ex-06-pca
# :class: dropdown
# ```


# %% tags=["solution"]
def pca_map(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """Coordinates [studies, 2] and their share of the variance."""
    ### BEGIN SOLUTION
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    share = (s[:2] ** 2).sum() / (s**2).sum()
    return u[:, :2] * s[:2], float(share)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# PCA keeps the great distances, t-SNE the near neighbours, and trustworthiness asks for neighbours:
# it favours t-SNE. In return t-SNE's distances between groups, and the sizes of groups, mean
# nothing.

# %% tags=["check"]
rng = np.random.default_rng(seed)
points = 1 + rng.standard_normal((60, 5)) * [5, 3, 1, 1, 1]
answer = expect_several(pca_map(points), 2, "pca_map")
coordinates = expect_numbers(answer[0], (60, 2), "coordinates")
reference = PCA(n_components=2, svd_solver="full")
expect_close(
    np.abs(coordinates),
    np.abs(reference.fit_transform(points)),
    "coordinates without their signs, by scikit-learn",
)
expect_close(
    answer[1],
    reference.explained_variance_ratio_.sum(),
    "share of the variance",
)
coordinates, share = pca_map(fused.astype(np.float64))
for name, places in {"PCA": coordinates, "t-SNE": on_map}.items():
    trust = trustworthiness(
        fused, places, n_neighbors=10, metric="cosine"
    )
    print(f"trustworthiness of {name}: {trust:.3f}")
print(f"variance on the map of PCA: {share:.1%}")
print("ex-06-pca: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ````{exercise} Trustworthiness by loops
# :label: ex-06-trustworthiness
#
# *Half an hour.* Trustworthiness looks at each study's $k$ nearest on the map and punishes those
# that are no neighbours in the space, the more the further down they stand there:
#
# ```{math}
# T = 1 - \frac{2}{n k (2n - 3k - 1)} \sum_{i=1}^{n} \sum_{j \in U_i} (r_{ij} - k)
# ```
#
# $r_{ij}$ is the rank of study $j$ among the others by their distance from $i$ *in the space*, 1
# for the nearest, and $U_i$ are those of the $k$ nearest of $i$ *on the map* whose $r_{ij}$ is
# above $k$.
#
# Write `trust(space, drawn, k)` for two matrices of distances, [studies, studies], in the space and
# on the map. The check compares it with scikit-learn for places drawn at random, expects 1 for a map
# that is the space itself, and prints it for the chapter's map. Which map would have the value 0?
# ````

# %% [markdown]
# ```{solution-start} ex-06-trustworthiness
# :class: dropdown
# ```


# %% tags=["solution"]
def trust(space: np.ndarray, drawn: np.ndarray, k: int) -> float:
    """Trustworthiness, from distances in the space and on the map."""
    ### BEGIN SOLUTION
    n = len(space)
    penalty = 0
    for i in range(n):
        by_space = [j for j in np.argsort(space[i]) if j != i]
        rank = {j: place for place, j in enumerate(by_space, start=1)}
        by_map = [j for j in np.argsort(drawn[i]) if j != i]
        penalty += sum(max(rank[j] - k, 0) for j in by_map[:k])
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The factor is made such that the worst map, which puts everyone's $k$ furthest nearest, has the
# value 0. A random map has about 1/2. So 0.8 is less than it looks. And it asks one question only:
# a map that tears true neighbours apart is not punished (that is *continuity*, the same with space
# and map exchanged).

# %% tags=["check"]
rng = np.random.default_rng(seed)
points, places = rng.standard_normal((50, 6)), rng.random((50, 2))
space = cdist(points, points)
for k in (5, 10):
    expect_close(
        trust(space, cdist(places, places), k),
        trustworthiness(points, places, n_neighbors=k),
        f"trustworthiness of random places, k = {k}",
    )
    expect_close(
        trust(space, space, k), 1, "trustworthiness of the space itself"
    )
answer = trust(cdist(fused, fused, "cosine"), cdist(on_map, on_map), 10)
print(f"trustworthiness of the chapter's map: {answer:.3f}")
print("ex-06-trustworthiness: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Clusters in pure noise
# :label: ex-06-noise
#
# *Half an hour.* The silhouette says how well points fall into given groups. For a point, $a$ is
# its mean distance from the others of its group, $b$ the smallest of its mean distances from the
# points of another group, and $s = (b - a) / \max(a, b)$, which is 0 for a point alone in its
# group. The mean over points is near 0 where the groups are arbitrary, and 1 where they lie far
# apart.
#
# Write `silhouette(points, groups)` for points [n, d] and whole numbers [n], by Euclidean distance.
# The check compares it with scikit-learn. Then it draws Gaussian noise, in which there is nothing
# to find, groups it by $k$-means, in the space and on its t-SNE map, and prints the silhouette of
# both. Predict both numbers. To see such noise, draw two maps of 200 random vectors with random labels,
# at perplexity 5 and 30: `embedding_map(vectors, labels, seed, perplexity)` makes one, and
# `embedding_maps(maps, labels)` draws a dictionary of them by their titles.
# ```

# %% [markdown]
# ```{solution-start} ex-06-noise
# :class: dropdown
# ```


# %% tags=["solution"]
def silhouette(points: np.ndarray, groups: np.ndarray) -> float:
    """Mean silhouette of the points in their groups."""
    ### BEGIN SOLUTION
    distances, values = cdist(points, points), []
    for point, group in enumerate(groups):
        size = (groups == group).sum()
        if size == 1:
            values.append(0.0)
            continue
        a = distances[point, groups == group].sum() / (size - 1)
        b = min(
            distances[point, groups == other].mean()
            for other in set(groups) - {group}
        )
        values.append((b - a) / max(a, b))
    return float(np.mean(values))
    ### END SOLUTION


# %% tags=["solution"] mystnb={"figure": {"name": "fig-ex-noise", "caption": "Two t-SNE maps of the same 200 points of Gaussian noise in 50 dimensions, at perplexity 5 and 30. The labels are drawn at random."}, "image": {"alt": "Two scatter plots of pure noise with random labels; at perplexity 5 the points gather in small clumps, at 30 they spread evenly"}}
### BEGIN SOLUTION
rng = np.random.default_rng(seed)
noise = normalised(rng.standard_normal((200, 50)))
at_random = rng.permutation(np.arange(200) % 2)
noise_maps = {
    f"perplexity {p}": embedding_map(noise, at_random, seed, p)
    for p in (5, 30)
}
embedding_maps(noise_maps, at_random)
### END SOLUTION

# %% [markdown] tags=["solution"]
# The clumps at a low perplexity are made by the method, and another seed makes others. Whoever sees
# groups on a map should look for them in the space before naming them.

# %% tags=["check"]
rng = np.random.default_rng(seed)
points = rng.standard_normal((40, 3))
groups = np.array([0] + [1, 2, 3] * 13)
expect_close(
    silhouette(points, groups),
    silhouette_score(points, groups),
    "silhouette of random groups, by scikit-learn",
)
noise = normalised(rng.standard_normal((200, 50)))
drawn = embedding_map(
    noise, rng.integers(0, 2, 200), seed, 5
).coordinates
for name, points in {
    "in the space": noise,
    "on the map": drawn,
}.items():
    groups = KMeans(12, n_init=3, random_state=seed).fit_predict(points)
    found = silhouette(points, groups)
    print(f"silhouette of 12 groups of noise {name}: {found:.3f}")
print("ex-06-noise: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ````{exercise} t-SNE from its equations
# :label: ex-06-tsne
#
# *An afternoon.* t-SNE {cite}`vandermaaten2008` compares two tables of probabilities.
#
# In the space, study $i$ chooses $j$ with $p_{j|i} \propto e^{-\beta_i d_{ij}^2}$, never itself,
# where $\beta_i$ is found by bisection so that the perplexity $2^H$ of the row is the one asked
# for. The table is made symmetric, $p_{ij} = (p_{j|i} + p_{i|j}) / 2n$.
#
# On the map, $q_{ij} \propto w_{ij} = 1 / (1 + |y_i - y_j|^2)$ over all pairs of different studies.
# The map is moved to make $\sum_{ij} p_{ij} \log (p_{ij} / q_{ij})$ small, along its gradient
#
# ```{math}
# \frac{\partial C}{\partial y_i} = 4 \sum_j (p_{ij} - q_{ij})\, w_{ij}\, (y_i - y_j).
# ```
#
# 1. Write `choice(squared, perplexity)`: the row $p_{j|i}$ for the squared distances from one study
#    to all *others*, [n − 1].
# 2. Derive the gradient, then write `tsne_gradient(p, y)` for a symmetric table $p$ [n, n] with
#    zeros on its diagonal and a map $y$ [n, 2]; it returns [n, 2].
# 3. Descend: draw a map of 100 test studies with momentum. Which learning rate works?
#
# The check measures the perplexity and the shape of the rows, and compares the gradient with
# PyTorch's.
# ````

# %% [markdown]
# ```{solution-start} ex-06-tsne
# :class: dropdown
# ```


# %% tags=["solution"]
def choice(squared: np.ndarray, perplexity: float) -> np.ndarray:
    """Gaussian probabilities of the others with this perplexity."""
    ### BEGIN SOLUTION
    nearer = (
        squared - squared.min()
    )  # The same probabilities, no underflow.
    low, high = -40.0, 40.0  # Of log β; a larger β is narrower.
    for _ in range(50):
        middle = (low + high) / 2
        p = np.exp(-np.exp(middle) * nearer)
        p /= p.sum()
        if np.exp(entropy(p)) > perplexity:
            low = middle
        else:
            high = middle
    return p
    ### END SOLUTION


def tsne_gradient(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient [n, 2] of t-SNE's objective at the map y."""
    ### BEGIN SOLUTION
    difference = y[:, None] - y
    w = 1 / (1 + (difference**2).sum(axis=2))
    np.fill_diagonal(w, 0)
    q = w / w.sum()
    return 4 * (((p - q) * w)[:, :, None] * difference).sum(axis=1)
    ### END SOLUTION


# %% tags=["solution"]
### BEGIN SOLUTION
some = np.random.default_rng(seed).permutation(len(fused))[:100]
n = len(some)
squared = cdist(fused[some], fused[some], "sqeuclidean")
others = ~np.eye(n, dtype=bool)
p = np.zeros((n, n))
p[others] = np.concatenate(
    [choice(squared[i, others[i]], min(20, n / 4)) for i in range(n)]
)
p = (p + p.T) / (2 * n)
y = np.random.default_rng(seed).normal(0, 1e-2, (n, 2))
velocity, trusts = np.zeros_like(y), {}
for step in range(401):
    if step % 100 == 0:
        trusts[step] = trustworthiness(fused[some], y, n_neighbors=10)
    velocity = 0.8 * velocity - 20 * tsne_gradient(p, y)
    y = y + velocity
pd.Series(trusts, name="trustworthiness").rename_axis("step").round(3)
### END SOLUTION

# %% [markdown] tags=["solution"]
# The rate of 20 looks large. But $p$ and $q$ sum to 1 over all pairs, so that each entry is small, and with
# it the gradient.
#
# The gradient pulls a pair together where $p_{ij} > q_{ij}$ and pushes it apart where it is less.
# The factor $w_{ij}$ is nearly zero for far pairs, so how far groups lie from each other hardly
# counts. Libraries begin with $p$ multiplied by 12 (early exaggeration) for some hundred steps,
# which lets groups pass through each other.

# %% tags=["check"]
rng = np.random.default_rng(seed)
squared = rng.uniform(0.5, 2, 60)
for wanted in (5, 30):
    row = expect_numbers(choice(squared, wanted), (60,), "choice")
    expect_close(row.sum(), 1, "sum of the probabilities")
    expect_close(
        np.exp(entropy(row)), wanted, "perplexity of the row", rtol=1e-3
    )
    # Gaussian: the logarithm falls linearly with the squared distance.
    likely = row > 1e-12
    line = np.corrcoef(squared[likely], np.log(row[likely]))[0, 1]
    expect_close(
        line,
        -1,
        "correlation of the logarithm and the squared distance",
    )

table = rng.random((30, 30))
np.fill_diagonal(table, 0)
table = (table + table.T) / (table + table.T).sum()
places = rng.standard_normal((30, 2))
y = torch.tensor(places, requires_grad=True)
kernel = 1 / (1 + ((y[:, None] - y) ** 2).sum(dim=2))
kernel = kernel * (1 - torch.eye(30))
q = kernel / kernel.sum()
pairs = ~np.eye(30, dtype=bool)
divergence = -(torch.tensor(table)[pairs] * q[pairs].log()).sum()
divergence.backward()
expect_close(
    tsne_gradient(table, places), y.grad, "gradient, by PyTorch"
)
print("ex-06-tsne: passed")

# %% [markdown]
# ```{solution-end}
# ```
