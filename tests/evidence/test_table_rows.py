"""What the tables say of the top item: F1 under ties, and what its score tells of the query."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.table_rows import label_rows, query_values
from cxr_mtl.retrieval.protocols import Search

TOP1 = ("f1", "roc_auc", "map")


def top1(scores, labels):
    """The rows of a search with these scores [n, n] that are no mean over queries, by metric."""
    search = Search(np.asarray(scores, np.float32), np.eye(len(labels), dtype=np.float32))
    rows = label_rows(query_values(search, labels), labels, None)
    return {row.metric: row.value for row in rows if row.metric in TOP1}


@pytest.fixture
def tied():
    """Scores of three heights only, so that every query has ties, and labels of 60 studies."""
    rng = np.random.default_rng(0)
    scores = np.zeros((60, 60))
    scores[:, :6] = rng.integers(0, 3, (60, 6)) / 2
    return scores, rng.integers(0, 2, 60)


def test_f1_counts_expected_confusions(tied):
    scores, labels = tied
    tp = fp = fn = 0
    for row, label in zip(scores, labels, strict=True):
        abnormal = labels[row == row.max()].mean()
        tp += label * abnormal
        fp += (1 - label) * abnormal
        fn += label * (1 - abnormal)
    assert top1(scores, labels)["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_f1_without_ties_is_scikit_learns():
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((50, 50)), rng.integers(0, 2, 50)
    predicted = labels[scores.argmax(axis=1)]
    assert top1(scores, labels)["f1"] == pytest.approx(f1_score(labels, predicted))


def test_f1_ignores_the_order_of_items_and_what_rounding_parted(tied):
    scores, labels = tied
    order = np.random.default_rng(4).permutation(60)
    f1 = top1(scores, labels)["f1"]
    assert top1(scores[order][:, order], labels[order])["f1"] == pytest.approx(f1)
    noise = np.random.default_rng(5).uniform(-4e-7, 4e-7, scores.shape)
    assert top1(scores + noise, labels)["f1"] == pytest.approx(f1)


def test_f1_of_a_constant_score_is_that_of_a_random_ranker():
    labels = np.repeat([0, 1], 30)
    assert top1(np.zeros((60, 60)), labels)["f1"] == pytest.approx(0.5)


def test_roc_auc_is_the_share_of_pairs_in_which_the_abnormal_query_scores_higher(tied):
    scores, labels = tied
    top = scores.max(axis=1)
    wins = [(a > b) + (a == b) / 2 for a in top[labels == 1] for b in top[labels == 0]]
    assert top1(scores, labels)["roc_auc"] == pytest.approx(np.mean(wins))


def test_average_precision_sums_precision_over_steps_of_recall(tied):
    scores, labels = tied
    scores = scores + np.random.default_rng(2).integers(0, 4, (60, 1)) / 8
    top = scores.max(axis=1)
    value = recall_before = 0.0
    for threshold in sorted(set(top), reverse=True):
        found = labels[top >= threshold]
        recall = found.sum() / labels.sum()
        value += (recall - recall_before) * found.mean()
        recall_before = recall
    assert top1(scores, labels)["map"] == pytest.approx(value)


def test_the_height_of_the_top_score_does_not_see_whether_retrieval_is_right():
    labels = np.repeat([0, 1], 5)
    found = top1(np.diag(np.arange(10, 0, -1) / 10), labels)
    assert found["f1"] == 1
    assert found["roc_auc"] == 0
    assert found["map"] == pytest.approx(np.mean([place / (5 + place) for place in range(1, 6)]))


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined_and_never_a_number(label):
    assert all(np.isnan(value) for value in top1(np.eye(10), np.full(10, label)).values())


def test_a_score_that_is_not_finite_is_refused():
    scores = np.eye(10)
    scores[1, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        top1(scores, np.arange(10) % 2)
