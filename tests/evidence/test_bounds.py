"""Ceilings: no order of equal studies is worth more, by trying all places and all exchanges."""

from itertools import combinations, permutations, product

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.bounds import (
    CEILINGS,
    CODE_CEILING,
    DUPLICATE_CEILING,
    ceiling_vectors,
    group_vectors,
)
from cxr_mtl.evidence.by_protocol import ceiling_records
from cxr_mtl.evidence.tables import bound_records, evaluate_tables
from tests.evidence.drawn_pairs import chosen

DIRECTIONS = ("image_to_text", "text_to_image")
LABELS = np.arange(10) % 2
TEXTS = ["Clear.", "clear. ", "CLEAR.", "Effusion.", "Effusion.", *"abcde"]
CODES = [[], ["A/left"], ["A/left"], [], ["A/left", "B"], ["B", "A/left"], ["B"], [], ["C"], []]
GROUPS = {
    DUPLICATE_CEILING: [3, 3, 3, 2, 2, 1, 1, 1, 1, 1],
    CODE_CEILING: [4, 2, 2, 4, 1, 1, 1, 4, 1, 4],
}
"""How many studies are equal to each, itself among them, counted by hand."""


def within(k):
    return lambda place: float(place <= k)


WORTH = {
    **{("accuracy", k): within(k) for k in (1, 3, 5, 10)},
    **{("recall", k): within(k) for k in (1, 5, 10)},
    ("mrr", None): lambda place: 1 / place,
    ("mean_rank", None): lambda place: -place,
}
"""What a place of the own study is worth, more being better."""


def best_of_all_orders(equal, worth):
    """The most that an order of ten items can expect with the own study among `equal` ones.

    Whatever ten items the order puts first, equal ones stand in some set of places, and the own
    study at each of them in as many of the arrangements of equal ones.
    """
    return max(
        np.mean([worth(arrangement[0]) for arrangement in permutations(places)])
        for places in combinations(range(1, 11), equal)
    )


def ceilings(ceiling):
    return chosen(bound_records(LABELS, TEXTS, CODES), model=ceiling)


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_a_ceiling_is_the_best_of_all_orders(ceiling):
    records = ceilings(ceiling) + chosen(ceiling_records(TEXTS, CODES), model=ceiling)
    asked = set()
    for record in records:
        worth = WORTH[record["metric"], record["k"]]
        best = np.mean([best_of_all_orders(equal, worth) for equal in GROUPS[ceiling]])
        best = abs(best) if record["metric"] == "mean_rank" else best
        assert record["value"] == pytest.approx(best), record
        asked.add((record["direction"], record["metric"], record["k"]))
    assert asked == {(direction, *key) for direction in DIRECTIONS for key in WORTH}


@pytest.mark.parametrize("seed", range(4))
def test_no_model_expects_more_than_the_code_ceiling_over_all_exchanges_of_equal_pictures(seed):
    """Pictures of one list of codes are drawn alike: each might have been that of any other."""
    rng = np.random.default_rng(seed)
    texts = rng.standard_normal((10, 6))
    # A picture near its own report, as of a model that has learnt the very test studies by heart.
    pictures = texts + (seed > 0) * 0.5 * rng.standard_normal((10, 6))
    of_codes = {}
    for study, codes in enumerate(CODES):
        of_codes.setdefault(tuple(codes), []).append(study)
    found = {}
    for orders in product(*map(permutations, of_codes.values())):
        order = np.empty(10, dtype=int)
        for studies, exchanged in zip(of_codes.values(), orders, strict=True):
            order[studies] = exchanged
        for record in evaluate_tables(pictures[order], texts, LABELS, "m", None, None)[0]:
            key = record["protocol"], record["direction"], record["metric"], record["k"]
            found.setdefault(key, []).append(record["value"])
    for record in ceilings(CODE_CEILING):
        mean = np.mean(found["cross_modal", record["direction"], record["metric"], record["k"]])
        if record["metric"] == "mean_rank":
            assert mean >= record["value"] - 1e-9, record
        else:
            assert mean <= record["value"] + 1e-9, record
    if seed == 0:  # The ceiling is reached: by pictures that name their report.
        (top,) = chosen(ceilings(CODE_CEILING), direction=DIRECTIONS[0], metric="recall", k=1)
        assert np.mean(found["cross_modal", DIRECTIONS[0], "recall", 1]) == pytest.approx(
            top["value"]
        )


def test_real_images_have_no_code_ceiling():
    records = bound_records(LABELS, TEXTS, None) + ceiling_records(TEXTS, None)
    assert CODE_CEILING not in {record["model"] for record in records}


@pytest.mark.parametrize("ceiling", CEILINGS)
def test_ceilings_are_of_the_strict_protocol_alone(ceiling):
    records = ceilings(ceiling) + chosen(ceiling_records(TEXTS, CODES), model=ceiling)
    assert {record["protocol"] for record in records} == {"cross_modal"}


def test_vectors_are_equal_for_equal_groups_and_only_then():
    groups = ["a", (), ("a",), "b", ("a", "b"), ("b", "a"), "a", ()]
    vectors = group_vectors(groups)
    assert vectors.shape == (8, 64)
    same = (vectors[:, None] == vectors).all(axis=2)
    np.testing.assert_array_equal(same, [[a == b for b in groups] for a in groups])


def test_reports_are_equal_by_their_words():
    vectors = ceiling_vectors(TEXTS, None)[DUPLICATE_CEILING]
    assert (vectors[0] == vectors[2]).all()
    assert (vectors[0] != vectors[3]).any()


def test_codes_of_other_studies_are_refused():
    with pytest.raises(InputError, match="10 studies have 9 lists of drawn codes"):
        bound_records(LABELS, TEXTS, CODES[1:])
