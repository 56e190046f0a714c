"""How the best of several models looks on the queries that chose it, and on others."""

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.evidence.split_half import lead_of_the_best


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
