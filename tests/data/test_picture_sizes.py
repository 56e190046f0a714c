"""Sizes of pictures, and gray values as 8 bits."""

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.picture_sizes import MAX_ASPECT, MAX_PIXELS, MIN_SIDE, check_size, to_8_bits


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [
        (1, 100_000, "1 x 100000 pixels, is more than 20 times as long as wide"),
        (100_000, 1, "100000 x 1 pixels, is more than 20 times as long as wide"),
        (100, 100 * MAX_ASPECT + 1, "times as long as wide"),
        (MIN_SIDE - 1, MIN_SIDE, "shows nothing on fewer than 8 pixels across"),
        (1, 1, "shows nothing on fewer than 8 pixels across"),
        (6_000, 5_001, "has 30,006,000 pixels, more than the 30,000,000 allowed: scale it down"),
        (0, 0, "shows nothing"),
    ],
)
def test_a_size_no_radiograph_has_is_refused_by_name(width, height, reason):
    with pytest.raises(InputError, match=rf"x\.png.* {reason}"):
        check_size("x.png", width, height)


@pytest.mark.parametrize(
    ("width", "height"), [(8, 8), (100, 100 * MAX_ASPECT), (MAX_PIXELS // 5000, 5000)]
)
def test_a_size_within_the_bounds_is_taken(width, height):
    check_size("x.png", width, height)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_values_are_scaled_linearly_and_rounded_and_may_be_turned_round(dtype):
    values = np.array([[0, 10], [21, 40]], dtype=dtype)
    assert to_8_bits(values, 0, 40).tolist() == [[0, 64], [134, 255]]
    assert to_8_bits(values, 40, 0).tolist() == [[255, 191], [121, 0]]
    assert to_8_bits(values, 10, 21).tolist() == [[0, 0], [255, 255]]
    assert not to_8_bits(values, 7, 7).any()
