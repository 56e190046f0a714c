"""The rows of Tables I to III and of the strict protocol, of one search.

Rows are in the paper's order; without a bootstrap their intervals are undefined.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_mtl.base.resources import in_chunks
from cxr_mtl.evidence.bootstrap import (
    Bootstrap,
    Floats,
    Interval,
    Statistic,
    average_precision_of,
    f1_of,
    median_of,
    roc_auc_of,
)
from cxr_mtl.retrieval import metrics
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE
from cxr_mtl.retrieval.protocols import Search

Labels = NDArray[np.int64]

KS = (1, 3, 5, 10)
STRICT_KS = (1, 5, 10)
BYTES_PER_SCORE = 60
UNDEFINED = Interval(float("nan"), float("nan"))


class Row(NamedTuple):
    """A metric with its 95 % bootstrap interval over the queries; k is None where there is none.

    `values` are those of each query, [n], where the metric is their mean, else None.
    """

    metric: str
    k: int | None
    value: float
    interval: Interval
    values: Floats | None = None


def query_values(search: Search, labels: Labels) -> dict[str, Floats]:
    """What the tables need of each query, [n] each, by metric and k, as in `accuracy@1`.

    Scores are made in chunks of queries, so that they are never all held at once. `top` is the
    score of the first item, `abnormal` the probability that it is abnormal.
    """

    def values(rows: NDArray[np.intp]) -> dict[str, Floats]:
        scores, own = search.scores(rows), labels[rows]
        found = {
            "top": scores.max(axis=1),
            # A hit of a query that asks for an abnormal item.
            "abnormal": metrics.hit_at_k(scores, np.ones_like(own), labels, 1, TIE_TOLERANCE),
            "rank": metrics.rank(scores, rows, TIE_TOLERANCE),
            "mrr": metrics.reciprocal_rank(scores, rows, TIE_TOLERANCE),
        }
        for k in KS:
            found[f"accuracy@{k}"] = metrics.recall_at_k(scores, rows, k, TIE_TOLERANCE)
            found[f"similarity@{k}"] = metrics.similarity_at_k(scores, k)
            found[f"precision@{k}"] = metrics.hit_at_k(scores, own, labels, k, TIE_TOLERANCE)
        return found

    return in_chunks(len(labels), values, bytes_per_row=BYTES_PER_SCORE * len(labels))


def own_study_rows(values: Mapping[str, Floats], bootstrap: Bootstrap | None) -> list[Row]:
    """Table I: accuracy@k and similarity@k, of what `query_values` gives."""
    rows = []
    for k in KS:
        rows.append(_mean("accuracy", k, values[f"accuracy@{k}"], bootstrap))
        rows.append(_mean("similarity", k, values[f"similarity@{k}"], bootstrap))
    return rows


def label_rows(
    values: Mapping[str, Floats], labels: Labels, bootstrap: Bootstrap | None
) -> list[Row]:
    """Tables II and III: precision@k (a hit rate), similarity@k, F1, ROC AUC and mAP."""
    rows = []
    for k in KS:
        rows.append(_mean("precision", k, values[f"precision@{k}"], bootstrap))
        rows.append(_mean("similarity", k, values[f"similarity@{k}"], bootstrap))
        if k == 1:
            rows += _top1_rows(values["top"], values["abnormal"], labels, bootstrap)
    return rows


def strict_rows(values: Mapping[str, Floats], bootstrap: Bootstrap | None) -> list[Row]:
    """In no table: recall@k, mrr, median and mean of the own study's rank."""
    ranks = values["rank"]
    median = float(np.median(ranks))
    return [
        *(_mean("recall", k, values[f"accuracy@{k}"], bootstrap) for k in STRICT_KS),
        _mean("mrr", None, values["mrr"], bootstrap),
        Row("median_rank", None, median, _interval(median_of(ranks), bootstrap)),
        _mean("mean_rank", None, ranks, bootstrap),
    ]


def _top1_rows(
    top: Floats, abnormal: Floats, labels: Labels, bootstrap: Bootstrap | None
) -> list[Row]:
    """The rows that are no mean over queries: F1, ROC AUC and mAP.

    F1 takes the label of the top item as a prediction of the query's. The other two take the
    height of the top score as a score for "the query is abnormal": they tell how well it parts
    abnormal queries from normal ones, not whether retrieval is right.
    """
    statistics = {
        "f1": f1_of(abnormal, labels),
        "roc_auc": roc_auc_of(top, labels),
        "map": average_precision_of(top, labels),
    }
    once = np.ones_like(labels)
    return [
        Row(name, None, statistic(once), _interval(statistic, bootstrap))
        for name, statistic in statistics.items()
    ]


def _mean(metric: str, k: int | None, values: Floats, bootstrap: Bootstrap | None) -> Row:
    interval = UNDEFINED if bootstrap is None else bootstrap.mean(values)
    return Row(metric, k, float(values.mean()), interval, values)


def _interval(statistic: Statistic, bootstrap: Bootstrap | None) -> Interval:
    return UNDEFINED if bootstrap is None else bootstrap.of(statistic)
