"""The exact choice: the earliest of all subsets, found if there is one, at bounded memory."""

import itertools
import tracemalloc

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data import exact_choice as module
from cxr_mtl.data.exact_choice import exact_choice, largest_sum_below


def random_groups(rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A few groups of one or two classes, none empty, of which many cannot meet the number."""
    classes, scale = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    sizes = scale * rng.integers(0, 5, (9, classes))
    if rng.random() < 0.4:
        sizes[np.arange(9), rng.integers(0, classes, 9)] = 0
    return sizes[sizes.any(axis=1)], int(rng.integers(1, 20))


def by_trying_all(sizes: np.ndarray, per_class: int) -> tuple[tuple[int, ...] | None, int]:
    """The first of all subsets that sum to it, and the largest smaller number of any subset."""
    subsets = np.array(list(itertools.product([1, 0], repeat=len(sizes))))
    sums = subsets @ sizes
    met = subsets[(sums == per_class).all(axis=1)]
    equal = sums[(sums == sums[:, :1]).all(axis=1), 0]
    return (tuple(met[0]) if len(met) else None), int(equal[equal < per_class].max())


def test_the_choice_is_the_earliest_of_all_subsets_and_none_only_where_there_is_none():
    rng = np.random.default_rng(0)
    outcomes = {"none": 0, "as fits": 0, "exact": 0}
    for _ in range(400):
        sizes, per_class = random_groups(rng)
        first, below = by_trying_all(sizes, per_class)
        chosen = exact_choice(sizes, per_class)
        assert largest_sum_below(sizes, per_class) == below
        if first is None:
            assert chosen is None
            outcomes["none"] += 1
        else:
            assert tuple(chosen.astype(int)) == first
            as_fits = np.array_equal(chosen, what_fits(sizes, per_class))
            outcomes["as fits" if as_fits else "exact"] += 1
    assert min(outcomes.values()) > 40


def what_fits(sizes: np.ndarray, per_class: int) -> np.ndarray:
    chosen, left = np.zeros(len(sizes), dtype=bool), per_class - np.zeros(sizes.shape[1])
    for i, size in enumerate(sizes):
        if (size <= left).all():
            chosen[i], left = True, left - size
    return chosen


def test_what_fits_is_chosen_wherever_it_meets_the_number():
    rng = np.random.default_rng(0)
    met = 0
    for _ in range(300):
        sizes = rng.integers(0, 6, (60, 2))
        sizes = sizes[sizes.any(axis=1)]
        greedy = what_fits(sizes, 20)
        if (sizes[greedy].sum(axis=0) == 20).all():
            met += 1
            assert np.array_equal(exact_choice(sizes, 20), greedy)
    assert met > 50


def test_every_group_of_one_size_is_as_likely_where_what_fits_does_not_do():
    sizes = np.array([(3, 0), (0, 3)] * 10 + [(2, 0), (0, 2)])
    rng, drawn = np.random.default_rng(0), np.zeros(20)
    for _ in range(1000):
        order = rng.permutation(22)
        chosen = order[exact_choice(sizes[order], 11)]
        drawn += np.isin(np.arange(20), chosen)
        assert {20, 21} <= set(chosen)
    assert np.abs(drawn / 1000 - 0.3).max() < 0.06


def archive(patients: int) -> np.ndarray:
    """Films of both labels of each patient, few or many: some thousand kinds of groups."""
    rng = np.random.default_rng(0)
    films = rng.geometric(1 / 5.8, patients) + (rng.random(patients) < 0.02) * rng.integers(
        0, 80, patients
    )
    normal = rng.binomial(films, rng.beta(0.5, 0.9, patients))
    return np.stack([normal, films - normal], axis=1)


@pytest.mark.parametrize(
    ("sizes", "per_class", "possible"),
    [
        pytest.param(np.array([(3, 0), (0, 3)] * 5000), 2000, 1998, id="three films each"),
        pytest.param(np.array([(3, 0), (0, 3)] * 5000), 14_000, 13_998, id="a large part"),
        pytest.param(archive(65_000), 2000, 2000, id="a large archive"),
        pytest.param(2 * archive(65_000), 1999, 1998, id="a large archive, films in twos"),
        pytest.param(3 * archive(65_000).sum(axis=1, keepdims=True), 2000, 1998, id="unlabelled"),
    ],
)
def test_a_large_archive_takes_little_memory(sizes, per_class, possible):
    tracemalloc.start()
    try:
        chosen = exact_choice(sizes, per_class)
        found = largest_sum_below(sizes, per_class + 1) if chosen is None else per_class
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == possible
    assert chosen is None or (sizes[chosen].sum(axis=0) == per_class).all()
    assert peak < 300e6


def test_groups_of_both_classes_that_hold_too_much_of_one_are_told_apart():
    sizes = archive(20_000)
    mixed = sizes[(sizes[:, 0] > 0) & (sizes[:, 1] > 0)]
    assert not (mixed[what_fits(mixed, 1000)].sum(axis=0) == 1000).all()
    assert mixed[exact_choice(mixed, 1000)].sum(axis=0).tolist() == [1000, 1000]


def test_more_choices_than_can_be_weighed_are_refused_before_memory_ends(monkeypatch):
    sizes = np.array([(30, 1), (1, 30)] * 50)
    assert exact_choice(sizes, 40) is None
    monkeypatch.setattr(module, "WEIGHED", 20)
    with pytest.raises(InputError, match=r"whether 40 .* too much memory .*: set test_per_class"):
        exact_choice(sizes, 40)
    assert exact_choice(sizes, 31).sum() == 2
