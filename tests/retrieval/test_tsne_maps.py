"""Embedding maps: the same for a seed, and measures that mean what they say."""

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.tsne_maps import embedding_map, neighbour_label_accuracy


def _two_groups(n=30, d=8, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n)
    vectors = rng.normal(0, 0.1, (2 * n, d)) + np.where(labels, 1, -1)[:, None]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def test_the_same_seed_gives_the_same_map():
    vectors, labels = _two_groups()
    one, two = (embedding_map(vectors, labels, seed=3, perplexity=10) for _ in range(2))
    np.testing.assert_array_equal(one.coordinates, two.coordinates)


def test_neighbour_accuracy_equals_a_loop_over_studies():
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(50, 4)), rng.integers(0, 2, 50)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    points = 0.0
    for i in range(50):
        others = sorted((j for j in range(50) if j != i), key=lambda j: -unit[i] @ unit[j])
        agreeing = sum(labels[j] == labels[i] for j in others[:10])
        points += 1 if agreeing > 5 else 0.5 if agreeing == 5 else 0
    assert neighbour_label_accuracy(vectors, labels) == pytest.approx(points / 50)


def test_separated_groups_have_full_neighbour_accuracy_and_trustworthy_maps():
    vectors, labels = _two_groups()
    found = embedding_map(vectors, labels, seed=0, perplexity=10)
    assert found.label_accuracy == 1
    assert 0.5 < found.trustworthiness <= 1


def test_too_few_studies_are_refused():
    vectors, labels = _two_groups(n=8)
    with pytest.raises(InputError, match="a map of 16 test studies is not possible: give at least"):
        embedding_map(vectors, labels, seed=0)
