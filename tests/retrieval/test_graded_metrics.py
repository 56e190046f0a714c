"""Graded metrics: expectations over every order of the ties, and trec_eval's without any."""

import tracemalloc
from itertools import permutations
from math import log2

import numpy as np
import pytest
import pytrec_eval
from scipy.stats import hypergeom
from sklearn.metrics import ndcg_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import duplicate_ceiling
from cxr_mtl.retrieval import graded_metrics, metrics


def measured(scores, relevance, k, tolerance=0.0):
    """Every metric of every query."""
    items = graded_metrics.rank_items(scores, relevance, tolerance)
    return {
        "precision": graded_metrics.precision_at_k(items, k),
        "hit": graded_metrics.hit_at_k(items, k),
        "recall": graded_metrics.recall_at_k(items, k),
        "r_precision": graded_metrics.r_precision(items),
        "average_precision": graded_metrics.average_precision(items),
        "reciprocal_rank": graded_metrics.reciprocal_rank(items),
        "first_rank": graded_metrics.first_rank(items),
        "ndcg": graded_metrics.ndcg(items),
        "ndcg_at_k": graded_metrics.ndcg(items, k),
    }


def dcg(gains):
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains))


def by_definition(gains, k):
    """Every metric of one ranking, from the relevance of its items in their order."""
    relevant = [gain > 0 for gain in gains]
    places = [place for place, yes in enumerate(relevant, 1) if yes]
    ideal = sorted(gains, reverse=True)
    return {
        "precision": sum(relevant[:k]) / k,
        "hit": any(relevant[:k]),
        "recall": sum(relevant[:k]) / len(places),
        "r_precision": sum(relevant[: len(places)]) / len(places),
        "average_precision": sum(sum(relevant[:p]) / p for p in places) / len(places),
        "reciprocal_rank": 1 / places[0],
        "first_rank": places[0],
        "ndcg": dcg(gains) / dcg(ideal),
        "ndcg_at_k": dcg(gains[:k]) / dcg(ideal[:k]),
    }


def orders_of(row):
    """Every ranking of a row's items that its scores allow, [orders, items]."""
    every = np.array(list(permutations(range(len(row)))))
    return every[(np.diff(row[every], axis=1) <= 0).all(axis=1)]


