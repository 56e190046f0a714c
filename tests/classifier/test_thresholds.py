"""The threshold of the greatest Youden's J, and what choosing it on the test studies gains."""

import itertools

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.classifier.thresholds import (
    choose_threshold,
    youden,
    youden_by_choice,
    youden_of_a_chosen_threshold,
)


def classified(studies: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(studies) % 2)
    return rng.beta(2 + labels, 3 - labels), labels


def gain_at(threshold, probabilities, labels):
    called = probabilities >= threshold
    return called[labels == 1].mean() + (~called)[labels == 0].mean() - 1


@pytest.mark.parametrize("seed", range(10))
def test_the_threshold_is_the_middle_of_the_widest_gap_of_greatest_j(seed):
    probabilities, labels = classified(20, seed)
    probabilities = probabilities.round(1)
    gaps = list(itertools.pairwise(np.unique(probabilities)))
    gains = [gain_at((low + high) / 2, probabilities, labels) for low, high in gaps]
    width = max(h - lo for (lo, h), j in zip(gaps, gains, strict=True) if j > max(gains) - 1e-9)
    chosen = choose_threshold(probabilities, labels)
    assert gain_at(chosen, probabilities, labels) == pytest.approx(max(gains))
    gap = next((low, high) for low, high in gaps if low < chosen < high)
    assert chosen == pytest.approx(sum(gap) / 2)
    assert gap[1] - gap[0] == pytest.approx(width)


def test_of_equally_wide_best_gaps_the_highest_is_taken():
    assert choose_threshold([0.0, 0.25, 0.5, 0.75], [0, 1, 0, 1]) == 0.625


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.2, 0.3], [1, 1], "all 2 studies have the label 1"),
        ([0.4, 0.4], [0, 1], "all 2 studies have the probability 0.4"),
        ([0.4, 1.7], [0, 1], "1.7 is no probability"),
        ([0.4, np.nan], [0, 1], "nan is no probability"),
        ([0.4, 0.5], [0, -1], r"1 of 2 labels are neither 0 nor 1 \(the first is -1\)"),
        ([0.4], [0, 1], r"shape \[1\] and labels of shape \[2\]"),
    ],
)
def test_a_threshold_is_not_chosen_on_bad_input(probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        choose_threshold(probabilities, labels)


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
