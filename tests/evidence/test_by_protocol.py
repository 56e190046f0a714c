"""Records by protocol and relevance: chance and ceilings exact, duplicates as they are meant."""

from itertools import product

import numpy as np
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import duplicate_ceiling
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.by_protocol import (
    ceiling_records,
    chance_records,
    inflation_records,
    protocol_records,
    relevance_ceiling_records,
)
from cxr_mtl.evidence.tables import evaluate_tables, reciprocal_ranks
from cxr_mtl.retrieval.protocols import PROTOCOLS
from cxr_mtl.retrieval.relevance import same_label
from tests.evidence.drawn_pairs import chosen, only, pairs, unit

DIRECTIONS = ("image_to_text", "text_to_image")
BOOTSTRAP = Bootstrap(40, seed=0, resamples=100)
TEXTS = [f"report {i}" for i in range(40)]
HEADINGS = [["normal"] if i % 2 == 0 else ["Opacity/lung"] for i in range(40)]


def test_equal_reports_share_their_hit_though_rounding_parts_their_embeddings():
    images, _, labels = pairs(0)
    images[1::2] = images[::2]
    texts = images.copy()
    texts[1::2] += 6e-7 * np.random.default_rng(1).standard_normal((20, 8))
    strict = evaluate_tables(images, texts, labels, "twins", None, BOOTSTRAP)[0]
    twins = [f"report {i // 2}" for i in range(40)]
    by_protocol = protocol_records(images, texts, labels, twins, None, "twins", None)
    by_protocol = chosen(by_protocol, protocol="cross_modal", relevance="own_study")
    for direction, records in product(DIRECTIONS, (chosen(strict, table=None), by_protocol)):
        wanted = {"table": None, "direction": direction}
        assert only(records, metric="recall", k=1, **wanted)["value"] == pytest.approx(0.5)
        assert only(records, metric="mrr", **wanted)["value"] == pytest.approx(0.75)
        assert only(records, metric="median_rank", **wanted)["value"] == pytest.approx(1.5)
        ranks = reciprocal_ranks(images, texts, direction)
        np.testing.assert_allclose(ranks, 0.75)


def test_protocol_records_of_the_own_study_are_those_of_the_tables():
    data = pairs(5)
    tables = evaluate_tables(*data, "m", None, BOOTSTRAP)[0]
    by_protocol = protocol_records(*data, TEXTS, HEADINGS, "m", BOOTSTRAP)
    same = (("recall", 1), ("recall", 10), ("mrr", None), ("median_rank", None))
    for (metric, k), direction in product(same, DIRECTIONS):
        wanted = {"direction": direction, "protocol": "cross_modal", "metric": metric, "k": k}
        ours = only(by_protocol, relevance="own_study", **wanted)
        theirs = only(tables, table=None, **wanted)
        for key in ("value", "low", "high"):
            assert ours[key] == pytest.approx(theirs[key]), (metric, key)


def test_every_protocol_has_its_measures_and_the_own_item_only_where_it_is_searched():
    records = protocol_records(*pairs(0), TEXTS, HEADINGS, "m", BOOTSTRAP)
    by_relevance = [("same_text", "hit", 10), ("same_label", "hit", 10)]
    by_relevance += [("same_label", "precision", 10), ("same_label", "r_precision", None)]
    by_relevance += [("same_label", "map", None), ("mesh_overlap", "ndcg", 10)]
    own = [("own_study", "recall", 1), ("own_study", "recall", 10), ("own_study", "mrr", None)]
    own += [("own_study", "median_rank", None), ("same_text", "hit", 1)]
    own += [("same_text", "mrr", None), ("same_text", "median_rank", None)]
    for protocol in PROTOCOLS:
        within = "_to_" in protocol
        for direction in (protocol,) if within else DIRECTIONS:
            rows = [
                (r["relevance"], r["metric"], r["k"])
                for r in chosen(records, protocol=protocol, direction=direction)
            ]
            assert rows == (by_relevance if within else own + by_relevance)
    assert len(records) == 6 * len(own + by_relevance) + 2 * len(by_relevance)


