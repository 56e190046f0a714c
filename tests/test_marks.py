"""Marks in tables: the paired test of each cell, adjusted within its table and protocol."""

import numpy as np
import pytest

from cxr_mtl.evaluation import Cell
from cxr_mtl.marks import mark_differences
from cxr_mtl.significance import holm, paired_test


def record(model, cell):
    return {"model": model, "value": 0.0, **cell._asdict()}


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    cells = [
        Cell(table, "image_to_text", protocol, "accuracy", k)
        for table, protocol in ((1, "fused"), (1, "cross_modal"))
        for k in (1, 3)
    ]
    values = {m: {cell: rng.random(40) + (m == "a") / 5 for cell in cells} for m in "abc"}
    records = [record(model, cell) for model in values for cell in cells]
    return records, values, cells


def test_each_p_is_that_of_the_paired_test_of_its_cell(case):
    records, values, _ = case
    marked = mark_differences(records, values, "a", seed=3)
    for found in marked:
        if found["model"] == "a":
            assert "p" not in found
        else:
            cell = Cell(*(found[key] for key in Cell._fields))
            alone = paired_test(values["a"][cell], values[found["model"]][cell], seed=3)
            assert found["p_raw"] == alone


def test_holm_adjusts_over_one_protocol_and_tests_a_quantity_of_two_names_once(case):
    records, values, cells = case
    for cell in cells:
        twin = cell._replace(table=None, metric="recall")
        for model in values:
            values[model][twin] = values[model][cell]
            records.append(record(model, twin))
    marked = [r for r in mark_differences(records, values, "a", seed=3) if "p" in r]
    for protocol, tests in (("fused", 4), ("cross_modal", 4)):
        family = {(r["model"], r["k"]): r for r in marked if r["protocol"] == protocol}
        assert len(family) == tests
        raw = [r["p_raw"] for r in family.values()]
        assert [r["p"] for r in family.values()] == pytest.approx(holm(raw))


def test_similarities_are_not_tested(case):
    records, values, cells = case
    similar = cells[0]._replace(metric="similarity")
    for model in values:
        values[model][similar] = values[model][cells[0]]
    found = mark_differences([*records, record("b", similar)], values, "a", seed=0)
    assert "p" not in found[-1]


def test_a_record_without_values_of_each_query_is_left_as_it_is(case):
    records, values, _ = case
    pooled = {**records[-1], "metric": "f1"}
    assert mark_differences([*records, pooled], values, "a", seed=0)[-1] == pooled
