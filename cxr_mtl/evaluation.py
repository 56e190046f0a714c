"""Tables I to III as tidy records, under the paper's protocol and under a strict one.

`fused` is the paper's protocol: an image or a report is searched in an index of fused vectors, each
of which is half image and half report, so the query is half of its own target. `cross_modal` is the
strict one: images against an index of reports only, and reports against an index of images only.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxr_mtl import metrics
from cxr_mtl.errors import InputError
from cxr_mtl.retrieval import Index, Vectors, fused_vectors, normalised

Direction = Literal["image_to_text", "text_to_image"]
Protocol = Literal["fused", "cross_modal"]
Record = dict[str, Any]

KS = (1, 3, 5, 10)
STRICT_KS = (1, 5, 10)
LABEL_TABLE: dict[Direction, int] = {"image_to_text": 2, "text_to_image": 3}

PAPER_TABLES: dict[str, Any] = json.loads(
    files("cxr_mtl").joinpath("data/paper_tables.json").read_text(encoding="utf-8")
)
"""The paper's Tables I to III, number by number; its key `source` names them."""

MODEL_ROLES = {
    "fine_tuned": "fine_tuned",
    "biomedclip": "biomedclip",
    "clip": "clip",
    "demo-biomed": "biomedclip",
    "demo-general": "clip",
}
"""Which of the paper's three models each of ours stands for."""


def paper_value(
    table: int, direction: str, metric: str, k: int | None, model_role: str
) -> float | None:
    """The paper's number, or None where it gives none.

    `model_role` is fine_tuned, biomedclip or clip.

    Raises:
        InputError: another role.
    """
    roles = PAPER_TABLES["models"]
    if model_role not in roles:
        raise InputError(f"the paper has no model {model_role}: choose one of {', '.join(roles)}")
    row = PAPER_TABLES[f"table_{table}"].get(direction, {}).get(_row_name(metric, k))
    return None if row is None else row[roles.index(model_role)]


def table_records(
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
    labels: ArrayLike,
    model: str,
    paper: Mapping[str, str] | None,
) -> list[Record]:
    """Tables I to III of one model, under both protocols, as tidy records.

    Row i of the two embeddings, [n, d] of any length, and labels[i], 1 abnormal and 0 normal, are
    one test study; every study is a query in both directions. A record holds table (1, 2, 3, or
    None for the strict protocol's recall, mrr and median_rank), direction, protocol, model, metric,
    k, value and paper. `paper` maps models to the paper's, as `MODEL_ROLES` does; without it, for
    a model it does not name and outside the fused protocol, the record's paper is None.

    Raises:
        InputError: embeddings or labels of different lengths, NaN, infinity or zero vectors, labels
            other than 0 and 1, all labels equal, or fewer studies than the largest k.
    """
    vectors = _protocol_vectors(image_embeddings, text_embeddings)
    labels = _checked_labels(labels, len(vectors["cross_modal", "image_to_text"][0]))
    role = (paper or {}).get(model)
    records = []
    for (protocol, direction), (queries, items) in vectors.items():
        scores = _scores(queries, items)
        for table, metric, k, value in _rows(scores, labels, direction, protocol):
            in_paper = table is not None and protocol == "fused" and role is not None
            records.append(
                {
                    "table": table,
                    "direction": direction,
                    "protocol": protocol,
                    "model": model,
                    "metric": metric,
                    "k": k,
                    "value": value,
                    "paper": paper_value(table, direction, metric, k, role) if in_paper else None,
                }
            )
    return sorted(records, key=lambda r: (r["protocol"] != "fused", r["table"] or 4))


def reciprocal_ranks(
    image_embeddings: ArrayLike, text_embeddings: ArrayLike, direction: Direction
) -> NDArray[np.float64]:
    """Expected reciprocal rank of each query's own study, [n], under the strict protocol.

    Takes the two embeddings, [n, d] of any length, row by row one study.

    Raises:
        InputError: embeddings of two shapes, with NaN, infinity or zero vectors.
    """
    queries, items = _protocol_vectors(image_embeddings, text_embeddings)["cross_modal", direction]
    return metrics.reciprocal_rank(
        _scores(queries, items), np.arange(len(items)), metrics.TIE_TOLERANCE
    )


