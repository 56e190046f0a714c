from itertools import product

import numpy as np
import pytest
from scipy.stats import permutation_test
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cxr_mtl.errors import InputError
from cxr_mtl.evaluation import (
    MODEL_ROLES,
    PAPER_TABLES,
    layout_table,
    paired_test,
    paper_value,
    reciprocal_ranks,
    table_records,
)

DIRECTIONS = ("image_to_text", "text_to_image")
PROTOCOLS = ("fused", "cross_modal")


def pairs(seed, n=40, d=8, agreement=1.0):
    """Image and report embeddings that agree more or less, with balanced labels."""
    rng = np.random.default_rng(seed)
    shared = agreement * rng.standard_normal((n, d))
    images, texts = (shared + rng.standard_normal((n, d)) for _ in range(2))
    return images, texts, np.arange(n) % 2


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def only(records, **wanted):
    found = [r for r in records if all(r[key] == value for key, value in wanted.items())]
    assert len(found) == 1, wanted
    return found[0]


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
    values |= {("recall", k): values["accuracy", k] for k in (1, 5, 10)}
    return values


@pytest.mark.parametrize("seed", [0, 1])
def test_every_value_is_the_plain_computation(seed):
    images, texts, labels = pairs(seed)
    records = table_records(images, texts, labels, "fine_tuned", MODEL_ROLES)
    expected = {
        key: by_loops(images, texts, labels, *key) for key in product(DIRECTIONS, PROTOCOLS)
    }
    for r in records:
        value = expected[r["direction"], r["protocol"]][r["metric"], r["k"]]
        assert r["value"] == pytest.approx(value, abs=1e-6), r


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_records_are_exactly_the_rows_of_the_papers_tables(protocol):
    records = table_records(*pairs(0), "fine_tuned", None)
    names = ["table", "direction", "protocol", "model", "metric", "k", "value", "paper"]
    assert all(list(r) == names for r in records)
    for table in (1, 2, 3):
        ours = {
            (r["direction"], r["metric"] if r["k"] is None else f"{r['metric']}@{r['k']}")
            for r in records
            if (r["table"], r["protocol"]) == (table, protocol)
        }
        papers = PAPER_TABLES[f"table_{table}"]
        assert ours == {(direction, row) for direction in papers for row in papers[direction]}
    keys = [(r["table"], r["direction"], r["protocol"], r["metric"], r["k"]) for r in records]
    assert len(keys) == len(set(keys)) == 2 * (16 + 11 + 11) + 2 * 5


def test_strict_recall_mrr_and_median_rank_belong_to_no_table_and_to_cross_modal_only():
    extra = [r for r in table_records(*pairs(0), "clip", MODEL_ROLES) if r["table"] is None]
    rows = [("recall", 1), ("recall", 5), ("recall", 10), ("mrr", None), ("median_rank", None)]
    assert [(r["metric"], r["k"]) for r in extra] == 2 * rows
    assert {r["protocol"] for r in extra} == {"cross_modal"}


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
    records = table_records(*pairs(0), model, MODEL_ROLES)
    first = only(
        records, table=1, direction="image_to_text", protocol="fused", metric="accuracy", k=1
    )
    last = only(records, table=3, protocol="fused", metric="roc_auc")
    assert (first["paper"], last["paper"]) == (accuracy, auc)
    assert all(r["paper"] is not None for r in records if r["protocol"] == "fused")
    assert all(r["paper"] is None for r in records if r["protocol"] == "cross_modal")


def test_no_paper_value_without_a_role():
    assert all(r["paper"] is None for r in table_records(*pairs(0), "fine_tuned", None))
    assert all(r["paper"] is None for r in table_records(*pairs(0), "mine", MODEL_ROLES))


def test_paper_value_reads_the_right_cell():
    assert paper_value(1, "text_to_image", "accuracy", 10, "fine_tuned") == 0.925
    assert paper_value(2, "image_to_text", "f1", None, "clip") == 0.9112
    assert paper_value(2, "text_to_image", "f1", None, "clip") is None
    assert "Liang" in PAPER_TABLES["source"]
    with pytest.raises(InputError, match="no model demo-biomed"):
        paper_value(1, "text_to_image", "accuracy", 10, "demo-biomed")


def test_the_fused_protocol_finds_itself_in_pure_noise_and_the_strict_one_does_not():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    strict = []
    for _ in range(5):
        images, texts = rng.standard_normal((2, 400, 512))
        records = table_records(images, texts, labels, "noise", None)
        for direction in DIRECTIONS:
            wanted = {"table": 1, "direction": direction, "metric": "accuracy", "k": 1}
            assert only(records, protocol="fused", **wanted)["value"] == 1.0
            strict.append(only(records, protocol="cross_modal", **wanted)["value"])
    # 4000 queries with one chance in 400 each: 10 ± 3.2 hits.
    assert 1 <= 4000 * np.mean(strict) <= 23


