"""What is measured of a search, by what counts as relevant: one value per query and measure."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_mtl.base.resources import in_chunks
from cxr_mtl.retrieval.graded_metrics import (
    Floats,
    average_precision,
    first_rank,
    hit_at_k,
    ndcg,
    precision_at_k,
    r_precision,
    rank_items,
    recall_at_k,
    reciprocal_rank,
)
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE
from cxr_mtl.retrieval.protocols import Search
from cxr_mtl.retrieval.relevance import Relevance

BYTES_PER_SCORE = 250


class Measure(NamedTuple):
    """A metric of a ranking, and by which relevance."""

    relevance: str
    metric: str
    k: int | None = None


OWN_ITEM_MEASURES = (
    Measure("own_study", "recall", 1),
    Measure("own_study", "recall", 10),
    Measure("own_study", "mrr"),
    Measure("own_study", "median_rank"),
    Measure("same_text", "hit", 1),
    Measure("same_text", "mrr"),
    Measure("same_text", "median_rank"),
)
"""How near the top is the own study, or the first of the same report, duplicates counted as hits?

For searches that hold the query's own item.
"""

RELEVANCE_MEASURES = (
    Measure("same_text", "hit", 10),
    Measure("same_label", "hit", 10),
    Measure("same_label", "precision", 10),
    Measure("same_label", "r_precision"),
    Measure("same_label", "map"),
    Measure("mesh_overlap", "ndcg", 10),
    Measure("clinical", "ndcg", 10),
)
"""How many of the relevant studies are near the top? For all searches."""


_METRICS: dict[str, Callable[..., Floats]] = {
    "recall": recall_at_k,
    "hit": hit_at_k,
    "precision": precision_at_k,
    "r_precision": r_precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "median_rank": first_rank,
    "ndcg": ndcg,
}


def values_per_query(
    search: Search, measures: Sequence[Measure], relevances: Mapping[str, Relevance]
) -> dict[Measure, Floats]:
    """Each measure's value of each query, [n]; NaN where the query has no relevant item.

    `relevances` holds the relevance of each measure by its name. Scores are ranked in chunks of
    queries, so that they are never all held at once.
    """
    needed = {measure.relevance for measure in measures}

    def values(rows: NDArray[np.intp]) -> dict[str, NDArray]:
        scores = search.scores(rows)
        ranked = {
            name: rank_items(scores, search.columns(relevances[name](rows), rows), TIE_TOLERANCE)
            for name in needed
        }
        return {
            str(measure): _METRICS[measure.metric](
                ranked[measure.relevance], *([] if measure.k is None else [measure.k])
            )
            for measure in measures
        }

    studies = len(search.queries)
    found = in_chunks(studies, values, bytes_per_row=BYTES_PER_SCORE * studies)
    return {measure: found[str(measure)] for measure in measures}
