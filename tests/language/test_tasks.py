"""Values of tasks are those of brute force over every order of ties, and chance is their mean."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import ndcg_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.tasks import AnswerSearch, Choice, Similarity, cosine_scores, task_records

QUERIES = ["a b", "c", "d e", "a c"]
ANSWERS = ["Clear lungs.", "clear  LUNGS.", "Effusion.", "Large heart."]


def constant(table):
    return lambda queries, items: np.array(table, float)


def test_equal_answers_are_one_item_and_right_for_all_their_queries():
    search = AnswerSearch.of("summary", QUERIES, ANSWERS)
    assert sorted(search.items) == ["Clear lungs.", "Effusion.", "Large heart."]
    assert search.items[search.own[0]] == search.items[search.own[1]] == "Clear lungs."


def orders(row):
    """Every order of the items by falling score, ties in all their orders."""
    for order in permutations(range(len(row))):
        if all(row[a] >= row[b] for a, b in pairwise(order)):
            yield order


def test_search_values_are_means_over_all_orders_of_ties():
    search = AnswerSearch.of("summary", QUERIES, ANSWERS)
    table = [[3, 1, 2], [1, 1, 1], [0, 2, 2], [5, 5, 1]]
    values = search.values(constant(table))
    for query, row in enumerate(table):
        places = [order.index(search.own[query]) + 1 for order in orders(row)]
        assert values["mrr", None][query] == pytest.approx(np.mean([1 / p for p in places]))
        assert values["recall", 1][query] == pytest.approx(np.mean([p == 1 for p in places]))
    assert ("recall", 5) not in values


def test_choice_values_are_means_over_all_orders_of_ties():
    table = [[3, 1, 2], [1, 1, 1], [0, 2, 2], [5, 5, 1]]
    choice = Choice("error", QUERIES, [[f"{q}{c}" for c in range(3)] for q in range(4)])
    wide = np.full((4, 12), -9.0)
    for query, row in enumerate(table):
        wide[query, 3 * query : 3 * query + 3] = row
    values = choice.values(constant(wide))
    for query, row in enumerate(table):
        places = [order.index(0) + 1 for order in orders(row)]
        assert values["accuracy_of_ties", None][query] == pytest.approx(
            np.mean([p == 1 for p in places])
        )
        assert values["accuracy", None][query] == all(p == 1 for p in places)
        assert values["mean_rank", None][query] == pytest.approx(np.mean(places))


def test_chance_is_the_mean_of_random_scores():
    rng = np.random.default_rng(0)
    search = AnswerSearch.of("s", [f"q{i}" for i in range(30)], [f"a{i}" for i in range(30)])
    choice = Choice("c", ["q"] * 30, [[f"{q} {c}" for c in range(4)] for q in range(30)])
    relevance = rng.integers(0, 3, (30, 30)) / 2
    similarity = Similarity("d", [f"q{i}" for i in range(30)], relevance)
    for task in (search, choice, similarity):
        drawn = [task.values(lambda q, i: rng.random((len(q), len(i)))) for _ in range(300)]
        for measure, expected in task.chance().items():
            mean = np.mean([values[measure].mean() for values in drawn])
            assert mean == pytest.approx(expected, rel=0.2, abs=0.01)


@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_similarity_is_ndcg_and_spearman_of_the_others():
    rng = np.random.default_rng(0)
    relevance = rng.integers(0, 3, (8, 8)) / 2
    relevance[3] = 1  # all alike: no order to find
    scores = rng.normal(size=(8, 8))
    values = Similarity("similarity", list("abcdefgh"), relevance).values(lambda q, i: scores)
    for row in range(8):
        others = [item for item in range(8) if item != row]
        expected = ndcg_score([relevance[row, others]], [scores[row, others]], k=10)
        assert values["ndcg", 10][row] == pytest.approx(expected)
        spearman = spearmanr(relevance[row, others], scores[row, others]).statistic
        np.testing.assert_allclose(values["spearman", None][row], spearman)
    assert np.isnan(values["spearman", None]).sum() == 1


def test_records_hold_each_value_with_its_interval_beside_chance():
    search = AnswerSearch.of("summary", QUERIES, ANSWERS)
    vectors = {text: np.eye(8)[i % 8] for i, text in enumerate([*QUERIES, *ANSWERS])}
    scores = {"own": cosine_scores(lambda texts: [vectors[text] for text in texts])}
    records, values = task_records([search], scores, seed=0, resamples=100)
    assert {record["encoder"] for record in records} == {"chance", "own"}
    for record in records:
        if record["encoder"] == "own":
            found = values["summary", None, "own", record["metric"], record["k"]]
            assert record["value"] == found.mean()
            assert record["low"] <= record["value"] <= record["high"]
        assert record["queries"] == 4


def test_what_is_no_task_is_refused():
    with pytest.raises(InputError, match="4 queries and 3 answers"):
        AnswerSearch.of("s", QUERIES, ANSWERS[:3])
    with pytest.raises(InputError, match="text 1 is empty"):
        AnswerSearch.of("s", ["a", " "], ["b", "c"])
    with pytest.raises(InputError, match="as many candidates"):
        Choice("c", ["a", "b"], [["x", "y"], ["x"]])
