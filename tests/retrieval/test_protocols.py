"""Protocols: who is searched for whom, score by score."""

import numpy as np
import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.index import Index, fused_vectors, normalised
from cxr_mtl.retrieval.metrics import rank, recall_at_k
from cxr_mtl.retrieval.protocols import PROTOCOLS, searches

PAIRED = ("image_to_text", "text_to_image")


def pairs(seed=0, n=12, d=8):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n, d))
    return (shared + rng.standard_normal((n, d)) for _ in range(2))


def all_scores(search):
    return search.scores(np.arange(len(search.queries)))


def recall_at_1(images, texts, protocol, direction):
    scores = all_scores(searches(protocol, images, texts)[direction])
    return recall_at_k(scores, np.arange(len(scores)), 1).mean()


def by_index(queries, items):
    """Scores [queries, items] of a FAISS search for all items."""
    table = pd.DataFrame({"study": range(len(items)), "image": "", "label": 0, "text": ""})
    found, positions = Index.build(items, table, "").search(queries, len(items))
    scores = np.empty_like(found)
    np.put_along_axis(scores, positions, found, axis=1)
    return scores


def without_diagonal(matrix):
    return np.array([np.delete(row, i) for i, row in enumerate(matrix)])


def test_directions_of_each_protocol():
    for protocol in PROTOCOLS:
        directions = (protocol,) if "_to_" in protocol else PAIRED
        assert tuple(searches(protocol, *pairs())) == directions


def test_scores_are_those_of_the_index():
    images, texts = (normalised(x) for x in pairs())
    fused = fused_vectors(images, texts)
    expected = {
        ("fused", "image_to_text"): by_index(images, fused),
        ("fused", "text_to_image"): by_index(texts, fused),
        ("cross_modal", "image_to_text"): by_index(images, texts),
        ("cross_modal", "text_to_image"): by_index(texts, images),
        ("image_to_image", "image_to_image"): without_diagonal(by_index(images, images)),
        ("text_to_text", "text_to_text"): without_diagonal(by_index(texts, texts)),
    }
    for (protocol, direction), scores in expected.items():
        found = all_scores(searches(protocol, images, texts)[direction])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, scores, atol=1e-6)


@pytest.mark.parametrize("direction", PAIRED)
def test_without_the_query_only_the_own_target_changes_to_the_other_modality(direction):
    images, texts = pairs()
    queries, others = (images, texts) if direction == "image_to_text" else (texts, images)
    fused = all_scores(searches("fused", images, texts)[direction])
    found = all_scores(searches("fused_excluding_query", images, texts)[direction])
    for q in range(12):
        for i in range(12):
            cosine = queries[q] @ others[q] / np.linalg.norm(queries[q]) / np.linalg.norm(others[q])
            assert found[q, i] == pytest.approx(cosine if q == i else fused[q, i], abs=1e-6)


def test_some_rows_have_the_scores_they_have_among_all():
    rows = np.array([7, 2, 3])
    for protocol in PROTOCOLS:
        for search in searches(protocol, *pairs()).values():
            np.testing.assert_allclose(search.scores(rows), all_scores(search)[rows], atol=1e-6)


def test_the_own_column_is_removed_within_a_modality_and_kept_across():
    matrix, rows = np.arange(24).reshape(2, 12), np.array([3, 0])
    for protocol in PROTOCOLS:
        for search in searches(protocol, *pairs()).values():
            assert search.excludes_query == (protocol in ("image_to_image", "text_to_text"))
            kept = search.columns(matrix, rows)
            if search.excludes_query:
                assert kept.tolist() == [
                    [c for c in range(12) if c != 3],
                    [c for c in range(12, 24) if c != 12],
                ]
            else:
                assert kept.tolist() == matrix.tolist()
            assert search.scores(rows).shape == kept.shape


def test_within_a_modality_a_query_never_meets_itself():
    images, texts = pairs()
    for protocol in ("image_to_image", "text_to_text"):
        (search,) = searches(protocol, images, texts).values()
        assert all_scores(search).max() < 1 - 1e-4


@pytest.mark.parametrize("direction", PAIRED)
def test_noise_finds_itself_when_fused_and_is_at_chance_without_the_query(direction):
    n, seeds = 100, 5
    found = {"fused": [], "fused_excluding_query": [], "cross_modal": []}
    for seed in range(seeds):
        images, texts = np.random.default_rng(seed).standard_normal((2, n, 256))
        for protocol, recalls in found.items():
            recalls.append(recall_at_1(images, texts, protocol, direction))
    assert np.mean(found["fused"]) == 1
    # 500 queries with one chance in 100 each: 5 ± 2.2 hits.
    for protocol in ("fused_excluding_query", "cross_modal"):
        assert n * seeds * np.mean(found[protocol]) <= 15


def cones(n, d, image_spread, text_spread, cosine):
    """Noise around two directions at a given cosine: the pairs know nothing of each other."""
    rng = np.random.default_rng(0)
    image_axis, text_axis = np.eye(d)[0], cosine * np.eye(d)[0]
    text_axis[1] = np.sqrt(1 - cosine**2)
    images, texts = rng.standard_normal((2, n, d)) / np.sqrt(d)
    return image_axis + image_spread * images, text_axis + text_spread * texts


def test_a_modality_gap_pushes_the_own_item_back_although_the_query_is_left_out():
    images, texts = cones(100, 64, image_spread=0.3, text_spread=0.3, cosine=0)
    for direction in PAIRED:
        scores = all_scores(searches("fused_excluding_query", images, texts)[direction])
        assert (rank(scores, np.arange(100)) == 100).all()


def test_equal_reports_are_still_told_apart_by_kind_although_the_query_is_left_out():
    images, texts = cones(50, 1024, image_spread=1.5, text_spread=0.0, cosine=1)
    leaky = recall_at_1(images, texts, "fused_excluding_query", "image_to_text")
    assert leaky > 0.95
    strict = all_scores(searches("cross_modal", images, texts)["image_to_text"])
    assert recall_at_k(strict, np.arange(50), 1, tolerance=1e-6).mean() == pytest.approx(0.02)


def spoiled(value):
    images, texts = pairs()
    texts[3] = value
    return images, texts


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (spoiled(np.nan), "vector 3 of 12 holds NaN"),
        (spoiled(0), "vector 3 of 12 is all zeros"),
        ((np.eye(4), np.eye(3)), r"\[4, 4\] and text embeddings \[3, 3\] differ"),
        ((np.eye(4), np.ones(4)), r"shape \[4\]"),
        ((np.ones((1, 4)), np.ones((1, 4))), "give at least 2"),
    ],
)
def test_embeddings_that_cannot_be_searched_are_refused(protocol, data, sentence):
    with pytest.raises(InputError, match=sentence):
        searches(protocol, *data)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(InputError, match="protocol='strict' is no choice: write one of fused"):
        searches("strict", *pairs())
