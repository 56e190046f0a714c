"""What checks of exercises expect: which answers are the same, and what is said of others."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxr_mtl.runs.exercise_checks import (
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    expect_several,
    expect_table,
)

NOTHING = "found None, which a function without `return` gives"
WHOLE = st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=5)
# Not so small that single precision has no such number.
THOUSANDTHS = st.integers(-(10**9), 10**9).map(lambda n: n / 1000)
FLOATS = st.lists(THOUSANDTHS, min_size=1, max_size=5)


def said(expect, *arguments, **named):
    """What is said of an answer that is refused."""
    with pytest.raises(AssertionError) as refusal:
        expect(*arguments, **named)
    return str(refusal.value)


@given(WHOLE)
def test_equal_whole_numbers_are_equal_in_any_container_and_type(numbers):
    for answer in (
        tuple(numbers),
        np.array(numbers),
        np.array(numbers, dtype=float),
        torch.tensor(numbers),
        pd.Series(numbers, index=np.arange(len(numbers)) + 7),
        [np.int32(each) for each in numbers],
        [torch.tensor(each) for each in numbers],
    ):
        expect_equal(answer, numbers, "answer")


@given(FLOATS)
def test_what_single_precision_rounds_is_close(numbers):
    for answer in (
        np.float32(numbers),
        torch.tensor(numbers, dtype=torch.float32, requires_grad=True),
        pd.Series(numbers, dtype="float32"),
        tuple(np.float32(each) for each in numbers),
    ):
        expect_close(answer, numbers, "answer")
        expect_close({"a": answer}, {"a": numbers}, "answer")


@given(FLOATS, st.integers(0, 4))
def test_a_thousandth_of_the_largest_number_is_not_close(numbers, place):
    answer = np.array(numbers)
    largest = np.abs(answer).max()
    answer[place % len(answer)] += 1e-3 * largest or 1e-30
    assert "numbers: expected " in said(expect_close, answer, numbers, "numbers")


@pytest.mark.parametrize(
    ("found", "expected", "sentence"),
    [
        (None, 2, f"n: expected 2, {NOTHING}"),
        (3, None, "n: expected None, found 3"),
        (3, 2, "n: expected 2, found 3"),
        ([2], 2, "n: expected 2, found [2]"),
        (False, True, "n: expected True, found False"),
        (np.array([4, 1]), (4, 2), "n: expected [4, 2], found [4, 1]"),
        ("two", 2, "n: expected 2, found 'two'"),
        (2 + 1e-9, 2, "n: expected 2, found 2, which differs in a digit that is not written"),
        (np.eye(4), np.zeros((4, 4)), "n, at [0, 0]: expected 0, found 1"),
        (np.ones(9), np.ones((9, 1)), "expected numbers of the shape [9, 1], found numbers of"),
        ({1, 2}, {2, 3}, "n: expected 2, found 2; only expected: 3"),
        ({1, 2}, {2}, "n: expected 1, found 2; only found: 1"),
        ("a", "b", "n: expected 'b', found 'a'"),
    ],
)
def test_another_answer_is_refused_by_both(found, expected, sentence):
    assert sentence in said(expect_equal, found, expected, "n")


@pytest.mark.parametrize(
    ("found", "expected", "sentence"),
    [
        (0.25, 0.5, "n: expected 0.5, found 0.25"),
        (np.nan, 0.5, "n: expected 0.5, found nan"),
        ([0.5, np.nan], [0.5, 1], "n: expected [0.5, 1], found [0.5, nan]"),
        (None, 0.5, f"n: expected 0.5, {NOTHING}"),
        ([None, None], [0.5, 1], "n: expected [0.5, 1], found [None, None]"),
        (np.full((3, 3), np.nan), np.ones((3, 3)), "n, at [0, 0]: expected 1, found nan"),
        ({"a": 1}, {"a": 1, "b": 2}, "n: expected a dict of a, b, found {'a': 1}"),
        ({"a": 1, "b": 3}, {"a": 1, "b": 2}, "n, b: expected 2, found 3"),
        (0.5, {"a": 1}, "n: expected a dict of a, found 0.5"),
    ],
)
def test_numbers_that_are_off_are_refused_by_both(found, expected, sentence):
    assert sentence in said(expect_close, found, expected, "n")


def test_numbers_may_be_off_by_as_much_as_is_allowed():
    expect_close(0.53, 0.5, "n", atol=0.03 + 1e-9)
    expect_close([110, 1], [100, 10], "n", rtol=0.1)
    assert said(expect_close, 0.54, 0.5, "n", atol=0.03) == "n: expected 0.5, found 0.54"


@pytest.mark.parametrize("expected", [np.nan, np.inf, "a", None])
def test_a_check_may_expect_finite_numbers_only(expected):
    with pytest.raises(ValueError, match="what is expected must be finite numbers"):
        expect_close(1, expected, "n")


def test_a_number_lies_between_both_ends_or_on_them():
    for number in (1, np.float32(2), torch.tensor(3.0)):
        expect_between(number, 1, 3, "n")
    assert said(expect_between, 3.5, 1, 3, "n") == "n: expected a number from 1 to 3, found 3.5"
    assert "from 1 to 3, found nan" in said(expect_between, np.nan, 1, 3, "n")
    assert said(expect_between, None, 1, 3, "n") == f"n: expected one number, {NOTHING}"
    assert said(expect_between, [2], 1, 3, "n") == "n: expected one number, found [2]"


def test_numbers_of_another_shape_are_refused_and_others_given_in_double_precision():
    numbers = expect_numbers([[1, 2]], (1, 2), "n")
    assert numbers.tolist() == [[1, 2]]
    assert numbers.dtype == np.float64
    sentence = "n: expected numbers of the shape [2], found [[1, 2]]"
    assert said(expect_numbers, [[1, 2]], (2,), "n") == sentence
    assert said(expect_numbers, [[1], [2, 3]], (2,), "n").endswith("found [[1], [2, 3]]")


def test_an_answer_of_other_than_as_many_parts_is_refused():
    assert expect_several([1, "a"], 2, "parts") == (1, "a")
    assert len(expect_several(np.eye(3), 3, "parts")) == 3
    for answer in (None, 5, np.array(5), "ab", (1, 2, 3)):
        assert "parts: expected 2 things, found " in said(expect_several, answer, 2, "parts")


def test_a_table_without_its_columns_is_refused():
    table = pd.DataFrame({"b": [1], "a": [2], "c": [3]})
    assert list(expect_table(table, ["a", "b"], "t")) == ["a", "b"]
    sentence = "t: expected a table with the columns a, d, found "
    assert said(expect_table, table, ["a", "d"], "t") == f"{sentence}['b', 'a', 'c']"
    assert said(expect_table, None, ["a", "d"], "t") == f"{sentence}{NOTHING[6:]}"
