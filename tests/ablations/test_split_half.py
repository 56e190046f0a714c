"""What a choice looks like where it was made, and elsewhere."""

import numpy as np
import pytest

from cxr_mtl.ablations.split_half import (
    lead_of_the_best,
    youden,
    youden_by_choice,
    youden_of_a_chosen_threshold,
)
from cxr_mtl.base.errors import InputError


def test_the_best_of_equal_models_leads_only_where_it_was_chosen():
    values = np.random.default_rng(1).standard_normal((5, 4000))
    seen, kept_out = lead_of_the_best(values - values.mean(axis=1)[:, None], seed=0, cuts=400)
    # The largest of five standard normals is 1.163 on average, of halves of 2000 values each.
    assert seen == pytest.approx(1.163 / np.sqrt(2 * 2000), rel=0.1)
    assert kept_out == pytest.approx(-seen, rel=0.01)  # both halves of each model sum to 0


def test_a_better_model_leads_in_both_halves():
    values = np.vstack([np.ones(50), np.zeros(50), np.zeros(50)])
    assert lead_of_the_best(values, seed=0, cuts=20) == pytest.approx((2 / 3, 2 / 3))


def test_the_lead_is_that_of_a_loop_over_the_cuts():
    values = np.random.default_rng(0).random((3, 7))
    order = np.random.default_rng(5).random((4, 7)).argsort(axis=1)
    seen, kept_out = [], []
    for row in order:
        half, other = values[:, row < 3], values[:, row >= 3]
        best = int(np.argmax(half.mean(axis=1)))
        seen.append(half[best].mean() - half.mean())
        kept_out.append(other[best].mean() - other.mean())
    found = lead_of_the_best(values, seed=5, cuts=4)
    assert found == pytest.approx((np.mean(seen), np.mean(kept_out)))


@pytest.mark.parametrize("shape", [(1, 10), (3, 1), (4,)])
def test_nothing_can_be_chosen_from_one_model_or_one_query(shape):
    with pytest.raises(InputError, match="at least 2 of each"):
        lead_of_the_best(np.zeros(shape), seed=0)


def test_youden_is_sensitivity_and_specificity_less_one():
    probabilities, labels = [0.9, 0.4, 0.6, 0.1, 0.2], [1, 1, 0, 0, 0]
    assert youden(probabilities, labels, 0.5) == pytest.approx(1 / 2 + 2 / 3 - 1)
    with pytest.raises(InputError, match="all 2 studies have the label 1"):
        youden([0.1, 0.2], [1, 1], 0.5)


def test_a_threshold_chosen_among_noise_looks_good_only_where_it_was_chosen():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.random(100), np.tile([0, 1], 50)
    seen, kept_out = youden_of_a_chosen_threshold(probabilities, labels, seed=0, cuts=100)
    assert seen > 0.1
    assert abs(kept_out) < 0.1


def test_a_threshold_of_separated_classes_holds_elsewhere():
    labels = np.tile([0, 1], 10)
    found = youden_of_a_chosen_threshold(0.2 + 0.6 * labels, labels, seed=0, cuts=5)
    assert found == (1, 1)


def test_a_class_of_one_study_cannot_be_cut():
    with pytest.raises(InputError, match="3 normal and 1 abnormal studies cannot be cut"):
        youden_of_a_chosen_threshold([0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1], seed=0)


def test_no_threshold_beats_the_one_that_the_test_studies_chose():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 20)
    probabilities = np.clip(0.2 * labels + 0.8 * rng.random(40), 0, 1)
    found = youden_by_choice(probabilities, labels, 0.5, seed=3)
    every = [youden(probabilities, labels, threshold) for threshold in probabilities]
    assert found["test"] == pytest.approx(max(every))
    assert found["validation"] == youden(probabilities, labels, 0.5) <= found["test"]
    halves = youden_of_a_chosen_threshold(probabilities, labels, seed=3)
    assert (found["half, seen"], found["half, kept out"]) == halves
