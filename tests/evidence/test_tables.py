"""Tables I to III: every number by hand, marks by the paired test, bounds in closed form."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import duplicate_ceiling
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.bounds import CHANCE, DUPLICATE_CEILING, group_vectors
from cxr_mtl.evidence.by_protocol import protocol_records
from cxr_mtl.evidence.paper import PAPER_TABLES
from cxr_mtl.evidence.significance import holm, paired_test
from cxr_mtl.evidence.tables import (
    Cell,
    bound_records,
    cell_of,
    evaluate_tables,
    mark_differences,
    reciprocal_ranks,
)
from tests.evidence.drawn_pairs import chosen, only, pairs, unit

DIRECTIONS = ("image_to_text", "text_to_image")
TABLE_PROTOCOLS = ("fused", "cross_modal")
BOOTSTRAP = Bootstrap(40, seed=0, resamples=100)
MODEL_ROLES = {
    "fine_tuned": "fine_tuned",
    "biomedclip": "biomedclip",
    "clip": "clip",
    "demo-biomed": "biomedclip",
    "demo-general": "clip",
}


def table_records(*arguments):
    return evaluate_tables(*arguments)[0]


def by_loops(images, texts, labels, direction, protocol):
    """Every value of the tables from plain float64 products and one sort per query."""
    v, t = unit(images), unit(texts)
    queries, others = (v, t) if direction == "image_to_text" else (t, v)
    items = unit((v + t) / 2) if protocol == "fused" else others
    rankings, values = [], {}
    for query in queries:
        rankings.append(sorted(range(len(items)), key=lambda i: -(query @ items[i])))
    top = np.array([q @ items[ranking[0]] for q, ranking in zip(queries, rankings, strict=True)])
    for k in (1, 3, 5, 10):
        found = [ranking[:k] for ranking in rankings]
        values["accuracy", k] = np.mean([i in best for i, best in enumerate(found)])
        values["similarity", k] = np.mean(
            [np.mean([q @ items[i] for i in best]) for q, best in zip(queries, found, strict=True)]
        )
        values["precision", k] = np.mean(
            [labels[i] in labels[best] for i, best in enumerate(found)]
        )
    predicted = [labels[ranking[0]] for ranking in rankings]
    values["f1", None] = f1_score(labels, predicted)
    values["roc_auc", None] = roc_auc_score(labels, top)
    values["map", None] = average_precision_score(labels, top)
    ranks = [ranking.index(i) + 1 for i, ranking in enumerate(rankings)]
    values["mrr", None] = np.mean([1 / rank for rank in ranks])
    values["median_rank", None] = np.median(ranks)
    values["mean_rank", None] = np.mean(ranks)
    values |= {("recall", k): values["accuracy", k] for k in (1, 5, 10)}
    return values


@pytest.mark.parametrize("seed", [0, 1])
def test_every_value_is_the_plain_computation(seed):
    images, texts, labels = pairs(seed)
    records = table_records(images, texts, labels, "fine_tuned", MODEL_ROLES, BOOTSTRAP)
    expected = {
        key: by_loops(images, texts, labels, *key) for key in product(DIRECTIONS, TABLE_PROTOCOLS)
    }
    for r in records:
        value = expected[r["direction"], r["protocol"]][r["metric"], r["k"]]
        assert r["value"] == pytest.approx(value, abs=1e-6), r


@pytest.mark.parametrize("protocol", TABLE_PROTOCOLS)
def test_records_are_exactly_the_rows_of_the_papers_tables(protocol):
    records = table_records(*pairs(0), "fine_tuned", None, BOOTSTRAP)
    names = ["table", "direction", "protocol", "model", "metric", "k"]
    assert all(list(r) == [*names, "value", "low", "high", "paper"] for r in records)
    for table in (1, 2, 3):
        ours = {
            (r["direction"], r["metric"] if r["k"] is None else f"{r['metric']}@{r['k']}")
            for r in chosen(records, table=table, protocol=protocol)
        }
        papers = PAPER_TABLES[f"table_{table}"]
        assert ours == {(direction, row) for direction in papers for row in papers[direction]}
    keys = [(r["table"], r["direction"], r["protocol"], r["metric"], r["k"]) for r in records]
    assert len(keys) == len(set(keys)) == 2 * (16 + 11 + 11) + 2 * 6


def test_strict_metrics_belong_to_no_table_and_to_cross_modal_only():
    extra = chosen(table_records(*pairs(0), "clip", MODEL_ROLES, BOOTSTRAP), table=None)
    rows = [("recall", 1), ("recall", 5), ("recall", 10)]
    rows += [("mrr", None), ("median_rank", None), ("mean_rank", None)]
    assert [(r["metric"], r["k"]) for r in extra] == 2 * rows
    assert {r["protocol"] for r in extra} == {"cross_modal"}


def test_an_interval_is_the_quantiles_of_the_metric_of_resampled_queries():
    images, texts, labels = pairs(2)
    records = table_records(images, texts, labels, "m", None, BOOTSTRAP)
    scores = unit(images) @ unit(texts).T
    top, nearest = scores.max(axis=1), scores.argmax(axis=1)
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    of_queries = {
        "recall": lambda q: np.mean(ranks[q] <= 5),
        "mrr": lambda q: np.mean(1 / ranks[q]),
        "median_rank": lambda q: np.median(ranks[q]),
        "mean_rank": lambda q: np.mean(ranks[q]),
        "f1": lambda q: f1_score(labels[q], labels[nearest][q]),
        "roc_auc": lambda q: roc_auc_score(labels[q], top[q]),
        "map": lambda q: average_precision_score(labels[q], top[q]),
    }
    for metric, value_of in of_queries.items():
        draws = [value_of(np.repeat(np.arange(40), counts)) for counts in BOOTSTRAP.counts]
        wanted = {"protocol": "cross_modal", "direction": "image_to_text", "metric": metric}
        record = only(records, **wanted, k=5 if metric == "recall" else None)
        assert (record["low"], record["high"]) == pytest.approx(
            tuple(np.quantile(draws, (0.025, 0.975))), abs=1e-6
        )
        assert record["low"] <= record["value"] <= record["high"]


@pytest.mark.parametrize(
    ("model", "accuracy", "auc"),
    [
        ("fine_tuned", 0.938, 0.324),
        ("biomedclip", 0.948, 0.270),
        ("demo-biomed", 0.948, 0.270),
        ("clip", 0.838, 0.539),
        ("demo-general", 0.838, 0.539),
    ],
)
def test_the_papers_numbers_stand_beside_the_model_that_stands_for_theirs(model, accuracy, auc):
    records = table_records(*pairs(0), model, MODEL_ROLES, BOOTSTRAP)
    first = only(
        records, table=1, direction="image_to_text", protocol="fused", metric="accuracy", k=1
    )
    last = only(records, table=3, protocol="fused", metric="roc_auc")
    assert (first["paper"], last["paper"]) == (accuracy, auc)
    assert all(r["paper"] is not None for r in chosen(records, protocol="fused"))
    assert all(r["paper"] is None for r in chosen(records, protocol="cross_modal"))


@pytest.mark.parametrize(("model", "roles"), [("fine_tuned", None), ("mine", MODEL_ROLES)])
def test_no_paper_value_without_a_role(model, roles):
    records = table_records(*pairs(0), model, roles, BOOTSTRAP)
    assert all(r["paper"] is None for r in records)


def test_values_ignore_the_order_of_studies_and_the_length_of_embeddings():
    images, texts, labels = pairs(3)
    order = np.random.default_rng(0).permutation(len(labels))
    before = table_records(images, texts, labels, "m", None, BOOTSTRAP)
    after = table_records(7 * images[order], texts[order] / 3, labels[order], "m", None, BOOTSTRAP)
    for a, b in zip(before, after, strict=True):
        free = {"value": 0, "low": 0, "high": 0}
        assert a | free == b | free
        assert a["value"] == pytest.approx(b["value"], abs=1e-6)


def test_reciprocal_ranks_average_to_the_mrr_of_the_tables():
    images, texts, labels = pairs(4)
    records = table_records(images, texts, labels, "m", None, BOOTSTRAP)
    for direction in DIRECTIONS:
        ranks = reciprocal_ranks(images, texts, direction)
        assert ranks.shape == (40,)
        mrr = only(records, metric="mrr", direction=direction)["value"]
        assert ranks.mean() == pytest.approx(mrr)


def spoiled(value):
    images, texts, labels = pairs(0)
    texts[3] = value
    return images, texts, labels


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (spoiled(np.nan), "vector 3 of 40 holds NaN"),
        (spoiled(0), "vector 3 of 40 is all zeros"),
        ((pairs(0)[0], pairs(0)[1][:39], pairs(0)[2]), r"\[40, 8\].*\[39, 8\]"),
        ((*pairs(0)[:2], np.arange(39) % 2), r"40 studies have labels of shape \[39\]"),
        ((*pairs(0)[:2], np.zeros(40, int)), "all 40 test studies have the label 0"),
        ((*pairs(0)[:2], np.ones(40, int)), "all 40 test studies have the label 1"),
        ((*pairs(0)[:2], np.arange(40) % 2 - 1), "20 of 40 labels are neither 0 nor 1"),
        (pairs(0, n=9), "holds 9 studies and the tables go to k = 10"),
    ],
)
def test_data_that_cannot_be_evaluated_are_refused_before_any_number(data, sentence, monkeypatch):
    monkeypatch.setattr("cxr_mtl.retrieval.protocols.Search.scores", None)
    with pytest.raises(InputError, match=sentence):
        table_records(*data, "fine_tuned", MODEL_ROLES, BOOTSTRAP)
    with pytest.raises(InputError, match=sentence):
        protocol_records(*data, [], None, "fine_tuned", BOOTSTRAP)


def test_a_bootstrap_of_another_test_set_is_refused():
    with pytest.raises(InputError, match="39 studies"):
        table_records(*pairs(0), "m", None, Bootstrap(39, seed=0, resamples=100))


def test_the_values_of_each_query_have_the_records_means():
    records, values = evaluate_tables(*pairs(0), "m", None, BOOTSTRAP)
    means = {cell_of(r): r["value"] for r in records}
    assert {cell: v.mean() for cell, v in values.items()} == pytest.approx(
        {cell: means[cell] for cell in values}
    )
    without = {cell.metric for cell in means if cell not in values}
    assert without == {"f1", "roc_auc", "map", "median_rank"}


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


# The first two are one report.
REPORTS = ["Clear lungs.", "clear  LUNGS.", "Effusion.", *(f"Finding {i}." for i in range(17))]
LABELS = np.array([0, 1] * 10)


def values(model, **wanted):
    return {
        (r["direction"], r["metric"], r["k"]): r["value"]
        for r in bound_records(LABELS, REPORTS, None)
        if r["model"] == model and all(r[key] == value for key, value in wanted.items())
    }


@pytest.mark.parametrize("protocol", ["fused", "cross_modal"])
def test_chance_is_the_closed_form(protocol):
    found = values(CHANCE, protocol=protocol)
    for k in (1, 3, 5, 10):
        assert found["image_to_text", "accuracy", k] == pytest.approx(k / 20)
        hit = 1 - hypergeom.pmf(0, 20, 10, k)
        assert found["image_to_text", "precision", k] == pytest.approx(hit)
    assert found["image_to_text", "roc_auc", None] == 0.5
    assert found["image_to_text", "map", None] == 0.5


def test_chance_of_the_rank_is_the_middle():
    found = values(CHANCE, protocol="cross_modal", table=None)
    assert found["text_to_image", "mean_rank", None] == 10.5
    harmonic = sum(1 / place for place in range(1, 21)) / 20
    assert found["text_to_image", "mrr", None] == pytest.approx(harmonic)


def test_the_ceiling_is_that_of_the_duplicates():
    found = values(DUPLICATE_CEILING, table=1)
    assert found["text_to_image", "accuracy", 1] == pytest.approx(duplicate_ceiling(REPORTS))
    assert found["text_to_image", "accuracy", 3] == 1


def test_a_search_may_have_a_lower_median_rank_than_the_ceiling_and_so_it_bounds_none():
    reports = group_vectors([*"abcd", *6 * "e"])
    tilt = 0.1 * np.maximum(np.arange(10) - 4, 0)[:, None]  # Parts the images of equal reports.
    queries, parted = np.hstack([reports, 0 * tilt]), np.hstack([reports, tilt])
    medians, means = [], []
    for images in (queries, parted):
        records = evaluate_tables(images, queries, LABELS[:10], "m", None, None)[0]
        found = {r["metric"]: r["value"] for r in records if r["direction"] == "text_to_image"}
        medians.append(found["median_rank"])
        means.append(found["mean_rank"])
    assert medians == [3.5, 1.5]
    assert means == [2.5, 2.5]
    metrics = {metric for _, metric, _ in values(DUPLICATE_CEILING)}
    assert metrics == {"accuracy", "recall", "mrr", "mean_rank"}