def test_without_headings_nothing_is_said_about_mesh():
    records = protocol_records(*pairs(0), TEXTS, None, "m", BOOTSTRAP)
    assert {r["relevance"] for r in records} == {"own_study", "same_text", "same_label"}


def test_a_query_without_another_report_of_its_words_is_undefined_within_a_modality():
    data, texts = pairs(0), ["clear lungs", "Clear  lungs", *TEXTS[2:]]
    records = protocol_records(*data, texts, None, "m", BOOTSTRAP)
    some = only(records, protocol="text_to_text", relevance="same_text")
    assert some["undefined_queries"] == 38
    assert some["value"] in (0, 0.5, 1)
    none = protocol_records(*data, TEXTS, None, "m", BOOTSTRAP)
    none = only(none, protocol="text_to_text", relevance="same_text")
    assert none["undefined_queries"] == 40
    assert (none["value"], none["low"], none["high"]) == (None, None, None)
    assert all("undefined_queries" not in r for r in chosen(records, protocol="cross_modal"))


def test_duplicates_count_as_hits_by_text_and_not_by_study():
    images, _, labels = pairs(0)
    texts = np.roll(images, 20, axis=0)
    words = [f"report {i % 20}" for i in range(40)]
    records = protocol_records(images, texts, labels, words, None, "m", None)
    wanted = {"protocol": "cross_modal", "direction": "image_to_text", "k": 1}
    assert only(records, relevance="same_text", metric="hit", **wanted)["value"] == 1
    assert only(records, relevance="own_study", metric="recall", **wanted)["value"] == 0


def test_chance_is_exact():
    records = chance_records(np.arange(40) % 2, ["same", "same", *TEXTS[2:]], HEADINGS)
    assert {r["model"] for r in records} == {"chance"}
    assert all(r["low"] is None and r["high"] is None for r in records)
    harmonic = sum(1 / rank for rank in range(1, 41))
    for protocol, direction in product(PROTOCOLS[:3], DIRECTIONS):
        own = {"protocol": protocol, "direction": direction, "relevance": "own_study"}
        assert only(records, **own, metric="recall", k=1)["value"] == pytest.approx(1 / 40)
        assert only(records, **own, metric="recall", k=10)["value"] == pytest.approx(10 / 40)
        assert only(records, **own, metric="mrr")["value"] == pytest.approx(harmonic / 40)
        assert only(records, **own, metric="median_rank")["value"] == pytest.approx(20.5)
    by_label = {"relevance": "same_label", "metric": "precision"}
    across = only(records, protocol="cross_modal", direction="image_to_text", **by_label)
    within = only(records, protocol="image_to_image", **by_label)
    assert across["value"] == pytest.approx(20 / 40)
    assert within["value"] == pytest.approx(19 / 39)


def test_chance_has_the_clinical_relevance_too():
    by_label = same_label(np.arange(40) % 2)
    records = chance_records(np.arange(40) % 2, TEXTS, None, by_label)
    found = chosen(records, relevance="clinical")
    assert len(found) == 2 * 3 + 2
    wanted = {"protocol": "cross_modal", "direction": "image_to_text"}
    assert only(found, **wanted)["value"] == pytest.approx(0.5)


def test_the_ceiling_is_what_duplicate_reports_leave():
    texts = ["a", "A ", "a", "b", "b", *(f"report {i}" for i in range(5))]
    records = ceiling_records(texts, None)
    for direction in DIRECTIONS:
        own = {"protocol": "cross_modal", "direction": direction, "relevance": "own_study"}
        top = only(records, **own, metric="recall", k=1)["value"]
        assert top == pytest.approx(duplicate_ceiling(texts)) == pytest.approx(0.7)
        assert only(records, **own, metric="recall", k=10)["value"] == pytest.approx(1)
        mrr = (3 * (1 + 1 / 2 + 1 / 3) / 3 + 2 * (1 + 1 / 2) / 2 + 5) / 10
        assert only(records, **own, metric="mrr")["value"] == pytest.approx(mrr)
    assert {record["metric"] for record in records} == {"recall", "mrr"}
    assert len(records) == 2 * 3


