"""Result records as tables to read: value [interval], readable names, marks of significance."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.records import Key, number_key
from cxr_mtl.base.styled_tables import styled
from cxr_mtl.evidence.bounds import CEILINGS, CHANCE

Record = Mapping[str, Any]
Text = Callable[[Record], str]
Place = tuple[str, ...]

NAMES = {
    "image_to_text": "image → report",
    "text_to_image": "report → image",
    "image_to_image": "image → image",
    "text_to_text": "report → report",
    "fine_tuned": "fine-tuned",
    "biomedclip": "BiomedCLIP",
    "clip": "CLIP",
    "image_only": "images, random reports",
    "text_only": "reports, random images",
    "random": "random vectors",
    "shuffled": "shuffled pairs",
    "fused": "fused (the paper's)",
    "fused_excluding_query": "fused, query left out",
    "cross_modal": "strict",
    "own_study": "own study",
    "same_text": "same report text",
    "same_label": "same label",
    "mesh_overlap": "MeSH overlap",
    "mrr": "MRR",
    "map": "mAP",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "median_rank": "median rank",
    "mean_rank": "mean rank",
    "r_precision": "R-precision",
    "ndcg": "nDCG",
    "average_precision": "average precision",
    "brier": "Brier score",
    "ece": "ECE",
    "clinical": "clinical (CheXbert)",
    "both": "both directions",
}
"""How keys of records are written for a reader; a key that is not here is written as it is."""

UNDEFINED = "undefined"
SIGNIFICANT = 0.05
RANKS = ("median_rank", "mean_rank")
LOWER_IS_BETTER = (*RANKS, "brier", "ece", "log_loss")
NO_CONTEST = ("similarity", "inflation")
"""Metrics whose height says nothing of how good a model is."""
NOT_TRAINED = (CHANCE, *CEILINGS, "random", "shuffled", "image_only", "text_only")
REFERENCE = "fine_tuned"


def readable(key: Any) -> str:
    """A key of a record in words."""
    return NAMES.get(key, str(key)) if isinstance(key, str) else str(key)


def model_name(record: Record) -> str:
    """The model of a record in words."""
    return readable(record["model"])


def metric_name(record: Record) -> str:
    """The metric of a record with its k, for example `recall@10`."""
    name = readable(record["metric"])
    k = record.get("k")
    return name if k is None or pd.isna(k) else f"{name}@{int(k)}"


def cell(record: Record, reference: float | None = None, best: bool = False) -> str:
    """HTML of a record's value with its interval small beside it; bold where it is the best.

    Where p is below 0.05 an arrow says whether the value lies above or below that of the
    `reference`; a star, where there is none. A value that is None or NaN is written as undefined.
    """
    number = _ranks if record["metric"] in RANKS else _three_digits
    if _missing(record["value"]):
        return f'<span class="undefined">{UNDEFINED}</span>'
    text = number(record["value"])
    text = (f"<b>{text}</b>" if best else text) + _mark(record, reference)
    if _missing(record.get("low")):
        return text
    low, high = number(record["low"]), number(record["high"])
    return f'{text} <span class="interval">[{low}, {high}]</span>'


def _mark(record: Record, reference: float | None) -> str:
    p = record.get("p")
    if _missing(p) or p >= SIGNIFICANT:
        return ""
    if reference is None:
        return "*"
    arrow, words = ("▲", "above") if record["value"] > reference else ("▼", "below")
    return (
        f'<span class="against" title="{words} {readable(REFERENCE)}, p &lt; 0.05">{arrow}</span>'
    )


def _contests(records: Sequence[Record]) -> dict[Key, dict[str, float]]:
    """The values of the trained models that answer one question, by that question and model."""
    contests: dict[Key, dict[str, float]] = {}
    for record in records:
        model = record.get("model")
        if model and model not in NOT_TRAINED and not _missing(record["value"]):
            contests.setdefault(_contest(record), {})[model] = record["value"]
    return contests


def _contest(record: Record) -> Key:
    return tuple(item for item in number_key(record) if item[0] != "model")


def _is_best(record: Record, rivals: Mapping[str, float]) -> bool:
    if len(rivals) < 2 or record["model"] not in rivals or record["metric"] in NO_CONTEST:
        return False
    low, high = min(rivals.values()), max(rivals.values())
    return low < high and record["value"] == (low if record["metric"] in LOWER_IS_BETTER else high)


def results_table(
    records: Sequence[Record],
    rows: Mapping[str, Text],
    columns: Sequence[Text] = (model_name,),
    *,
    paper: bool = False,
) -> Styler:
    """Lay records out as cells, in the order of the records.

    The best of the trained models is bold wherever two or more answer the same question and differ.

    Args:
        rows: the row headings by their titles, each a text of a record.
        columns: the column headings, from the top.
        paper: the paper's number, where a record has one, follows in a column of its own.

    Raises:
        InputError: there is no record, or two fall on one place.
    """
    if not records:
        raise InputError("there is no record to show: evaluate a model first")
    contests = _contests(records)
    places: dict[Place, dict[Place, str]] = {}
    heads: dict[str, dict[Place, None]] = {}
    for record in records:
        row = tuple(text(record) for text in rows.values())
        head = tuple(text(record) for text in columns)
        cells = places.setdefault(row, {})
        if head in cells:
            raise InputError(f"two records fall on {', '.join(row)} under {', '.join(head)}")
        rivals = contests.get(_contest(record), {})
        reference = None if record.get("model") == REFERENCE else rivals.get(REFERENCE)
        cells[head] = cell(record, reference, _is_best(record, rivals))
        group = heads.setdefault(head[0], {})
        group.setdefault(head)
        if paper and not _missing(record.get("paper")):
            printed = (*head[:-1], "paper")
            group.setdefault(printed)
            cells[printed] = _three_digits(record["paper"])
    in_order = [head for group in heads.values() for head in group]
    table = pd.DataFrame(
        [[cells.get(head, "") for head in in_order] for cells in places.values()],
        index=_heading(list(places), list(rows)),
        columns=_heading(in_order, [None] * len(columns)),
    )
    return table.pipe(styled, html_cells=True)


def _heading(places: Sequence[Place], names: Sequence[str | None]) -> pd.Index:
    if len(names) == 1:
        return pd.Index([place[0] for place in places], name=names[0])
    return pd.MultiIndex.from_tuples(places, names=names)


def p_text(p: float) -> str:
    """A p-value in three digits, or that it is smaller."""
    return "< 0.001" if p < 0.001 else _three_digits(p)


def half_up(value: float) -> float:
    """A value that rounds away from 0 where it lies half way, whatever its last bits are."""
    return value * (1 + 1e-9)


def _missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _three_digits(value: float) -> str:
    return f"{half_up(value):.3f}"


def _ranks(value: float) -> str:
    return f"{half_up(value):.1f}"
