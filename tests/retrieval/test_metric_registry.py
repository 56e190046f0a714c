"""Measures of a search: every value by loops over the ranking, in whatever chunks."""

import numpy as np
import pytest

from cxr_mtl.retrieval.metric_registry import (
    OWN_ITEM_MEASURES,
    RELEVANCE_MEASURES,
    Measure,
    values_per_query,
)
from cxr_mtl.retrieval.protocols import PROTOCOLS, searches
from cxr_mtl.retrieval.relevance import mesh_overlap, own_study, same_label, same_text

N = 14
LABELS = np.arange(N) % 2
TEXTS = ["clear lungs", "Clear  lungs", *(f"report {i}" for i in range(2, N))]
HEADINGS = [
    ["normal"] if i % 2 == 0 else [f"Opacity/lung/{'left' if i % 3 else 'right'}"] for i in range(N)
]
RELEVANCES = {
    "own_study": own_study(N),
    "same_text": same_text(TEXTS),
    "same_label": same_label(LABELS),
    "mesh_overlap": mesh_overlap(HEADINGS),
}
MEASURES = tuple(measure for measure in RELEVANCE_MEASURES if measure.relevance in RELEVANCES)


def embeddings():
    return np.random.default_rng(0).standard_normal((2, N, 6))


def by_loops(measure, ranking, relevance):
    """A measure of one query from its ranking, best item first."""
    found = [relevance[item] for item in ranking]
    hits = [gain > 0 for gain in found]
    if not any(hits):
        return np.nan
    first = hits.index(True) + 1
    precisions = [sum(hits[: p + 1]) / (p + 1) for p in range(len(hits)) if hits[p]]
    discounts = [1 / np.log2(p + 2) for p in range(min(10, len(found)))]
    ideal = sum(g * d for g, d in zip(sorted(found)[::-1], discounts, strict=False))
    return {
        "recall": sum(hits[: measure.k]) / sum(hits),
        "hit": any(hits[: measure.k]),
        "precision": sum(hits[: measure.k]) / (measure.k or 1),
        "r_precision": sum(hits[: sum(hits)]) / sum(hits),
        "map": np.mean(precisions),
        "mrr": 1 / first,
        "median_rank": first,
        "ndcg": sum(g * d for g, d in zip(found, discounts, strict=False)) / ideal,
    }[measure.metric]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_value_is_the_plain_computation_without_the_query_where_it_is_excluded(protocol):
    for search in searches(protocol, *embeddings()).values():
        scores = search.scores(np.arange(N))
        measures = OWN_ITEM_MEASURES + MEASURES
        found = values_per_query(search, measures, RELEVANCES)
        assert tuple(found) == measures
        for measure, values in found.items():
            relevance = RELEVANCES[measure.relevance](np.arange(N))
            for q in range(N):
                items = [i for i in range(N) if not (search.excludes_query and i == q)]
                order = np.argsort(-scores[q])
                expected = by_loops(measure, order, relevance[q, items])
                np.testing.assert_allclose(values[q], expected, rtol=1e-6, err_msg=str(measure))


def test_chunks_of_queries_change_nothing(monkeypatch):
    (search, _) = searches("cross_modal", *embeddings()).values()
    whole = values_per_query(search, MEASURES, RELEVANCES)
    sizes = []
    monkeypatch.setattr("cxr_mtl.retrieval.metric_registry.BYTES_PER_SCORE", 256_000_000 // 4 // N)
    relevances = RELEVANCES | {
        "own_study": lambda rows: (sizes.append(len(rows)), own_study(N)(rows))[1]
    }
    values_per_query(search, [Measure("own_study", "mrr")], relevances)
    parts = values_per_query(search, MEASURES, RELEVANCES)
    assert sizes == [4, 4, 4, 2]
    for measure in MEASURES:
        np.testing.assert_allclose(parts[measure], whole[measure], rtol=1e-6)


def test_only_the_relevances_that_are_asked_for_are_needed():
    (search, _) = searches("cross_modal", *embeddings()).values()
    measure = Measure("own_study", "recall", 1)
    found = values_per_query(search, [measure], {"own_study": own_study(N)})
    assert found[measure].shape == (N,)
