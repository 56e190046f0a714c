"""Controls keep what they do not replace, and know nothing across the modalities."""

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.controls import CONTROLS, control_embeddings, leak_records
from cxr_mtl.retrieval.index import normalised
from cxr_mtl.retrieval.metrics import recall_at_k
from cxr_mtl.retrieval.protocols import searches


def perfect_pairs(n=60, d=32):
    images = np.random.default_rng(1234).standard_normal((n, d))
    return images, images.copy()


def rows_of(x):
    return {row.tobytes() for row in x}


def test_what_a_control_does_not_replace_it_keeps():
    images, texts = perfect_pairs()
    unit = rows_of(normalised(images))
    kept = {
        name: tuple(rows_of(x) == unit for x in control_embeddings(name, images, texts, 0))
        for name in CONTROLS
    }
    assert kept == {
        "random": (False, False),
        "shuffled": (True, True),
        "image_only": (True, False),
        "text_only": (False, True),
    }


@pytest.mark.parametrize("n", [2, 3, 60])
def test_shuffling_gives_every_study_the_report_of_another(n):
    images, texts = perfect_pairs(n)
    for seed in range(20):
        same, shuffled = control_embeddings("shuffled", images, texts, seed)
        assert np.array_equal(same, normalised(images))
        assert rows_of(shuffled) == rows_of(normalised(texts))
        assert not (shuffled == normalised(texts)).all(axis=1).any()


def test_shuffles_of_three_are_both_rotations():
    images, texts = perfect_pairs(3)
    found = {control_embeddings("shuffled", images, texts, s)[1].tobytes() for s in range(20)}
    assert found == {np.roll(normalised(texts), shift, axis=0).tobytes() for shift in (1, 2)}


def test_replacing_vectors_point_everywhere_alike():
    images, texts = perfect_pairs(2000, 4)
    for vectors in control_embeddings("random", images, texts, 0):
        assert vectors.shape == (2000, 4)
        np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.05)
        np.testing.assert_allclose(vectors.T @ vectors / 2000, np.eye(4) / 4, atol=0.03)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_a_function_of_its_seed(name):
    images, texts = perfect_pairs()
    once, again, other = (control_embeddings(name, images, texts, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(once, other, strict=True))


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_leaves_no_cross_modal_knowledge(name):
    images, texts = perfect_pairs()
    hits = 0.0
    for seed in range(20):
        search = searches("cross_modal", *control_embeddings(name, images, texts, seed))
        scores = search["image_to_text"].scores(np.arange(60))
        hits += recall_at_k(scores, np.arange(60), 1).sum()
    # 1200 queries with one chance in 60 each: 20 ± 4.4 hits; a shuffled report is never the own.
    assert 3 <= hits <= 37 if name != "shuffled" else hits == 0


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("noise", perfect_pairs(), "control='noise' is no choice: write one of random, shuffled"),
        ("shuffled", perfect_pairs(1), "give at least 2"),
        ("image_only", (np.eye(3), np.eye(4)), "differ in shape"),
        ("image_only", (np.eye(3), np.full((3, 3), np.nan)), "holds NaN"),
        ("text_only", (np.zeros((3, 3)), np.eye(3)), "is all zeros"),
    ],
)
def test_bad_input_is_refused_even_where_it_would_be_replaced(name, data, sentence):
    with pytest.raises(InputError, match=sentence):
        control_embeddings(name, *data, 0)


def test_the_leak_is_the_share_of_queries_that_find_their_own_study():
    hits = np.arange(40) < 30
    bootstrap = Bootstrap(40, seed=0, resamples=100)
    every, most = leak_records({"fused": np.ones(40, dtype=bool), "strict": hits}, bootstrap)
    assert (every["value"], every["low"], every["high"]) == (1, 1, 1)
    assert most["value"] == 0.75
    assert (most["low"], most["high"]) == bootstrap.mean(hits)
    assert {r["protocol"]: r["metric"] for r in (every, most)} == {
        "fused": "accuracy",
        "strict": "accuracy",
    }
