"""What keeping tokens, and keeping them in bfloat16, does to embeddings and to retrieval."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from pandas.io.formats.style import Styler

from cxr_mtl.base.styled_tables import styled
from cxr_mtl.bench.costs import Setting
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.evidence.result_display import metric_name, readable
from cxr_mtl.evidence.tables import evaluate_tables
from cxr_mtl.models.backbones import Backbone
from cxr_mtl.models.features import Precision, compute_features, embed
from cxr_mtl.models.last_layer import LastLayer
from cxr_mtl.models.mixed_precision import mixed_precision
from cxr_mtl.training.trainer import embed_rows

Labels = NDArray[np.integer] | pd.Series
Embeddings = tuple[NDArray[np.floating], NDArray[np.floating]]

REFERENCE = "whole open_clip, float32"
"""The path that the others are held against."""
_K = 10


def embeddings_by_path(
    pretrained: Backbone,
    fine_tuned: Backbone,
    studies: pd.DataFrame,
    setting: Setting,
    cache: Path,
) -> dict[str, Embeddings]:
    """Embeddings of a fine-tuned model, by itself and by its last layer on cached tokens.

    The tokens in `cache` are those of the model that it was fine-tuned from: the frozen part is
    the same. Both ways in float32 and in bfloat16, the whole model then in mixed precision.

    Shapes: for each path images and reports, two float32 [studies, dim], not L2-normalised.

    Raises:
        InputError: as `compute_features` and `LastLayer`.
    """
    device, blocks = setting.device, setting.unfrozen_blocks
    end = LastLayer(fine_tuned.model.to(device), blocks)
    rows = torch.arange(len(studies))
    embeddings = {}
    for precision in get_args(Precision):
        with mixed_precision(precision, device):
            embeddings[f"whole open_clip, {precision}"] = embed(fine_tuned, studies, device)
        features = compute_features(
            pretrained, studies, blocks, cache, precision=precision, device=device
        )
        embeddings[f"{precision} cache"] = embed_rows(end, features, rows, device)
    return embeddings


def strict_retrieval(embeddings: Mapping[str, Embeddings], labels: Labels) -> pd.DataFrame:
    """MRR and recall@10 under the strict protocol: a row per path, columns (direction, metric).

    Raises:
        InputError: as `evaluate_tables`.
    """
    bootstrap = Bootstrap(len(labels), seed=0, resamples=100)  # no interval of it is shown
    records = [
        {**record, "metric": metric_name(record)}
        for path, (images, texts) in embeddings.items()
        for record in evaluate_tables(images, texts, labels, path, None, bootstrap)[0]
        if record["table"] is None and (record["metric"] == "mrr" or record["k"] == _K)
    ]
    frame = pd.DataFrame(records)
    return frame.pivot_table("value", "model", ["direction", "metric"], sort=False)


def embedding_errors(embeddings: Mapping[str, Embeddings]) -> pd.DataFrame:
    """Median and largest `relative_differences` of each other path's embeddings to `REFERENCE`.

    Images and reports are taken together.
    """
    errors = {
        path: np.concatenate(
            [
                relative_differences(ours, theirs)
                for ours, theirs in zip(found, embeddings[REFERENCE], strict=True)
            ]
        )
        for path, found in embeddings.items()
        if path != REFERENCE
    }
    rows = [{"median": np.median(error), "largest": error.max()} for error in errors.values()]
    return pd.DataFrame(rows, index=list(errors))


def relative_differences(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    """How far each row is from what it should be, ‖ours − theirs‖ / ‖theirs‖.

    Shapes: two [rows, dim] -> [rows].
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)


def precision_records(retrieval: pd.DataFrame, errors: pd.DataFrame) -> list[dict[str, Any]]:
    """Result records of the changes in retrieval against `REFERENCE`, and of the errors.

    Takes what `strict_retrieval` and `embedding_errors` return.
    """
    changes = (retrieval - retrieval.loc[REFERENCE]).drop(REFERENCE)
    records = [
        {"metric": "change", "of": metric, "direction": direction, "path": path, "value": change}
        for (direction, metric), column in changes.items()
        for path, change in column.items()
    ]
    return records + [
        {"metric": "embedding_error", "of": name, "path": path, "value": error}
        for path, row in errors.iterrows()
        for name, error in row.items()
    ]


def precision_table(retrieval: pd.DataFrame, errors: pd.DataFrame) -> Styler:
    """Retrieval with four digits and, beside it, the errors of the embeddings: a row per path.

    Takes what `strict_retrieval` and `embedding_errors` return.
    """
    shown = retrieval.rename(columns=readable, level="direction")
    for name, column in errors.map("{:.1e}".format).items():
        shown["embedding error", name] = column
    shown = shown.rename_axis(index=None, columns=[None, None])
    return shown.pipe(styled).format(precision=4, na_rep="")