def test_equal_reports_of_different_labels_bound_what_can_be_known_of_the_label():
    """Ten reports of label 0 and ten of 1 alone, and one report that two 0 and one 1 share."""
    labels = np.array([0, 1] * 10 + [0, 0, 1])
    texts = [f"report {i}" for i in range(20)] + ["shared"] * 3
    records = relevance_ceiling_records(labels, texts, None)
    label = {"protocol": "cross_modal", "relevance": "same_label", "k": 10}
    # Ten pure reports of each label fill the first ten places of an image ...
    image = {**label, "direction": "image_to_text"}
    assert only(records, **image, metric="precision")["value"] == pytest.approx(1)
    # ... but the one report is right for the two of its three studies that the most share.
    report = {**label, "direction": "text_to_image"}
    assert only(records, **report, metric="precision")["value"] == pytest.approx(22 / 23)
    text = {"relevance": "same_text", "metric": "mrr"}
    assert {r["value"] for r in records if text.items() <= r.items()} == {1}
    assert "own_study" not in {r["relevance"] for r in records}


def test_inflation_is_the_ratio_of_the_two_mrr_and_its_interval_that_of_resampled_queries():
    images, texts, _ = pairs(0, d=64, agreement=0.3)
    records = inflation_records(images, texts, "noise", BOOTSTRAP)
    v, t = unit(images), unit(texts)
    for record, (queries, items) in zip(records, [(v, t), (t, v)], strict=True):
        ranks = [
            1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
            for scores in (queries @ unit(v + t).T, queries @ items.T)
        ]
        fused, strict = 1 / np.array(ranks)
        assert record["value"] == pytest.approx(fused.mean() / strict.mean())
        assert record["value"] > 2
        ratios = []
        for counts in BOOTSTRAP.counts:
            drawn = np.repeat(np.arange(40), counts)
            ratios.append(fused[drawn].mean() / strict[drawn].mean())
        ends = tuple(np.quantile(ratios, (0.025, 0.975)))
        assert (record["low"], record["high"]) == pytest.approx(ends)
    about = {"table": None, "protocol": "fused", "model": "noise", "metric": "mrr_inflation"}
    about |= {"k": None, "relevance": "own_study", "paper": None}
    assert all(about.items() <= record.items() for record in records)
    assert [record["direction"] for record in records] == list(DIRECTIONS)


def test_inflation_worked_by_hand():
    images, texts = np.array([[1.0, 0], [0, 1]]), np.array([[0, 1.0], [0.8, 0.6]])
    # Across, every query ranks its own item second: 0 and 0.6 behind 0.8 and 1. Fused, the images
    # rank it first, 0.71 and 0.89 ahead of 0.45 and 0.71, and the reports second again, 0.71 and
    # 0.89 behind 0.89 and 0.99.
    records = inflation_records(images, texts, "m", Bootstrap(2, seed=0, resamples=100))
    assert [record["value"] for record in records] == pytest.approx([2, 1])


def test_a_random_order_is_inflated_by_nothing():
    equal = np.ones((40, 1))
    for record in inflation_records(equal, equal, "chance", BOOTSTRAP):
        assert (record["value"], record["low"], record["high"]) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("texts", "headings", "sentence"),
    [
        (TEXTS[1:], HEADINGS, "40 studies have 39 reports"),
        (TEXTS, HEADINGS[1:], "40 studies have 39 lists of headings"),
    ],
)
def test_reports_or_headings_of_other_studies_are_refused(texts, headings, sentence):
    with pytest.raises(InputError, match=sentence):
        protocol_records(*pairs(0), texts, headings, "m", BOOTSTRAP)


@pytest.mark.parametrize("texts", [[], ["one"]])
def test_a_ceiling_of_fewer_than_two_reports_is_refused(texts):
    with pytest.raises(InputError, match="at least"):
        ceiling_records(texts, None)


def test_a_bootstrap_of_another_test_set_is_refused():
    with pytest.raises(InputError, match="draws from 39 studies, not from 40"):
        inflation_records(*pairs(0)[:2], "m", Bootstrap(39, seed=0, resamples=100))
