"""Records found by a query."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import find_record, find_records

RECORDS = [
    {"model": "tuned", "metric": "accuracy", "k": 1, "value": 0.5},
    {"model": "tuned", "metric": "accuracy", "k": 5, "value": 0.75},
    {"model": "base", "metric": "map", "k": None, "value": 0.25},
]


def test_a_query_finds_all_that_have_its_fields():
    assert find_records(RECORDS, "model=tuned") == RECORDS[:2]


@pytest.mark.parametrize(
    ("query", "value"),
    [("model=tuned&k=5", 0.75), ("k=null", 0.25), ("metric=map", 0.25), ("value=0.5", 0.5)],
)
def test_a_query_finds_its_one_record(query, value):
    assert find_record(RECORDS, query)["value"] == value


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("model=tuned&k=3", "no record has k=3: there are 1, 5"),
        ("model=tuned", "2 records match: choose by k (1, 5)"),
        ("modle=tuned", "no record has a field modle"),
        ("", "3 records match"),
    ],
)
def test_a_query_with_no_or_several_records_says_what_there_is(query, sentence):
    with pytest.raises(InputError) as error:
        find_record(RECORDS, query)
    assert sentence in str(error.value)
