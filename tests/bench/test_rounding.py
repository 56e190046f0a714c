"""What a cache and bfloat16 change: embeddings of two roads, ranks by brute force, sums by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.bench.costs import Setting
from cxr_mtl.bench.rounding import (
    REFERENCE,
    embedding_errors,
    embeddings_by_path,
    precision_records,
    precision_table,
    relative_differences,
    strict_retrieval,
)
from cxr_mtl.models.backbones import load_backbone
from cxr_mtl.models.last_layer import trainable_names

SETTING = Setting(1, "float32", "float32", plain_repeats=1, fast_repeats=1, device="cpu")
BFLOAT16 = "whole open_clip, bfloat16"


@pytest.fixture
def fine_tuned(untrained_folder):
    """The backbone again, its last layer changed."""
    backbone = load_backbone(f"local-dir:{untrained_folder}")
    trained = set(trainable_names(backbone.model, 1))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            if name in trained:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return backbone


def test_a_fine_tuned_model_is_its_last_layer_on_the_pretrained_models_tokens(
    backbone, fine_tuned, studies, tmp_path
):
    found = embeddings_by_path(backbone, fine_tuned, studies.head(6), SETTING, tmp_path)
    assert list(found) == [REFERENCE, "float32 cache", BFLOAT16, "bfloat16 cache"]
    errors = embedding_errors(found)
    assert errors.loc["float32 cache", "largest"] < 1e-5
    for path in (BFLOAT16, "bfloat16 cache"):
        assert 1e-4 < errors.loc[path, "median"] < 0.05


def test_a_difference_is_relative_to_its_own_row():
    theirs = np.array([[3.0, 4.0], [0.3, 0.4]])
    ours = np.array([[3.0, 4.5], [0.3, 0.5]])
    assert relative_differences(ours, theirs) == pytest.approx([0.1, 0.2])


def test_errors_are_over_images_and_reports_together():
    theirs = np.ones((2, 1)), np.ones((2, 1))
    ours = np.array([[1.1], [1.2]]), np.array([[1.4], [0.2]])
    errors = embedding_errors({REFERENCE: theirs, "cache": ours})
    assert list(errors.index) == ["cache"]
    assert errors.loc["cache"].to_dict() == pytest.approx({"median": 0.3, "largest": 0.8})


def ranks(queries, items):
    """The place of each query's own item by cosine, the slow way."""
    found = []
    for own, query in enumerate(queries):
        scores = [item @ query / np.linalg.norm(item) for item in items]
        found.append(1 + sum(score > scores[own] for score in scores))
    return np.array(found)


def test_retrieval_is_strict_and_by_path():
    rng = np.random.default_rng(0)
    embeddings = {
        path: tuple(signal + rng.standard_normal((2, 30, 8)))
        for path, signal in (("a", rng.standard_normal((30, 8))), ("b", 0.0))
    }
    table = strict_retrieval(embeddings, np.arange(30) % 2)
    assert list(table.index) == ["a", "b"]
    for path, (images, texts) in embeddings.items():
        for direction, found in (
            ("image_to_text", ranks(images, texts)),
            ("text_to_image", ranks(texts, images)),
        ):
            row = table.loc[path, direction]
            assert set(row.index) == {"MRR", "recall@10"}
            assert row["MRR"] == pytest.approx((1 / found).mean())
            assert row["recall@10"] == pytest.approx((found <= 10).mean())


def test_embeddings_that_are_not_finite_are_refused():
    images = np.ones((20, 3))
    images[4] = np.nan
    with pytest.raises(InputError):
        strict_retrieval({"a": (images, np.ones((20, 3)))}, np.arange(20) % 2)


@pytest.fixture
def retrieval():
    columns = pd.MultiIndex.from_product([["image_to_text"], ["MRR", "recall@10"]])
    return pd.DataFrame(
        [[0.5, 0.75], [0.625, 0.5]],
        index=pd.Index([REFERENCE, "cache"], name="model"),
        columns=columns.set_names(["direction", "metric"]),
    )


ERRORS = pd.DataFrame({"median": [1e-3], "largest": [0.5]}, index=["cache"])


def test_records_hold_the_changes_against_the_reference_and_the_errors(retrieval):
    change = {"metric": "change", "direction": "image_to_text", "path": "cache"}
    error = {"metric": "embedding_error", "path": "cache"}
    assert precision_records(retrieval, ERRORS) == [
        {**change, "of": "MRR", "value": 0.125},
        {**change, "of": "recall@10", "value": -0.25},
        {**error, "of": "median", "value": 1e-3},
        {**error, "of": "largest", "value": 0.5},
    ]


def test_the_table_has_no_error_for_the_reference(retrieval):
    shown = precision_table(retrieval, ERRORS)
    page = shown.to_html()
    assert "image → report" in page
    assert "0.6250" in page
    assert "5.0e-01" in page
    assert "nan" not in page
    assert shown.data["embedding error"].loc["cache"].tolist() == ["1.0e-03", "5.0e-01"]
    assert shown.data["embedding error"].loc[REFERENCE].isna().all()
    assert "embedding error" not in retrieval.columns.get_level_values(0)
