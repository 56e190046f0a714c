"""Relevance: every matrix agrees with its definition, pair by pair."""

import time

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.relevance import mesh_overlap, own_study, same_label, same_text

HEADINGS = [
    ["Opacity/lung/left", "Cardiomegaly/mild"],
    ["Opacity/lung/right", "Opacity/lung/left/focal", "Spine"],
    ["normal"],
    ["normal"],
    [],
    ["No Indexing"],
    ["Lung/hyperdistention", "Cardiomegaly"],
    [],
]


def all_rows(relevance, n: int) -> np.ndarray:
    return relevance(np.arange(n))


def term_similarity(a: str, b: str) -> float:
    heading_a, *rest_a = a.split("/")
    heading_b, *rest_b = b.split("/")
    if heading_a != heading_b:
        return 0.0
    return (1 + len({*rest_a} & {*rest_b})) / (1 + len({*rest_a} | {*rest_b}))


def study_similarity(a: list[str], b: list[str]) -> float:
    if not a or not b:
        return 0.0
    best = [max(term_similarity(x, y) for y in b) for x in a]
    best += [max(term_similarity(x, y) for x in a) for y in b]
    return sum(best) / len(best)


def by_definition(headings: list[list[str]]) -> np.ndarray:
    return np.array([[study_similarity(a, b) for b in headings] for a in headings])


def random_headings(studies: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)

    def term() -> str:
        qualifiers = sorted(rng.choice(list("abcdefgh"), rng.integers(0, 4), replace=False))
        return "/".join([f"Heading {rng.integers(0, 20)}", *qualifiers])

    return [list({term() for _ in range(rng.integers(0, 5))}) for _ in range(studies)]


def test_only_the_own_study_is_relevant():
    np.testing.assert_array_equal(own_study(5)(np.array([3, 0])), np.eye(5)[[3, 0]])


def test_reports_equal_after_normalisation_are_relevant_to_each_other():
    relevance = same_text(["No acute  disease.", "Clear.", "no acute disease.", "no acute disease"])
    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(all_rows(relevance, 4), expected)


def test_studies_of_one_label_are_relevant_to_each_other():
    np.testing.assert_array_equal(same_label([0, 1, 0])(np.array([0, 1])), [[1, 0, 1], [0, 1, 0]])


@pytest.mark.parametrize("label", [-1, 2, float("nan")])
def test_a_study_without_a_label_is_refused(label):
    with pytest.raises(InputError, match="1 of 3 labels are neither 0 nor 1"):
        same_label([0, label, 1])


def test_mesh_overlap_of_two_studies_worked_by_hand():
    headings = [["Opacity/lung/left", "Cardiomegaly"], ["Opacity/lung/right"], ["Cardiomegaly"]]
    # Opacity/lung/left and Opacity/lung/right share 2 of 4 elements.
    expected = [[1, (0.5 + 0 + 0.5) / 3, (0 + 1 + 1) / 3], [1 / 3, 1, 0], [2 / 3, 0, 1]]
    np.testing.assert_allclose(all_rows(mesh_overlap(headings), 3), expected, rtol=1e-6)


def test_mesh_overlap_is_its_definition_pair_by_pair():
    for headings in (HEADINGS, random_headings(40, seed=0)):
        found = all_rows(mesh_overlap(headings), len(headings))
        np.testing.assert_allclose(found, by_definition(headings), atol=1e-6)


def test_mesh_overlap_is_symmetric_in_0_to_1_and_1_for_the_same_terms():
    found = all_rows(mesh_overlap(HEADINGS), len(HEADINGS))
    np.testing.assert_array_equal(found, found.T)
    assert found.min() == 0
    assert found.max() == 1
    assert found.diagonal().tolist() == [1, 1, 1, 1, 0, 1, 1, 0]
    assert found[2, 3] == 1


def test_a_study_without_terms_is_like_none_wherever_it_stands():
    for headings in ([[], ["normal"], []], [["normal"], [], ["normal"]], [[], []], [[""], ["a"]]):
        found = all_rows(mesh_overlap(headings), len(headings))
        np.testing.assert_allclose(found, by_definition([[h for h in s if h] for s in headings]))


def test_a_heading_is_no_qualifier_of_the_same_name():
    assert all_rows(mesh_overlap([["Lung/opacity"], ["opacity/Lung"]]), 2)[0, 1] == 0


def test_terms_count_once_in_any_order_of_their_qualifiers():
    headings = [["Opacity/lung/left", "Opacity/left/lung", "Opacity/lung/left"], ["Opacity"]]
    found = all_rows(mesh_overlap(headings), 2)
    assert found[0, 1] == all_rows(mesh_overlap([["Opacity/lung/left"], ["Opacity"]]), 2)[0, 1]


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (own_study, 8),
        (same_text, list("abacabad")),
        (same_label, [0, 1, 1, 0, 1, 0, 0, 1]),
        (mesh_overlap, HEADINGS),
    ],
)
def test_rows_asked_for_are_rows_of_the_whole_matrix_in_float32(make, data):
    relevance = make(data)
    rows = np.array([6, 0, 3])
    assert relevance(rows).dtype == np.float32
    np.testing.assert_array_equal(relevance(rows), all_rows(relevance, 8)[rows])


def test_mesh_overlap_of_1000_studies_takes_no_loop_over_pairs():
    headings = random_headings(1000, seed=1)
    start = time.perf_counter()
    relevance = mesh_overlap(headings)
    for rows in np.array_split(np.arange(1000), 10):
        relevance(rows)
    assert time.perf_counter() - start < 5


def test_headings_that_are_one_text_are_refused():
    with pytest.raises(InputError, match="headings of row 1 are the text 'normal'"):
        mesh_overlap([["normal"], "normal"])
