"""Metrics of the own study and the label: expectations over every order of the ties."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval import metrics


def orders_of(row):
    """Every ranking of a row's items that its scores allow."""
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            yield order


def expected_over_orders(row, value_of):
    values = [value_of(order) for order in orders_of(row)]
    return sum(values) / len(values)


@pytest.fixture
def tied():
    """Scores of three heights only, so that nearly every query has ties."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (60, 6)) / 2
    return scores, rng.integers(0, 6, 60), rng.integers(0, 2, 60), np.array([0, 1, 1, 0, 0, 1])


def test_the_tied_data_hold_ties_at_every_place(tied):
    scores, own, *_ = tied
    level = (scores == scores[np.arange(60), own][:, None]).sum(axis=1)
    assert set(level) >= {1, 2, 3, 4}


def test_rank_and_reciprocal_rank_are_expectations_over_all_orders_of_ties(tied):
    scores, own, *_ = tied
    places = [
        [order.index(item) + 1 for order in orders_of(row)]
        for row, item in zip(scores, own, strict=True)
    ]
    np.testing.assert_allclose(metrics.rank(scores, own), [np.mean(p) for p in places])
    np.testing.assert_allclose(
        metrics.reciprocal_rank(scores, own), [np.mean(1 / np.array(p)) for p in places]
    )


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_metrics_at_k_are_expectations_over_all_orders_of_ties(tied, k):
    scores, own, query_labels, item_labels = tied
    recall, similarity, hit = [], [], []
    for row, item, label in zip(scores, own, query_labels, strict=True):
        recall.append(expected_over_orders(row, lambda o: item in o[:k]))  # noqa: B023
        similarity.append(expected_over_orders(row, lambda o: row[list(o[:k])].mean()))  # noqa: B023
        hit.append(
            expected_over_orders(row, lambda o: any(item_labels[i] == label for i in o[:k]))  # noqa: B023
        )
    np.testing.assert_allclose(metrics.recall_at_k(scores, own, k), recall)
    np.testing.assert_allclose(metrics.similarity_at_k(scores, k), similarity)
    np.testing.assert_allclose(
        metrics.hit_at_k(scores, query_labels, item_labels, k), hit, atol=1e-12
    )


def test_a_random_ranker_hits_by_chance():
    labels = np.repeat([0, 1], 200)
    scores = np.random.default_rng(3).random((400, 400))
    chance = {1: 0.500, 3: 0.876, 5: 0.969, 10: 0.999}
    for k, expected in chance.items():
        hits = metrics.hit_at_k(scores, labels, labels, k).mean()
        error = 4 * np.sqrt(expected * (1 - expected) / 400)
        assert hits == pytest.approx(expected, abs=error)


@pytest.mark.parametrize(("k", "chance"), [(1, 0.500), (3, 0.876), (5, 0.970), (10, 0.999)])
def test_a_constant_score_has_exactly_the_chance_of_a_random_ranker(k, chance):
    labels = np.repeat([0, 1], 200)
    same = np.zeros((400, 400))
    assert metrics.hit_at_k(same, labels, labels, k).mean() == pytest.approx(chance, abs=6e-4)
    assert metrics.recall_at_k(same, np.arange(400), k).mean() == pytest.approx(k / 400)
    assert metrics.rank(same, np.arange(400)).mean() == pytest.approx(200.5)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_metrics_ignore_the_order_of_items(tied, k):
    scores, own, query_labels, item_labels = tied
    order = np.random.default_rng(4).permutation(6)
    new_own = np.argsort(order)[own]
    assert np.array_equal(
        metrics.recall_at_k(scores, own, k), metrics.recall_at_k(scores[:, order], new_own, k)
    )
    assert np.array_equal(
        metrics.hit_at_k(scores, query_labels, item_labels, k),
        metrics.hit_at_k(scores[:, order], query_labels, item_labels[order], k),
    )


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_tolerance_makes_ties_of_scores_that_rounding_parted(tied, k):
    scores, own, query_labels, item_labels = tied
    noise = np.random.default_rng(5).uniform(-4e-7, 4e-7, scores.shape)
    noisy = (scores + noise).astype(np.float32)
    assert len(np.unique(noisy)) > 3
    for exact, rounded in (
        (
            metrics.recall_at_k(scores, own, k),
            metrics.recall_at_k(noisy, own, k, tolerance=1e-6),
        ),
        (
            metrics.reciprocal_rank(scores, own),
            metrics.reciprocal_rank(noisy, own, tolerance=1e-6),
        ),
        (
            metrics.hit_at_k(scores, query_labels, item_labels, k),
            metrics.hit_at_k(noisy, query_labels, item_labels, k, tolerance=1e-6),
        ),
    ):
        np.testing.assert_allclose(exact, rounded, atol=1e-12)


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_outside_the_items_is_refused(k):
    scores, labels = np.eye(3), np.array([0, 1, 0])
    for call in (
        lambda: metrics.recall_at_k(scores, np.arange(3), k),
        lambda: metrics.similarity_at_k(scores, k),
        lambda: metrics.hit_at_k(scores, labels, labels, k),
    ):
        with pytest.raises(InputError, match=f"k is {k} for 3 items"):
            call()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(bad):
    scores, labels = np.eye(3), np.array([0, 1, 0])
    scores[1, 2] = bad
    for call in (
        lambda: metrics.rank(scores, np.arange(3)),
        lambda: metrics.reciprocal_rank(scores, np.arange(3)),
        lambda: metrics.recall_at_k(scores, np.arange(3), 1),
        lambda: metrics.similarity_at_k(scores, 1),
        lambda: metrics.hit_at_k(scores, labels, labels, 1),
    ):
        with pytest.raises(InputError, match="NaN or infinite"):
            call()
