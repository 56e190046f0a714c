"""Variants: one number each, its difference from the baseline, the spread of seeds."""

import numpy as np
import pytest

from cxr_mtl.ablations.evaluation import BASELINE, spread_records, study_mrr, variant_records
from cxr_mtl.ablations.training_runs import Outcome
from cxr_mtl.ablations.variants import Variant
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.significance import holm, paired_test
from cxr_mtl.evidence.tables import cell_of, evaluate_tables, reciprocal_ranks

N = 30
BOOTSTRAP = Bootstrap(N, seed=0, resamples=200)


def pair(seed, noise):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((N, 8))
    return tuple(
        (shared + noise * rng.standard_normal((N, 8))).astype(np.float32) for _ in range(2)
    )


def outcome(name, group, embeddings):
    return Outcome(Variant(name, group, {}, 1), *embeddings, validation_mrr=0.1, seconds=1.0)


@pytest.fixture(scope="module")
def case():
    baseline = pair(0, 1.0)
    others = {"better": pair(0, 0.1), "other seed": pair(1, 1.0)}
    others["worse"] = pair(0, 5.0)
    outcomes = [
        outcome("better", "losses", others["better"]),
        outcome("worse", "losses", others["worse"]),
        outcome("other seed", "seed", others["other seed"]),
    ]
    return baseline, others, variant_records(baseline, outcomes, BOOTSTRAP, seed=5)


def test_a_studys_mrr_is_the_mean_of_both_directions():
    embeddings = pair(3, 1.0)
    both = [reciprocal_ranks(*embeddings, d) for d in ("image_to_text", "text_to_image")]
    np.testing.assert_allclose(study_mrr(*embeddings), (both[0] + both[1]) / 2)


def test_baseline_and_every_variant_have_their_strict_numbers(case):
    _, _, records = case
    numbers = {(r["variant"], r["metric"], r["direction"]) for r in records}
    for name in (BASELINE, "better", "worse", "other seed"):
        assert (name, "mrr", "both") in numbers
        assert (name, "recall", "image_to_text") in numbers
        assert (name, "recall", "text_to_image") in numbers
    assert all(r["low"] <= r["value"] <= r["high"] for r in records)


def test_a_difference_is_the_variants_less_the_baselines_and_tested_in_pairs(case):
    baseline, others, records = case
    rows = {r["variant"]: r for r in records if r["metric"] == "mrr_difference"}
    ours = study_mrr(*baseline)
    raw = []
    for name, embeddings in others.items():
        theirs = study_mrr(*embeddings)
        assert rows[name]["value"] == pytest.approx((theirs - ours).mean())
        if name != "other seed":
            raw.append(paired_test(ours, theirs, seed=5))
    tested = [r for r in rows.values() if "p" in r]
    assert [r["p_raw"] for r in tested] == raw
    assert [r["p"] for r in tested] == pytest.approx(holm(raw))
    assert "p" not in rows["other seed"]
    assert rows["better"]["low"] > 0


def test_the_spread_over_seeds_is_that_of_their_tables():
    labels = np.arange(N) % 2
    by_seed = {seed: pair(seed, 1.0) for seed in range(3)}
    tables = [evaluate_tables(*p, labels, "fine_tuned", None, BOOTSTRAP) for p in by_seed.values()]
    records = spread_records(by_seed, labels, BOOTSTRAP)
    assert len(records) == len(tables[0][0])
    for record in records:
        numbers = [
            r["value"] for found, _ in tables for r in found if cell_of(r) == cell_of(record)
        ]
        assert record["value"] == pytest.approx(np.mean(numbers))
        assert record["seed_sd"] == pytest.approx(np.std(numbers, ddof=1))
        means_of_queries = cell_of(record) in tables[0][1]
        assert (record["test_sd"] is not None) == means_of_queries
