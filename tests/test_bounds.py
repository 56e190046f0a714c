"""Chance and ceiling of the tables: exact, by closed forms."""

import numpy as np
import pytest
from scipy.stats import hypergeom

from cxr_mtl.bounds import CEILING, CHANCE, bound_records, report_vectors
from cxr_mtl.evaluation import evaluate_tables
from cxr_mtl.splits import duplicate_ceiling

TEXTS = ["Clear lungs.", "clear  LUNGS.", "Effusion.", *(f"Finding {i}." for i in range(17))]
LABELS = np.array([0, 1] * 10)


def values(model, **wanted):
    return {
        (r["direction"], r["metric"], r["k"]): r["value"]
        for r in bound_records(LABELS, TEXTS)
        if r["model"] == model and all(r[key] == value for key, value in wanted.items())
    }


@pytest.mark.parametrize("protocol", ["fused", "cross_modal"])
def test_chance_is_the_closed_form(protocol):
    found = values(CHANCE, protocol=protocol)
    for k in (1, 3, 5, 10):
        assert found["image_to_text", "accuracy", k] == pytest.approx(k / 20)
        hit = 1 - hypergeom.pmf(0, 20, 10, k)
        assert found["image_to_text", "precision", k] == pytest.approx(hit)
    assert found["image_to_text", "roc_auc", None] == 0.5
    assert found["image_to_text", "map", None] == 0.5


def test_chance_of_the_rank_is_the_middle():
    found = values(CHANCE, protocol="cross_modal", table=None)
    assert found["text_to_image", "mean_rank", None] == 10.5
    harmonic = sum(1 / place for place in range(1, 21)) / 20
    assert found["text_to_image", "mrr", None] == pytest.approx(harmonic)


def test_the_ceiling_is_that_of_the_duplicates():
    found = values(CEILING, table=1)
    assert found["text_to_image", "accuracy", 1] == pytest.approx(duplicate_ceiling(TEXTS))
    assert found["text_to_image", "accuracy", 3] == 1


def test_a_search_may_have_a_lower_median_rank_than_the_ceiling_and_so_it_bounds_none():
    reports = report_vectors([*"abcd", *6 * "e"])
    tilt = 0.1 * np.maximum(np.arange(10) - 4, 0)[:, None]  # Parts the images of equal reports.
    queries, parted = np.hstack([reports, 0 * tilt]), np.hstack([reports, tilt])
    medians, means = [], []
    for images in (queries, parted):
        records = evaluate_tables(images, queries, LABELS[:10], "m", None, None)[0]
        found = {r["metric"]: r["value"] for r in records if r["direction"] == "text_to_image"}
        medians.append(found["median_rank"])
        means.append(found["mean_rank"])
    assert medians == [3.5, 1.5]
    assert means == [2.5, 2.5]
    metrics = {metric for _, metric, _ in values(CEILING)}
    assert metrics == {"accuracy", "recall", "mrr", "mean_rank"}


def test_report_vectors_are_equal_for_equal_words_and_only_then():
    vectors = report_vectors(TEXTS)
    assert vectors.shape == (20, 64)
    same = (vectors[:, None] == vectors).all(axis=2)
    expected = np.eye(20, dtype=bool)
    expected[0, 1] = expected[1, 0] = True
    np.testing.assert_array_equal(same, expected)