def paired_test(a: ArrayLike, b: ArrayLike, *, seed: int, permutations: int = 10_000) -> float:
    """Two-sided p-value that a and b, per-query values of two models, have one mean.

    Paired randomisation test: under the null hypothesis the sign of each difference a[q] − b[q] is
    a coin toss. p = (x + 1) / (permutations + 1), where x random sign assignments give a mean
    difference at least as far from 0 as the observed one (Smucker, Allan, Carterette, 2007;
    Phipson, Smyth, 2010).

    Raises:
        InputError: a and b differ in length, are empty, or hold NaN.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise InputError(
            f"a paired test needs two lists of one length, not {list(a.shape)} and "
            f"{list(b.shape)}: give the values of the same queries"
        )
    differences = a - b
    if not np.isfinite(differences).all():
        raise InputError("a paired test needs numbers: a value is NaN or infinite")
    observed = abs(differences.sum())
    slack = 1e-12 * np.abs(differences).sum()
    rng = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, permutations, 1000):
        count = min(1000, permutations - start)
        signs = rng.integers(0, 2, (count, len(a)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ differences) >= observed - slack).sum())
    return (extreme + 1) / (permutations + 1)


def layout_table(records: list[Record], table: int, protocol: Protocol) -> pd.DataFrame:
    """One of Tables I to III as the paper lays it out.

    Rows are (direction, metric@k), columns (model, ours) and, where the paper has numbers,
    (model, paper).

    Raises:
        InputError: no record is of that table and protocol.
    """
    chosen = pd.DataFrame([r for r in records if (r["table"], r["protocol"]) == (table, protocol)])
    if chosen.empty:
        raise InputError(
            f"no record is of table {table} under the protocol {protocol}: evaluate a model first"
        )
    chosen["row"] = [_row_name(r.metric, r.k) for r in chosen.itertuples()]
    by_model = {
        model: rows.set_index(["direction", "row"])[["value", "paper"]]
        for model, rows in chosen.groupby("model", sort=False)
    }
    wide = pd.concat(by_model, axis=1).astype(float).dropna(axis=1, how="all")
    wide = wide.rename(columns={"value": "ours"}, level=1)
    return wide.rename_axis(index=["direction", "metric"], columns=["model", None])


def _row_name(metric: str, k: int | None) -> str:
    return metric if k is None or pd.isna(k) else f"{metric}@{int(k)}"


def _protocol_vectors(
    image_embeddings: ArrayLike, text_embeddings: ArrayLike
) -> dict[tuple[Protocol, Direction], tuple[Vectors, Vectors]]:
    """Queries and items of every protocol and direction."""
    images, texts = normalised(image_embeddings), normalised(text_embeddings)
    fused = fused_vectors(images, texts)
    return {
        ("fused", "image_to_text"): (images, fused),
        ("fused", "text_to_image"): (texts, fused),
        ("cross_modal", "image_to_text"): (images, texts),
        ("cross_modal", "text_to_image"): (texts, images),
    }


def _checked_labels(labels: ArrayLike, studies: int) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    if labels.shape != (studies,):
        raise InputError(
            f"{studies} studies have labels of shape {list(labels.shape)}: give one label per study"
        )
    wrong = labels[~np.isin(labels, (0, 1))]
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {studies} labels are neither 0 nor 1 (the first is {wrong[0]}): "
            "label every test study"
        )
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"all {studies} test studies have the label {labels[0]}: the tables by label need "
            "normal and abnormal studies, choose another split"
        )
    if studies < max(KS):
        raise InputError(
            f"the test set holds {studies} studies and the tables go to k = {max(KS)}: give at "
            f"least {max(KS)}"
        )
    return labels.astype(np.int64)


def _scores(queries: Vectors, items: Vectors) -> NDArray[np.float32]:
    """All scores [queries, items] as the index returns them, so that every tie is seen."""
    placeholder = pd.DataFrame(
        {"study": np.arange(len(items)), "image": "", "label": 0, "text": ""}
    )
    found, positions = Index.build(items, placeholder, "").search(queries, len(items))
    scores = np.empty_like(found)
    np.put_along_axis(scores, positions, found, axis=1)
    return scores


def _rows(
    scores: NDArray[np.float32], labels: NDArray[np.int64], direction: Direction, protocol: Protocol
) -> list[tuple[int | None, str, int | None, float]]:
    """(table, metric, k, value) of one protocol and direction, in the paper's order of rows."""
    own = np.arange(len(labels))
    by_label = LABEL_TABLE[direction]
    rows: list[tuple[int | None, str, int | None, Any]] = []
    for k in KS:
        accuracy = metrics.accuracy_at_k(scores, own, k, metrics.TIE_TOLERANCE).mean()
        similarity = metrics.similarity_at_k(scores, k).mean()
        hit = metrics.hit_at_k(scores, labels, labels, k, metrics.TIE_TOLERANCE).mean()
        rows += [(1, "accuracy", k, accuracy), (1, "similarity", k, similarity)]
        rows += [(by_label, "precision", k, hit), (by_label, "similarity", k, similarity)]
        if k == 1:
            rows += [
                (
                    by_label,
                    "f1",
                    None,
                    metrics.f1_of_top1(scores, labels, labels, metrics.TIE_TOLERANCE),
                ),
                (by_label, "roc_auc", None, metrics.roc_auc_of_similarity(scores, labels)),
                (by_label, "map", None, metrics.average_precision_of_similarity(scores, labels)),
            ]
    if protocol == "cross_modal":
        for k in STRICT_KS:
            recall = metrics.recall_at_k(scores, own, k, metrics.TIE_TOLERANCE).mean()
            rows.append((None, "recall", k, recall))
        mrr = metrics.reciprocal_rank(scores, own, metrics.TIE_TOLERANCE).mean()
        median_rank = np.median(metrics.rank(scores, own, metrics.TIE_TOLERANCE))
        rows += [(None, "mrr", None, mrr), (None, "median_rank", None, median_rank)]
    return [(table, metric, k, float(value)) for table, metric, k, value in rows]
