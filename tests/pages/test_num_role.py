"""Values of records as prose writes them."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.num_role import number_in_words


@pytest.mark.parametrize(
    ("record", "spec", "expected"),
    [
        ({"value": 0.12345}, ".3f", ("0.123", "")),
        ({"value": 0.0625}, ".3f", ("0.063", "")),  # half way: up
        ({"value": 3}, "", ("3", "")),
        ({"value": 1234}, ",", ("1,234", "")),
        ({"value": "ViT-B"}, "", ("ViT-B", "")),
        ({"value": 0.5, "low": 0.4, "high": 0.6}, ".0%", ("50%", " [40%, 60%]")),
        ({"value": 0.5, "low": None, "high": None}, ".1f", ("0.5", "")),
        ({"value": None, "low": None, "high": None}, ".3f", ("undefined", "")),
    ],
)
def test_a_value_is_written_by_its_format_with_its_interval(record, spec, expected):
    assert number_in_words(record, spec) == expected


@pytest.mark.parametrize(("value", "spec"), [("ViT-B", ".3f"), (0.5, "nonsense"), ([1], ".2f")])
def test_a_format_that_does_not_suit_the_value_is_refused(value, spec):
    with pytest.raises(InputError, match=f"cannot be written by the format {spec}"):
        number_in_words({"value": value}, spec)
