"""Collapse of embeddings: by plain loops, with no alarm where items can be told apart."""

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import notices
from cxr_mtl.retrieval.collapse import ALIKE, collapse_records, mean_cosine

REMEDIES = {"m": "try another", "other": "train longer"}


def said(images, reports):
    return notices(collapse_records({"m": (images, reports)}, REMEDIES))


def spread_of(angle, n=40, d=16, seed=0):
    """Vectors about `angle` degrees from one direction, each on a side of its own."""
    rng = np.random.default_rng(seed)
    aside = rng.standard_normal((n, d))
    aside[:, 0] = 0
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return np.cos(np.radians(angle)) * np.eye(1, d) + np.sin(np.radians(angle)) * aside


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_cosine_is_that_of_all_pairs_of_different_studies(seed):
    vectors = np.random.default_rng(seed).standard_normal((9, 5)) + seed
    pairs = [(a, b) for i, a in enumerate(vectors) for j, b in enumerate(vectors) if i != j]
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
    assert mean_cosine(vectors) == pytest.approx(np.mean(cosines), abs=1e-6)
    assert mean_cosine(7 * vectors) == pytest.approx(mean_cosine(vectors), abs=1e-6)


def test_orthogonal_embeddings_are_no_collapse_and_equal_ones_are():
    equal = np.ones((40, 16))
    assert mean_cosine(np.eye(40)) == pytest.approx(0)
    assert said(np.eye(40), np.eye(40)[::-1]) == []
    assert mean_cosine(equal) == pytest.approx(1)
    assert said(equal, equal) == [
        "to m all images look alike (mean cosine of two embeddings 1.0000, 1 were all equal): try "
        "another",
        "to m all reports look alike (mean cosine of two embeddings 1.0000, 1 were all equal): try "
        "another",
    ]


def test_a_collapse_of_one_modality_names_that_one_and_only_its_model():
    pairs = {"other": (np.eye(40), np.eye(40)), "m": (np.eye(40), np.ones((40, 40)))}
    (record,) = [r for r in collapse_records(pairs, REMEDIES) if r["metric"] == "notice"]
    assert (record["model"], record["modality"]) == ("m", "reports")


def test_chests_that_are_much_alike_are_no_collapse():
    narrow, narrower = spread_of(5), spread_of(1)
    assert 0.99 < mean_cosine(narrow) < ALIKE < mean_cosine(narrower)
    assert said(narrow, narrow) == []
    assert len(said(narrower, narrow)) == 1


def test_queries_that_score_all_items_alike_are_counted():
    """Reports of two dimensions, images in others: nothing they share tells any image."""
    rng = np.random.default_rng(0)
    reports = np.hstack([rng.standard_normal((40, 2)), np.zeros((40, 3))])
    images = np.hstack([np.zeros((40, 2)), rng.standard_normal((40, 3))])
    images[0, :2] = reports[1, :2] + reports[2, :2]
    found = collapse_records({"m": (images, reports)}, REMEDIES)
    tied = {r["direction"]: r["value"] for r in found if r["metric"] == "tied_queries"}
    assert tied == {"image_to_text": 39, "text_to_image": 0}
    assert notices(found) == [
        "to m all reports have one score for 39 of 40 images as queries, whose order is chance: "
        "try another"
    ]


def test_one_embedding_has_no_cosine_between_two():
    with pytest.raises(InputError, match="at least 2 studies"):
        mean_cosine(np.ones((1, 4)))