@pytest.fixture
def tied():
    """Scores of three heights only, so that nearly every query has ties; graded relevance."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (40, 6)) / 2
    relevance = rng.choice([0, 0, 0.25, 0.5, 1], (40, 6))
    relevance[np.arange(40), rng.integers(0, 6, 40)] = 1
    return scores, relevance


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-12, err_msg=name)


def test_a_tie_holds_the_neighbours_that_differ_by_at_most_the_tolerance():
    scores = [[0.5, 0.9, 0.5, 0.1], [0.7, 0.6, 0.8, 0.2]]
    relevance = [[1, 2, 3, 4], [1, 2, 3, 4]]
    exact = graded_metrics.rank_items(scores, relevance)
    np.testing.assert_array_equal(exact.relevance, [[2, 1, 3, 4], [3, 1, 2, 4]])
    np.testing.assert_array_equal(exact.first, [[0, 1, 1, 3], [0, 1, 2, 3]])
    np.testing.assert_array_equal(exact.stop, [[1, 3, 3, 4], [1, 2, 3, 4]])
    chained = graded_metrics.rank_items(scores, relevance, tolerance=0.11)
    np.testing.assert_array_equal(chained.first[1], [0, 0, 0, 3])
    np.testing.assert_array_equal(chained.stop[1], [3, 3, 3, 4])


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_metrics_are_expectations_over_all_orders_of_ties(tied, k):
    scores, relevance = tied
    expected = []
    for row, gains in zip(scores, relevance, strict=True):
        values = [by_definition(list(gains[order]), k) for order in orders_of(row)]
        expected.append({name: np.mean([v[name] for v in values]) for name in values[0]})
    assert_same(
        measured(scores, relevance, k),
        {name: [row[name] for row in expected] for name in expected[0]},
    )


@pytest.mark.parametrize("k", [1, 3, 10])
def test_metrics_without_ties_are_trec_evals(k):
    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(25), (30, 1)), axis=1)
    relevance = rng.choice([0, 0, 0, 1, 2, 3], (30, 25))
    relevance[:, 0] = 1
    theirs = {
        "precision": f"P_{k}",
        "hit": f"success_{k}",
        "recall": f"recall_{k}",
        "r_precision": "Rprec",
        "average_precision": "map",
        "reciprocal_rank": "recip_rank",
        "ndcg": "ndcg",
        "ndcg_at_k": f"ndcg_cut_{k}",
    }

    def as_trec(table):
        return {
            str(q): {str(i): value for i, value in enumerate(row)}
            for q, row in enumerate(table.tolist())
        }

    evaluator = pytrec_eval.RelevanceEvaluator(as_trec(relevance), set(theirs.values()))
    found = evaluator.evaluate(as_trec(scores.astype(float)))
    measured_here = measured(scores, relevance, k)
    assert_same(
        {name: measured_here[name] for name in theirs},
        {ours: [found[str(q)][name] for q in range(30)] for ours, name in theirs.items()},
    )


@pytest.mark.parametrize("k", [1, 2, 4, None])
def test_ndcg_with_ties_is_scikit_learns(tied, k):
    scores, relevance = tied
    expected = [
        ndcg_score([gains], [row], k=k) for gains, row in zip(relevance, scores, strict=True)
    ]
    np.testing.assert_allclose(
        graded_metrics.ndcg(graded_metrics.rank_items(scores, relevance), k), expected
    )


@pytest.mark.parametrize("k", [1, 2, 6])
def test_with_one_relevant_item_hit_and_recall_are_those_of_the_own_study(tied, k):
    scores, _ = tied
    own = np.random.default_rng(2).integers(0, 6, 40)
    found = measured(scores, np.eye(6)[own], k)
    np.testing.assert_allclose(found["hit"], metrics.recall_at_k(scores, own, k))
    np.testing.assert_allclose(found["recall"], metrics.recall_at_k(scores, own, k))
    rank = metrics.reciprocal_rank(scores, own)
    np.testing.assert_allclose(found["reciprocal_rank"], rank)
    np.testing.assert_allclose(found["average_precision"], rank)


def test_equal_scores_give_the_chance_of_a_random_ranking():
    relevance = np.zeros((1, 2000))
    relevance[0, ::400] = 1
    found = measured(np.zeros((1, 2000)), relevance, 10)
    assert found["precision"] == pytest.approx(5 / 2000)
    assert found["r_precision"] == pytest.approx(5 / 2000)
    assert found["recall"] == pytest.approx(10 / 2000)
    assert found["hit"] == pytest.approx(1 - hypergeom.pmf(0, 2000, 5, 10))
    places = np.arange(1, 2001)
    none_before = hypergeom.sf(0, 2000, 5, places) - hypergeom.sf(0, 2000, 5, places - 1)
    assert found["reciprocal_rank"] == pytest.approx((none_before / places).sum())


def test_equal_reports_as_scores_give_the_ceiling_that_duplicates_set():
    texts = ["clear", "clear", "clear", "nodule", "effusion", "effusion"]
    same = np.array(texts)[:, None] == np.array(texts)
    found = measured(same, np.eye(6), 1)
    assert found["precision"].mean() == pytest.approx(duplicate_ceiling(texts))
    assert measured(same, same, 3)["average_precision"] == pytest.approx(1)


@pytest.mark.parametrize("k", [1, 3])
def test_metrics_ignore_the_order_of_items(tied, k):
    scores, relevance = tied
    order = np.random.default_rng(3).permutation(6)
    assert_same(measured(scores[:, order], relevance[:, order], k), measured(scores, relevance, k))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_tolerance_makes_ties_of_scores_that_rounding_parted(tied, k):
    scores, relevance = tied
    noise = np.random.default_rng(4).uniform(-4e-7, 4e-7, scores.shape)
    noisy = (scores + noise).astype(np.float32)
    assert len(np.unique(noisy)) > 3
    assert_same(
        measured(noisy, relevance, k, metrics.TIE_TOLERANCE), measured(scores, relevance, k)
    )


def test_only_ndcg_sees_how_relevant_an_item_is(tied):
    scores, relevance = tied
    graded, binary = measured(scores, relevance, 2), measured(scores, relevance > 0, 2)
    for name in graded.keys() - {"ndcg", "ndcg_at_k"}:
        np.testing.assert_array_equal(graded[name], binary[name])
    assert not np.allclose(graded["ndcg"], binary["ndcg"])


def test_scores_may_be_unsigned_whole_numbers():
    scores = np.array([[0, 2, 1]], dtype=np.uint8)
    np.testing.assert_array_equal(
        graded_metrics.rank_items(scores, [[1, 2, 3]]).relevance, [[2, 3, 1]]
    )


def test_k_above_the_number_of_items_means_all_of_them(tied):
    assert_same(measured(*tied, 7), measured(*tied, 6))


def test_a_single_item_is_found_at_once():
    expected = {name: [value] for name, value in by_definition([0.5], 1).items()}
    assert_same(measured([[0.3]], [[0.5]], 1), expected)


def test_a_query_without_a_relevant_item_is_nan_and_leaves_the_others_alone(tied):
    scores, relevance = tied
    expected = measured(scores, relevance, 2)
    relevance[5] = 0
    for name, values in measured(scores, relevance, 2).items():
        assert np.isnan(values[5]), name
        np.testing.assert_array_equal(np.delete(values, 5), np.delete(expected[name], 5))


def test_the_work_takes_at_most_80_bytes_per_score():
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 50, (20, 5000)).astype(np.float32)
    relevance = rng.integers(0, 2, (20, 5000)).astype(np.float32)
    tracemalloc.start()
    try:
        measured(scores, relevance, 10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / scores.size < 80


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(tied, k):
    items = graded_metrics.rank_items(*tied)
    for metric in (
        graded_metrics.precision_at_k,
        graded_metrics.hit_at_k,
        graded_metrics.recall_at_k,
        graded_metrics.ndcg,
    ):
        with pytest.raises(InputError, match=f"k is {k}: give a k of at least 1"):
            metric(items, k)


@pytest.mark.parametrize(
    ("scores", "relevance", "sentence"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"\[2, 3\] and relevance of shape \[3, 2\]"),
        (np.zeros((2, 3)), np.zeros(3), r"\[2, 3\] and relevance of shape \[3\]"),
        (np.zeros(3), np.zeros(3), r"\[3\] and relevance of shape \[3\]"),
        (np.zeros((2, 0)), np.zeros((2, 0)), "at least one item"),
        ([[1, np.nan]], [[1, 0]], "score is NaN or infinite"),
        ([[1, np.inf]], [[1, 0]], "score is NaN or infinite"),
        ([[1, 2]], [[1, -0.5]], "-0.5 is no relevance"),
        ([[1, 2]], [[np.nan, 0]], "nan is no relevance"),
        ([[1, 2]], [[np.inf, 0]], "inf is no relevance"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, relevance, sentence):
    with pytest.raises(InputError, match=sentence):
        graded_metrics.rank_items(scores, relevance)