def test_equal_reports_share_their_hit_though_rounding_parts_their_embeddings():
    images, _, labels = pairs(0)
    images[1::2] = images[::2]
    texts = images.copy()
    texts[1::2] += 6e-7 * np.random.default_rng(1).standard_normal((20, 8))
    records = table_records(images, texts, labels, "twins", None)
    for direction in DIRECTIONS:
        wanted = {"table": None, "direction": direction}
        assert only(records, metric="recall", k=1, **wanted)["value"] == pytest.approx(0.5)
        assert only(records, metric="mrr", **wanted)["value"] == pytest.approx(0.75)
        assert only(records, metric="median_rank", **wanted)["value"] == pytest.approx(1.5)
        ranks = reciprocal_ranks(images, texts, direction)
        np.testing.assert_allclose(ranks, 0.75)


def test_values_ignore_the_order_of_studies_and_the_length_of_embeddings():
    images, texts, labels = pairs(3)
    order = np.random.default_rng(0).permutation(len(labels))
    before = table_records(images, texts, labels, "m", None)
    after = table_records(7 * images[order], texts[order] / 3, labels[order], "m", None)
    for a, b in zip(before, after, strict=True):
        assert a | {"value": 0} == b | {"value": 0}
        assert a["value"] == pytest.approx(b["value"], abs=1e-6)


def test_reciprocal_ranks_average_to_the_mrr_of_the_tables():
    images, texts, labels = pairs(4)
    records = table_records(images, texts, labels, "m", None)
    for direction in DIRECTIONS:
        ranks = reciprocal_ranks(images, texts, direction)
        assert ranks.shape == (40,)
        mrr = only(records, metric="mrr", direction=direction)["value"]
        assert ranks.mean() == pytest.approx(mrr)


def test_layout_is_the_papers_with_ours_beside_the_papers():
    records = table_records(*pairs(0), "fine_tuned", MODEL_ROLES)
    records += table_records(*pairs(1), "demo-biomed", MODEL_ROLES)
    for table, direction in ((2, "image_to_text"), (3, "text_to_image")):
        wide = layout_table(records, table, "fused")
        rows = [name for _, name in wide.index]
        assert rows == list(PAPER_TABLES[f"table_{table}"][direction])
    wide = layout_table(records, 1, "fused")
    assert list(wide.columns) == list(product(("fine_tuned", "demo-biomed"), ("ours", "paper")))
    assert [name for _, name in wide.index] == 2 * list(PAPER_TABLES["table_1"]["image_to_text"])
    cell = wide.loc[("text_to_image", "accuracy@3")]
    assert (cell["fine_tuned", "paper"], cell["demo-biomed", "paper"]) == (0.790, 0.695)
    wanted = {"table": 1, "protocol": "fused", "direction": "text_to_image"}
    ours = only(records, metric="accuracy", k=3, model="demo-biomed", **wanted)["value"]
    assert cell["demo-biomed", "ours"] == ours


def test_layout_shows_no_paper_column_where_the_paper_has_no_numbers():
    records = table_records(*pairs(0), "fine_tuned", MODEL_ROLES)
    assert list(layout_table(records, 2, "cross_modal").columns) == [("fine_tuned", "ours")]
    with pytest.raises(InputError, match="no record is of table 1"):
        layout_table([], 1, "fused")


def test_paired_test_is_the_share_of_all_sign_flips_on_a_small_case():
    a, b = (
        np.array([1, 0.5, 1, 0.2, 1, 0.9, 0.3, 1]),
        np.array([0.5, 0.5, 0.3, 0.4, 0.2, 0.1, 0.3, 0.7]),
    )
    differences = a - b
    flips = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=8)]
    exact = np.mean(np.array(flips) >= abs(differences.sum()) - 1e-12)
    assert paired_test(a, b, seed=0, permutations=100_000) == pytest.approx(exact, abs=0.005)


def test_paired_test_agrees_with_scipy():
    rng = np.random.default_rng(0)
    a = rng.random(100)
    b = a + 0.1 * rng.standard_normal(100) - 0.012
    theirs = permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(1),
    ).pvalue
    assert 0.005 < theirs < 0.5
    assert paired_test(a, b, seed=0, permutations=20_000) == pytest.approx(theirs, abs=0.015)


def test_paired_test_is_two_sided_seeded_and_never_zero():
    rng = np.random.default_rng(0)
    a, b = rng.random(200) + 0.5, rng.random(200)
    assert paired_test(a, b, seed=0) == 1 / 10_001
    assert paired_test(b, a, seed=0) == 1 / 10_001
    assert paired_test(a, a, seed=0) == 1.0
    c = b + 0.02 * rng.standard_normal(200)
    assert paired_test(b, c, seed=3) == paired_test(b, c, seed=3) == paired_test(c, b, seed=3)


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(0)
    p = [paired_test(*rng.random((2, 50)), seed=i, permutations=500) for i in range(300)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ([1, 2], [1], "lists of one length"),
        ([], [], "lists of one length"),
        ([1, np.nan], [1, 2], "NaN or infinite"),
    ],
)
def test_a_paired_test_of_unpaired_values_is_refused(a, b, sentence):
    with pytest.raises(InputError, match=sentence):
        paired_test(a, b, seed=0)


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
    monkeypatch.setattr("cxr_mtl.evaluation._scores", None)
    with pytest.raises(InputError, match=sentence):
        table_records(*data, "fine_tuned", MODEL_ROLES)
