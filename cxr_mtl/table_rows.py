"""The rows of Tables I to III and of the strict protocol, from the scores of one search.

Row and column i of `scores` [n, n] are study i as query and as item. Rows are in the paper's order;
without a bootstrap their intervals are undefined.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_mtl import metrics
from cxr_mtl.metrics import TIE_TOLERANCE
from cxr_mtl.uncertainty import Bootstrap, Interval
from cxr_mtl.weighted import Statistic, average_precision_of, f1_of, median_of, roc_auc_of

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]

KS = (1, 3, 5, 10)
STRICT_KS = (1, 5, 10)
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


def own_study_rows(scores: Floats, bootstrap: Bootstrap | None) -> list[Row]:
    """Table I: accuracy@k and similarity@k."""
    own, rows = np.arange(len(scores)), []
    for k in KS:
        accuracy = metrics.accuracy_at_k(scores, own, k, TIE_TOLERANCE)
        rows.append(_mean("accuracy", k, accuracy, bootstrap))
        rows.append(_mean("similarity", k, metrics.similarity_at_k(scores, k), bootstrap))
    return rows


def label_rows(scores: Floats, labels: Labels, bootstrap: Bootstrap | None) -> list[Row]:
    """Tables II and III: precision@k (a hit rate), similarity@k, F1, ROC AUC and mAP."""
    rows = []
    for k in KS:
        hit = metrics.hit_at_k(scores, labels, labels, k, TIE_TOLERANCE)
        rows.append(_mean("precision", k, hit, bootstrap))
        rows.append(_mean("similarity", k, metrics.similarity_at_k(scores, k), bootstrap))
        if k == 1:
            rows += _top1_rows(scores, labels, bootstrap)
    return rows


def strict_rows(scores: Floats, bootstrap: Bootstrap | None) -> list[Row]:
    """In no table: recall@k, mrr, median and mean of the own study's rank."""
    own = np.arange(len(scores))
    ranks = metrics.rank(scores, own, TIE_TOLERANCE)
    median = float(np.median(ranks))
    rows = []
    for k in STRICT_KS:
        rows.append(
            _mean("recall", k, metrics.recall_at_k(scores, own, k, TIE_TOLERANCE), bootstrap)
        )
    reciprocal = metrics.reciprocal_rank(scores, own, TIE_TOLERANCE)
    return [
        *rows,
        _mean("mrr", None, reciprocal, bootstrap),
        Row("median_rank", None, median, _interval(median_of(ranks), bootstrap)),
        _mean("mean_rank", None, ranks, bootstrap),
    ]


def _top1_rows(scores: Floats, labels: Labels, bootstrap: Bootstrap | None) -> list[Row]:
    """The rows that are no mean over queries."""
    top = scores.max(axis=1)
    # Probability that the top item is abnormal: a hit of a query that asks for an abnormal one.
    abnormal = metrics.hit_at_k(scores, np.ones_like(labels), labels, 1, TIE_TOLERANCE)
    f1 = metrics.f1_of_top1(scores, labels, labels, TIE_TOLERANCE)
    roc_auc = metrics.roc_auc_of_similarity(scores, labels)
    precision = metrics.average_precision_of_similarity(scores, labels)
    return [
        Row("f1", None, f1, _interval(f1_of(abnormal, labels), bootstrap)),
        Row("roc_auc", None, roc_auc, _interval(roc_auc_of(top, labels), bootstrap)),
        Row("map", None, precision, _interval(average_precision_of(top, labels), bootstrap)),
    ]


def _mean(metric: str, k: int | None, values: Floats, bootstrap: Bootstrap | None) -> Row:
    interval = UNDEFINED if bootstrap is None else bootstrap.mean(values)
    return Row(metric, k, float(values.mean()), interval, values)


def _interval(statistic: Statistic, bootstrap: Bootstrap | None) -> Interval:
    return UNDEFINED if bootstrap is None else bootstrap.of(statistic)
