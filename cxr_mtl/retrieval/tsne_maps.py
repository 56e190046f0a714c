"""Embedding maps: t-SNE coordinates of fused embeddings and how far they can be trusted."""

from dataclasses import dataclass

import numpy as np
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import NearestNeighbors

from cxr_mtl.base.errors import InputError

NEIGHBOURS = 10


@dataclass(frozen=True)
class EmbeddingMap:
    """t-SNE coordinates [n, 2], and two measures over the 10 nearest neighbours.

    `label_accuracy`: share of studies whose label is that of most of their neighbours in the
    embedding space (half a point for a tie). `trustworthiness`: 1 if the neighbours on the map
    are neighbours in the embedding space too (Venna, Kaski, 2001).
    """

    coordinates: np.ndarray
    label_accuracy: float
    trustworthiness: float


def embedding_map(
    vectors: np.ndarray, labels: np.ndarray, seed: int, perplexity: float = 30.0
) -> EmbeddingMap:
    """Map L2-normalised vectors [n, d] to the plane, the same for the same seed.

    Raises:
        InputError: fewer studies than the perplexity or the neighbourhood asks for.
    """
    check_perplexity(perplexity, len(vectors))
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, metric="cosine")
    coordinates = tsne.fit_transform(vectors)
    return EmbeddingMap(
        coordinates,
        neighbour_label_accuracy(vectors, labels),
        float(trustworthiness(vectors, coordinates, n_neighbors=NEIGHBOURS, metric="cosine")),
    )


def check_perplexity(perplexity: float, studies: int) -> None:
    """Refuse a map of so few studies.

    Raises:
        InputError: fewer studies than the perplexity or the neighbourhood asks for.
    """
    least = 2 * NEIGHBOURS + 1
    if studies < least:
        raise InputError(
            f"a map of {studies} test studies is not possible: give at least {least}, by "
            "test_per_class or in your split"
        )
    if studies <= int(perplexity):
        raise InputError(
            f"tsne_perplexity = {perplexity:g} is too high for a map of {studies} test studies: "
            f"give less than {studies}"
        )


def neighbour_label_accuracy(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Leave-one-out accuracy of the majority label (0 or 1) among the 10 nearest neighbours."""
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(vectors)
    neighbours = search.kneighbors(return_distance=False)
    abnormal = labels[neighbours].mean(axis=1)
    own = np.where(labels == 1, abnormal, 1 - abnormal)
    return float(np.where(own == 0.5, 0.5, own > 0.5).mean())
