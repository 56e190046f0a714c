"""Which differences between models in a table are more than luck."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_mtl.evaluation import Cell, cell_of
from cxr_mtl.significance import holm, paired_tests

Record = dict[str, Any]
Values = Mapping[Cell, NDArray[np.floating]]


TESTED = ("accuracy", "precision", "recall", "mrr", "mean_rank")
SAME = {"accuracy": "recall"}
"""Two names of one quantity, where both are in the tables; it is tested once."""


def mark_differences(
    records: Sequence[Record], values: Mapping[str, Values], reference: str, *, seed: int
) -> list[Record]:
    """The records with `p_raw` and `p`, where they have values of each query to be compared.

    A record of another model than `reference` gets the p-value of the paired randomisation test
    between the two models' values of the same cell, and Holm's adjustment for all tests under its
    protocol. Similarities are not tested: their level says nothing of how well a model retrieves.
    `values` are those of `evaluation.evaluate_tables`, by model.
    """
    tests: dict[tuple[str, ...], NDArray[np.floating]] = {}
    for record in records:
        model, cell = record["model"], cell_of(record)
        if model != reference and cell in values[reference] and cell.metric in TESTED:
            tests[_test(record)] = values[reference][cell] - values[model][cell]
    raw = dict(zip(tests, paired_tests(np.stack(list(tests.values()), 1), seed=seed), strict=True))
    found = {}
    for protocol in {record["protocol"] for record in records}:
        family = [test for test in tests if test[0] == protocol]
        for test, p in zip(family, holm([raw[test] for test in family]), strict=True):
            found[test] = {"p_raw": float(raw[test]), "p": float(p)}
    return [record | found.get(_test(record), {}) for record in records]


def _test(record: Record) -> tuple[str, ...]:
    """What a record's difference is a test of; records of one quantity share it."""
    metric = SAME.get(record["metric"], record["metric"])
    return record["protocol"], record["direction"], record["model"], metric, str(record["k"])
